"""Form `weights` under load: thousands of changes of the share, servers that die meanwhile, and nobody fails."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from lbctl.dataplane.haproxy.client import ask
from lbctl.model.names import Colour
from lbctl.model.operation import Status
from lbctl.model.route import Route
from lbctl.model.topology import HaproxyForm
from tests.conformance.haproxy_harness import HaproxyWorld, haproxy_world
from tests.conformance.harness import SHOP, Operator
from tests.integration.test_haproxy_weights import BACKEND, STORY, known_dead

pytestmark = pytest.mark.haproxy

BUSY = 16
"""Keep-alive connections that never rest."""


@dataclass(slots=True)
class Load:
    """What the busy connections got."""

    requests: int = 0
    failed: list[str] = field(default_factory=list)
    deaths: int = 0
    ended: bool = False


@asynccontextmanager
async def load(world: HaproxyWorld) -> AsyncIterator[Load]:
    """Users who never stop asking, half of them with a session."""
    seen = Load()

    async def busy(session: bool) -> None:
        client = world.client(session=session)
        while not seen.ended:
            try:
                answer = await client.get()
                if answer.status != 200:
                    seen.failed.append(f"{answer.status} {answer.body[:60]}")
            except (OSError, asyncio.IncompleteReadError) as error:
                seen.failed.append(repr(error))
                client.close()
            seen.requests += 1

    tasks = [asyncio.create_task(busy(session=bool(number % 2))) for number in range(BUSY)]
    try:
        yield seen
    finally:
        seen.ended = True
        await asyncio.gather(*tasks)


async def flip(here: Operator, count: int, chance: random.Random) -> None:
    """All to blue and all to green in turns, and now and then a split."""
    for number in range(count):
        route = Route(chance.randrange(20, 9_980)) if number % 5 == 4 else Route(10_000 * (number % 2))
        async with asyncio.timeout(20):
            while (result := await here.apply(route)).status is not Status.DONE:
                # A server that dies between read and write, or a machine too slow to read back what was ordered:
                # as the core does, the same is ordered again.
                assert result.status in {Status.REFUSED, Status.UNKNOWN}, result


async def dying(world: HaproxyWorld, here: Operator, seen: Load, chance: random.Random) -> None:
    """One server after the other stops listening, ends what it has, and comes back when HAProxy knows it is gone."""
    while True:
        server = world.servers[chance.choice(STORY)]
        await server.refuse()
        await known_dead(here, server.name)
        await asyncio.sleep(0.2)
        await server.open()
        await known_dead(here)
        seen.deaths += 1


async def soaked(count: int, *, deaths: bool, seed: int) -> Load:
    """Flip under load; returns what the users got."""
    chance = random.Random(seed)
    async with haproxy_world(form=HaproxyForm.WEIGHTS, names=STORY) as world:
        here = Operator(world)
        await here.route(0)
        async with load(world) as seen:
            death = asyncio.create_task(dying(world, here, seen, chance)) if deaths else None
            try:
                await flip(here, count, chance)
            finally:
                if death is not None:
                    death.cancel()
                    with suppress(asyncio.CancelledError):
                        await death
    return seen


@pytest.mark.parametrize("deaths", [False, True])
async def test_nobody_fails_while_the_share_flips(deaths: bool) -> None:
    seen = await soaked(150, deaths=deaths, seed=7)
    assert seen.failed == []
    assert seen.requests > 200
    assert (seen.deaths > 0) is deaths


@pytest.mark.long
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("deaths", [False, True])
async def test_nobody_fails_in_two_thousand_flips(deaths: bool) -> None:
    began = time.monotonic()
    seen = await soaked(2_000, deaths=deaths, seed=11)
    took = f"{seen.deaths} deaths, {time.monotonic() - began:.0f} s"
    print(f"\n2,000 flips, {seen.requests} requests, {len(seen.failed)} failed, {took}")
    assert seen.failed == []


async def test_lowering_first_would_fail_them_which_this_load_sees() -> None:
    async with haproxy_world(form=HaproxyForm.WEIGHTS, names=STORY) as world:
        await Operator(world).route(0)
        admin = str(world.directory / "admin.sock")
        async with load(world) as seen:
            for _ in range(5):
                for server in (name for name in STORY if name.startswith(Colour.BLUE)):
                    await ask(admin, [f"set server {BACKEND}/{server} weight 0"], 2.0)
                await asyncio.sleep(0.02)
                await Operator(world, fence=100).apply(Route(0), SHOP)
        assert any(text.startswith("503") for text in seen.failed)

"""Users that a stick table binds, on a real HAProxy in form `weights`: moved key by key, counted by clients."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from lbctl.core.parting import part, waits_for
from lbctl.core.seating import seats
from lbctl.dataplane.haproxy.client import ask
from lbctl.model.names import Colour
from lbctl.model.reading import InstanceReading
from lbctl.model.route import Route
from lbctl.model.sessions import Leaving
from lbctl.model.topology import HaproxyForm
from lbctl.model.units import Instant
from tests.conformance.haproxy_harness import HaproxyWorld, haproxy_world
from tests.conformance.harness import SHOP, Operator

pytestmark = pytest.mark.haproxy

TABLE = "\n    stick-table type string len 64 size 10k expire 30m\n    stick on req.hdr(X-User)"
COOKIE = "    cookie SRV insert indirect nocache httponly\n"
HOSTILE = ("a b", "x;shutdown frontend shop", "use=0 exp=1 server_id=3 server_key=green-1", "\\;")


@asynccontextmanager
async def sticky(*, cookie: bool = False) -> AsyncIterator[tuple[HaproxyWorld, Operator]]:
    """A world whose users are bound by the header X-User; all on blue."""
    async with haproxy_world(form=HaproxyForm.WEIGHTS, begin=False) as world:
        config = world.directory / "h.cfg"
        text = config.read_text().replace("\nbackend shop_all", f"\nbackend shop_all{TABLE}")
        config.write_text(text if cookie else text.replace(COOKIE, ""))
        await world.begin()
        here = Operator(world)
        await here.route(0)
        yield world, here


async def colour(world: HaproxyWorld, user: str) -> Colour:
    """Who answers this user."""
    client = world.client(X_User=user)
    try:
        answer = await client.get()
        assert answer.status == 200, answer
        return Colour.BLUE if "blue" in answer.body else Colour.GREEN
    finally:
        client.close()


async def colours(world: HaproxyWorld, users: list[str]) -> dict[str, Colour]:
    """Who answers each of them."""
    return {user: await colour(world, user) for user in users}


async def counted(world: HaproxyWorld) -> InstanceReading:
    """A reading that knows whom the table brings to blue."""
    async with asyncio.timeout(5):
        while (seen := await world.driver.observe()).services[SHOP].pools[Colour.BLUE].uncounted:
            await asyncio.sleep(0.02)
    return seen


async def test_a_limit_lets_go_exactly_whom_it_does_not_honour_and_every_user_changes_once() -> None:
    users = [f"user-{number}" for number in range(60)]
    async with sticky() as (world, here):
        assert set((await colours(world, users)).values()) == {Colour.BLUE}
        await here.route(10_000)
        assert set((await colours(world, users)).values()) == {Colour.BLUE}, (
            "the table binds them, whatever the weights"
        )
        seen = await counted(world)
        occupied = seen.sessions[SHOP].buckets[Colour.BLUE]
        assert seen.services[SHOP].pools[Colour.BLUE].bound == 60
        limit = occupied[30]
        await here.route(10_000, limit, 10_000)
        assert (await counted(world)).sessions[SHOP].buckets[Colour.BLUE] == occupied[:30]
        half = await colours(world, users)
        assert 28 <= [*half.values()].count(Colour.GREEN) <= 32
        assert await colours(world, users) == half, "nobody comes back"
        await here.route(10_000, 0, 10_000)
        assert set((await colours(world, users)).values()) == {Colour.GREEN}
        assert (await counted(world)).services[SHOP].pools[Colour.BLUE].bound == 0


async def test_who_is_bound_again_after_the_limit_reads_back_as_honoured_until_he_is_let_go() -> None:
    async with sticky() as (world, here):
        await colour(world, "ann")
        await here.route(10_000, 0, 10_000)
        table = "set table shop_all key ann data.server_id 1"
        assert await ask(str(world.directory / "admin.sock"), [table], 1.0) == [[]]
        async with asyncio.timeout(5):
            while not (await counted(world)).services[SHOP].pools[Colour.BLUE].bound:
                await asyncio.sleep(0.02)
        (route,) = (await world.driver.observe()).services[SHOP].runtime.values()
        assert route.keep_blue_bp > 0
        assert await world.driver.verify(SHOP, Route(10_000, 0)) is False
        await here.route(10_000, 0, 10_000)
        assert (await counted(world)).services[SHOP].pools[Colour.BLUE].bound == 0


async def test_a_key_that_means_something_on_the_command_line_is_never_said_there_and_goes_with_its_server() -> None:
    async with sticky() as (world, here):
        users = [*HOSTILE, "plain"]
        assert set((await colours(world, users)).values()) == {Colour.BLUE}
        await here.route(10_000)
        assert (await counted(world)).services[SHOP].pools[Colour.BLUE].bound == len(users)
        await here.route(10_000, 1, 10_000)
        assert await colours(world, users) == {**dict.fromkeys(HOSTILE, Colour.BLUE), "plain": Colour.GREEN}
        await here.route(10_000, 0, 10_000)
        assert set((await colours(world, users)).values()) == {Colour.GREEN}
        assert (await counted(world)).services[SHOP].pools[Colour.BLUE].bound == 0


async def test_where_a_cookie_binds_users_too_the_table_does_not_tell_who_they_are() -> None:
    async with sticky(cookie=True) as (world, here):
        await colour(world, "ann")
        await here.route(10_000)
        assert (await counted(world)).sessions == {}


@dataclass(slots=True)
class Crowd:
    """Users who come again and again, and what became of each."""

    world: HaproxyWorld
    users: list[str]
    moved_at: dict[str, float] = field(default_factory=dict)
    returned: list[str] = field(default_factory=list)
    stop: bool = False
    online: bool = True
    """Else only the first can come."""

    async def come(self) -> None:
        """Come until told to stop."""
        while not self.stop:
            for user in self.users if self.online else self.users[:1]:
                if await colour(self.world, user) is Colour.GREEN:
                    self.moved_at.setdefault(user, time.monotonic())
                elif user in self.moved_at:
                    self.returned.append(user)
            await asyncio.sleep(0.05)


@asynccontextmanager
async def within(seconds: float, told: Callable[[], str]) -> AsyncIterator[None]:
    """Fail with what is told where this takes longer."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        pytest.fail(f"not within {seconds:g} s: {told()}")


async def moved_at(
    world: HaproxyWorld, here: Operator, crowd: Crowd, per_second: int, keeps: list[tuple[float, int]] | None = None
) -> float:
    """Let a crowd move at a rate; return in how many seconds they did. `keeps` gets when each limit was written."""
    now = (await counted(world)).taken_at
    leaving = Leaving(per_second=per_second, began_at=now, paced_at=now, deadline=Instant(now + 60_000))
    keep_bp, why = 10_000, ""

    def so_far() -> str:
        return f"{keep_bp=} {leaving} {why}; moved {len(crowd.moved_at)}"

    async with within(60, so_far), asyncio.TaskGroup() as group:
        group.create_task(crowd.come())
        while keep_bp:
            seen = await counted(world)
            here_now = seats([seen.sessions[SHOP]], Colour.BLUE, seen.taken_at)
            why = waits_for(keep_bp, leaving, here_now, seen.taken_at)
            found = part(keep_bp, leaving, here_now, seen.taken_at)
            if found is not None:
                keep_bp, leaving = found
                await here.route(10_000, keep_bp, 10_000)
                (keeps if keeps is not None else []).append((time.monotonic(), keep_bp))
            await asyncio.sleep(0.3)
        while len(crowd.moved_at) < len(crowd.users):
            await asyncio.sleep(0.05)
        crowd.stop = True
    assert crowd.returned == []
    return max(crowd.moved_at.values()) - min(crowd.moved_at.values())


async def test_a_rate_in_sessions_is_kept_for_users_that_a_table_binds() -> None:
    async with sticky() as (world, here):
        crowd = Crowd(world, [f"user-{number}" for number in range(150)])
        await colours(world, crowd.users)
        await here.route(10_000)
        took = await moved_at(world, here, crowd, 40)
        assert 2.6 <= took <= 6, f"150 users at 40/s took {took:.1f} s"


@pytest.mark.long
async def test_nobody_is_let_go_while_nearly_all_users_are_cut_off() -> None:
    async with sticky() as (world, here):
        crowd = Crowd(world, [f"user-{number}" for number in range(150)])
        await colours(world, crowd.users)
        await here.route(10_000)
        keeps: list[tuple[float, int]] = []
        moving = asyncio.create_task(moved_at(world, here, crowd, 10, keeps))
        await asyncio.sleep(6)
        crowd.online, cut_off_s = False, time.monotonic()
        await asyncio.sleep(20)
        crowd.online, back_s = True, time.monotonic()
        await moving
        passed = [round(at_s - cut_off_s, 1) for at_s, _ in keeps if cut_off_s < at_s < back_s]
        after = sum(back_s <= at_s < back_s + 10 for at_s in crowd.moved_at.values())
        print(f"\n150 users of a table, 10/s, all but one cut off for 20 s: limits written after {passed} s")
        print(f"in the first ten seconds after it {after} moved")
        assert all(at_s < 6 for at_s in passed)
        assert after <= 100 * 1.2 + 60


@pytest.mark.long
async def test_entries_of_users_who_have_left_take_no_part_of_the_rate() -> None:
    async with sticky() as (world, here):
        crowd = Crowd(world, [f"user-{number}" for number in range(120)])
        await colours(world, [f"gone-{number}" for number in range(120)])
        await colours(world, crowd.users)
        await here.route(10_000)
        until = time.monotonic() + 32
        while time.monotonic() < until:
            await colours(world, crowd.users)
            await counted(world)
            await asyncio.sleep(0.5)
        took = await moved_at(world, here, crowd, 10)
        print(f"\n120 living users of 240 in the table, 10/s: all moved in {took:.1f} s")
        assert 10 <= took <= 15

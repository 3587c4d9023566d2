"""What is left on an old pool is closed by force: exactly that, at the rate, whichever worker has it. Real balancers.

Counted by the clients and the toy servers, not by lbctl.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from lbctl.dataplane.port import DataPlane
from lbctl.model.names import Colour
from lbctl.model.operation import Place, Result, SetClosing, SetRoute, Status
from lbctl.model.reading import Closing
from lbctl.model.route import Route
from lbctl.model.topology import HaproxyForm
from lbctl.telemetry.sockets.ending import why_not
from tests.conformance.envoy_harness import envoy_world
from tests.conformance.haproxy_harness import HaproxyWorld, haproxy_world
from tests.conformance.harness import SHOP

BLUE, GREEN = Colour.BLUE, Colour.GREEN
LEFT = Route(10_000, keep_blue_bp=0)
"""All new traffic and all sessions to green."""
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(slots=True)
class Scene:
    """A load balancer, its driver, and open WebSockets."""

    driver: DataPlane
    upgrade: Callable[[], Awaitable[Streams]]
    world: Any
    fence: int = 0
    ended_at: list[float] = field(default_factory=list)
    """When each of the WebSockets that `opened` watches was closed, for its client."""

    async def route(self, route: Route) -> None:
        """Apply a route with the next fence, now and for the next start."""
        self.fence += 1
        for place in Place:
            operation = SetRoute(service=SHOP, place=place, route=route, fence=self.fence)
            assert (await self.driver.apply(operation)).status is Status.DONE

    async def close(self, per_second: int, colour: Colour = BLUE) -> Result:
        """Order a closing."""
        self.fence += 1
        operation = SetClosing(service=SHOP, colour=colour, per_second=per_second, fence=self.fence)
        return await self.driver.set_closing(operation)

    async def closing(self, colour: Colour = BLUE) -> Closing:
        """How far it is."""
        return (await self.driver.observe()).services[SHOP].pools[colour].closing

    async def none_left(self) -> Closing:
        """Wait until nothing is left."""
        async with asyncio.timeout(10):
            while (seen := await self.closing()).left != 0:
                await asyncio.sleep(0.02)
        return seen

    async def opened(self, count: int, watching: set[asyncio.Task[None]]) -> list[Streams]:
        """Open WebSockets to wherever new traffic goes, and note when each ends."""
        made = [await self.upgrade() for _ in range(count)]
        for streams in made:
            assert await echoes(streams)
            watching.add(asyncio.create_task(self._watch(streams[0])))
        return made

    async def _watch(self, reader: asyncio.StreamReader) -> None:
        with suppress(OSError):
            while await reader.read(100):
                pass
        self.ended_at.append(time.monotonic())


async def echoes(streams: Streams) -> bool:
    """Whether a WebSocket still lives."""
    reader, writer = streams
    writer.write(b"x\n")
    try:
        return await asyncio.wait_for(reader.readline(), 2) == b"x\n"
    except OSError:
        return False


@asynccontextmanager
async def behind_haproxy(form: HaproxyForm = HaproxyForm.MAP) -> AsyncIterator[Scene]:
    async with haproxy_world(form=form) as world:
        yield Scene(world.driver, world.upgraded, world)


@asynccontextmanager
async def behind_weights() -> AsyncIterator[Scene]:
    async with behind_haproxy(HaproxyForm.WEIGHTS) as scene:
        yield scene


@asynccontextmanager
async def behind_envoy() -> AsyncIterator[Scene]:
    if why := await why_not():
        pytest.skip(why)
    async with envoy_world() as world:
        yield Scene(world.driver, lambda: world.client().upgrade(), world)


EACH = pytest.mark.parametrize(
    "opened",
    [
        pytest.param(behind_haproxy, id="haproxy", marks=pytest.mark.haproxy),
        pytest.param(behind_weights, id="weights", marks=pytest.mark.haproxy),
        pytest.param(behind_envoy, id="envoy", marks=pytest.mark.envoy),
    ],
)


@EACH
async def test_exactly_the_old_pools_connections_are_closed_at_the_rate(opened: Any) -> None:
    watching: set[asyncio.Task[None]] = set()
    async with opened() as scene:
        await scene.route(Route(0))
        await scene.opened(20, watching)
        await scene.route(Route(10_000))
        spared = [await scene.upgrade() for _ in range(4)]
        await scene.route(LEFT)
        assert (await scene.close(10)).status is Status.DONE
        seen = await scene.none_left()
        async with asyncio.timeout(5):
            await asyncio.wait(watching)
        assert seen.trouble == ""
        ended = sorted(at - min(scene.ended_at) for at in scene.ended_at)
        assert len(ended) == 20
        assert 1.5 <= ended[-1] <= 2.6, f"20 at 10/s took {ended[-1]:.2f} s"
        for number, at in enumerate(ended, 1):
            assert number <= 10 * at + 4.5, f"faster than the rate: {ended}"
        assert all([await echoes(one) for one in spared])
        assert seen.closed >= 20
        assert (await scene.closing(GREEN)).closed == 0


@pytest.mark.haproxy
async def test_a_load_balancer_that_is_not_read_any_more_closes_nothing_until_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lbctl.dataplane.closing.LEASE_S", 0.5)
    watching: set[asyncio.Task[None]] = set()
    async with behind_haproxy() as scene:
        await scene.route(Route(0))
        await scene.opened(20, watching)
        await scene.route(LEFT)
        await scene.close(10)
        # As when one of its backends is missing after a reload: it answers, but no reading comes of it.
        await asyncio.sleep(2)
        assert 1 <= len(scene.ended_at) <= 12
        unread = len(scene.ended_at)
        assert (await scene.closing()).trouble.startswith("CLOSING_UNREAD: ")
        assert (await scene.none_left()).trouble == ""
        assert len(scene.ended_at) > unread


@EACH
async def test_nobody_is_cut_off_from_a_pool_that_somebody_is_still_sent_to(opened: Any) -> None:
    async with opened() as scene:
        await scene.route(Route(0))
        mine = await scene.upgrade()
        await scene.route(Route(10_000))
        await scene.close(50)
        async with asyncio.timeout(5):
            while not (seen := await scene.closing()).trouble:
                await asyncio.sleep(0.02)
        assert seen.trouble.startswith("STILL_ROUTED: ")
        assert seen.closed == 0
        assert await echoes(mine)


@EACH
async def test_a_route_back_ends_the_closing(opened: Any) -> None:
    async with opened() as scene:
        await scene.route(Route(0))
        mine = [await scene.upgrade() for _ in range(3)]
        await scene.route(LEFT)
        await scene.close(1)
        await scene.route(Route(0))
        assert (await scene.closing()).per_second == 0
        await asyncio.sleep(1.2)
        assert all([await echoes(one) for one in mine])


@EACH
async def test_an_order_is_a_level_that_can_be_repeated_changed_and_ended(opened: Any) -> None:
    async with opened() as scene:
        await scene.route(LEFT)
        for per_second in (5, 5, 20, 0, 0):
            assert (await scene.close(per_second)).status is Status.DONE
            assert (await scene.closing()).per_second == per_second
        scene.fence -= 3
        assert (await scene.close(5)).status is Status.STALE


@pytest.mark.haproxy
async def test_an_old_workers_sessions_are_closed_too() -> None:
    watching: set[asyncio.Task[None]] = set()
    async with behind_haproxy() as scene:
        world: HaproxyWorld = scene.world
        await scene.opened(4, watching)
        await world.reloaded()
        await scene.opened(2, watching)
        await scene.route(LEFT)
        await scene.close(50)
        assert (await scene.none_left()).closed == 6
        assert len(scene.ended_at) == 6
        async with asyncio.timeout(10):
            while (await scene.driver.observe()).draining_generations:
                await asyncio.sleep(0.02)


@pytest.mark.haproxy
async def test_sessions_of_another_service_on_the_same_servers_are_not_closed() -> None:
    async with behind_haproxy() as scene, AsyncExitStack():
        world: HaproxyWorld = scene.world
        mine = await scene.upgrade()
        other = world.client(
            world.services[1].name, Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ==", Sec_WebSocket_Version="13"
        )
        theirs = await other.upgrade()
        await scene.route(LEFT)
        await scene.close(50)
        assert (await scene.none_left()).closed == 1
        assert not await echoes(mine)
        assert await echoes(theirs)


@pytest.mark.envoy
async def test_servers_that_two_pools_share_are_refused_with_their_name() -> None:
    async with envoy_world() as world:
        one = world.service
        world.service = replace(one, green=replace(one.green, servers=one.blue.servers))
        driver = world.another_driver([world.service])
        operation = SetClosing(service=SHOP, colour=BLUE, per_second=5, fence=1)
        refused = await driver.set_closing(operation)
        await driver.close()
        assert refused.status is Status.REFUSED
        assert f"NO_FORCED_CLOSE: shop: {one.blue.servers[0].address} is in blue and in green of shop" in refused.detail

"""Controls: the same shop and the same counter, driven by hand in the orders that lbctl must never take.

They show that the counter of mismatched calls sees what it is there for: in the right order it stays at 0.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count

import pytest

from lbctl.config.load import load
from lbctl.daemon.plant import Plant
from lbctl.dataplane.port import DataPlane
from lbctl.demo.proxy import Proxy
from lbctl.demo.shop import ACCOUNTS, STOREFRONT
from lbctl.demo.team import accounts, storefront
from lbctl.model.names import Colour, ServiceName
from lbctl.model.operation import Place, SetRoute, Status
from lbctl.model.route import Caller, Pin, Route
from lbctl.model.units import BP_FULL, Instant
from tests.e2e.scene import one_of
from tests.e2e.shopping import Town, people, town

OLD, NEW = Colour.BLUE, Colour.GREEN
LOOK_S = 1.0


class Hand:
    """A hand at the load balancer: what it orders is carried out and read back, in whatever order it likes."""

    def __init__(self, shop: Town, plane: DataPlane) -> None:
        self._shop, self._plane = shop, plane
        self._fences = count(1_000_000)  # above everything that the daemon has sent

    async def share(self, new_bp: int, keep_old_bp: int = BP_FULL) -> None:
        """Give the new storefront this share."""
        await self._order(STOREFRONT, Route(new_bp, keep_blue_bp=keep_old_bp))

    async def pins(self, old: Pin, new: Pin, default: Colour = OLD) -> None:
        """Say where the calls of the old and the new storefront go, and everybody else's."""
        callers = {Caller(ServiceName(STOREFRONT), OLD): old, Caller(ServiceName(STOREFRONT), NEW): new}
        await self._order(ACCOUNTS, Route(Route.all_to(default).green_bp, pins=tuple(sorted(callers.items()))))

    async def _order(self, service: str, route: Route) -> None:
        operation = SetRoute(service=ServiceName(service), place=Place.RUNTIME, route=route, fence=next(self._fences))
        result = await self._plane.apply(operation)
        assert result.status is Status.DONE, result.detail

    async def mismatched(self) -> int:
        """Let users come for a moment; returns how many calls were mismatched so far."""
        await asyncio.sleep(LOOK_S)
        return (await self._shop.here.shop.calls()).mismatched


@asynccontextmanager
async def hand(proxy: Proxy) -> AsyncIterator[Hand]:
    """A shop with the next pair deployed, users under way, and nobody at the load balancer but the hand."""
    async with town(proxy) as shop, await people(shop.here, rate=320, sessions=60):
        for team, version in ((shop.accounts, accounts("2.0.0")), (shop.storefront, storefront("6.0.0", 2))):
            await team.claim()
            await shop.here.shop.deploy(team.service, NEW, version.number, version.speaks)
        await asyncio.sleep(1.5)  # the load balancer must find the new servers well
        await shop.here.daemon.stop()
        plant = Plant(
            load(shop.here.config, uid=os.getuid(), environ=os.environ).topology,
            lambda: Instant(int(time.monotonic() * 1_000)),
        )
        plane = next(iter(plant.planes.values()))
        await plane.observe()
        try:
            yield Hand(shop, plane)
        finally:
            await plane.close()


@pytest.mark.parametrize("proxy", one_of("haproxy"))
async def test_pins_then_share_then_default_then_unpinned_mixes_nothing(proxy: Callable[[], Proxy]) -> None:
    async with hand(proxy()) as by_hand:
        await by_hand.pins(Pin.BLUE, Pin.GREEN)
        for share_bp in (500, 5_000, BP_FULL):
            await by_hand.share(share_bp)
        assert await by_hand.mismatched() == 0
        await by_hand.share(BP_FULL, keep_old_bp=0)
        await asyncio.sleep(1)
        await by_hand.pins(Pin.BLUE, Pin.GREEN, default=NEW)
        await by_hand.pins(Pin.NONE, Pin.SPLIT, default=NEW)
        assert await by_hand.mismatched() == 0


@pytest.mark.parametrize("proxy", one_of("haproxy"))
async def test_a_share_before_the_pins_is_counted(proxy: Callable[[], Proxy]) -> None:
    async with hand(proxy()) as by_hand:
        await by_hand.pins(Pin.SPLIT, Pin.SPLIT)
        await by_hand.share(5_000)
        assert await by_hand.mismatched() > 20


@pytest.mark.parametrize("proxy", one_of("haproxy"))
async def test_pins_of_a_pool_that_still_serves_sessions_are_counted(proxy: Callable[[], Proxy]) -> None:
    async with hand(proxy()) as by_hand:
        await by_hand.pins(Pin.BLUE, Pin.GREEN)
        await by_hand.share(BP_FULL)
        assert await by_hand.mismatched() == 0
        await by_hand.pins(Pin.GREEN, Pin.GREEN)
        assert await by_hand.mismatched() > 20


@pytest.mark.parametrize("proxy", one_of("haproxy"))
async def test_pins_taken_off_before_the_default_is_changed_are_counted(proxy: Callable[[], Proxy]) -> None:
    async with hand(proxy()) as by_hand:
        await by_hand.pins(Pin.BLUE, Pin.GREEN)
        await by_hand.share(BP_FULL, keep_old_bp=0)
        assert await by_hand.mismatched() == 0
        await by_hand.pins(Pin.SPLIT, Pin.SPLIT)
        assert await by_hand.mismatched() > 20

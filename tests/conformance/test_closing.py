"""The forced closing of a pool is a level that every load balancer keeps alike, or refuses by a code it told before."""

from dataclasses import replace

import pytest

from lbctl.model.names import Colour, ServiceName
from lbctl.model.operation import SetClosing, Status
from lbctl.model.route import Route
from tests.conformance.harness import SHOP, Opened, Operator, adopted
from tests.conformance.worlds import ALL

LEFT = Route(10_000, keep_blue_bp=0)
each = pytest.mark.parametrize("opened", ALL)


def order(here: Operator, per_second: int) -> SetClosing:
    here.fence += 1
    return SetClosing(service=SHOP, colour=Colour.BLUE, per_second=per_second, fence=here.fence)


async def able(here: Operator) -> str:
    """Why it cannot; empty if it can. The two services of these worlds share their servers."""
    return (await here.world.driver.probe()).of(SHOP).no_closing


@each
async def test_an_order_is_done_and_read_back_or_refused_by_what_was_told_before(opened: Opened) -> None:
    async with adopted(opened) as here:
        await here.bring(SHOP, LEFT)
        why = await able(here)
        for per_second in (5, 5, 20, 0):
            result = await here.world.driver.set_closing(order(here, per_second))
            if why and per_second:
                assert result.status is Status.REFUSED
                assert why.startswith("NO_FORCED_CLOSE: shop: ")
                assert why in result.detail
                continue
            assert result.status is Status.DONE, result
            assert (await here.pool(Colour.BLUE)).closing.per_second == per_second


@each
async def test_an_order_for_a_service_it_does_not_have_or_with_an_old_fence_changes_nothing(opened: Opened) -> None:
    async with adopted(opened) as here:
        old = order(here, 5)
        await here.bring(SHOP, LEFT)
        assert (await here.world.driver.set_closing(old)).status is Status.STALE
        unknown = replace(order(here, 5), service=ServiceName("nobody"))
        assert (await here.world.driver.set_closing(unknown)).status is Status.REFUSED
        assert (await here.pool(Colour.BLUE)).closing.per_second == 0


@each
async def test_a_route_that_sends_somebody_there_ends_it(opened: Opened) -> None:
    async with adopted(opened) as here:
        await here.bring(SHOP, LEFT)
        if await able(here):
            return
        await here.world.driver.set_closing(order(here, 5))
        await here.bring(SHOP, replace(LEFT, keep_blue_bp=10_000))
        assert (await here.pool(Colour.BLUE)).closing.per_second == 0

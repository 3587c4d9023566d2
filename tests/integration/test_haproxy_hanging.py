"""A disk that hangs under a real HAProxy: no boot value of a raise lands late, and no way back waits for one."""

import asyncio
import time
from dataclasses import replace

import pytest

from lbctl.dataplane.patience import HURRY_S
from lbctl.dataplane.port import OPERATION_TIMEOUT_S
from lbctl.model.operation import Place, Result, Status
from lbctl.model.route import Route
from lbctl.model.topology import HaproxyForm
from tests.conformance.haproxy_harness import haproxy_world
from tests.conformance.harness import SHOP, TILL, Operator
from tests.hanging import hanging_disk, timed

pytestmark = pytest.mark.haproxy

BACK_S = 0.5
"""A way back, runtime and boot value: HURRY_S and what two busy cores take."""
LOW = Route(1_000)


async def raised(here: Operator, route: Route) -> Result:
    """Write the boot value of a raise as the daemon does: bound to what routes by now."""
    return await here.world.driver.apply(replace(here.operation(route, place=Place.BOOT), expect=route))


async def back(here: Operator, route: Route) -> list[Result]:
    """Go back as the daemon does: runtime and boot value at once."""
    orders = [here.operation(route), replace(here.operation(route), place=Place.BOOT)]
    return list(await asyncio.gather(*map(here.world.driver.apply, orders)))


async def stays(here: Operator, route: Route, seconds: float) -> None:
    """Nothing else is read for a while, at run time and in the file."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = await here.reading()
        assert {*found.runtime.values(), found.boot} == {route}
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("form", list(HaproxyForm))
async def test_a_way_back_does_not_wait_for_a_boot_value_that_hangs_and_has_the_last_word(form: HaproxyForm) -> None:
    async with haproxy_world(form=form) as world:
        here = Operator(world)
        await here.bring(SHOP, LOW)
        with hanging_disk() as disk:
            raising = asyncio.create_task(raised(here, Route(9_000)))
            await disk.hangs()
            results, took_s = await timed(back(here, Route(0)))
            assert {one.status for one in results} == {Status.DONE}, results
            assert took_s < BACK_S
            assert (await raising).status in {Status.REFUSED, Status.STALE}
        await stays(here, Route(0), 0.3)


async def test_a_boot_value_of_a_raise_is_refused_in_time_never_lands_and_is_written_when_the_disk_answers() -> None:
    async with haproxy_world() as world:
        here = Operator(world)
        await here.bring(SHOP, LOW)
        with hanging_disk():
            result, took_s = await timed(raised(here, Route(9_000)))
            assert result.status is Status.REFUSED
            assert "the disk hangs, and nothing was replaced" in result.detail
            assert HURRY_S < took_s < OPERATION_TIMEOUT_S / 2 + BACK_S
        await stays(here, LOW, 0.3)
        assert (await raised(here, Route(9_000))).status is Status.DONE
        assert (await here.reading()).boot == Route(9_000)


async def test_nobody_waits_for_a_line_of_boot_values_of_several_services() -> None:
    async with haproxy_world() as world:
        here = Operator(world)
        for service in (SHOP, TILL):
            await here.bring(service, LOW)
        with hanging_disk() as disk:
            till = replace(here.operation(Route(9_000), TILL, Place.BOOT), expect=LOW)
            waiting = [asyncio.create_task(raised(here, Route(share))) for share in (8_000, 9_000)]
            waiting.append(asyncio.create_task(world.driver.apply(till)))
            await disk.hangs()
            results, took_s = await timed(back(here, Route(0)))
            assert {one.status for one in results} == {Status.DONE}, results
            assert took_s < BACK_S
            assert {(await one).status for one in waiting} <= {Status.REFUSED, Status.STALE}
        await stays(here, Route(0), 0.3)
        assert (await here.reading(TILL)).boot == LOW

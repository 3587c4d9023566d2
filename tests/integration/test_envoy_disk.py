"""A disk that hangs under a real Envoy's files: no raise lands late, and no way back waits for one."""

import asyncio
import json
import time
from dataclasses import replace

import pytest

from lbctl.dataplane.patience import HURRY_S
from lbctl.dataplane.port import OPERATION_TIMEOUT_S
from lbctl.model.names import Colour, ServerName
from lbctl.model.operation import Result, SetServer, Status
from lbctl.model.reading import Admin
from lbctl.model.route import Route
from tests.conformance.envoy_harness import SHOP, EnvoyWorld, ToyServer, envoy_world
from tests.hanging import hanging_disk, timed

pytestmark = pytest.mark.envoy

BACK_S = 0.5
"""A way back, with Envoy's word that it has it: HURRY_S and what two busy cores take."""
World = EnvoyWorld[ToyServer]


async def raised(world: World, green_bp: int) -> Result:
    """Raise as the daemon does: bound to what routes now."""
    (found,) = set((await world.driver.observe()).services[SHOP].runtime.values())
    return await world.driver.apply(replace(world.set_route(Route(green_bp)), expect=found))


async def stays(world: World, route: Route, seconds: float) -> None:
    """Nothing else is read for a while, at run time and in the file."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = (await world.driver.observe()).services[SHOP]
        assert {*found.runtime.values(), found.boot} == {route}
        await asyncio.sleep(0.005)


async def test_a_way_back_does_not_wait_for_a_raise_that_hangs_and_has_the_last_word() -> None:
    async with envoy_world() as world:
        await world.route(1_000)
        for green_bp in (500, 0):
            with hanging_disk() as disk:
                raising = asyncio.create_task(raised(world, 9_000))
                await disk.hangs()
                result, took_s = await timed(world.route(green_bp))
                assert (result.status, took_s < BACK_S) == (Status.DONE, True), (result, took_s)
                assert (await raising).status is Status.REFUSED
            await stays(world, Route(green_bp), 0.3)


async def test_nobody_waits_for_a_line_of_raises_and_a_change_of_servers() -> None:
    async with envoy_world() as world:
        await world.route(1_000)
        with hanging_disk() as disk:
            waiting = [asyncio.create_task(raised(world, 9_000)) for _ in range(3)]
            waiting.append(asyncio.create_task(world.driver.administer(_set("green-1", Admin.DRAIN))))
            await disk.hangs()
            result, took_s = await timed(world.route(0))
            assert (result.status, took_s < BACK_S) == (Status.DONE, True), (result, took_s)
            assert {(await one).status for one in waiting} <= {Status.REFUSED, Status.STALE, Status.UNKNOWN}
        await stays(world, Route(0), 0.3)


async def test_a_raise_on_a_disk_that_hangs_is_refused_in_time_and_never_lands() -> None:
    async with envoy_world() as world:
        await world.route(1_000)
        with hanging_disk():
            result, took_s = await timed(raised(world, 9_000))
            assert result.status is Status.REFUSED
            assert "the disk hangs, and nothing was replaced" in result.detail
            assert HURRY_S < took_s < OPERATION_TIMEOUT_S
        await stays(world, Route(1_000), 0.3)
        assert (await raised(world, 9_000)).status is Status.DONE


async def test_the_copy_follows_when_the_disk_answers() -> None:
    async with envoy_world() as world:
        await world.route(1_000)
        with hanging_disk():
            assert "is not written yet: the disk hangs" in (await world.route(0)).detail
        async with asyncio.timeout(10):
            while (world.directory / "copy" / "shop.json").read_text() != world.route_file.read_text():
                await asyncio.sleep(0.01)


async def test_a_change_of_servers_that_nobody_waits_for_any_more_spoils_none_that_follows() -> None:
    """Both wrote `.NAME.new`: the first moved what the second had not finished into the place."""
    async with envoy_world() as world:
        await world.route(0)
        with hanging_disk() as disk:
            first = asyncio.create_task(world.driver.administer(_set("green-1", Admin.DRAIN)))
            await disk.hangs()
            first.cancel()
            second = asyncio.create_task(world.driver.administer(_set("green-2", Admin.DRAIN)))
            await asyncio.sleep(0.05)
        assert (await second).status is Status.DONE
        (file,) = (world.directory / "eds").glob("*green*.json")
        listed = [
            one for pool in json.loads(file.read_text())["resources"][0]["endpoints"] for one in pool["lb_endpoints"]
        ]
        assert [one["health_status"] for one in listed] == ["DRAINING"] * 2
        assert not [*file.parent.glob(".*.new")]


def _set(server: str, admin: Admin) -> SetServer:
    return SetServer(service=SHOP, colour=Colour.GREEN, server=ServerName(server), admin=admin)


async def test_what_a_writer_that_died_left_behind_is_removed_at_the_next_start() -> None:
    async with envoy_world() as world:
        left = world.directory / "eds" / ".some.json.0123456789abcdef.new"
        left.write_text("half")
        await world.another_driver().ensure_running()
        assert not left.exists()

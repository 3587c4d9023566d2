"""Many weights at once go to a real HAProxy past its master, and only to the worker they are meant for."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from lbctl.config.load import load
from lbctl.dataplane.haproxy.driver import HaproxyInstance
from lbctl.dataplane.haproxy.writing import MANY
from lbctl.model.names import ServiceName
from lbctl.model.operation import Place, SetRoute, Status
from lbctl.model.route import Route
from lbctl.model.topology import HaproxyForm
from tests.bench.haproxy_thousand import clock, crowded

pytestmark = pytest.mark.haproxy

EACH = MANY + 8
SHOP = ServiceName("shop")


def order(route: Route, fence: int) -> SetRoute:
    return SetRoute(service=SHOP, place=Place.RUNTIME, route=route, fence=fence)


def meant_for_another(directory: Path, other: Path) -> HaproxyInstance:
    """The driver of one HAProxy whose admin socket is that of another one."""
    topology = load(directory / "lbctl.yaml", uid=os.getuid(), environ=os.environ).topology
    (plane,) = topology.planes.values()
    instance = replace(plane.instances[0], socket=str(other / "haproxy.sock"))
    return HaproxyInstance(instance, list(topology.services.values()), clock)


async def test_a_share_of_many_servers_is_set_and_read_back() -> None:
    async with crowded(HaproxyForm.WEIGHTS, EACH) as (_, driver):
        for fence, route in enumerate((Route(0), Route(10_000), Route(2_500), Route(0)), 1):
            assert (await driver.apply(order(route, fence))).status is Status.DONE
            assert set((await driver.observe()).services[SHOP].runtime.values()) == {route}


async def test_weights_that_another_process_took_are_not_taken_for_done() -> None:
    async with crowded(HaproxyForm.WEIGHTS, EACH) as (here, driver), crowded(HaproxyForm.WEIGHTS, EACH) as (there, _):
        assert (await driver.apply(order(Route(0), 1))).status is Status.DONE
        astray = meant_for_another(here, there)
        result = await astray.apply(order(Route(10_000), 2))
        await astray.close()
        assert result.status is Status.UNKNOWN
        assert "does not answer there" in result.detail
        await asyncio.sleep(0.1)
        assert set((await driver.observe()).services[SHOP].runtime.values()) == {Route(0)}

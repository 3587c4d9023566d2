"""`doctor` before a daemon runs: what real load balancers say of themselves, with the codes that plan would tell."""

import asyncio

import pytest

from lbctl.dataplane.haproxy.client import ask
from lbctl.dataplane.haproxy.existing.findings import Weight
from lbctl.dataplane.haproxy.existing.sections import read
from lbctl.dataplane.haproxy.render import render
from lbctl.dataplane.haproxy.statemap import map_path
from lbctl.doctor import balancers, haproxycfg
from lbctl.model.names import PlaneName
from lbctl.model.topology import Driver, HaproxyForm, Plane
from tests.conformance.haproxy_harness import HaproxyWorld, haproxy_world

pytestmark = pytest.mark.haproxy


def plane(world: HaproxyWorld) -> Plane:
    return Plane(name=PlaneName("edge"), driver=Driver.HAPROXY, instances=(world.instance,))


async def live(world: HaproxyWorld) -> dict[str, Weight]:
    """What the running HAProxy says, by code."""
    found = await balancers.asked([plane(world)], world.services)
    assert all(one.what and one.fix for one in found)
    return {one.code: one.weight for one in found}


@pytest.mark.parametrize("form", list(HaproxyForm))
async def test_what_lbctl_renders_has_no_fault_running_or_as_a_text(form: HaproxyForm) -> None:
    async with haproxy_world(form=form) as world:
        assert Weight.FAULT not in (await live(world)).values()
        text = await asyncio.to_thread((world.directory / "h.cfg").read_text)
        said = haproxycfg.compared(read([("haproxy.cfg", text)]), plane(world), world.services)
        faults = [one for one in said if one.weight is Weight.FAULT]
        assert {one.code for one in faults} <= {"SOCKET_OPEN"}, "the harness's own socket is open to all"


async def test_without_a_master_socket_it_is_told() -> None:
    async with haproxy_world(master=False) as world:
        assert (await live(world))["NO_MASTER_SOCKET"] is Weight.WARNING


async def test_weights_that_another_algorithm_ignores_are_a_fault_running_and_as_a_text() -> None:
    async with haproxy_world(begin=False, form=HaproxyForm.WEIGHTS) as world:
        text = render(world.instance, world.services).replace("balance roundrobin", "balance leastconn")
        world.write_config(text)
        await world.begin()
        assert (await live(world))["BALANCE_IGNORES_WEIGHTS"] is Weight.FAULT
        said = haproxycfg.compared(read([("haproxy.cfg", text)]), plane(world), world.services)
        assert {one.code: one.weight for one in said}["BALANCE_IGNORES_WEIGHTS"] is Weight.FAULT


async def test_a_load_balancer_that_is_not_there_is_a_finding_and_no_crash() -> None:
    async with haproxy_world(begin=False) as world:
        assert await live(world) == {"NOT_DRIVABLE": Weight.FAULT}


async def test_a_socket_of_any_level_may_set_maps_which_is_why_an_open_one_is_a_fault() -> None:
    async with haproxy_world(begin=False) as world:
        socket = f"{world.directory}/user.sock"
        world.more = f"stats socket {socket} mode 666 level user"
        world.write_config(render(world.instance, world.services))
        await world.begin()
        key = world.services[0].name
        path = map_path(world.instance)
        await ask(socket, [f"set map {path} {key} 1:2:3"], 5.0)
        (lines,) = await ask(socket, [f"show map {path}"], 5.0)
        assert any(line.endswith(f"{key} 1:2:3") for line in lines), lines

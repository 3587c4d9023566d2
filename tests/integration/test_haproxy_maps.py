"""Several writers of an instance's files: nothing is lost, and one that hangs is named."""

import asyncio
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lbctl.dataplane.haproxy.driver import HaproxyInstance
from lbctl.dataplane.haproxy.firstfiles import write_maps
from lbctl.dataplane.haproxy.statemap import map_path, read_file
from lbctl.model.names import InstanceName, ServiceName
from lbctl.model.operation import Place, SetRoute, Status
from lbctl.model.route import Route
from lbctl.model.topology import Instance
from tests.conformance.haproxy_harness import haproxy_world
from tests.conformance.harness import SHOP, TILL, Operator

ROUNDS = 15
ADDING = """
import sys, time
from lbctl.dataplane.haproxy.driver import HaproxyInstance
from lbctl.dataplane.haproxy.firstfiles import write_maps
from lbctl.model.names import Colour, InstanceName, ServiceName
from lbctl.model.topology import Instance
instance = Instance(name=InstanceName("edge/lb1"), directory=sys.argv[1])
for number in range(int(sys.argv[3])):
    write_maps(instance, [], {ServiceName(f"{sys.argv[2]}{number}"): Colour.GREEN})
    time.sleep(0.01)
"""


@contextmanager
def another_writer(instance: Instance) -> Iterator[None]:
    """A program that has begun to write and does not end."""
    directory = os.open(instance.directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


async def lower(driver: HaproxyInstance, service: ServiceName) -> None:
    """Write boot values through a driver of its own, as before and after a reload of lbctld."""
    for fence, green_bp in enumerate(range(ROUNDS, -1, -1), start=1):
        operation = SetRoute(service=service, place=Place.BOOT, route=Route(green_bp), fence=fence)
        assert (await driver.apply(operation)).status is Status.DONE
        await asyncio.sleep(0.01)


@pytest.mark.haproxy
async def test_two_drivers_and_the_command_line_lose_nothing_of_each_other() -> None:
    async with haproxy_world() as world:
        before = read_file(world.instance)
        assert before is not None
        adding = [
            await asyncio.create_subprocess_exec(
                sys.executable, "-c", ADDING, world.instance.directory, name, str(ROUNDS)
            )
            for name in ("one", "two")
        ]
        await asyncio.gather(*(lower(world.another_driver(), service) for service in (SHOP, TILL)))
        assert [await writer.wait() for writer in adding] == [0, 0]
        added = {f"{name}{number}": str(Route(10_000)) for name in ("one", "two") for number in range(ROUNDS)}
        assert read_file(world.instance) == {**before, SHOP: str(Route(0)), TILL: str(Route(0)), **added}
        assert not [path for path in Path(world.instance.directory).iterdir() if path.name.endswith(".keep")]


@pytest.mark.haproxy
async def test_a_writer_that_does_not_end_is_named_soon_and_nothing_is_written_meanwhile() -> None:
    async with haproxy_world() as world:
        operator = Operator(world)
        await operator.route(0)
        with another_writer(world.instance):
            began = time.monotonic()
            result = await operator.apply(Route(5_000), place=Place.BOOT)
            assert time.monotonic() - began < 5
        assert result.status is Status.REFUSED
        assert "another program writes here" in result.detail
        assert (await operator.reading()).boot == Route(0)
        await operator.bring(SHOP, Route(5_000))


def test_the_command_line_is_refused_with_the_next_step_while_another_one_writes(tmp_path: Path) -> None:
    file = tmp_path / "lbctl.yaml"
    file.write_text(
        f"""
apiVersion: lbctl/v1
daemon: {{control_socket: {tmp_path}/none.sock, state_dir: {tmp_path}/state, runtime_dir: {tmp_path}/run}}
data_planes:
  edge: {{driver: haproxy, instances: {{lb1: {{socket: {tmp_path}/h.sock, map_dir: {tmp_path}/maps}}}}}}
services:
  web:
    data_plane: edge
    haproxy: {{backends: {{blue: web_blue, green: web_green}}}}
    listen: 127.0.0.1:8080
    pools: {{blue: {{b1: "127.0.0.1:8081"}}, green: {{g1: "127.0.0.1:8091"}}}}
    health: {{http: /healthz}}
"""
    )
    instance = Instance(name=InstanceName("edge/lb1"), directory=str(tmp_path / "maps"))
    write_maps(instance, [], {})
    arguments = ("config", "render", "haproxy", "--config", str(file), "--write-maps", "--active", "web=blue")
    with another_writer(instance):
        ran = subprocess.run(
            [sys.executable, "-m", "lbctl.cli", *arguments], capture_output=True, text=True, check=False, timeout=30
        )
        assert (ran.returncode, ran.stdout) == (5, "")
        assert "another program writes here" in ran.stderr
        assert f"fuser -v {instance.directory}" in ran.stderr
    assert map_path(instance).read_bytes().count(b"web") == 0

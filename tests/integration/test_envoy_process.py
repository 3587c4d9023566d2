"""The life of the embedded Envoy: it outlives lbctl, is found again, and starts from whole files only."""

import asyncio
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from lbctl.dataplane.envoy import embedded, ending, process
from lbctl.dataplane.envoy.binary import locate, probe
from lbctl.dataplane.envoy.layout import colour_cookie, layout_of
from lbctl.dataplane.envoy.render import render_static
from lbctl.demo.ports import free_port
from lbctl.model.errors import Garbled, Unreachable
from lbctl.model.names import InstanceName
from lbctl.model.operation import Status
from lbctl.model.route import Route
from lbctl.model.topology import Address, Instance
from tests.conformance.envoy_harness import SHOP, EnvoyWorld, ToyServer, envoy_world, require_envoy
from tests.unit.test_envoy_routes import a_service

pytestmark = pytest.mark.envoy


async def pid_of(world: EnvoyWorld[ToyServer]) -> int:
    pid = (await embedded.status(world.instance)).pid
    assert pid is not None
    return pid


async def kill(world: EnvoyWorld[ToyServer]) -> None:
    pid = await pid_of(world)
    os.kill(pid, signal.SIGKILL)
    await until_gone(pid)


async def until_gone(pid: int) -> None:
    async with asyncio.timeout(5):
        while not ending.gone(pid):
            await asyncio.sleep(0.01)


async def test_the_binary_is_found_without_importing_its_package_and_says_its_version() -> None:
    require_envoy()
    assert (await probe()).version.startswith("1.40.")
    assert "envoy" not in sys.modules


async def test_a_binary_that_is_no_envoy_is_refused_with_what_to_install(tmp_path: Path) -> None:
    small = tmp_path / "envoy"
    with pytest.raises(Garbled, match="there is no file"):
        locate(str(small))
    small.write_text("#!/bin/sh\necho hello\nexit\n")
    with pytest.raises(Garbled, match="is not executable"):
        locate(str(small))
    small.chmod(0o755)
    with pytest.raises(Garbled, match=r"only 26 bytes.*pip install '\.\[envoy\]'"):
        locate(str(small))
    with small.open("ab") as file:
        file.truncate(60_000_000)
    with pytest.raises(Garbled, match="says 'hello'"):
        await probe(str(small))
    small.write_bytes(b"\x7fELF junk")
    with small.open("ab") as file:
        file.truncate(60_000_000)
    with pytest.raises(Garbled, match="does not run here"):
        await probe(str(small))


async def test_the_static_document_is_what_envoy_itself_accepts(tmp_path: Path) -> None:
    async with envoy_world() as world:
        for route in ({}, {SHOP: Route(2_500, 3_333, 6_666)}, {SHOP: Route(10_000, 0, 10_000)}):
            document = tmp_path / "static.json"
            document.write_text(render_static([world.service], route))
            command = [locate(), "--mode", "validate", "-c", str(document)]
            said = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
            assert said.returncode == 0, said.stderr


def test_the_longest_names_make_routes_that_envoy_accepts(tmp_path: Path) -> None:
    require_envoy()
    services = [a_service("n" * 63), a_service("n" * 62)]
    document = tmp_path / "static.json"
    routes = {service.name: Route(2_500, 2_345, 6_789) for service in services}
    document.write_text(
        render_static([replace(one, listen=Address("127.0.0.1", n)) for n, one in enumerate(services, 8080)], routes)
    )
    command = [locate(), "--mode", "validate", "-c", str(document)]
    said = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    assert said.returncode == 0, said.stderr
    assert colour_cookie(services[0].name) != colour_cookie(services[1].name)


async def test_start_finds_the_one_that_runs_and_stop_ends_that_one_only() -> None:
    async with envoy_world() as world:
        pid = await pid_of(world)
        again = await embedded.start(world.instance, [world.service])
        assert (again.pid, again.did) == (pid, ())
        bystander = subprocess.Popen(["/bin/sleep", "60"])
        try:
            assert "was stopped" in (await embedded.stop(world.instance)).detail
            await until_gone(pid)
            assert bystander.poll() is None
        finally:
            bystander.kill()
            bystander.wait()
        assert "was not running" in (await embedded.stop(world.instance)).detail
        assert not (await embedded.status(world.instance)).running


async def test_its_admin_socket_is_for_its_owner_only() -> None:
    async with envoy_world() as world:
        layout = layout_of(world.instance)
        assert layout.admin_socket.stat().st_mode & 0o777 == 0o600
        assert layout.directory.stat().st_mode & 0o777 == 0o700


async def test_it_outlives_the_process_that_started_it_and_is_found_again() -> None:
    async with envoy_world() as world:
        await world.route(10_000)
        await embedded.stop(world.instance)
        starter = (
            "import asyncio, os, pickle, sys; from lbctl.dataplane.envoy import embedded;"
            "instance, service = pickle.loads(bytes.fromhex(sys.argv[1]));"
            "print(asyncio.run(embedded.start(instance, [service])).pid, flush=True);"
            "os.kill(os.getpid(), 9)"
        )
        what = pickle.dumps((world.instance, world.service)).hex()
        lbctl = await asyncio.create_subprocess_exec(sys.executable, "-c", starter, what, stdout=subprocess.PIPE)
        said, _ = await asyncio.wait_for(lbctl.communicate(), 30)
        assert lbctl.returncode == -signal.SIGKILL
        pid = await pid_of(world)
        assert pid == int(said)
        assert os.getsid(pid) != os.getsid(0)
        reading = await world.driver.observe()
        assert reading.services[SHOP].runtime == {reading.generation: Route(10_000)}
        assert (await world.client().get()).body.startswith("green")


async def test_after_kill_nine_it_serves_its_last_route_from_the_files_as_a_new_generation() -> None:
    async with envoy_world() as world:
        await world.route(10_000, keep_blue_bp=0)
        before = await world.driver.observe()
        await kill(world)
        with pytest.raises(Unreachable, match="lbctl envoy start --config FILE`"):
            await world.driver.observe()
        began = time.monotonic()
        assert "started envoy" in (await world.driver.ensure_running())[-1]
        assert (await world.client().get()).body.startswith("green")
        assert time.monotonic() - began < 5
        after = await world.driver.observe()
        assert after.generation != before.generation
        assert list(after.services[SHOP].runtime.values()) == [Route(10_000, 0, 10_000)]
        assert after.services[SHOP].pools.keys() == before.services[SHOP].pools.keys()


@pytest.mark.parametrize(
    "damage", ["", "{", '{"version_info":"9;0:0:0"}', "x" * 16_384, '{"version_info":"9;77777:0:0","resources":[1]}']
)
async def test_a_damaged_route_file_is_restored_from_its_copy_before_a_start(damage: str) -> None:
    async with envoy_world() as world:
        await world.route(10_000)
        await kill(world)
        world.route_file.write_text(damage)
        did = await world.driver.ensure_running()
        assert "was damaged; restored from its copy: 10000:10000:10000" in did[0]
        assert (await world.client().get()).body.startswith("green")


async def test_where_nothing_is_known_any_more_it_answers_503_and_never_404() -> None:
    async with envoy_world() as world:
        await world.route(10_000)
        await kill(world)
        world.route_file.write_text("rubbish")
        (world.directory / "copy" / "shop.json").write_text("rubbish")
        assert "answers 503 until" in (await world.driver.ensure_running())[0]
        assert (await world.client().get()).status == 503
        reading = await world.driver.observe()
        assert reading.services[SHOP].runtime == {}
        assert reading.warnings[0].startswith("NOT_ADOPTED: ")
        assert (await world.route(0)).status is Status.DONE
        assert (await world.client().get()).status == 200


async def test_a_route_file_with_foreign_resources_is_rendered_anew_before_a_start() -> None:
    async with envoy_world() as world:
        await world.route(0)
        await kill(world)
        document = json.loads(world.route_file.read_text())
        document["resources"][0]["virtual_hosts"] = []
        world.route_file.write_text(json.dumps(document))
        await world.driver.ensure_running()
        assert (await world.client().get()).status == 200


async def test_a_taken_port_is_told_and_the_half_started_envoy_is_ended() -> None:
    async with envoy_world() as world:
        await embedded.stop(world.instance)
        with socket.create_server(("127.0.0.1", world.port)), pytest.raises(Unreachable, match=r"0 of 1 listeners"):
            await world.driver.ensure_running()
        assert not (await embedded.status(world.instance)).running


async def test_starting_from_several_sides_at_once_starts_one() -> None:
    async with envoy_world() as world:
        await embedded.stop(world.instance)
        drivers = [world.another_driver() for _ in range(3)]
        did = await asyncio.gather(*(driver.ensure_running() for driver in drivers))
        assert sum("started envoy" in " ".join(one) for one in did) == 1
        assert (await world.client().get()).status == 503


async def test_one_whose_admin_socket_was_removed_is_named_and_gets_no_rival() -> None:
    async with envoy_world() as world:
        pid = await pid_of(world)
        admin = layout_of(world.instance).admin_socket
        aside = admin.rename(admin.with_name("aside"))
        with pytest.raises(Unreachable, match=f"runs \\(pid {pid}\\), but nobody listens"):
            await world.another_driver().ensure_running()
        aside.rename(admin)
        assert await pid_of(world) == pid


async def test_somebody_elses_envoy_on_the_socket_is_neither_used_nor_ended() -> None:
    async with envoy_world() as world:
        pid = await pid_of(world)
        other = Instance(
            name=InstanceName("edge/lb2"),
            directory=str(world.directory / "other"),
            socket=str(layout_of(world.instance).admin_socket),
        )
        with pytest.raises(Garbled, match=r"not .*/other/bootstrap.json"):
            await embedded.stop(other)
        assert await pid_of(world) == pid


async def test_a_silent_admin_socket_is_unreachable_within_a_second() -> None:
    async with envoy_world() as world:
        pid = await pid_of(world)
        os.kill(pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            with pytest.raises(Unreachable, match="did not answer within"):
                await world.driver.observe()
            assert (await world.route(5_000)).status is Status.UNKNOWN
            assert time.monotonic() - began < 2.2
        finally:
            os.kill(pid, signal.SIGCONT)
        async with asyncio.timeout(5):
            while await world.driver.verify(SHOP, Route(5_000)) is not True:
                await asyncio.sleep(0.02)


async def test_one_that_hangs_is_ended_all_the_same() -> None:
    async with envoy_world() as world:
        pid = await pid_of(world)
        os.kill(pid, signal.SIGSTOP)
        assert "was stopped" in (await embedded.stop(world.instance)).detail
        await until_gone(pid)


def test_under_systemd_it_is_refused_because_it_would_die_with_lbctl() -> None:
    for variable in ("INVOCATION_ID", "NOTIFY_SOCKET"):
        assert process.refusal_under_systemd({variable: "abc"}, "systemd") is not None
    assert process.refusal_under_systemd({"INVOCATION_ID": "abc"}, "bash") is None
    assert process.refusal_under_systemd({}, "systemd") is None


async def test_new_servers_are_taken_without_touching_the_listener() -> None:
    async with envoy_world() as world:
        await world.route(0)
        listeners = layout_of(world.instance).listeners
        written_at = listeners.stat().st_mtime_ns
        reader, writer = await world.client().upgrade()
        blue = replace(world.service.blue, servers=world.service.green.servers[:1])
        await world.replace_service(replace(world.service, blue=blue))
        assert await world.driver.ensure_running() == ("wrote eds/shop_blue.json",)
        async with asyncio.timeout(5):
            while (await world.client().get()).body != "green-1":
                await asyncio.sleep(0.01)
        assert listeners.stat().st_mtime_ns == written_at
        writer.write(b"still here\n")
        assert await asyncio.wait_for(reader.readline(), 5) == b"still here\n"


async def test_a_service_that_is_added_gets_its_listener_while_the_other_serves_on() -> None:
    async with envoy_world() as world:
        await world.route(0)
        port = free_port()
        assert world.service.listen is not None
        second = replace(world.service, name=type(SHOP)("second"), listen=replace(world.service.listen, port=port))
        driver = world.another_driver([world.service, second])
        did = await driver.ensure_running()
        assert did[-2:] == ("wrote cds/clusters.json", "wrote lds/listeners.json")
        await driver.probe()
        assert (await driver.observe()).services[second.name].runtime == {}
        assert (await world.client().get()).status == 200
        await driver.close()


async def test_a_listener_that_envoy_cannot_open_is_told_at_every_attempt_and_the_old_one_stays() -> None:
    async with envoy_world() as world:
        await world.route(0)
        assert world.service.listen is not None
        with socket.create_server(("127.0.0.1", 0)) as taken:
            listen = replace(world.service.listen, port=taken.getsockname()[1])
            driver = world.another_driver([replace(world.service, listen=listen)])
            for _ in range(2):
                with pytest.raises(
                    Garbled, match=r"does not take .*listeners\.json and keeps what it had: .*[Aa]ddress"
                ):
                    await driver.ensure_running()
            await driver.close()
        assert (await world.client().get()).status == 200
        assert await world.driver.ensure_running() == ()


async def test_its_output_is_kept_once_and_bounded() -> None:
    async with envoy_world() as world:
        await kill(world)
        await world.driver.ensure_running()
        assert layout_of(world.instance).log.with_name("envoy.log.1").stat().st_size > 0
        limits = Path(f"/proc/{await pid_of(world)}/limits").read_text()
        assert f"Max file size             {process.LOG_MAX_BYTES}" in limits

"""The daemon around its loop: config, reload, alerts, and a second one that comes by."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from lbctl.demo.control import RefusedError
from lbctl.demo.proxy import Proxy
from lbctl.demo.stage import SERVICE, Stage
from tests.e2e.scene import (
    SLOW_STEP,
    adopted,
    crowd,
    ended,
    envoy,
    events,
    one_of,
    release,
    share_is,
    status,
    until,
)
from tests.e2e.test_rollback_speed import PROMISE_MAX_S, off_the_candidate_s


async def lbctld(config: Path) -> tuple[int, str]:
    """Run a daemon that is expected to end by itself; returns its exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "lbctl.daemon.main", "--config", str(config), stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(20):
            _, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_a_bad_config_ends_the_daemon_with_4_and_every_fault_at_its_place(tmp_path: Path) -> None:
    config = tmp_path / "lbctl.yaml"
    config.write_text("apiVersion: lbctl/v1\ndata_planes: {edge: {driver: envoy}}\nservices:\n  web: {steps: [500%]}\n")
    code, said = await lbctld(config)
    assert code == 4
    assert f"{config}:4:" in said
    assert "Traceback" not in said


@pytest.mark.envoy
async def test_a_second_daemon_on_the_same_state_is_refused_by_pid_and_changes_nothing() -> None:
    async with adopted(envoy()) as here:
        code, said = await lbctld(here.config)
        assert code == 1
        assert str(here.daemon.pid) in said
        assert (await status(here))["observed_share_bp"] == 0


@pytest.mark.envoy
@pytest.mark.parametrize("own_socket", [False, True])
async def test_a_second_daemon_with_a_state_of_its_own_leaves_the_tokens_of_the_first_alone(
    own_socket: bool, tmp_path: Path
) -> None:
    async with adopted(envoy(), SLOW_STEP) as here:
        await release(here)
        second = here.directory / "second.yaml"
        text = here.config.read_text().replace(f"{here.directory}/state", f"{tmp_path}/state")
        second.write_text(text.replace("/control.sock", "/other.sock") if own_socket else text)
        tokens = here.directory / "run" / "tokens"
        before = sorted(path.name for path in tokens.iterdir())
        assert any(name.endswith(".go") for name in before)
        code, said = await lbctld(second)
        assert code == 1
        assert ("another lbctld uses this runtime directory" if own_socket else "another daemon answers") in said
        assert sorted(path.name for path in tokens.iterdir()) == before
        assert not (here.directory / "run" / "other.sock").exists()


@pytest.mark.envoy
async def test_a_reload_is_taken_whole_or_refused_whole() -> None:
    async with adopted(envoy()) as here, await crowd(here, rate=100) as users:
        good = here.config.read_text()
        await hang_up(here, good.replace("bake: 2s", "bake: 2").replace("retain: 0s", "retain: 0"), "config.refused")
        refused = [event["text"] for event in await events(here) if event["kind"] == "config.refused"]
        assert refused[0].count(f"; {here.config}:") == 1
        assert refused[0].isprintable()
        assert "retain" in (await here.control.get("/v1/status"))["daemon"]["config_refused"]
        await hang_up(here, good.replace("[5%, 25%, 50%, 100%]", "[50%, 100%]"), "config.reloaded")
        assert (await here.control.get("/v1/status"))["daemon"]["config_refused"] == ""
        shown = "control_socket: " + str(here.directory / "other.sock")
        assert here.config.read_text().count("control_socket: ") == 1
        here.config.write_text(re.sub("control_socket: [^,}\n]+", shown, here.config.read_text()))
        with pytest.raises(RefusedError, match=r"daemon\.control_socket: .*cannot change.*restart lbctld"):
            await here.control.post("/v1/config/reload", {})
        assert "restart lbctld" in (await here.control.get("/v1/status"))["daemon"]["config_refused"]
        here.config.write_text(good.replace("[5%, 25%, 50%, 100%]", "[50%, 100%]"))
        answers = [here.control.post("/v1/config/reload", {"reason": "large steps"}) for _ in range(2)]
        assert [one["services"] for one in await asyncio.gather(*answers)] == [[SERVICE]] * 2
        told = [event for event in await events(here) if event["kind"] == "config.reloaded"]
        assert told[-1]["text"].endswith("1 services: large steps")
        assert f"uid {os.getuid()}" in told[-1]["actor"]
        await release(here)
        found = (await here.control.get(f"/v1/releases/{SERVICE}"))["release"]
        assert found["plan"]["steps_bp"] == [5_000, 10_000]
        await share_is(here, 5_000)
        without = good.replace(f"  {SERVICE}:", "  other:").replace("127.0.0.1:" + str(here.port), "127.0.0.1:1")
        await hang_up(here, without, "config.refused")
        assert (await users.stop()).failed_requests == 0


async def hang_up(here: Stage, text: str, kind: str) -> None:
    """Change the config, send SIGHUP, and wait for the daemon's word about it."""
    before = len([event for event in await events(here) if event["kind"] == kind])
    here.config.write_text(text)
    assert here.daemon.pid is not None
    os.kill(here.daemon.pid, signal.SIGHUP)

    async def told() -> bool:
        return len([event for event in await events(here) if event["kind"] == kind]) > before

    await until(told, 10)


@pytest.mark.envoy
async def test_a_rollback_is_told_with_its_numbers_and_the_next_command(tmp_path: Path) -> None:
    told = tmp_path / "told"
    alerts = f'[{{name: ops, exec: [/bin/sh, -c, "cat >> {told}; echo >> {told}"], on: [rollback]}}]'
    async with adopted(envoy(), SLOW_STEP, alerts=alerts) as here, await crowd(here, rate=500, visitors=0.8):
        await release(here)
        await share_is(here, 1_000)
        await asyncio.sleep(0.5)
        await here.pools["green"].fault(error_ratio=1.0)
        await ended(here)

        async def two() -> bool:
            return told.exists() and told.read_text().count("\n") >= 2

        await until(two, 10)
    messages = [json.loads(line) for line in told.read_text().splitlines() if line]
    assert [message["kind"] for message in messages] == ["rollback.started", "rollback.finished"]
    assert "odds" in messages[0]["text"]
    assert "lbctl" in messages[0]["command"]


@asynccontextmanager
async def hanging_receiver() -> AsyncIterator[int]:
    """A receiver that takes connections and never answers."""
    held: list[asyncio.StreamWriter] = []

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)
        await reader.read()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in held:
            writer.transport.abort()


@pytest.mark.parametrize("proxy", one_of("haproxy"))
async def test_a_dead_alert_receiver_delays_no_rollback(proxy: Callable[[], Proxy], tmp_path: Path) -> None:
    async with hanging_receiver() as port:
        (tmp_path / "url").write_text(f"http://127.0.0.1:{port}/hook")
        (tmp_path / "key").write_text("0123456789abcdef")
        for name in ("url", "key"):
            (tmp_path / name).chmod(0o600)
        secrets = f"{{url: {{file: {tmp_path}/url}}, secret: {{file: {tmp_path}/key}}}}"
        alerts = f"[{{name: hook, webhook: {secrets}}}, {{name: ops, exec: [/bin/sleep, '60']}}]"
        async with (
            adopted(proxy(), SLOW_STEP, alerts=alerts) as here,
            await crowd(here, rate=1_000, visitors=0.7) as users,
        ):
            assert await off_the_candidate_s(here) <= 5 * PROMISE_MAX_S
            assert (await users.stop()).failed_requests == 0


@pytest.mark.envoy
async def test_systemd_is_told_ready_fed_by_ticks_and_told_the_end(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        async with adopted(envoy()) as here:
            await here.daemon.stop()
            watched = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "2000000"}
            await here.daemon.start(environment=watched)
            assert "READY=1" in await told(manager)
            assert "WATCHDOG=1" in await told(manager)
            assert here.daemon.pid is not None
            os.kill(here.daemon.pid, signal.SIGSTOP)
            await asyncio.sleep(1)
            await emptied(manager)
            await asyncio.sleep(1.5)
            assert not await emptied(manager), "a daemon that decides nothing must not look alive"
            os.kill(here.daemon.pid, signal.SIGCONT)
            await here.daemon.stop()
            assert "STOPPING=1" in "".join(await emptied(manager))


async def told(manager: socket.socket) -> str:
    """Wait for one message of the daemon to its service manager."""
    async with asyncio.timeout(15):
        return (await asyncio.get_running_loop().sock_recv(manager, 1_000)).decode()


async def emptied(manager: socket.socket) -> list[str]:
    """Take all messages that are there."""
    messages = []
    try:
        while True:
            messages.append(manager.recv(1_000).decode())
    except BlockingIOError:
        return messages


@pytest.mark.envoy
async def test_adopting_again_does_not_end_a_maintenance() -> None:
    async with adopted(envoy()) as here:
        await here.control.post("/v1/maintenance", {"on": True, "service": SERVICE, "reason": "test"})
        again = {"active": "blue", "version": "1.0.1", "reason": "test"}
        await here.control.post(f"/v1/services/{SERVICE}/adopt", again)
        assert (await status(here))["mode"] == "maintenance"

"""Troubles around the daemon that must neither end it, nor close the way back, nor be taken for something else."""

import asyncio
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from lbctl.dataplane.envoy import embedded
from lbctl.demo.control import RefusedError
from lbctl.demo.proxy import Proxy
from lbctl.demo.stage import SERVICE, Stage
from lbctl.model.names import InstanceName
from lbctl.model.topology import Instance
from tests.e2e.scene import (
    SLOW_STEP,
    adopted,
    ended,
    envoy,
    events,
    haproxy,
    one_of,
    reached,
    release,
    share_is,
    status,
    until,
)


@pytest.mark.envoy
async def test_a_token_directory_that_others_may_read_holds_the_release_and_leaves_the_way_back_open() -> None:
    async with adopted(envoy(), SLOW_STEP) as here:
        number = await release(here)
        await reached(here, 1_000)
        (here.directory / "run" / "tokens").chmod(0o755)

        async def held() -> bool:
            why = (await status(here))["held"]
            return why is not None and why["code"] == "token" and "chown and chmod 0700" in why["reason"]

        await until(held, 5)
        with pytest.raises(RefusedError, match="go-token cannot be read"):
            await here.control.post(f"/v1/releases/{number}/resume", {"reason": "test"})
        await here.control.post(f"/v1/releases/{number}/rollback", {"reason": "test"})
        assert (await ended(here, 10))["phase"] == "rolled_back"


@pytest.mark.envoy
async def test_a_log_that_cannot_be_written_stops_no_release_and_no_way_back() -> None:
    async with adopted(envoy(), SLOW_STEP) as here:
        await here.daemon.stop()
        with open("/dev/full", "wb") as full:
            daemon = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "lbctl.daemon.main", "--config", str(here.config), "--verbose"),
                stdout=full,
                stderr=full,
            )
        try:
            await here.control.wait_up(10)
            number = await release(here)
            await share_is(here, 1_000)
            await here.control.post(f"/v1/releases/{number}/rollback", {"reason": "test"})
            assert (await ended(here, 10))["phase"] == "rolled_back"
            assert daemon.returncode is None
        finally:
            daemon.terminate()
            await daemon.wait()


@pytest.mark.envoy
async def test_lbctld_starts_beside_an_envoy_that_hangs_and_steers_it_when_it_answers() -> None:
    async with adopted(envoy(), SLOW_STEP) as here:
        number = await release(here)
        await reached(here, 1_000)
        await here.daemon.stop()
        pid = await envoy_pid(here)
        os.kill(pid, signal.SIGSTOP)
        try:
            await here.daemon.start()
            await here.control.wait_up(10)
            await here.control.post(f"/v1/releases/{number}/rollback", {"reason": "test"})
            assert (await status(here))["phase"] == "rolling_back"
        finally:
            os.kill(pid, signal.SIGCONT)
        assert (await ended(here, 15))["phase"] == "rolled_back"


async def envoy_pid(here: Stage) -> int:
    """Return the pid of the stage's Envoy, asked past lbctld."""
    found = await embedded.status(Instance(name=InstanceName("edge/lb1"), directory=str(here.directory / "envoy")))
    assert found.pid is not None
    return found.pid


@pytest.mark.envoy
async def test_a_hang_up_while_lbctld_starts_does_not_end_it() -> None:
    async with adopted(envoy()) as here:
        pid = await envoy_pid(here)
        await here.daemon.stop()
        os.kill(pid, signal.SIGKILL)
        # The start waits for this lock, with everything before it done.
        with (here.directory / "envoy" / "start.lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            await here.daemon.start()
            journal = here.directory / "state" / "journal.lock"

            async def waits() -> bool:
                return journal.read_text().strip() == str(here.daemon.pid)

            await until(waits, 10)
            assert here.daemon.pid is not None
            os.kill(here.daemon.pid, signal.SIGHUP)
            await asyncio.sleep(0.3)
        await here.control.wait_up(20)
        await until(lambda: recorded(here, "config.reloaded"), 10)


async def recorded(here: Stage, kind: str) -> bool:
    """Whether an event of this kind was recorded."""
    return any(event["kind"] == kind for event in await events(here))


async def hang_up(here: Stage, text: str, kind: str) -> None:
    """Change the config, send SIGHUP, and wait for the daemon's word about it."""
    here.config.write_text(text)
    assert here.daemon.pid is not None
    os.kill(here.daemon.pid, signal.SIGHUP)
    await until(lambda: recorded(here, kind), 15)


@pytest.mark.envoy
async def test_a_reload_takes_new_alerts_too(tmp_path: Path) -> None:
    told = tmp_path / "told"
    async with adopted(envoy(), SLOW_STEP) as here:
        channel = f'alerts: [{{name: ops, exec: [/bin/sh, -c, "cat >> {told}; echo >> {told}"], on: [rollback]}}]'
        await hang_up(here, here.config.read_text().replace("alerts: []", channel), "config.reloaded")
        assert (await here.control.post("/v1/alerts/ops/test", {}))["result"] == "sent"
        number = await release(here)
        await reached(here, 1_000)
        await here.control.post(f"/v1/releases/{number}/rollback", {"reason": "test"})
        await ended(here)

        async def both() -> bool:
            return told.read_text().count("rollback.") >= 2

        await until(both, 10)
        kinds = [json.loads(line)["kind"] for line in told.read_text().splitlines() if line]
        assert kinds[-2:] == ["rollback.started", "rollback.finished"]
        assert len(kinds) == 3


@pytest.mark.envoy
async def test_what_a_refused_reload_wanted_is_not_used_when_envoy_must_be_started_again() -> None:
    async with adopted(envoy(), SLOW_STEP) as here:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            good = here.config.read_text()
            service = good[good.index(f"  {SERVICE}:") :].replace(f"  {SERVICE}:", "  other:")
            service = service.replace(f"127.0.0.1:{here.port}", f"127.0.0.1:{taken.getsockname()[1]}")
            await hang_up(here, good + service, "config.refused")
            os.kill(await envoy_pid(here), signal.SIGKILL)
            await until(lambda: recorded(here, "instance.found"), 20)
            assert (await status(here))["observed_share_bp"] == 0


@pytest.mark.envoy
async def test_a_release_whose_service_left_the_config_is_paged_at_the_start_and_told_apart_from_an_ended_one() -> None:
    async with adopted(envoy(), SLOW_STEP) as here:
        number = await release(here)
        await reached(here, 1_000)
        await here.daemon.stop()
        here.config.write_text(here.config.read_text().replace(f"  {SERVICE}:", "  other:"))
        await here.daemon.start()
        await here.control.wait_up(10)
        lines = (await here.control.get(f"/v1/why/{number}"))["lines"]
        assert "not in the config" in lines[0]["what"]
        paged = [event for event in await events(here) if event["kind"] == "hold.paged"]
        assert [SERVICE in event["text"] for event in paged] == [True]
        with pytest.raises(RefusedError, match="restore it"):
            await here.control.post(f"/v1/releases/{number}/rollback", {"reason": "test"})


def spoil_envoy(here: Stage) -> Callable[[], None]:
    """Put a directory where Envoy's route file and its spare are; returns what undoes it."""
    return _spoiled([here.directory / "envoy" / "rds" / name for name in (f"{SERVICE}.json", f".{SERVICE}.json.spare")])


def spoil_haproxy(here: Stage) -> Callable[[], None]:
    """The same for HAProxy's map."""
    return _spoiled([here.directory / "maps" / name for name in ("state.map", ".state.map.spare")])


def _spoiled(files: list[Path]) -> Callable[[], None]:
    for file in files:
        file.unlink()
        file.mkdir()

    def undo() -> None:
        for file in files:
            file.rmdir()

    return undo


@pytest.mark.parametrize(
    ("proxy", "spoil"),
    [
        pytest.param(envoy, spoil_envoy, id="envoy", marks=pytest.mark.envoy),
        pytest.param(haproxy, spoil_haproxy, id="haproxy", marks=pytest.mark.haproxy),
    ],
)
async def test_what_a_load_balancer_refuses_is_tried_again_at_a_steady_pace(
    proxy: Callable[[], Proxy], spoil: Callable[[Stage], Callable[[], None]]
) -> None:
    async with adopted(proxy(), SLOW_STEP) as here:
        number = await release(here)
        await reached(here, 1_000)
        undo = spoil(here)
        log = here.directory / "lbctld.log"
        await here.control.post(f"/v1/releases/{number}/rollback", {"reason": "test"})
        await asyncio.sleep(2)
        assert 1 <= log.read_text().count('"status": "refused"') <= 2 * 25
        undo()
        assert (await ended(here, 10))["phase"] == "rolled_back"


@pytest.mark.envoy
async def test_a_demo_whose_terminal_is_closed_leaves_no_process_and_no_file() -> None:
    envoy()
    with tempfile.TemporaryDirectory(prefix="lbd-") as short:  # pytest's own are too long for a unix socket's path
        await hung_up(Path(short))


async def hung_up(temporary: Path) -> None:
    demo = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from lbctl.demo.single import main; raise SystemExit(main(json_output=True))"),
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )

    async def plays() -> bool:
        return any(temporary.glob("*/run/control.sock"))

    try:
        await until(plays, 30)
        os.killpg(demo.pid, signal.SIGHUP)
        async with asyncio.timeout(20):
            assert await demo.wait() == 130
        assert not list(temporary.iterdir())
    finally:
        if demo.returncode is None:
            demo.kill()
            await demo.wait()


@pytest.mark.parametrize("proxy", one_of("haproxy"))
async def test_a_load_balancer_killed_in_mid_release_comes_back_with_what_is_recorded(
    proxy: Callable[[], Proxy],
) -> None:
    playing = proxy()
    async with adopted(playing, SLOW_STEP) as here:
        await release(here)
        await reached(here, 1_000)
        await killed(here, playing)
        await until(lambda: recorded(here, "instance.found"), 20)
        await share_is(here, 1_000, 10)
        assert (await status(here))["phase"] == "shifting"


async def killed(here: Stage, proxy: Proxy) -> None:
    """Kill the load balancer without a word; whoever keeps it starts it again."""
    generation = (await status(here))["instances"]["edge/lb1"]["generation"]
    os.kill(int(generation.partition("@")[0]), signal.SIGKILL)
    again: Callable[[Path], Awaitable[None]] | None = getattr(proxy, "launch", None)
    if again is not None:
        await until(lambda: recorded(here, "instance.lost"), 10)
        await again(here.directory)

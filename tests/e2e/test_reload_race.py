"""A config that takes a while to be taken, and a release that begins meanwhile."""

import fcntl
import os
import signal

import pytest

from lbctl.demo.ports import free_port
from lbctl.demo.stage import SERVICE
from tests.e2e.scene import SLOW_STEP, adopted, crowd, ended, envoy, events, reached, release, until

pytestmark = pytest.mark.envoy


async def test_a_release_that_begins_while_a_config_is_taken_keeps_its_own_and_what_was_built_for_it_is_gone() -> None:
    async with adopted(envoy(), SLOW_STEP) as here, await crowd(here, rate=100) as users:
        second = here.directory / "second"
        second.mkdir(mode=0o700)
        good = here.config.read_text()
        service = good[good.index(f"  {SERVICE}:") :]
        other = service.replace(f"  {SERVICE}:", "  other:").replace("data_plane: edge", "data_plane: more")
        other = other.replace(f"127.0.0.1:{here.port}", f"127.0.0.1:{free_port()}")
        plane = f"  more: {{driver: envoy, mode: embedded, instances: {{lb1: {{directory: {second}}}}}}}\nalerts:"
        judged = good.replace(service, f"{service.rstrip()}\n    judge: {{slo: 99%}}\n") + other
        here.config.write_text(judged.replace("alerts:", plane, 1))
        assert here.daemon.pid is not None

        async def building() -> bool:
            return (second / "lds").is_dir()

        async def refused() -> list[str]:
            return [event["text"] for event in await events(here) if event["kind"] == "config.refused"]

        with (second / "start.lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            os.kill(here.daemon.pid, signal.SIGHUP)
            await until(building, 10)
            number = await release(here)
        await until(refused, 20)  # type: ignore[arg-type]
        here.config.write_text(good)
        assert "a release began meanwhile: " in (await refused())[0]
        assert f"services.{SERVICE}.judge: cannot change while {SERVICE} is in release" in (await refused())[0]
        pid = int((second / "envoy.pid").read_text())
        await until(lambda: gone(pid), 10)
        await reached(here, 1_000)
        await here.control.post(f"/v1/releases/{number}/rollback", {"reason": "test"})
        await ended(here)
        assert (await users.stop()).failed_requests == 0


async def gone(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False

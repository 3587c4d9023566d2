"""The daemon and the request log of a real HAProxy: times arrive, a reload changes the address whole or not at all."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from lbctl.demo.proxy import OwnHaproxy
from lbctl.demo.stage import Stage
from lbctl.model.topology import HaproxyForm
from tests.e2e.scene import SLOW_STEP, adopted, crowd, ended, envoy, events, haproxy, reached, release, status, until
from tests.e2e.test_daemon import hang_up, lbctld

pytestmark = pytest.mark.haproxy


class LoggingHaproxy(OwnHaproxy):
    """The stage's HAProxy, with a request log."""

    def __init__(self, binary: str, log: str, form: HaproxyForm = HaproxyForm.MAP) -> None:
        super().__init__(binary, form)
        self._log = log

    def plane(self, directory: Path) -> str:
        """See `Proxy.plane`."""
        return super().plane(directory).replace("driver: haproxy", f"driver: haproxy, request_log: '{self._log}'")


def udp() -> str:
    """A UDP address that nobody has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return f"udp://127.0.0.1:{probe.getsockname()[1]}"


@asynccontextmanager
async def logging_haproxy(log: str) -> AsyncIterator[Stage]:
    """An adopted stage on an HAProxy that logs to the daemon."""
    plain = haproxy()
    assert isinstance(plain, OwnHaproxy)
    async with adopted(LoggingHaproxy(plain._binary, log), SLOW_STEP) as here:
        yield here


async def times(here: Stage) -> Any:
    """What the daemon knows of the times of requests, None where nobody tells them (yet)."""
    return (await status(here))["instances"]["edge/lb1"]["request_times"]


async def timed(here: Stage, number: int, colour: str = "blue") -> Any:
    """Wait until so many requests of a pool are timed."""

    async def enough() -> bool:
        found = await times(here)
        return found is not None and found["timed"][colour] >= number

    await until(enough, 10)
    return await times(here)


async def test_times_of_both_pools_arrive_while_a_release_runs() -> None:
    async with logging_haproxy(log := udp()) as here, await crowd(here, rate=300, visitors=0.8, websockets=2) as users:
        await release(here)
        await reached(here, 1_000)
        found = await timed(here, 5, "green")
        assert found["source"].startswith(f"{log} since ")
        assert (found["lost"], found["sampled"]) == (0, False)
        assert (await users.stop()).failed_requests == 0


async def test_a_reload_changes_the_address_and_one_that_cannot_be_had_changes_nothing() -> None:
    first, second = udp(), udp()
    async with logging_haproxy(first) as here, await crowd(here, rate=100) as users:
        before = (await timed(here, 1))["source"]
        good = here.config.read_text()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as somebody:
            somebody.bind(("127.0.0.1", 0))
            taken = good.replace(first, f"udp://127.0.0.1:{somebody.getsockname()[1]}")
            await hang_up(here, taken, "config.refused")
            refused = [event["text"] for event in await events(here) if event["kind"] == "config.refused"]
            assert "cannot be opened" in refused[-1]
        assert (await timed(here, 2))["source"] == before
        await hang_up(here, good.replace("bake: 60s", "bake: 61s"), "config.reloaded")
        assert (await timed(here, 3))["source"] == before
        await hang_up(here, good.replace(first, second), "config.reloaded")
        assert (await times(here))["source"].startswith(second)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as next_owner:
            next_owner.bind(("127.0.0.1", int(first.rpartition(":")[2])))
        # HAProxy still sends to the old address: its counters give that away.
        await until(lambda: warned(here), 15)
        await hang_up(here, good.replace(f"request_log: '{first}'", "request_log: null"), "config.refused")
        await hang_up(here, good.replace(f"request_log: '{first}', ", ""), "config.reloaded")
        assert await times(here) is None
        assert (await users.stop()).failed_requests == 0


async def warned(here: Stage, code: str = "REQUEST_LOG_SAMPLED") -> bool:
    """Whether the status warns of that."""
    warnings = (await status(here))["instances"]["edge/lb1"]["warnings"]
    return any(one.startswith(code) for one in warnings)


async def test_an_address_that_is_taken_ends_the_start_with_its_reason() -> None:
    async with logging_haproxy(udp()) as here:
        await here.daemon.stop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as somebody:
            somebody.bind(("127.0.0.1", port_of(here)))
            code, said = await lbctld(here.config)
        assert code == 1
        assert "the request log udp://127.0.0.1:" in said
        assert "cannot be opened: Address already in use: name another port" in said
        assert "Traceback" not in said


def port_of(here: Stage) -> int:
    """The port of the stage's request log."""
    return int(here.config.read_text().partition("udp://127.0.0.1:")[2].partition("'")[0])


async def test_the_daemon_reads_a_unix_socket_again_after_it_was_killed(tmp_path: Path) -> None:
    async with logging_haproxy(f"unix:{tmp_path}/log.sock") as here, await crowd(here, rate=50):
        await timed(here, 1)
        await here.daemon.stop(signal.SIGKILL)
        assert os.path.exists(f"{tmp_path}/log.sock")
        await here.daemon.start()
        await here.control.wait_up(10)
        await timed(here, 1)


@pytest.mark.parametrize("driver", [pytest.param("envoy", marks=pytest.mark.envoy), "haproxy"])
async def test_a_candidate_that_becomes_slow_goes_back_by_the_times_of_its_requests(driver: str) -> None:
    stage = adopted(envoy(), SLOW_STEP) if driver == "envoy" else logging_haproxy(udp())
    async with stage as here, await crowd(here, rate=300, visitors=0.8) as users:
        await timed(here, 500)
        await release(here)
        await reached(here, 1_000)
        await timed(here, 20, "green")
        # Beyond the warm-up's patience: four times the limit.
        await here.pools["green"].fault(delay_ms=400.0)
        assert (await ended(here, 30))["phase"] == "rolled_back"
        told = [event["text"] for event in await events(here) if event["kind"] == "rollback.started"]
        assert "latency: candidate" in told[0]
        assert (await users.stop()).failed_requests == 0


async def test_forged_slow_lines_of_a_healthy_candidate_take_nothing_back_and_are_told() -> None:
    async with logging_haproxy(log := udp()) as here, await crowd(here, rate=300, visitors=0.8) as users:
        await timed(here, 500)
        await release(here)
        await reached(here, 1_000)
        await timed(here, 20, "green")
        for _ in range(20):
            await forge_slow(here, log, 200)
            await asyncio.sleep(0.1)
        await until(lambda: warned(here, "REQUEST_LOG_FORGED"), 5)
        told = await here.control.get("/v1/explain/1")
        assert any("latency not judged now: edge/lb1: REQUEST_LOG_FORGED" in line for line in told["not"])
        assert (await status(here))["phase"] == "shifting"
        assert (await users.stop()).failed_requests == 0


async def forge_slow(here: Stage, log: str, number: int) -> None:
    """Send lines of the candidate, each of a request of nine seconds that nobody made."""
    backend = "shop_green"
    said = f'[lbctl@0 r="edge/lb1|{backend}|green-1|200|----|9000|0"] -'
    line = f"<134>1 2026-11-26T23:01:12.467689+00:00 - haproxy 29289 - {said}".encode()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as forger:
        for _ in range(number):
            forger.sendto(line, ("127.0.0.1", int(log.rpartition(":")[2])))


@pytest.mark.envoy
async def test_envoy_tells_its_times_without_a_log() -> None:
    async with adopted(envoy(), SLOW_STEP) as here, await crowd(here, rate=100, websockets=2):
        found = await timed(here, 1)
        assert found["source"].startswith("envoy ")
        assert (found["lost"], found["sampled"]) == (0, False)


async def everyone_takes(here: Stage, delay_ms: float) -> None:
    """Both pools answer users after so long."""
    await asyncio.gather(*(here.pools[colour].fault(delay_ms=delay_ms) for colour in ("blue", "green")))


WARM_S = 35
"""A candidate may be slower for 30 s after its first traffic."""


@pytest.mark.long
@pytest.mark.parametrize("driver", [pytest.param("envoy", marks=pytest.mark.envoy), "haproxy"])
async def test_half_as_slow_again_at_a_tenth_of_200_requests_is_found_and_a_shared_slow_down_is_not_blamed(
    driver: str,
) -> None:
    stage = adopted(envoy(), SLOW_STEP) if driver == "envoy" else logging_haproxy(udp())
    async with stage as here, await crowd(here, rate=200, sessions=60, visitors=0.9) as users:
        await everyone_takes(here, 60.0)
        await timed(here, 500)
        await asyncio.sleep(5)
        await release(here)
        await reached(here, 1_000)
        await asyncio.sleep(WARM_S)
        await everyone_takes(here, 90.0)
        await asyncio.sleep(20)
        assert (await status(here))["phase"] == "shifting"
        await everyone_takes(here, 60.0)
        await asyncio.sleep(5)
        slow_at = await here.pools["green"].fault(delay_ms=90.0)
        assert (await ended(here, 60))["phase"] == "rolled_back"
        print(f"\n{driver}: +50 % at 10 % of 200 requests/s went back after {time.monotonic() - slow_at:.1f} s")
        told = [event["text"] for event in await events(here) if event["kind"] == "rollback.started"]
        assert "latency: candidate" in told[0]
        assert (await users.stop()).failed_requests == 0

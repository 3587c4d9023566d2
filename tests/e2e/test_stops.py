"""lbctld stopped and continued, its prober stopped, its memory taken: traffic stays, and no server is called down."""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
import pytest

from lbctl.demo.proxy import Proxy
from lbctl.demo.stage import Stage
from tests.e2e.outside import routes
from tests.e2e.scene import (
    SLOW_STEP,
    adopted,
    crowd,
    ended,
    envoy,
    events,
    haproxy,
    proxies,
    reached,
    release,
    share_is,
    status,
    until,
)
from tests.e2e.test_crashes import RECOVERY_S, killed_again_and_again, right_again

STEADY = """steps: [10%, 100%]
hold: {min: 1h, max: 2h, then: ask}
bake: 1h
"""
BRISK = """steps: [10%, 50%, 100%]
hold: {min: 4s, max: 5m, then: ask}
bake: 1s
retain: 0s
"""
SHORT_S = (0.1, 0.5, 3.0)
LONG_S = (0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0)
KILLS = int(os.environ.get("KILLS", "1000"))
CGROUP = Path("/sys/fs/cgroup")
MEMORY_V1 = CGROUP / "memory"
TOO_LITTLE_BYTES = 256 << 10
"""For what comes from now on: what a process has already stays with the group it had it in."""


def prober(here: Stage) -> psutil.Process:
    """The process that asks servers how they are."""
    children = psutil.Process(here.daemon.pid).children()
    return next(one for one in children if any("probe" in word for word in one.cmdline()))


async def stopped_again_and_again(
    proxy: Proxy, who: Callable[[Stage], psutil.Process], pauses: tuple[float, ...]
) -> None:
    """Stop a process for so long in the middle of a step. The share stays, and nobody is called ill for it."""
    async with adopted(proxy, STEADY) as here, await crowd(here, rate=200) as users:
        await release(here)
        await share_is(here, 1_000)
        called_before = await _changes(here)
        for pause_s in random.sample(pauses, len(pauses)):
            one, before = who(here), await routes(here)
            one.send_signal(signal.SIGSTOP)
            await asyncio.sleep(pause_s)
            assert await routes(here) == before
            one.send_signal(signal.SIGCONT)
            await asyncio.sleep(0.7)
        await right_again(here)
        now = await status(here)
        assert (now["phase"], now["share_bp"]) == ("shifting", 1_000)
        assert not [text for text in await _changes(here) if text not in called_before and "down:" in text]
        report = await users.stop()
        assert (report.failed_requests, report.colour_changes) == (0, 0)


async def _changes(here: Stage) -> list[str]:
    """What was told of servers: those of which nothing is heard are unknown, never down."""
    return [one["text"] for one in await events(here) if one["kind"] == "server.changed"]


def daemon(here: Stage) -> psutil.Process:
    """lbctld itself."""
    return psutil.Process(here.daemon.pid)


@pytest.mark.envoy
async def test_lbctld_that_was_stopped_for_seconds_goes_on_as_if_nothing_was() -> None:
    await stopped_again_and_again(envoy(), daemon, SHORT_S)


@pytest.mark.long
@pytest.mark.haproxy
async def test_no_step_is_taken_while_nobody_asks_servers_how_they_are() -> None:
    async with adopted(haproxy(), BRISK) as here, await crowd(here, rate=200) as users:
        await release(here)
        await reached(here, 1_000)
        asking = prober(here)
        asking.send_signal(signal.SIGSTOP)
        await asyncio.sleep(10)
        now = await status(here)
        asking.send_signal(signal.SIGCONT)
        assert (now["phase"], now["share_bp"]) == ("shifting", 1_000)
        assert now["held"] is not None
        assert (await ended(here))["phase"] == "finished"
        assert (await users.stop()).failed_requests == 0


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("who", [daemon, prober])
@pytest.mark.parametrize("proxy", proxies())
async def test_what_was_stopped_for_half_a_minute_goes_on_as_if_nothing_was(
    proxy: Callable[[], Proxy], who: Callable[[Stage], psutil.Process]
) -> None:
    await stopped_again_and_again(proxy(), who, LONG_S)


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("proxy", proxies())
async def test_a_thousand_kills_at_random_moments_harm_nobody_and_forget_nothing(proxy: Callable[[], Proxy]) -> None:
    """`KILLS=100` makes it shorter."""
    recoveries = sorted(await killed_again_and_again(proxy(), KILLS))
    p50, worst = recoveries[len(recoveries) // 2], recoveries[-1]
    print(f"\n{len(recoveries)} kills: start to right again p50 {p50:.2f} s, max {worst:.2f} s")
    assert worst <= RECOVERY_S


@asynccontextmanager
async def little_memory() -> AsyncIterator[Path]:
    """A control group whose processes are killed when they have more than too little memory: of either version."""
    group, limits = _memory_group()
    try:
        group.mkdir()
        for name, value in limits.items():
            (group / name).write_text(value)
    except OSError as error:
        if os.environ.get("CI"):
            pytest.fail(f"no control group can be made here, and CI must have one: {group}: {error}")
        pytest.skip(f"no control group can be made here: {group}: {error.strerror}")
    try:
        yield group
    finally:
        await until(lambda: _empty(group), 10)
        group.rmdir()


def _memory_group() -> tuple[Path, dict[str, str]]:
    """Where a new group may be made, and what limits it."""
    name = f"lbctl-test-{os.getpid()}"
    if MEMORY_V1.is_dir():
        return MEMORY_V1 / name, {"memory.limit_in_bytes": str(TOO_LITTLE_BYTES)}
    with suppress(OSError):
        # Where it is on already, or processes live beside the new group, the kernel says no.
        (CGROUP / "cgroup.subtree_control").write_text("+memory")
    return CGROUP / name, {"memory.max": str(TOO_LITTLE_BYTES), "memory.swap.max": "0"}


async def _empty(group: Path) -> bool:
    return not (group / "cgroup.procs").read_text().strip()


@pytest.mark.long
@pytest.mark.parametrize("proxy", proxies())
async def test_lbctld_killed_for_want_of_memory_leaves_the_split_and_goes_on(proxy: Callable[[], Proxy]) -> None:
    async with little_memory() as group, adopted(proxy(), SLOW_STEP) as here, await crowd(here, rate=200) as users:
        await release(here)
        await share_is(here, 1_000)
        before = await routes(here)
        (group / "cgroup.procs").write_text(str(here.daemon.pid))
        flood = asyncio.create_task(_asked_again_and_again(here))
        assert await here.daemon.ended(60) == -signal.SIGKILL
        await asyncio.wait([flood])
        assert await routes(here) == before
        await here.daemon.start()
        await right_again(here)
        now = await status(here)
        assert (now["phase"], now["share_bp"]) == ("shifting", 1_000)
        assert (await users.stop()).failed_requests == 0


async def _asked_again_and_again(here: Stage) -> None:
    """Whatever lbctld does takes pages; in this group there is no room for new ones."""
    while True:
        try:
            await here.control.get("/v1/events?after=0&limit=500")
        except Exception:  # noqa: BLE001 - it has been killed in whatever it did
            return


@pytest.mark.long
@pytest.mark.haproxy
async def test_lbctld_that_gets_no_memory_any_more_leaves_the_split_and_goes_on() -> None:
    """No control group: the process itself may not grow. Whatever it does then, nobody notices."""
    async with adopted(haproxy(), SLOW_STEP) as here, await crowd(here, rate=120) as users:
        await release(here)
        await share_is(here, 1_000)
        before = await routes(here)
        one = daemon(here)
        one.rlimit(psutil.RLIMIT_AS, (one.memory_info().vms, psutil.RLIM_INFINITY))
        flood = asyncio.create_task(_asked_again_and_again(here))
        await asyncio.wait([flood], timeout=10)
        flood.cancel()
        assert "MemoryError" in (here.directory / "lbctld.log").read_text(), "it had memory enough"
        assert await routes(here) == before
        await here.daemon.stop(signal.SIGKILL)
        await here.daemon.start()
        await right_again(here)
        now = await status(here)
        assert (now["phase"], now["share_bp"]) == ("shifting", 1_000)
        assert (await users.stop()).failed_requests == 0

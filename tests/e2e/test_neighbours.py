"""What hangs is nobody else's: a load balancer, hook, name server or disk that does not answer makes no decision about
another service late, and that goes over and back."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from lbctl.demo.ports import free_port
from lbctl.demo.proxy import OwnHaproxy
from lbctl.demo.stage import SERVICE, Stage, configured
from tests.bench.loop_lag import Counts, quantile_ms
from tests.bench.rows import Row, told
from tests.e2e.scene import SLOW_STEP, adopted, crowd, ended, haproxy, on_which, reached, release, until
from tests.e2e.test_daemon import hang_up
from tests.e2e.test_metrics import scraped
from tests.e2e.unwell import Host, host

NEIGHBOUR = "neighbour"
LATE_MS = 20.0
MEASURED_S = 20.0
PLAN = """steps: [10%, 50%, 100%]
hold: {min: 1s, max: 5m, then: ask}
bake: 1s
retain: 0s
"""
Trouble = Callable[[Stage, Host, Path], AbstractAsyncContextManager[None]]


# ---- what hangs


@asynccontextmanager
async def neighbour(here: Stage, directory: Path, plan: str = PLAN) -> AsyncIterator[OwnHaproxy]:
    """Configure another service on an HAProxy of its own."""
    other = haproxy()
    assert isinstance(other, OwnHaproxy)
    config = directory / "lbctl.yaml"
    config.write_text(configured(directory, other, free_port(), here.pools, plan))
    await other.begin(directory, config)
    try:
        beside = _beside(here.config.read_text(), config.read_text(), other.plane(directory))
        await hang_up(here, beside, "config.reloaded")
        yield other
    finally:
        await other.end(directory)


def _beside(text: str, other: str, plane: str) -> str:
    """Return the config with the other's service on a plane of its own."""
    service = other[other.index(f"  {SERVICE}:") :].replace(f"  {SERVICE}:", f"  {NEIGHBOUR}:", 1)
    head, rest = text.split("alerts:", 1)
    return f"{head}  next: {plane}\nalerts:{rest}\n" + service.replace("data_plane: edge", "data_plane: next")


@asynccontextmanager
async def balancer(here: Stage, unwell: Host, directory: Path) -> AsyncIterator[None]:
    """A load balancer that is stopped: connections to its sockets are accepted and never answered."""
    del unwell
    async with neighbour(here, directory) as other:
        assert other.pid is not None
        family = [psutil.Process(other.pid), *psutil.Process(other.pid).children()]
        for one in family:
            os.kill(one.pid, signal.SIGSTOP)
        await asyncio.sleep(1)
        yield
        for one in family:
            os.kill(one.pid, signal.SIGCONT)


@asynccontextmanager
async def hook(here: Stage, unwell: Host, directory: Path) -> AsyncIterator[None]:
    """A hook of a neighbour's release that does not answer, asked again and again."""
    del unwell
    hooks = "hooks: [{at: preflight, exec: [/bin/sleep, '600'], timeout: 1s, no_answer: hold}]\n"
    async with neighbour(here, directory, PLAN + hooks):

        async def well() -> bool:
            found = await here.control.service(NEIGHBOUR)
            return all(one["reachable"] for one in found["instances"].values()) and all(
                server["up"] for server in found["servers"].values()
            )

        await until(well)
        body = {"active": "blue", "version": "1.0.0", "reason": "test"}
        await here.control.post(f"/v1/services/{NEIGHBOUR}/adopt", body)
        await here.control.post("/v1/releases", {"service": NEIGHBOUR, "version": "2.0.0", "reason": "test"})

        async def asked() -> bool:
            return "hook" in str(await here.control.get(f"/v1/why/{NEIGHBOUR}"))

        await until(asked)
        yield


@asynccontextmanager
async def names(here: Stage, unwell: Host, directory: Path) -> AsyncIterator[None]:
    """Names of hosts and users that nobody answers for, asked at every request."""
    del here, directory
    unwell.be(names_ms=20_000)
    yield
    unwell.be()


@asynccontextmanager
async def disk(here: Stage, unwell: Host, directory: Path) -> AsyncIterator[None]:
    """A disk, the journal's too, that takes three seconds for every sync."""
    del here, directory
    unwell.be(sync_ms=3_000)
    yield
    unwell.be()


HANGS = {
    "balancer": "beside a load balancer that hangs",
    "hook": "beside a hook that hangs",
    "names": "while nobody answers for names",
    "disk": "while the disk hangs",
}
TROUBLES: tuple[Trouble, ...] = (balancer, hook, names, disk)


# ---- how late


@dataclass(frozen=True, slots=True)
class Lateness:
    """Of so many decisions all but one in a hundred were at most so late."""

    p99_ms: float
    decisions: int


def preferred(here: Stage) -> None:
    """Let nothing else on this machine take the processor from lbctld: what is late then is late by itself."""
    assert here.daemon.pid is not None
    try:
        for thread in psutil.Process(here.daemon.pid).threads():
            os.sched_setscheduler(thread.id, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        pytest.skip("only root can keep a busy machine out of it")


async def lateness(here: Stage) -> Lateness:
    """How late decisions are in a step that stays, while somebody pauses and goes on."""
    before = await counts(here)
    asking = asyncio.create_task(asked_again_and_again(here))
    await asyncio.sleep(MEASURED_S)
    asking.cancel()
    await asyncio.wait([asking])
    after = await counts(here)
    return Lateness(quantile_ms(before, after, 0.99), int(after[-1][1] - before[-1][1]))


async def asked_again_and_again(here: Stage) -> None:
    """Pause and resume, each second."""
    while True:
        for word in ("pause", "resume"):
            await here.control.post(f"/v1/releases/{SERVICE}/{word}", {"reason": "test"})
            await asyncio.sleep(0.5)


async def counts(here: Stage) -> Counts:
    """The daemon's own histogram."""
    await asyncio.sleep(1)  # Scrapes within a second share one text.
    found = (await scraped(here))["lbctl_loop_lag_seconds_bucket"]
    return sorted((float(dict(labels)["le"]), count) for labels, count in found.items())


@pytest.mark.long
@pytest.mark.haproxy
@pytest.mark.timeout(300)
@pytest.mark.parametrize("trouble", TROUBLES, ids=[one.__name__ for one in TROUBLES])
async def test_decisions_beside_what_hangs_are_in_time(
    request: pytest.FixtureRequest, trouble: Trouble, tmp_path: Path
) -> None:
    unwell = host(tmp_path)
    async with adopted(haproxy(), SLOW_STEP) as here, await crowd(here, rate=100) as users:
        await unwell.take(here)
        preferred(here)
        await release(here)
        await reached(here, 1_000)
        alone = await lateness(here)
        async with trouble(here, unwell, tmp_path):
            beside = await lateness(here)
        await here.control.post(f"/v1/releases/{SERVICE}/rollback", {"reason": "test"})
        assert (await ended(here, 20))["phase"] == "rolled_back"
        assert (await users.stop()).failed_requests == 0
    assert told(f"beside-{on_which(request)}", rows(trouble.__name__, alone, beside)) == 0


def rows(what: str, alone: Lateness, beside: Lateness) -> list[Row]:
    """What is promised, and how it is where nothing hangs."""
    seen = f"{beside.decisions} decisions; without it {alone.p99_ms:.1f} ms of {alone.decisions}"
    return [Row("p99", f"{HANGS[what]}: lateness of decisions, p99", beside.p99_ms, "ms", LATE_MS, seen=seen)]

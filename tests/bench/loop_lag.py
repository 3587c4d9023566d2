"""How late decisions are with 5,000 endpoints probed every second: the real daemon's own count of it.

Run `python -m tests.bench.loop_lag`; it takes about a minute and uses loopback only. A timer in this process, which
does nothing else, tells how late anybody is on this machine at that time.
"""

import asyncio
import os
import re
import statistics
import sys
import tempfile
import time
from bisect import bisect_left
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp

from lbctl.config.load import load
from lbctl.core import machine
from lbctl.core.state import Tick
from lbctl.daemon.checks import Checks
from lbctl.demo.control import Control
from lbctl.demo.ground import directory_of, head, running
from lbctl.demo.ports import free_port
from lbctl.demo.proxy import Proxy
from lbctl.model.reading import Observed
from lbctl.model.record import Record
from lbctl.model.units import Instant
from lbctl.probe.port import ProbeResult, targets_of
from tests.bench.prober_vs_haproxy import RESPONDER, Haproxy
from tests.bench.rows import Row, told
from tests.e2e.scene import haproxy
from tests.proc import cpu_s

SERVICES, EACH = 10, 250
ENDPOINTS = SERVICES * 2 * EACH
SETTLE_S, MEASURED_S = 10.0, 30.0
ROUNDS = 15
GOAL_MS = 20.0
PAUSE_S = 0.01
BUCKET = re.compile(r'^lbctl_loop_lag_seconds_bucket\{le="([^"]+)"\} (\S+)$', re.MULTILINE)
Counts = list[tuple[float, float]]
"""Upper bound in seconds, and how many were at most that."""


def configured(directory: Path, proxy: Proxy, port: int, metrics: Path) -> str:
    """Ten services with two pools of 250 servers."""
    text = head(directory, proxy.plane(directory))
    for number in range(SERVICES):
        pools = "".join(
            f"      {colour}: {{{_servers(colour, 40 + 2 * number + at, port)}}}\n"
            for at, colour in enumerate(("blue", "green"))
        )
        text += f"""  s{number}:
    data_plane: edge
    {proxy.binding(f"s{number}")}
    listen: 127.0.0.1:{free_port()}
    pools:
{pools}    health: {{http: /healthz, interval: 1s, timeout: 900ms, rise: 1, fall: 3}}
"""
    return text.replace("daemon:\n", f"daemon:\n  metrics: {metrics}\n", 1)


def _servers(colour: str, net: int, port: int) -> str:
    return ", ".join(f"{colour}-{n}: 127.{net}.0.{n + 1}:{port}" for n in range(EACH))


@asynccontextmanager
async def watching() -> AsyncIterator[tuple[int, Control, Path]]:
    """A daemon that probes all of them: its pid, its control, where its metrics are."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = free_port()
        text = RESPONDER.format(port=port).replace("bind 127.0.0.1:", "bind 0.0.0.0:")
        stack.enter_context(Haproxy(folder, "responder", text))
        directory, proxy = directory_of(stack, None), haproxy()
        metrics = directory / "metrics.sock"
        made = configured(directory, proxy, port, metrics)
        daemon, control = await stack.enter_async_context(running(directory, proxy, made))
        await asyncio.sleep(SETTLE_S)
        assert daemon.pid is not None
        yield daemon.pid, control, metrics


async def counts(metrics: Path) -> Counts:
    """The daemon's histogram of how late its decisions were."""
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(metrics))) as session,
        session.get("http://lbctl/metrics") as answer,
    ):
        text = await answer.text()
    return [(float(bound), float(count)) for bound, count in BUCKET.findall(text)]


def quantile_ms(before: Counts, after: Counts, part: float) -> float:
    """The quantile of what came between two histograms, by straight lines within a bucket."""
    bounds = [bound for bound, _ in after]
    totals = [b - a for (_, a), (_, b) in zip(before, after, strict=True)]
    wanted = part * totals[-1]
    at = min(bisect_left(totals, wanted), len(totals) - 1)
    low, high = (bounds[at - 1] if at else 0.0), bounds[at]
    below, within = (totals[at - 1] if at else 0.0), totals[at] - (totals[at - 1] if at else 0.0)
    return 1_000 * (low if high == float("inf") or not within else low + (high - low) * (wanted - below) / within)


async def idle_lag_ms(seconds: float) -> list[float]:
    """How late a timer of a process is that does nothing."""
    found: list[float] = []
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        began = time.monotonic()
        await asyncio.sleep(PAUSE_S)
        found.append((time.monotonic() - began - PAUSE_S) * 1_000)
    return sorted(found)


def at(values: Sequence[float], part: float) -> float:
    """A quantile of sorted values."""
    return values[min(len(values) - 1, int(part * len(values)))]


def of_decisions_ms() -> tuple[float, float]:
    """CPU of one decision with everything known of all endpoints, and of hearing once from each of them."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "lbctl.yaml"
        file.write_text(configured(Path(folder), haproxy(), free_port(), Path(folder) / "metrics.sock"))
        topology = load(file, uid=os.getuid(), environ=os.environ).topology
    now = Instant(0)
    checks = Checks(topology, lambda: now)
    targets = [target for service in topology.services.values() for target in targets_of(service)]
    told_all = [ProbeResult(target.key, True, "", 0, 1.0) for target in targets]
    state = machine.start(Record(), topology, now, {}, {}, {})
    hearing, deciding = [], []
    for second in range(ROUNDS):
        now = Instant(1_000 * second)
        began = time.process_time()
        checks.heard(told_all)
        heard = time.process_time()
        observed = Observed(instances={}, health=checks.health(now), checker_suspect=checks.suspects(now))
        state, _ = machine.step(state, Tick(now, observed))
        deciding.append((time.process_time() - heard) * 1_000)
        hearing.append((heard - began) * 1_000)
    return statistics.median(deciding), statistics.median(hearing)


async def main() -> int:
    """Measure and print."""
    deciding, hearing = of_decisions_ms()
    async with watching() as (pid, control, metrics):
        before, used = await counts(metrics), cpu_s(pid)
        idle = await idle_lag_ms(MEASURED_S)
        after, used = await counts(metrics), cpu_s(pid) - used
        is_read = all(one["reachable"] for one in (await control.service("s0"))["instances"].values())
    idle_p99 = at(idle, 0.99)
    ticks = after[-1][1] - before[-1][1]
    p99, p50 = quantile_ms(before, after, 0.99), quantile_ms(before, after, 0.5)
    company = "read every second beside" if is_read else "too slow on this host to be read within a second"
    seen = (
        f"p50 {p50:.1f} ms, {ticks:.0f} decisions; HAProxy is {company}; a timer that does nothing: {idle_p99:.1f} ms"
    )
    what = f"{ENDPOINTS:,} endpoints probed every second"
    return told(
        "loop_lag",
        [
            Row("lag", f"{what}: a decision's lateness, p99", p99, "ms", GOAL_MS, seen=seen),
            Row("cpu", f"{what}: CPU of a decision, not one of them changed", deciding, "ms", GOAL_MS),
            Row("heard", f"{what}: CPU of hearing from each of them", hearing, "ms"),
            Row("core", f"{what}: lbctld's part of a core, its prober besides", used / MEASURED_S * 100, "%"),
        ],
    )


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

"""`make soak ARGS='--minutes 60'`: a release every 30 s, each with a trouble, under load; then a verdict.

It prints a line a minute. A release climbs in 19 steps, so that an hour, the full length, flips the share over 1,000
times. `kill -9` of lbctld comes in the first third alone: whatever leaks has two thirds of the time to show it.
"""

import argparse
import asyncio
import random
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

from lbctl.demo.control import RefusedError
from lbctl.demo.proxy import Proxy
from lbctl.demo.stage import SERVICE
from tests.bench.rows import Row, told
from tests.e2e import scene as stages
from tests.proc import fd_count, rss_kb, tree_bytes
from tests.soak.slope import Seen, growth
from tests.soak.troubles import EVERYWHERE, ON_HAPROXY, Scene, Trouble, kill
from tests.watched import Watched, watched

EVERY_S = 30.0
FULL_MINUTES = 60.0
STEPS = [f"{share}%" for share in (1, 2, 3, 5, 7, 10, 15, 20, 25, 30, 35, 40, 50, 60, 70, 80, 90, 95, 100)]
PLAN = f"""steps: [{", ".join(STEPS)}]
hold: {{min: 300ms, max: 5m, then: ask}}
bake: 500ms
retain: 0s
"""
DRAIN = "{quiet: 2s, limit: 1s}"
FLIPS = {"step.started", "step.retreated", "rollback.started", "drift.corrected"}
"""Events that change where new traffic goes."""
KILLING_PART = 1 / 3
SETTLE_S = 60.0
"""The memory of a fresh process grows until everything has been used once."""
RSS_GROWTH_MB, FD_GROWTH, DISK_MB = 2.0, 3.0, 64.0


@dataclass(slots=True)
class Log:
    """What was seen."""

    began: float
    rss_kb: list[Seen] = field(default_factory=list)
    fds: list[Seen] = field(default_factory=list)
    life: int = 0
    disk_bytes: int = 0
    flips: int = 0
    last_event: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    troubles: Counter[str] = field(default_factory=Counter)
    late: list[str] = field(default_factory=list)

    def look(self, on: Watched) -> None:
        """Take a reading of the daemon; a new life begins a new row of them."""
        pid = on.daemon.pid
        if pid is None:
            return
        if pid != self.life:
            self.life, self.rss_kb, self.fds = pid, [], []
        now = time.monotonic() - self.began
        with suppress(OSError):
            self.rss_kb.append((now, rss_kb(pid)))
            self.fds.append((now, fd_count(pid)))
            self.disk_bytes = max(self.disk_bytes, tree_bytes(on.here.directory))

    async def count(self, on: Watched) -> None:
        """Count the flips since the last look."""
        while True:
            path = f"/v1/events?after={self.last_event}&limit=500"
            found = (await on.here.control.get(path))["events"]
            if not found:
                return
            self.flips += sum(event["kind"] in FLIPS for event in found)
            self.last_event = found[-1]["id"]


async def play(scene: Scene, trouble: Trouble, log: Log) -> None:
    """One release with one trouble, brought to its end."""
    before = await stages.status(scene.here)
    scene.candidate = "green" if before["active"] == "blue" else "blue"
    await stages.release(scene.here)
    await asyncio.sleep(scene.chance.uniform(0.2, 6))
    log.troubles[trouble.__name__] += 1
    try:
        await trouble(scene)
    except RefusedError as refused:
        # It was over before the person came.
        log.late.append(str(refused))
    log.outcomes[await _ended(scene)] += 1
    scene.chat.plans = []
    await scene.here.pools[scene.candidate].heal()


async def _ended(scene: Scene) -> str:
    """Wait for the release's end; what a hand did holds until a person says so."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        with suppress(OSError, RefusedError):
            now = await stages.status(scene.here)
            if now["phase"] in stages.ENDED:
                return str(now["phase"])
            if now["held"] is not None and now["held"]["code"] == "latched":
                await scene.here.control.post(f"/v1/releases/{SERVICE}/resume", {"reason": "soak"})
        await asyncio.sleep(0.2)
    raise AssertionError(f"a release did not end: {await stages.status(scene.here)}")


async def readings(on: Watched, log: Log) -> None:
    """Look once a second."""
    while True:
        log.look(on)
        await asyncio.sleep(1)


def troubles(proxy: Proxy, seconds: float, chance: random.Random) -> list[Trouble]:
    """Return the trouble of every release, killings in the first part of the time alone."""
    known = [*EVERYWHERE, *(ON_HAPROXY if proxy.name == "HAProxy" else ())]
    count = max(1, int(seconds // EVERY_S))
    found: list[Trouble] = []
    while len(found) < count:
        is_early = len(found) < count * KILLING_PART
        found += chance.sample(known, len(known)) + [kill] * is_early
    return found[:count]


async def soak(proxy: Proxy, minutes: float, rate: float, seed: int) -> list[Row]:
    """Run it and return the rows of its verdict."""
    chance = random.Random(seed)
    async with watched(proxy, PLAN, drain=DRAIN) as on:
        await stages.adopt(on.here)
        users = await stages.crowd(on.here, rate=rate, sessions=40, visitors=0.7, websockets=3)
        async with users:
            log, scene = Log(time.monotonic()), Scene(on.here, on.chat, chance)
            looking = asyncio.create_task(readings(on, log))
            for number, trouble in enumerate(troubles(proxy, minutes * 60, chance)):
                due = log.began + number * EVERY_S
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                await play(scene, trouble, log)
                await log.count(on)
                if number % 2:
                    said(log, await users.snapshot())
            if looking.done():
                looking.result()
            looking.cancel()
            report = await users.stop()
    told_slots = f"{report.requests:,} requests, {report.websockets.begun} WebSockets"
    return verdict(log, minutes, report.failed_requests + report.websockets.cut, told_slots)


def said(log: Log, report: object) -> None:
    """One line a minute."""
    failed, requests = report.failed_requests, report.requests  # type: ignore[attr-defined]
    words = " ".join(f"{key} {count}" for key, count in sorted(log.outcomes.items()))
    rss, fds = log.rss_kb[-1][1] / 1024, log.fds[-1][1]
    minute = (time.monotonic() - log.began) / 60
    print(
        f"{minute:6.1f} min: {words}; {log.flips} flips; {requests} requests, {failed} failed; "
        f"RSS {rss:.1f} MB, {fds:.0f} fds; disk {log.disk_bytes / 1e6:.1f} MB",
        flush=True,
    )


def verdict(log: Log, minutes: float, failed: int, load: str) -> list[Row]:
    """Return what was seen beside what was promised."""
    settled = [one for one in log.rss_kb if one[0] >= log.rss_kb[0][0] + SETTLE_S]
    files = [one for one in log.fds if one[0] >= log.fds[0][0] + SETTLE_S]
    span = f"{(settled[-1][0] - settled[0][0]) / 120:.0f} minutes" if settled else "no time"
    did = ", ".join(f"{name} {count}" for name, count in sorted(log.troubles.items()))
    ended = ", ".join(f"{name} {count}" for name, count in sorted(log.outcomes.items()))
    flips_goal = 1_000 * minutes / FULL_MINUTES if minutes < FULL_MINUTES else 1_000
    return [
        Row("failed", "soak: failed requests and cut WebSockets", failed, "", 0, seen=load),
        Row("flips", f"soak: flips of the share in {minutes:g} minutes", log.flips, "", flips_goal, ">=", ended),
        Row("rss", f"soak: memory grown in the last {span}", growth(settled) / 1024, "MB", RSS_GROWTH_MB, seen=did),
        Row("rss_end", "soak: memory at the end", log.rss_kb[-1][1] / 1024, "MB"),
        Row("fds", f"soak: open files grown in the last {span}", growth(files), "", FD_GROWTH),
        Row("disk", "soak: everything on disk, at most", log.disk_bytes / 1e6, "MB", DISK_MB),
    ]


def main() -> int:
    """Read the arguments, run it, say the verdict."""
    parser = argparse.ArgumentParser(prog="make soak ARGS=…", description=__doc__)
    parser.add_argument("--minutes", type=float, default=FULL_MINUTES, help="how long; 60 is the full length")
    parser.add_argument("--proxy", choices=("haproxy", "envoy"), default="haproxy")
    parser.add_argument("--rate", type=float, default=100.0, help="requests per second")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the order of troubles and their moments")
    options = parser.parse_args()
    print(f"soak of {options.minutes:g} minutes on {options.proxy}, --seed {options.seed}", flush=True)
    proxy = stages.haproxy() if options.proxy == "haproxy" else stages.envoy()
    rows = asyncio.run(soak(proxy, options.minutes, options.rate, options.seed))
    return told(f"soak-{options.proxy}", rows)


if __name__ == "__main__":
    sys.exit(main())

"""`lbctl demo --single`: a release and a rollback of one service, on a real load balancer, in half a minute.

One release blue → green that finishes, then one green → blue whose candidate fails at 25 % and comes back by itself.
"""

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lbctl.demo.afterwards import next_lines
from lbctl.demo.play import PHASE_S, Log, ended, perform, settled, share_is
from lbctl.demo.proxy import Proxy
from lbctl.demo.screen import Screen, table
from lbctl.demo.stage import SERVICE, Stage, stage
from lbctl.demo.tally import Report
from lbctl.demo.users import Users

RATE = 300
SESSIONS = 40
FAULT_AT_BP = 2_500


@dataclass(slots=True)
class OneService:
    """What happened to one service."""

    proxy: Proxy
    log: Log = field(default_factory=Log)
    releases: list[dict[str, Any]] = field(default_factory=list)
    rollback_ms: float = 0.0
    users: Report | None = None
    changes_in_release: int = 0

    def document(self) -> dict[str, Any]:
        """Return the JSON object."""
        assert self.users is not None
        return {
            "proxy": self.proxy.name,
            "requests": self.users.requests,
            "failed_requests": self.users.failed_requests,
            "failed": self.users.failed,
            "injected_errors_seen": self.users.faults_seen,
            "sessions_that_changed_colour_in_the_release": self.changes_in_release,
            "releases": self.releases,
            "rollback_ms": round(self.rollback_ms, 1),
            "steps": self.log.steps,
        }

    def table(self) -> str:
        """Return the same for people."""
        return table(self.document())

    def afterwards(self, directory: Path) -> list[str]:
        """Return what can be done with the kept files."""
        last = self.releases[-1]
        active = str(last["to"] if last["phase"] == "finished" else last["from"])
        return next_lines(directory, self.proxy, {SERVICE: active})

    @property
    def good(self) -> bool:
        """Whether the demo showed what it promises."""
        phases = [release["phase"] for release in self.releases]
        return phases == ["finished", "rolled_back"] and self.users is not None and not self.users.failed_requests


def main(*, json_output: bool = False, keep: str | None = None) -> int:
    """Play it; returns the exit code."""
    return perform(_play, json_output=json_output, keep=keep)


async def _play(screen: Screen, directory: Path | None) -> OneService:
    async with stage(directory) as here:
        screen.say(f"3 blue servers (1.0.0) and 3 green ones (2.0.0) behind a real {here.proxy.name}")
        await _adopt(here)
        played = OneService(here.proxy)
        async with await Users.start("127.0.0.1", here.port, rate=RATE, sessions=SESSIONS) as users:
            screen.say(f"{RATE} requests/s, {SESSIONS} sticky sessions, keep-alive; all on blue")
            follower = asyncio.create_task(played.log.follow(here.control, screen))
            try:
                await _first_release(here, screen, users, played)
                await _second_release(here, screen, played)
                await asyncio.sleep(0.5)
            finally:
                follower.cancel()
                await asyncio.wait([follower])
            played.users = await users.stop()
        return played


async def _adopt(here: Stage) -> None:
    async with asyncio.timeout(PHASE_S):
        while not all(one["reachable"] for one in (await here.control.service(SERVICE))["instances"].values()):
            await asyncio.sleep(0.05)
    await here.control.post(f"/v1/services/{SERVICE}/adopt", {"active": "blue", "version": "1.0.0", "reason": "demo"})
    await settled(here.control, here.port, SERVICE)


async def _first_release(here: Stage, screen: Screen, users: Users, played: OneService) -> None:
    before = await users.snapshot()
    release = await here.control.post("/v1/releases", {"service": SERVICE, "version": "2.0.0", "reason": "demo"})
    played.releases.append(await ended(here.control, screen, SERVICE, release["release"]))
    played.changes_in_release = (await users.snapshot()).colour_changes - before.colour_changes


async def _second_release(here: Stage, screen: Screen, played: OneService) -> None:
    body = {"service": SERVICE, "version": "1.1.0", "reason": "demo: this one is broken"}
    release = await here.control.post("/v1/releases", body)
    await share_is(here.control, SERVICE, FAULT_AT_BP)
    await asyncio.sleep(0.7)
    screen.say("from now on every answer of blue (1.1.0) is an error")
    broken = await here.pools["blue"].fault(error_ratio=1.0)
    await share_is(here.control, SERVICE, 0)
    played.rollback_ms = (time.monotonic() - broken) * 1_000
    played.releases.append(await ended(here.control, screen, SERVICE, release["release"]))

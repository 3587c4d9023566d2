"""`lbctl demo`: a whole release and a rollback, on a real load balancer, with real traffic, in half a minute.

One release blue → green that finishes, then one green → blue whose candidate fails at 25 % and comes back by itself.
"""

import asyncio
import json
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lbctl.demo.afterwards import next_lines
from lbctl.demo.child import ChildFailed
from lbctl.demo.control import Control, RefusedError
from lbctl.demo.ground import StageError
from lbctl.demo.proxy import Proxy
from lbctl.demo.screen import Screen, table
from lbctl.demo.stage import SERVICE, Stage, stage
from lbctl.demo.tally import Report
from lbctl.demo.users import Users
from lbctl.model.units import percent

RATE = 300
SESSIONS = 40
PHASE_S = 60.0
FAULT_AT_BP = 2_500


@dataclass(slots=True)
class Played:
    """What happened, for the table and for `--json`."""

    proxy: Proxy
    releases: list[dict[str, Any]] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
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
            "steps": self.steps,
        }

    @property
    def active(self) -> str:
        """The pool that serves after the last release."""
        last = self.releases[-1]
        return str(last["to"] if last["phase"] == "finished" else last["from"])

    @property
    def good(self) -> bool:
        """Whether the demo showed what it promises."""
        phases = [release["phase"] for release in self.releases]
        return phases == ["finished", "rolled_back"] and self.users is not None and not self.users.failed_requests


def main(*, json_output: bool = False, keep: str | None = None) -> int:
    """Play the demo; returns the exit code. With `json_output` nothing but one JSON object goes to stdout."""
    screen = Screen(quiet=json_output)
    directory = None if keep is None else Path(keep)
    try:
        played = asyncio.run(_interruptible(screen, directory))
    except (StageError, ChildFailed, RefusedError, TimeoutError) as error:
        # A time-out has no words of its own.
        what = str(error) or f"a part of the demo took longer than {PHASE_S:g} s"
        print(f"error: {what}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("interrupted; everything the demo started has been ended", file=sys.stderr)
        return 130
    if json_output:
        print(json.dumps(played.document()))
    else:
        print(table(played.document()))
        _say_what_is_left(directory, played)
    return 0 if played.good else 1


async def _interruptible(screen: Screen, directory: Path | None) -> Played:
    """SIGTERM, or a terminal that is closed, ends the demo as Ctrl-C does: through every clean-up."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await _play(screen, directory)


async def _play(screen: Screen, directory: Path | None) -> Played:
    async with stage(directory) as here:
        screen.say(f"3 blue servers (1.0.0) and 3 green ones (2.0.0) behind a real {here.proxy.name}")
        await _adopt(here)
        played = Played(here.proxy)
        async with await Users.start("127.0.0.1", here.port, rate=RATE, sessions=SESSIONS) as users:
            screen.say(f"{RATE} requests/s, {SESSIONS} sticky sessions, keep-alive; all on blue")
            follower = asyncio.create_task(_follow(here.control, screen, played))
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
    async with asyncio.timeout(PHASE_S):
        while True:
            status = await here.control.service(SERVICE)
            healthy = all(server["up"] for server in status["servers"].values())
            if healthy and status["observed_share_bp"] == 0 and await _serves(here.port):
                return
            await asyncio.sleep(0.1)


async def _serves(port: int) -> bool:
    """Whether the load balancer answers users."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: demo.test\r\nConnection: close\r\n\r\n")
        line = await reader.readline()
        writer.close()
        await writer.wait_closed()
    except OSError:
        return False
    return b" 200 " in line


async def _first_release(here: Stage, screen: Screen, users: Users, played: Played) -> None:
    before = await users.snapshot()
    release = await here.control.post("/v1/releases", {"service": SERVICE, "version": "2.0.0", "reason": "demo"})
    await _until(here.control, screen, {"finished", "rolled_back", "cancelled"})
    played.releases.append(await _ended(here.control, release["release"]))
    played.changes_in_release = (await users.snapshot()).colour_changes - before.colour_changes


async def _second_release(here: Stage, screen: Screen, played: Played) -> None:
    body = {"service": SERVICE, "version": "1.1.0", "reason": "demo: this one is broken"}
    release = await here.control.post("/v1/releases", body)
    async with asyncio.timeout(PHASE_S):
        while (await here.control.service(SERVICE))["observed_share_bp"] != FAULT_AT_BP:
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.7)
    screen.say("from now on every answer of blue (1.1.0) is an error")
    broken = await here.pools["blue"].fault(error_ratio=1.0)
    async with asyncio.timeout(PHASE_S):
        while (await here.control.service(SERVICE))["observed_share_bp"] != 0:
            await asyncio.sleep(0.01)
    played.rollback_ms = (time.monotonic() - broken) * 1_000
    await _until(here.control, screen, {"finished", "rolled_back", "cancelled"})
    played.releases.append(await _ended(here.control, release["release"]))


async def _until(control: Control, screen: Screen, phases: set[str]) -> None:
    async with asyncio.timeout(PHASE_S):
        while True:
            status = await control.service(SERVICE)
            screen.live(status)
            if status["phase"] in phases:
                return
            await asyncio.sleep(0.1)


async def _ended(control: Control, release: str) -> dict[str, Any]:
    found = (await control.get(f"/v1/releases/{release}"))["release"]
    keys = ("id", "phase", "from", "to", "version", "back_by", "outcome", "peak_bp")
    return {key: found[key] for key in keys}


async def _follow(control: Control, screen: Screen, played: Played) -> None:
    """Print every event as it is recorded, and keep the steps."""
    after = 0
    while True:
        for event in (await control.get(f"/v1/events?after={after}&limit=100"))["events"]:
            after = event["id"]
            screen.event(event)
            if event["kind"] == "step.reached":
                played.steps.append(
                    {"release": event["release"], "share": percent(event["data"]["share_bp"]), "at_ms": event["at_ms"]}
                )
        await asyncio.sleep(0.1)


def _say_what_is_left(directory: Path | None, played: Played) -> None:
    if directory is not None:
        print("\n" + "\n".join(next_lines(directory.resolve(), played.proxy, SERVICE, played.active)))

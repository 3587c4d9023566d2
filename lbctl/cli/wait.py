"""Waiting for a release: one line per event on stderr, and an exit code that says how it ended."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from lbctl.cli.client import Client
from lbctl.cli.failure import (
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_PERSON,
    EXIT_TIMEOUT,
    EXIT_UNREACHABLE,
    EXIT_WENT_BACK,
    Failure,
)
from lbctl.cli.options import show_as, tell
from lbctl.cli.releaseview import event_line, outcome_lines
from lbctl.cli.words import Json, clean, share

POLL_S = 0.2
POLL_LATER_S = 1.0
LATER_S = 120.0
"""A wait this long looks less often: the daemon has better things to do."""
SETTLED_S = 1.0
"""A reason to wait that stands this long is told."""
ASK_WHY_S = 0.5


class Goal(StrEnum):
    """What is waited for."""

    STARTED = "started"
    BAKED = "baked"
    FINISHED = "finished"


def ending(release: Json, goal: Goal) -> int | None:
    """Return the exit code a release's state means for this goal, None: it is not decided yet. Pure."""
    match release["phase"]:
        case "cancelled":
            return EXIT_PERSON
        case "rolled_back":
            return EXIT_WENT_BACK if release.get("back_by") == "itself" else EXIT_PERSON
        case "rolling_back" | "preflight":
            return None
        case "finished":
            return EXIT_OK
        case _:
            return EXIT_OK if goal is Goal.STARTED or (goal is Goal.BAKED and release["baked"]) else None


@dataclass(slots=True)
class Teller:
    """Remembers what was told, so that each fact is told once."""

    seen_id: int | None
    tell: Callable[[str], None] = tell
    asked_at: float = field(default=-1e9)
    needs: str = ""
    since: float = 0.0
    told: str = ""

    def events(self, release: Json) -> bool:
        """Tell the release's events that are new; whether there were any."""
        events = release.get("events", [])
        newest = max((int(event["id"]) for event in events), default=0)
        if self.seen_id is None:
            self.seen_id = newest
            self.tell(f"release {release['id']} is {release['phase']} at {share(release['share_bp'])}")
        new = [event for event in events if int(event["id"]) > self.seen_id]
        self.seen_id = max(self.seen_id, newest)
        for event in new:
            self.tell(event_line(event))
        return bool(new)

    def waiting(self, why: Json, now: float) -> None:
        """Tell the first reason to wait once it stands; mere passing of time is none."""
        line = next(iter(why["lines"]), {"needs": "", "what": ""})
        if line["needs"] != self.needs:
            self.needs, self.since = line["needs"], now
        quiet = line["needs"] in {"", "time", "nothing"} or line["needs"] == self.told
        if not quiet and now - self.since >= SETTLED_S:
            self.told = line["needs"]
            self.tell(f"▲ waits: {line['what']}; needs {line['needs']}")


def wait_for(
    client: Client, target: str, goal: Goal, limit_s: float | None, *, as_json: bool, from_start: bool = False
) -> int:
    """Wait until the release reaches `goal` or goes back; prints the release and returns the exit code.

    `from_start` tells also what happened before. A daemon that restarts meanwhile is waited for: traffic stays as it
    is. Ctrl-C leaves the release running.
    """
    teller = Teller(seen_id=0 if from_start else None)
    try:
        release, code = _watch(client, target, goal, limit_s, teller)
    except KeyboardInterrupt:
        tell(f"interrupted: the release goes on; lbctl release wait {target}, or lbctl rollback {target}")
        return EXIT_INTERRUPTED
    show_as(release, outcome_lines, as_json=as_json)
    if code == EXIT_TIMEOUT:
        tell(f"time-out: release {release['id']} goes on; lbctl why {release['id']}, lbctl rollback {release['id']}")
    return code


def _watch(client: Client, target: str, goal: Goal, limit_s: float | None, teller: Teller) -> tuple[Json, int]:
    began = time.monotonic()
    release: Json | None = None
    while True:
        passed = time.monotonic() - began
        release = _look(client, target, teller, release, passed)
        if release is not None:
            target = str(release["id"])
            code = ending(release, goal)
            if code is not None:
                return release, code
            if limit_s is not None and passed >= limit_s:
                return release, EXIT_TIMEOUT
        pause = POLL_S if passed < LATER_S else POLL_LATER_S
        time.sleep(pause if limit_s is None else max(0.0, min(pause, limit_s - passed)))


def _look(client: Client, target: str, teller: Teller, before: Json | None, passed: float) -> Json | None:
    raise NotImplementedError

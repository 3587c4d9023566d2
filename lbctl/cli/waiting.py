"""Waiting for a release: what it has come to, told line by line, until the goal or an end. Interrupting detaches."""

import time
from collections.abc import Callable
from typing import Any

from lbctl.cli.client import Client, quoted
from lbctl.cli.failure import Exit, Failure
from lbctl.cli.screens.lines import event_line, waiting_line

Json = dict[str, Any]
POLL_S = 0.25
WHY_EVERY_S = 0.5
STANDS_S = 2.0
"""A reason to wait that stands this long is told; the daemon's own event about it comes after one second."""
FOR_TRAFFIC = frozenset({"traffic", "evidence"})
"""What only more requests end: no news while time is missing, too."""
AWAY_MAX_S = 30.0
"""How long the daemon may be gone: it is started again within seconds, and the release goes on."""
GOALS = {
    "started": frozenset({"shifting", "baking", "draining", "retiring", "finished"}),
    "baked": frozenset({"draining", "retiring", "finished"}),
    "finished": frozenset({"finished"}),
}
BACK = frozenset({"rolling_back", "rolled_back", "cancelled"})


def outcome(release: Json, goal: str, *, late: bool = False) -> Exit | None:
    """Return the exit code a release has come to, None while it must be waited for. `late`: the time is over."""
    phase = release["phase"]
    if phase in GOALS[goal] or (goal != "finished" and phase not in BACK and release.get("baked")):
        return Exit.DONE
    if phase == "cancelled" and release.get("back_by") == "newer":
        return Exit.SUPERSEDED
    if phase in {"rolled_back", "cancelled"} or (late and phase in BACK):
        itself = phase != "cancelled" and release.get("back_by") == "itself"
        return Exit.BACK_BY_ITSELF if itself else Exit.BACK_BY_PERSON
    if not late:
        return None
    return Exit.AWAITS_APPROVAL if phase == "awaiting_approval" else Exit.TIMED_OUT


class Reasons:
    """Which reasons to wait are worth a line: those that stand for two seconds, once for each step. Pure."""

    def __init__(self) -> None:
        self._seen_s: dict[tuple[str, str, str], float] = {}
        self._told: set[tuple[str, str, str]] = set()
        self._held: set[str] = set()

    def held(self, code: str) -> None:
        """Remember what an event said already."""
        self._held.add(code)

    def fresh(self, step: str, lines: list[Json], now_s: float) -> list[Json]:
        """Return the lines to tell now."""
        early = any(line.get("code") == "time" for line in lines)
        no_news = self._held | (FOR_TRAFFIC if early else frozenset())
        found = []
        for line in lines:
            code = str(line.get("code", ""))
            if line.get("by_itself") or code in no_news:
                continue
            reason = (step, code, str(line["needs"]))
            seen_s = self._seen_s.setdefault(reason, now_s)
            if now_s - seen_s >= STANDS_S and reason not in self._told:
                self._told.add(reason)
                found.append(line)
        return found


class Watcher:
    """Tells each event of one release once, and each new reason to wait once."""

    def __init__(self, client: Client, service: str, release: str, tell: Callable[[str], None]) -> None:
        self._client = client
        self._service = service
        self._release = release
        self._tell = tell
        self._last: int | None = None
        self._reasons = Reasons()
        self._why_at_s = 0.0

    def look(self) -> Json:
        """Return the release as it is now."""
        listed = self._client.get("/v1/releases", service=self._service)["releases"]
        for one in listed:
            if one["id"] == self._release:
                return dict(one)
        return dict(self._client.get(f"/v1/releases/{quoted(self._release)}")["release"])

    def tell_news(self) -> None:
        """Print what happened since the last call."""
        query = {"tail": 100} if self._last is None else {"after": self._last, "limit": 200}
        events = self._client.get("/v1/events", service=self._service, **query)["events"]
        self._last = max([self._last or 0, *(int(one["id"]) for one in events)])
        for one in events:
            if one["release"] == self._release:
                self._tell(event_line(one))
                if one["kind"] == "hold.started":
                    self._reasons.held(str(one["data"].get("code", "")))

    def tell_why(self, release: Json, now_s: float) -> None:
        """Print what it waits for, unless that is only time or was said for this step."""
        if now_s < self._why_at_s:
            return
        self._why_at_s = now_s + WHY_EVERY_S
        lines = self._client.get(f"/v1/why/{quoted(self._release)}")["lines"]
        for line in self._reasons.fresh(f"{release['phase']} {release['share_bp']}", lines, now_s):
            self._tell(waiting_line(line))


class Patience:
    """Bears a daemon that is away for a moment: it is started again within seconds, and traffic stays as it is."""

    def __init__(self, tell: Callable[[str], None], now_s: float) -> None:
        self._tell = tell
        self._seen_s = now_s
        self._away = False

    def back(self, now_s: float) -> None:
        """The daemon answered."""
        if self._away:
            self._tell("the daemon is back")
        self._seen_s, self._away = now_s, False

    def bear(self, failure: Failure, now_s: float, *, late: bool) -> None:
        """It did not. Raises the failure if it is another one, or after half a minute."""
        if failure.exit_code != Exit.UNREACHABLE or (now_s - self._seen_s > AWAY_MAX_S and not late):
            raise failure
        if not self._away:
            self._tell("the daemon does not answer; traffic stays as it is, waiting goes on")
        self._away = True


def wait(
    client: Client, service: str, release: str, goal: str, timeout_ms: int | None, tell: Callable[[str], None]
) -> tuple[Exit, Json]:
    """Return how the wait ended, and the release as it was then.

    Raises:
        Failure: the daemon stayed away for half a minute, or the release is gone.
    """
    watcher = Watcher(client, service, release, tell)
    began_s = time.monotonic()
    patience = Patience(tell, began_s)
    found: Json = {"id": release, "phase": "preflight", "back_by": None, "service": service}
    while True:
        now_s = time.monotonic()
        late = timeout_ms is not None and (now_s - began_s) * 1000 >= timeout_ms
        try:
            found = watcher.look()
            watcher.tell_news()
            if outcome(found, goal, late=late) is None:
                watcher.tell_why(found, now_s)
            patience.back(now_s)
        except Failure as failure:
            patience.bear(failure, now_s, late=late)
        ended = outcome(found, goal, late=late)
        if ended is not None:
            return ended, found
        time.sleep(POLL_S)

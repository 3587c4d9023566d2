"""Waiting for a release: what it has come to, told line by line, until the goal or an end. Interrupting detaches."""

import time
from collections.abc import Callable
from typing import Any

from lbctl.cli.client import Client, quoted
from lbctl.cli.failure import Exit, Failure
from lbctl.cli.screens.lines import event_line, waiting_line

Json = dict[str, Any]
POLL_S = 0.25
WHY_EVERY_S = 1.0
AWAY_MAX_S = 30.0
"""How long the daemon may be gone: it is started again within seconds, and the release goes on."""
GOALS = {
    "started": frozenset({"shifting", "baking", "draining", "finished"}),
    "baked": frozenset({"draining", "finished"}),
    "finished": frozenset({"finished"}),
}
BACK = frozenset({"rolling_back", "rolled_back", "cancelled"})


def outcome(release: Json, goal: str, *, late: bool = False) -> Exit | None:
    """Return the exit code a release has come to, None while it must be waited for. `late`: the time is over."""
    phase = release["phase"]
    if phase in GOALS[goal] or (goal != "finished" and phase not in BACK and release.get("baked")):
        return Exit.DONE
    if phase in {"rolled_back", "cancelled"} or (late and phase in BACK):
        itself = phase != "cancelled" and release.get("back_by") == "itself"
        return Exit.BACK_BY_ITSELF if itself else Exit.BACK_BY_PERSON
    return Exit.TIMED_OUT if late else None


class Watcher:
    """Tells each event of one release once, and each new reason to wait once."""

    def __init__(self, client: Client, service: str, release: str, tell: Callable[[str], None]) -> None:
        self._client = client
        self._service = service
        self._release = release
        self._tell = tell
        self._last: int | None = None
        self._told: set[tuple[str, str]] = set()
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

    def tell_why(self, release: Json, now_s: float) -> None:
        """Print what it waits for, unless that is only time or was said for this step."""
        if now_s < self._why_at_s:
            return
        self._why_at_s = now_s + WHY_EVERY_S
        for line in self._client.get(f"/v1/why/{quoted(self._service)}")["lines"]:
            key = (f"{release['phase']} {release['share_bp']}", str(line["needs"]))
            if line["needs"] in {"", "time", "nothing", "the load balancers"} or key in self._told:
                continue
            self._told.add(key)
            self._tell(waiting_line(line))


def wait(
    client: Client, service: str, release: str, goal: str, timeout_ms: int | None, tell: Callable[[str], None]
) -> tuple[Exit, Json]:
    """Return how the wait ended, and the release as it was then.

    Raises:
        Failure: the daemon stayed away for half a minute, or the release is gone.
    """
    watcher = Watcher(client, service, release, tell)
    began_s = last_seen_s = time.monotonic()
    found: Json = {"id": release, "phase": "preflight", "back_by": None, "service": service}
    while True:
        now_s = time.monotonic()
        late = timeout_ms is not None and (now_s - began_s) * 1000 >= timeout_ms
        try:
            found = watcher.look()
            watcher.tell_news()
            ended = outcome(found, goal, late=late)
            if ended is None:
                watcher.tell_why(found, now_s)
            last_seen_s = now_s
        except Failure as failure:
            _bear(failure, now_s - last_seen_s, late=late)
            ended = outcome(found, goal, late=late)
        if ended is not None:
            return ended, found
        time.sleep(POLL_S)


def _bear(failure: Failure, away_s: float, *, late: bool) -> None:
    """A daemon that is away for a moment is no failure."""
    if failure.exit_code != Exit.UNREACHABLE or (away_s > AWAY_MAX_S and not late):
        raise failure

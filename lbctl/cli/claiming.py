"""Waiting for a claim: the pool is held, then every load balancer must read back that nothing reaches it."""

import time
from collections.abc import Callable
from typing import Any

from lbctl.cli.client import Client, quoted
from lbctl.cli.failure import Exit, Failure
from lbctl.cli.waiting import POLL_S, Patience

Json = dict[str, Any]
WAITED_FOR = frozenset({"in_release", "still_called", "claimed", "sessions_kept"})
"""Refusals that end when others go on: the pool is part of a release, serves an old pool of its consumer, or is held by
another."""
ASK_EVERY_S = 2.0


def wait_granted(
    client: Client, service: str, body: Json, timeout_ms: int | None, tell: Callable[[str], None]
) -> tuple[Exit, Json]:
    """Return how the wait ended, and the claim as it was then: `colour` null where none was taken.

    Raises:
        Failure: the claim is refused for good, or taken over by another, or the daemon stayed away for half a minute.
    """
    began_s = time.monotonic()
    patience, claim = Patience(tell, began_s), _Claim(client, service, body, tell)
    while True:
        now_s = time.monotonic()
        late = timeout_ms is not None and (now_s - began_s) * 1000 >= timeout_ms
        try:
            if claim.look(now_s):
                patience.back(now_s)
        except Failure as failure:
            patience.bear(failure, now_s, late=late)
        if claim.found["granted"] or late:
            return Exit.DONE if claim.found["granted"] else Exit.TIMED_OUT, claim.found
        time.sleep(POLL_S)


class _Claim:
    """One claim: asked for until it is taken, then only looked at, so that it takes nothing off the board again."""

    def __init__(self, client: Client, service: str, body: Json, tell: Callable[[str], None]) -> None:
        self._client = client
        self._service = service
        self._body = body
        self._tell = tell
        self._told = ""
        self._ask_at_s = 0.0
        self.found: Json = {"service": service, "colour": None, "granted": False, "proved": False}

    def look(self, now_s: float) -> bool:
        """Ask for it, or read how it stands. False: it was not time to ask, so nothing is known of the daemon."""
        if self.found["colour"] is None:
            if now_s < self._ask_at_s:
                return False
            self._ask_at_s = now_s + ASK_EVERY_S
            self._ask()
            return True
        standing = self._client.get("/v1/status", service=self._service)["services"][self._service]["claim"]
        if standing is None:
            self.found = {**self.found, "colour": None}
        elif standing.get("build", "") != (self._body.get("build") or ""):
            raise _lost(self._service, standing)
        else:
            self.found = {**self.found, "colour": standing["colour"], "granted": standing["granted"]}
            if standing["waits"]:
                self._say(f"{standing['colour']} is held; waits: {standing['waits']}")
        return True

    def _ask(self) -> None:
        try:
            self.found = self._client.post(f"/v1/services/{quoted(self._service)}/claim", self._body)
        except Failure as failure:
            if failure.code not in WAITED_FOR:
                raise
            # How long it has been held is no news.
            self._say(f"waits: {failure.what}", failure.what.rpartition(" for ")[0])
            return
        if not self.found["granted"]:
            self._say(f"{self.found['colour']} is held; waits until every load balancer reads back that it is apart")

    def _say(self, text: str, news: str = "") -> None:
        if (news or text) != self._told:
            self._told = news or text
            self._tell(text)


def _lost(service: str, standing: Json) -> Failure:
    return Failure(
        f"{standing['colour']} of {service} is claimed by {standing.get('build') or standing['by']} now: do not deploy",
        why="the claim was taken over while it was waited for",
        then=f"lbctl status {service}",
        code="claimed_by_another",
        exit_code=Exit.SUPERSEDED,
    )

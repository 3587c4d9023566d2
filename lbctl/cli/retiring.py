"""Waiting for a certificate, and for the start of an undo: what it waits for is told line by line."""

import time
from collections.abc import Callable
from typing import Any

from lbctl.cli.client import Client, quoted
from lbctl.cli.failure import Exit, Failure
from lbctl.cli.screens.retired import reasons
from lbctl.cli.waiting import POLL_S, Patience

Json = dict[str, Any]
TOLD_EVERY_S = 10.0
"""What it waits for has times in it that run: it is told again only then."""
UNDO_S = 60.0
"""How long a release that must end first may take for that."""


def wait_certified(
    client: Client,
    target: str,
    service: str | None,
    timeout_ms: int | None,
    tell: Callable[[str], None],
    pool: str | None = None,
) -> tuple[Exit, Json]:
    """Return how the wait ended, and what was known then.

    Raises:
        Failure: there is no such release or service, or the daemon stayed away for half a minute.
    """
    began_s = time.monotonic()
    patience, told_s = Patience(tell, began_s), -TOLD_EVERY_S
    found: Json = {}
    while True:
        now_s = time.monotonic()
        late = timeout_ms is not None and (now_s - began_s) * 1000 >= timeout_ms
        try:
            found = look(client, target, service, pool)
            patience.back(now_s)
        except Failure as failure:
            patience.bear(failure, now_s, late=late)
        if found and (found["certified"] or found["final"] or late):
            return _ended(found), found
        if late:
            raise Failure("the daemon does not answer", then="systemctl status lbctl", exit_code=Exit.UNREACHABLE)
        if found and now_s - told_s >= TOLD_EVERY_S:
            told_s = now_s
            for line in waiting_lines(found):
                tell(line)
        time.sleep(POLL_S)


def waiting_lines(found: Json) -> list[str]:
    """Return what an old pool waits for and how many sessions it has, a line each."""
    first, *others = reasons(found)
    left = [f"sessions: {found['sessions']['text']}"] if found.get("sessions") else []
    return [f"waits: {first}", *(f"and: {one}" for one in others), *left]


def look(client: Client, target: str, service: str | None, pool: str | None = None) -> Json:
    """Return whether the old pool of a service, or the one that is named, is certified now."""
    return dict(client.get(f"/v1/releases/{quoted(target)}/retired", service=service, pool=pool))


def _ended(found: Json) -> Exit:
    if found["certified"]:
        return Exit.DONE
    return Exit.REFUSED if found["final"] else Exit.TIMED_OUT


def begin_undo(client: Client, name: str, body: Json, tell: Callable[[str], None]) -> Json:
    """Return what an undo began. A release that is just retiring ends first.

    Raises:
        Failure: it is refused, or the last release does not end.
    """
    until_s = time.monotonic() + UNDO_S
    told = False
    while True:
        found = dict(client.post(f"/v1/units/{quoted(name)}/undo", body))
        if not found["again"]:
            return found
        if not told:
            tell(f"release {found['release']} is retiring: {found['did']}")
            told = True
        if time.monotonic() >= until_s:
            what = f"release {found['release']} does not end, so nothing new can begin"
            raise Failure(what, then=f"lbctl why {found['release']}", exit_code=Exit.TIMED_OUT)
        time.sleep(POLL_S)

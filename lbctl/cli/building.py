"""Waiting for a build: on the board until its set is complete, then in its release until the goal or an end."""

import time
from collections.abc import Callable
from typing import Any

from lbctl.cli.client import Client
from lbctl.cli.failure import Exit, Failure
from lbctl.cli.waiting import POLL_S, Patience, wait

Json = dict[str, Any]
LEFT = {
    "superseded": Exit.SUPERSEDED,
    "withdrawn": Exit.BACK_BY_PERSON,
    "refused": Exit.REFUSED,
}
"""How a build can leave the board without a release."""


def wait_build(
    client: Client, build: str, goal: str, timeout_ms: int | None, tell: Callable[[str], None]
) -> tuple[Exit, Json, Json | None]:
    """Return how the wait ended, what became of the build, and its release (None: it is in none).

    Raises:
        Failure: nobody said that this build is ready, or the daemon stayed away for half a minute.
    """
    began_s = time.monotonic()
    while True:
        ended, found = _on_board(client, build, _left_ms(timeout_ms, began_s), tell)
        if ended is not None:
            return ended, found, None
        tell(f"build {build} goes with release {found['release']}")
        left_ms = _left_ms(timeout_ms, began_s)
        after, release = wait(client, str(found["unit"]), str(found["release"]), goal, left_ms, tell)
        if after is not Exit.SUPERSEDED or not _still_goes(client, build, str(found["release"])):
            return after, found, release
        # A newer build of another service ended that release before it began: this one waits for it on the board.
        tell(f"release {found['release']} was superseded by a newer build; {build} waits for it")


def _still_goes(client: Client, build: str, ended: str) -> bool:
    """Whether a build is on the board again, or already in another release, after its own was superseded."""
    found = client.get("/v1/builds", build=build)
    return bool(found["word"] == "waiting" or (found["word"] == "released" and found["release"] != ended))


def _left_ms(timeout_ms: int | None, began_s: float) -> int | None:
    return None if timeout_ms is None else max(0, timeout_ms - int((time.monotonic() - began_s) * 1000))


def _on_board(
    client: Client, build: str, timeout_ms: int | None, tell: Callable[[str], None]
) -> tuple[Exit | None, Json]:
    """Return how it ended on the board and what became of the build; None: it is in a release."""
    began_s = time.monotonic()
    patience, told = Patience(tell, began_s), ""
    found: Json = {"word": "waiting", "build": build, "text": "the daemon did not answer"}
    while True:
        now_s = time.monotonic()
        late = timeout_ms is not None and (now_s - began_s) * 1000 >= timeout_ms
        try:
            found = client.get("/v1/builds", build=build)
            patience.back(now_s)
        except Failure as failure:
            patience.bear(failure, now_s, late=late)
        if found["word"] != "waiting":
            return LEFT.get(found["word"]), found
        if found["text"] != told:
            told = found["text"]
            tell(told)
        if late:
            return Exit.WAITING, found
        time.sleep(POLL_S)

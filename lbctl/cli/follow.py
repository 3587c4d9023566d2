"""What `switch --wait` and `release wait` share: events to stderr, the end to stdout, the outcome as exit code."""

import shlex
from typing import Any

from lbctl.cli.building import wait_build
from lbctl.cli.client import Client
from lbctl.cli.failure import Exit
from lbctl.cli.output import clean, emit, tell
from lbctl.cli.screens.release import summary
from lbctl.cli.waiting import wait

Json = dict[str, Any]


def follow_to_end(client: Client, service: str, release: str, goal: str, timeout_ms: int | None, form: str) -> int:
    """Wait, print, and return the exit code. Ctrl-C detaches: the release is the daemon's, not this call's."""
    try:
        ended, found = wait(client, service, release, goal, timeout_ms, lambda text: tell(clean(text)))
    except KeyboardInterrupt:
        tell(f"detached: release {release} goes on; lbctl release wait {release}, or lbctl rollback {release}")
        return Exit.INTERRUPTED
    if ended is Exit.TIMED_OUT:
        tell(f"the time is over: release {release} goes on; lbctl why {release}")
    emit({"release": found, "waited_for": goal, "exit_code": int(ended)}, form, _end)
    return ended


def follow_build(client: Client, build: str, goal: str, timeout_ms: int | None, form: str) -> int:
    """Wait for a build, print, and return the exit code. Ctrl-C detaches: what is ready stays ready."""
    try:
        ended, found, release = wait_build(client, build, goal, timeout_ms, lambda text: tell(clean(text)))
    except KeyboardInterrupt:
        tell(f"detached: what is ready goes on; lbctl release wait --build {build}")
        return Exit.INTERRUPTED
    if ended is Exit.TIMED_OUT and release is not None:
        tell(f"the time is over: release {release['id']} goes on; lbctl why {release['id']}")
    if ended is Exit.WAITING:
        tell("the time is over: the build stays on the board, and goes when what it waits for is over")
    data = {"build": found, "release": release, "waited_for": goal, "exit_code": int(ended)}
    emit(data, form, _build_end)
    return ended


def _build_end(data: Json) -> str:
    found = data["build"]
    if data["release"] is not None:
        return "\n".join([summary(data["release"]), *_final(data["release"], found)])
    about = " ".join(str(found[key]) for key in ("service", "version") if found.get(key))
    return f"{about}   {BUILD_WORDS[found['word']]}: {found['text']}"


def _final(release: Json, found: Json) -> list[str]:
    """What to do about a build whose release ended before the first user: nothing of it waits any more."""
    if release["phase"] != "cancelled" or release.get("back_by") == "newer":
        return []
    again = shlex.join(["lbctl", "claim", str(found["service"]), "--build", str(found["build"]), "--wait"])
    return [f"  next   it does not go again by itself: {again}, deploy, then say ready"]


BUILD_WORDS = {
    "waiting": "◐ waits",
    "superseded": "✖ superseded",
    "withdrawn": "✖ withdrawn",
    "refused": "✖ refused",
}


def _end(data: Json) -> str:
    return summary(data["release"])

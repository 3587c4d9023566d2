"""What every demo does alike: play on a stage, print what the daemon records, tell the end, leave nothing behind."""

import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from lbctl.demo.child import ChildFailed
from lbctl.demo.control import Control, RefusedError
from lbctl.demo.ground import StageError
from lbctl.demo.screen import Screen
from lbctl.model.units import percent

PHASE_S = 60.0
"""No part of a demo takes longer than that."""
ENDED = {"finished", "rolled_back", "cancelled"}


class Played(Protocol):
    """What happened."""

    @property
    def good(self) -> bool:
        """Whether the demo showed what it promises."""

    def document(self) -> dict[str, Any]:
        """Return the object of `--json`."""

    def table(self) -> str:
        """Return the same for people."""

    def afterwards(self, directory: Path) -> list[str]:
        """Return what can be done with the files that are kept there."""


@dataclass(slots=True)
class Log:
    """What the daemon recorded, kept while it is printed. `blamed`: for whose sake the last release went back."""

    steps: list[dict[str, Any]] = field(default_factory=list)
    blamed: str | None = None

    async def follow(self, control: Control, screen: Screen) -> None:
        """Print every event as it is recorded, and keep the steps; until cancelled."""
        after = 0
        while True:
            for event in (await control.get(f"/v1/events?after={after}&limit=100"))["events"]:
                after = event["id"]
                screen.event(event)
                if event["kind"] == "step.reached":
                    share = percent(event["data"]["share_bp"])
                    self.steps.append({"release": event["release"], "share": share, "at_ms": event["at_ms"]})
                if event["kind"] == "rollback.started":
                    self.blamed = event["data"].get("blamed", event["service"])
            await asyncio.sleep(0.1)


def perform(
    play: Callable[[Screen, Path | None], Awaitable[Played]], *, json_output: bool = False, keep: str | None = None
) -> int:
    """Play; returns the exit code. With `json_output` nothing but one JSON object goes to stdout."""
    screen = Screen(quiet=json_output)
    directory = None if keep is None else Path(keep)
    try:
        played = asyncio.run(_interruptible(play, screen, directory))
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
        print(played.table())
        if directory is not None:
            print("\n" + "\n".join(played.afterwards(directory.resolve())))
    return 0 if played.good else 1


async def _interruptible(
    play: Callable[[Screen, Path | None], Awaitable[Played]], screen: Screen, directory: Path | None
) -> Played:
    """SIGTERM, or a terminal that is closed, ends the demo as Ctrl-C does: through every clean-up."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await play(screen, directory)


async def serves(port: int) -> bool:
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


async def settled(control: Control, port: int, service: str) -> None:
    """Wait until an adopted service stands where it should: every server up, users answered."""
    async with asyncio.timeout(PHASE_S):
        while True:
            status = await control.service(service)
            healthy = all(server["up"] for server in status["servers"].values())
            if healthy and status["observed_share_bp"] == 0 and await serves(port):
                return
            await asyncio.sleep(0.1)


async def share_is(control: Control, service: str, share_bp: int) -> None:
    """Wait until the candidate's share is read back everywhere."""
    async with asyncio.timeout(PHASE_S):
        while (await control.service(service))["observed_share_bp"] != share_bp:
            await asyncio.sleep(0.01)


async def phase_is(control: Control, screen: Screen, service: str, phase: str) -> None:
    """Wait until the release of a service is in a phase."""
    async with asyncio.timeout(PHASE_S):
        while (status := await control.service(service))["phase"] != phase:
            screen.live(status)
            await asyncio.sleep(0.05)


async def certified(control: Control, release: str, service: str) -> dict[str, Any]:
    """Wait until the old pool of a service is certified; returns the answer with the certificate."""
    async with asyncio.timeout(PHASE_S):
        while True:
            found: dict[str, Any] = await control.get(f"/v1/releases/{release}/retired?service={service}")
            if found["certified"]:
                return found
            await asyncio.sleep(0.1)


async def ended(control: Control, screen: Screen, service: str, release: str) -> dict[str, Any]:
    """Wait until a release is over; returns what it was."""
    async with asyncio.timeout(PHASE_S):
        while True:
            status = await control.service(service)
            screen.live(status)
            if status["phase"] in ENDED:
                break
            await asyncio.sleep(0.1)
    found = (await control.get(f"/v1/releases/{release}"))["release"]
    keys = ("id", "phase", "from", "to", "version", "back_by", "outcome", "peak_bp")
    return {key: found[key] for key in keys}

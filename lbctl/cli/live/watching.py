"""`lbctl watch` on a terminal: the status and the newest events, drawn anew, with keys to pause, resume and go back."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lbctl.cli.client import Client, quoted
from lbctl.cli.failure import Failure
from lbctl.cli.live.newest import Newest
from lbctl.cli.live.orders import Order, Prompt, pressed
from lbctl.cli.live.terminal import Terminal
from lbctl.cli.output import clean
from lbctl.cli.screens.lines import event_line
from lbctl.cli.screens.release import changed_screen
from lbctl.cli.screens.status import status_screen
from lbctl.model.units import seconds

Json = dict[str, Any]
EVERY_S = 1.0
RECENT = 8
OLD_S = 3.0
REASON = "by key in lbctl watch"


@dataclass(frozen=True, slots=True)
class Seen:
    """What the daemon said at one time."""

    status: Json
    recent: list[Json]


def watch(daemon: Client, service: str | None) -> None:
    """Follow until `q` is pressed.

    Raises:
        Failure: the daemon does not answer at the beginning. Later that is said on the screen.
    """

    def ask() -> Seen:
        status = clean(daemon.get("/v1/status", service=service))
        return Seen(status, clean(daemon.get("/v1/events", service=service, tail=RECENT)["events"]))

    first = ask()
    with Terminal() as terminal:
        newest = Newest(first, ask, EVERY_S, terminal.wake)
        try:
            _follow(daemon, terminal, newest)
        finally:
            newest.end()


def _follow(daemon: Client, terminal: Terminal, newest: Newest[Seen]) -> None:
    prompt, asking = Prompt(), None
    while True:
        if asking is not None and asking.said is not None:
            prompt, asking = Prompt(said=asking.said), None
            newest.hurry()
        terminal.draw(body(newest.value), [*_stale(newest), *prompt.foot])
        key = terminal.key(EVERY_S)
        if key in {"q", "Q"} and prompt.asked is None:
            return
        if key and asking is None:
            prompt, order = pressed(prompt, key, newest.value.status)
            if order is not None:
                prompt = Prompt(said=(f"◐ asked to {order.word} release {order.release}: no answer yet",))
                asking = Asking(daemon, order, terminal.wake)


class Asking:
    """One order under way, in a thread of its own: a daemon that hangs must not hold the screen up. `said` is what the
    daemon says to it; None: nothing yet. Who quits meanwhile has asked all the same."""

    def __init__(self, daemon: Client, order: Order, told: Callable[[], None]) -> None:
        self.said: tuple[str, ...] | None = None
        threading.Thread(target=self._ask, args=(daemon, order, told), name="order", daemon=True).start()

    def _ask(self, daemon: Client, order: Order, told: Callable[[], None]) -> None:
        try:
            self.said = _done(daemon, order)
        except Exception as error:  # noqa: BLE001 - the screen says it and goes on; a thread's end would be silence
            self.said = (f"✖ lbctl cannot show what lbctld said to {order.word}: {clean(repr(error))}",)
        told()


def body(seen: Seen) -> list[str]:
    """Return the lines of the screen: the status, then the newest events."""
    return [*status_screen(seen.status).splitlines(), "", *map(event_line, seen.recent)]


def _stale(newest: Newest[Seen]) -> list[str]:
    """Say that what is shown is old, and why."""
    trouble, age_s = newest.trouble, time.monotonic() - newest.at_s
    if trouble is None and age_s < OLD_S:
        return []
    why = "the daemon is slow" if trouble is None else clean(trouble.what)
    return [f"! this is {seconds(int(age_s) * 1_000)} old: {why}"]


def _done(daemon: Client, order: Order) -> tuple[str, ...]:
    """Ask for it, and return what the daemon says to it."""
    try:
        found = daemon.post(f"/v1/releases/{quoted(order.release)}/{order.word}", {"reason": REASON})
    except Failure as failure:
        return tuple(f"{'✖ ' * (not at)}{clean(line)}" for at, line in enumerate(failure.render().splitlines()))
    return tuple(changed_screen(clean(found)).splitlines())

"""`lbctl top` on a terminal: pools and servers by what they do now."""

import time
from collections.abc import Callable

from lbctl.cli.live.newest import Newest
from lbctl.cli.live.servers import ORDERS, Look, screen, top
from lbctl.cli.live.terminal import Terminal


def follow(look: Callable[[], Look], every_s: float) -> None:
    """Show it until `q` is pressed."""
    first = look()
    with Terminal() as terminal:
        newest = Newest((first, first), _pairs(look, first), every_s, terminal.wake)
        order = ORDERS[0]
        try:
            while True:
                before, now = newest.value
                old = time.monotonic() - now.at_s > 2 * every_s + 1
                said = ["! the daemon does not answer: this is old"] if old or newest.trouble else []
                terminal.draw(screen(top(before, now), order), ["", *said, f"s sorted by {order}   q quit"])
                key = terminal.key(every_s)
                if key in {"q", "Q"}:
                    return
                if key in {"s", "S"}:
                    order = ORDERS[(ORDERS.index(order) + 1) % len(ORDERS)]
        finally:
            newest.end()


def _pairs(look: Callable[[], Look], first: Look) -> Callable[[], tuple[Look, Look]]:
    """Return what looks again, and gives the look before with it."""
    last = [first]

    def pair() -> tuple[Look, Look]:
        before, last[0] = last[0], look()
        return before, last[0]

    return pair

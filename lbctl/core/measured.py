"""What the load balancers really gave to each pool, beside what they read back. Pure.

Only requests count that nothing but the split decided: no pin, no session. Each draw is independent, so how many of
them a pool got is binomial, and only what chance cannot explain contradicts the share that is set. A request that is
known only since it ended, and took long, may have been drawn by an earlier split: it counts in favour of the load
balancer, or a slow pool would pass for one that is given too little. No requests contradict nothing: with little
traffic a step never waits for this.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from math import sqrt
from typing import NamedTuple

from lbctl.model.names import Colour, InstanceName
from lbctl.model.sessions import Attendance
from lbctl.model.units import BP_FULL, SECOND, Instant, Span, percent, since

SETTLES = Span(5 * SECOND)
"""After a change of the split, requests that were drawn before it still end."""
WINDOW = Span(10 * SECOND)
DEVIATIONS = 5.0
"""Chance alone goes beyond once in a million looks."""


class Draws(NamedTuple):
    """Requests that a split gave a pool: by the split that is set, and by this one or an earlier one."""

    sure: int = 0
    long: int = 0


Drawn = Mapping[InstanceName, Mapping[Colour, Draws]]
NO_DRAWS = Draws()


@dataclass(frozen=True, slots=True)
class Measured:
    """Requests drawn since the split is read back. `bases` are the counts at the begin of this window and of the two
    before it; `began_at` is when this one began; None: not yet."""

    began_at: Instant | None = None
    bases: tuple[Drawn, ...] = ()
    since_reached: Drawn = field(default_factory=dict)


def measure(
    known: Measured, seen: Mapping[InstanceName, Attendance], reached_since: Instant | None, now: Instant
) -> Measured:
    """Return what is known after this tick."""
    if reached_since is None:
        return Measured()
    counts = drawn(seen)
    if known.began_at is None:
        return Measured(now, (counts,), counts) if since(reached_since, now) >= SETTLES else known
    if since(known.began_at, now) >= WINDOW:
        return Measured(now, (*known.bases[-2:], counts), known.since_reached)
    return known


def drawn(seen: Mapping[InstanceName, Attendance]) -> Drawn:
    """Return what every instance has drawn so far."""
    return {
        name: {colour: Draws(one.drawn.get(colour, 0), one.drawn_long.get(colour, 0)) for colour in Colour}
        for name, one in seen.items()
    }


def between(before: Drawn, after: Drawn, name: InstanceName) -> dict[Colour, Draws]:
    """Return what one instance drew between two counts; nothing where it began to count anew."""
    now, then = after.get(name, {}), before.get(name)
    grown = {} if then is None else {colour: _grown(then, now, colour) for colour in Colour}
    if not grown or any(count < 0 for draws in grown.values() for count in draws):
        return dict.fromkeys(Colour, NO_DRAWS)
    return grown


def _grown(then: Mapping[Colour, Draws], now: Mapping[Colour, Draws], colour: Colour) -> Draws:
    before, after = then.get(colour, NO_DRAWS), now.get(colour, NO_DRAWS)
    return Draws(after.sure - before.sure, after.long - before.long)


def explained(draws: Mapping[Colour, Draws], to: Colour, share_bp: int) -> bool:
    """Whether chance explains what was drawn, if just as many of the long ones as fit were drawn by the set split."""
    count, total = draws[to].sure, sum(one.sure for one in draws.values())
    short_by = total * share_bp // BP_FULL - count
    if short_by >= 0:
        more = _at_most(draws[to].long, short_by, BP_FULL - share_bp)
        return agrees(count + more, total + more, share_bp)
    return agrees(count, total + _at_most(draws[to.other].long, -short_by, share_bp), share_bp)


def _at_most(long: int, short_by: int, part_bp: int) -> int:
    """Return how many more make up for what is short, where each makes up for `part_bp` of one."""
    return min(long, short_by * BP_FULL // part_bp) if part_bp else long


def agrees(count: int, total: int, share_bp: int) -> bool:
    """Whether chance explains that a pool with this share got `count` of `total` requests."""
    part = share_bp / BP_FULL
    slack = DEVIATIONS * sqrt(total * part * (1 - part)) + DEVIATIONS**2 / 3
    return abs(count - total * part) <= slack


def contradiction(known: Measured, seen: Mapping[InstanceName, Attendance], to: Colour, share_bp: int) -> str:
    """Return which instance gives a pool another share than it reads back; empty if none does. The last whole window
    must say so, and this one or the one before it: a window that has just begun takes nothing back."""
    if len(known.bases) < 2:
        return ""
    counts = (*known.bases, drawn(seen))
    for name in seen:
        windows = [between(before, after, name) for before, after in pairwise(counts)]
        *earlier, whole, this = [not explained(draws, to, share_bp) for draws in windows]
        if whole and (this or any(earlier)):
            drew = {colour: one.sure for colour, one in between(known.bases[-2], counts[-1], name).items()}
            got = percent(round(drew[to] * BP_FULL / max(1, sum(drew.values()))))
            part = f"{got} of {sum(drew.values())} new requests"
            return f"{name} gave {to} {part}, and {percent(share_bp)} is set and read back"
    return ""

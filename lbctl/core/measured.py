"""What the load balancers really gave to each pool, beside what they read back. Pure.

Only requests count that nothing but the split decided: no pin, no session. Each draw is independent, so how many of
them a pool got is binomial, and only what chance cannot explain contradicts the share that is set. No requests
contradict nothing: with little traffic a step never waits for this.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from math import sqrt

from lbctl.model.names import Colour, InstanceName
from lbctl.model.sessions import Attendance
from lbctl.model.units import BP_FULL, SECOND, Instant, Span, percent, since

SETTLES = Span(5 * SECOND)
"""After a change of the split, requests that were drawn before it still end."""
WINDOW = Span(10 * SECOND)
DEVIATIONS = 5.0
"""Chance alone goes beyond once in a million looks."""

Drawn = Mapping[InstanceName, Mapping[Colour, int]]


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
    counts = {name: dict(one.drawn) for name, one in seen.items()}
    if known.began_at is None:
        return Measured(now, (counts,), counts) if since(reached_since, now) >= SETTLES else known
    if since(known.began_at, now) >= WINDOW:
        return Measured(now, (*known.bases[-2:], counts), known.since_reached)
    return known


def between(before: Drawn, after: Drawn, name: InstanceName) -> dict[Colour, int]:
    """Return what one instance drew between two counts; nothing where it began to count anew."""
    now, then = after.get(name, {}), before.get(name)
    if then is None or any(now.get(colour, 0) < then.get(colour, 0) for colour in Colour):
        return dict.fromkeys(Colour, 0)
    return {colour: now.get(colour, 0) - then.get(colour, 0) for colour in Colour}


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
    now = {name: one.drawn for name, one in seen.items()}
    counts = (*known.bases, now)
    for name in seen:
        windows = [between(before, after, name) for before, after in pairwise(counts)]
        *earlier, whole, this = [not agrees(one[to], sum(one.values()), share_bp) for one in windows]
        if whole and (this or any(earlier)):
            drew = between(known.bases[-2], now, name)
            got = percent(round(drew[to] * BP_FULL / max(1, sum(drew.values()))))
            part = f"{got} of {sum(drew.values())} new requests"
            return f"{name} gave {to} {part}, and {percent(share_bp)} is set and read back"
    return ""

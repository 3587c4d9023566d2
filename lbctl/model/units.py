"""Units: time in whole milliseconds of lbctl time, shares in basis points. Never a float in state."""

from typing import NewType

Instant = NewType("Instant", int)
"""Milliseconds of lbctl time: CLOCK_BOOTTIME within a boot, continued from the last recorded value after one."""

Span = NewType("Span", int)
"""A length of time in milliseconds."""

BP_FULL = 10_000
"""100 % in basis points (1 bp = 0.01 %)."""

SECOND = Span(1_000)
MINUTE = Span(60_000)
HOUR = Span(3_600_000)
DAY = Span(86_400_000)


def after(instant: Instant, span: Span) -> Instant:
    """Return the instant `span` later."""
    return Instant(instant + span)


def since(earlier: Instant, now: Instant) -> Span:
    """Return how long ago `earlier` was; never negative, so that a repaired clock cannot make a timer run backwards."""
    return Span(max(0, now - earlier))


def percent(share_bp: int) -> str:
    """Return a share for people: `25 %`, `0.5 %`, `100 %`."""
    return f"{share_bp / 100:g} %"


def seconds(span: int) -> str:
    """Return a span for people: `850ms`, `2s`, `4m12s`, `1h05m`."""
    if 0 < span < SECOND:
        return f"{span}ms"
    whole = span // SECOND
    if whole < 60:
        return f"{span / 1000:.3g}s" if span % SECOND and whole < 10 else f"{whole}s"
    if whole < 3_600:
        return f"{whole // 60}m{whole % 60:02d}s" if whole % 60 else f"{whole // 60}m"
    return f"{whole // 3_600}h{whole % 3_600 // 60:02d}m" if whole % 3_600 >= 60 else f"{whole // 3_600}h"

"""How fast the sessions of a draining pool become fewer by themselves: measured, for the time that is left. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import log

from lbctl.model.names import Colour, ServiceName
from lbctl.model.sessions import Leaving
from lbctl.model.units import MINUTE, SECOND, Instant, Span, since

EVERY = Span(10 * SECOND)
KEPT = 60
"""Counts that are kept: those of the last ten minutes."""
LEAST = Span(MINUTE)
"""A shorter time says nothing about a half-life."""


@dataclass(frozen=True, slots=True)
class Ebb:
    """The counts of one pool's sessions since it drains, oldest first."""

    counts: tuple[tuple[Instant, int], ...] = ()

    @property
    def now(self) -> int:
        """The last count."""
        return self.counts[-1][1]

    @property
    def half_life(self) -> Span | None:
        """In how much time half of them go by themselves; None: not measured yet, or they do not become fewer."""
        (began, first), (at, last) = self.counts[0], self.counts[-1]
        if since(began, at) < LEAST or not 0 < last < first:
            return None
        return Span(round(since(began, at) * log(2) / log(first / last)))


Ebbs = Mapping[tuple[ServiceName, Colour], Ebb]


def ends_in(leaving: Leaving, count: int | None, ebb: Ebb | None) -> Span | None:
    """Return how long it takes until none is left, by the rate or by the half-life; None: nobody can say."""
    if count is None:
        return None
    if leaving.per_second is not None:
        return Span(count * SECOND // leaving.per_second)
    half_life = None if ebb is None else ebb.half_life
    return None if half_life is None else Span(round(half_life * log(max(1, count) + 1) / log(2)))

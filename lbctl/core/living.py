"""Who of those who came lately is still there. Nobody tells a load balancer that a session has ended. Pure.

A session is alive that was not away for longer than a bound: twice the longest of its own last absences, as long as
nearly all others stay away, and half a minute at least. Who was seen only once may come back as late as is remembered,
until ten minutes were watched.

Who left within the bound looks like one who reads a page. Where sessions leave steadily, as many are taken off as left
before; a crowd that left at once says nothing about those who are here. What cannot be told counts as alive: a move
becomes slower by it, never faster.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from lbctl.core.rollcall import REMEMBERED, REMEMBERED_S
from lbctl.model.sessions import Visits
from lbctl.model.units import SECOND, Span

FLOOR_S = 30
PATIENCE = 2
NEARLY_ALL = 0.95
SLICES = 3
"""Over so many times the floor the same part must have left before it is taken off."""
LEAST = 0.5
"""At least so much of those who seem to be there is there, whatever left before."""


class Met(NamedTuple):
    """A bucket somebody came from: for how long nobody has, and how long it stayed away before (0: never yet)."""

    away_s: int
    longest_s: int


@dataclass(frozen=True, slots=True)
class Living:
    """The buckets of sessions that are alive, ascending, and what part of them still is, by how many left before."""

    buckets: tuple[int, ...]
    part: float = 1.0


def living(visits: Sequence[Visits], level: int, watched: Span) -> Living:
    """Return who is alive of the buckets below a level, by all instances together."""
    met = _met(visits, level)
    usual_s = _usual_s(met.values(), max(1, level), min((one.learned_s for one in visits), default=0))
    once_s = usual_s if usual_s and watched >= REMEMBERED else REMEMBERED_S
    bounds = {bucket: _bound_s(one, usual_s, once_s) for bucket, one in met.items()}
    here = sorted(bucket for bucket, one in met.items() if one.away_s <= bounds[bucket])
    if not here:
        # All of them at once: that is an outage, or they are paid for in vain once.
        return Living(tuple(sorted(met)))
    bound_s = sum(bounds[bucket] for bucket in here) / len(here)
    over = [one.away_s - bounds[bucket] for bucket, one in met.items()]
    whole = watched >= (bound_s + SLICES * FLOOR_S) * SECOND
    stays = (1 - min(_left(over, len(here)))) ** (bound_s / FLOOR_S) if whole else 1.0
    return Living(tuple(here), max(LEAST, stays))


def _met(visits: Sequence[Visits], level: int) -> Mapping[int, Met]:
    """Whoever comes by several instances was away from each for longer than from all: that only makes it slower."""
    found: dict[int, Met] = {}
    for one in visits:
        for bucket, last_s in one.last_s.items():
            if bucket < level:
                met, other = Met(one.now_s - last_s, one.longest_s.get(bucket, 0)), found.get(bucket)
                found[bucket] = met if other is None else Met(min(met[0], other[0]), max(met[1], other[1]))
    return found


def _usual_s(met: Collection[Met], level: int, learned_s: int) -> int:
    """Return how long nearly all who came back had stayed away at most; 0: nobody did yet.

    Of absences longer than the watch only some were seen: each stands for those that were not. And a new session may
    get the bucket of one that left, which then seems to have been away for long: the more buckets of all are
    remembered, the more of the longest absences are such, and are left out.
    """
    absences = sorted(one.longest_s for one in met if one.longest_s)
    weights = [max(away_s, learned_s) for away_s in absences]
    sums = accumulate(weights)
    enough = NEARLY_ALL * (1 - len(met) / level) * sum(weights)
    return next((away_s for away_s, total in zip(absences, sums, strict=True) if total >= enough), 0)


def _bound_s(one: Met, usual_s: int, once_s: int) -> int:
    return max(FLOOR_S, usual_s, PATIENCE * one.longest_s) if one.longest_s else max(FLOOR_S, once_s)


def _left(over: Sequence[int], here: int) -> Iterator[float]:
    """Yield what part of those who were there left in each slice of time before, the last one first."""
    there = here
    for number in range(SLICES):
        left = sum(number * FLOOR_S < one <= (number + 1) * FLOOR_S for one in over)
        there += left
        yield left / there

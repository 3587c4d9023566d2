"""Who of those who came lately is still there. Nobody tells a load balancer that a session has ended. Pure.

A session is alive that was not away for longer than a bound: twice the longest of its own last absences, as long as
nearly all others stay away, and half a minute at least. Who was seen only once may come back as late as is remembered,
until ten minutes were watched.

Who left within the bound looks like one who reads a page. Where sessions leave steadily, as many are taken off as left
before; a crowd that left at once says nothing about those who are here. What cannot be told counts as alive: a move
becomes slower by it, never faster.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

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


Seconds = Mapping[int, int]
"""By bucket."""


@dataclass(frozen=True, slots=True)
class Living:
    """The buckets of sessions that are alive, ascending, and what part of them still is, by how many left before."""

    buckets: tuple[int, ...]
    part: float = 1.0


def living(visits: Sequence[Visits], level: int, watched: Span) -> Living:
    """Return who is alive of the buckets below a level, by all instances together."""
    away_s, longest_s = _together(visits, level)
    usual_s = _usual_s(longest_s, len(away_s) / max(1, level), min((one.learned_s for one in visits), default=0))
    bound_s = max(FLOOR_S, usual_s)
    once_s = bound_s if usual_s and watched >= REMEMBERED else REMEMBERED_S
    # Only of those beyond what all are given is asked what they need themselves: there may be thousands of others.
    late = [bucket for bucket, away in away_s.items() if away > bound_s]
    over = {one: away_s[one] - max(bound_s, PATIENCE * longest_s.get(one, 0) or once_s) for one in late}
    here = away_s.keys() - {bucket for bucket, by_s in over.items() if by_s > 0}
    if not here:
        # All of them at once: that is an outage, or they are paid for in vain once.
        return Living(tuple(sorted(away_s)))
    own_s = sum(max(bound_s, PATIENCE * absence) for absence in longest_s.values())
    mean_s = (own_s + once_s * (len(away_s) - len(longest_s))) / len(away_s)
    whole = watched >= (mean_s + SLICES * FLOOR_S) * SECOND
    left = min(_left([*over.values()], len(here))) if whole else 0.0
    return Living(tuple(sorted(here)), max(LEAST, (1 - left) ** (mean_s / FLOOR_S)))


def _together(visits: Sequence[Visits], level: int) -> tuple[Seconds, Seconds]:
    """Return for how long nobody came, and how long each stayed away before, where he came back.

    Whoever comes by several instances was away from each for longer than from all: that only makes a move slower.
    """
    away_s: dict[int, int] = {}
    longest_s: dict[int, int] = {}
    for one in visits:
        away = {bucket: one.away_s(last_s) for bucket, last_s in one.last_s.items() if bucket < level}
        known = {bucket: absence for bucket, absence in one.longest_s.items() if bucket < level}
        twice = away.keys() & away_s.keys()
        away_s |= away | {bucket: min(away[bucket], away_s[bucket]) for bucket in twice}
        longest_s |= {bucket: max(absence, longest_s.get(bucket, 0)) for bucket, absence in known.items()}
    return away_s, longest_s


def _usual_s(longest_s: Seconds, shared: float, learned_s: int) -> int:
    """Return how long nearly all who came back had stayed away at most; 0: nobody did yet.

    Of absences longer than the watch only some were seen: each stands for those that were not. And a new session may
    get the bucket of one that left, which then seems to have been away for long: the more buckets of all are
    remembered (`shared`), the more of the longest absences are such, and are left out.
    """
    absences = sorted(longest_s.values())
    weights = [max(away_s, learned_s) for away_s in absences]
    enough = NEARLY_ALL * (1 - shared) * sum(weights)
    return next((away_s for away_s, total in zip(absences, accumulate(weights), strict=True) if total >= enough), 0)


def _left(over: Sequence[int], here: int) -> Iterator[float]:
    """Yield what part of those who were there left in each slice of time before, the last one first."""
    there = here
    for number in range(SLICES):
        left = sum(number * FLOOR_S < one <= (number + 1) * FLOOR_S for one in over)
        there += left
        yield left / there

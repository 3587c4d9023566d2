"""Whether something grows: a line through what was seen."""

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

Seen = tuple[float, float]
"""Seconds, and what was seen then."""


def growth(seen: Sequence[Seen]) -> float:
    """Return how much the second half of the time grew, by the median of all slopes between its points (Theil, Sen):
    a single outlier, as a burst of garbage is, moves it nowhere. 0 for fewer than three points."""
    begins, ends = seen[0][0] if seen else 0.0, seen[-1][0] if seen else 0.0
    later = [one for one in seen if one[0] >= (begins + ends) / 2]
    if len(later) < 3:
        return 0.0
    slopes = [(b - a) / (t - s) for at, (s, a) in enumerate(later) for t, b in later[at + 1 :] if t > s]
    return median(slopes) * (later[-1][0] - later[0][0])


def highest_step(seen: Sequence[Seen]) -> float:
    """Return the largest rise between two neighbours."""
    return max((b - a for (_, a), (_, b) in pairwise(seen)), default=0.0)

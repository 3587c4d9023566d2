"""The bets: what one block of counts is worth as evidence, for each guess of how bad the fault is.

A bet multiplies a stake by a pay-off whose mean is at most 1 as long as nothing is wrong, whatever active's
true ratio is and however it moves: so a stake that has grown a thousandfold happens in at most one of a
thousand healthy releases. All results are natural logarithms, so no total is too large.

Candidate factor per request: 1 + s(bad - y); active factor per request: 1 - h(bad - x), with y = d + r x on the
border of what is tolerated and b h = r s g. Each factor is linear in its rate, hence by the inequality of
arithmetic and geometric means the mean of the product is at most 1 wherever p_candidate <= d + r p_active.
A poor guess of x or of the fault costs speed, never that promise.
"""

from dataclasses import dataclass
from math import log, log1p, sqrt

from lbctl.core.judge.terms import Counts

EXPERTS = 8
_WORST = 0.98
# The mildest fault bet on, as a multiple of what is tolerated. 2 was tried: it halves the speed near the border.
_MILDEST = 1.4
_BISECTIONS = 16
# The hedge may lose at most this part of a stake on one bad request of active.
_HEDGE_MAX = 0.98


def alternatives(tolerated: float) -> tuple[float, ...]:
    """Return the fault ratios that are bet on: geometric from just above `tolerated` to nearly all."""
    mildest = min(_MILDEST * tolerated, _WORST)
    step = (_WORST / mildest) ** (1.0 / (EXPERTS - 1))
    return tuple(mildest * step**index for index in range(EXPERTS))


@dataclass(frozen=True, slots=True)
class Border:
    """What is tolerated, p_candidate <= absolute + relative x p_active, and where active is guessed to be.

    `active_ratio` in (0, 1) is the guess from before the block; nothing learned inside the block may enter it.
    The totals of the block may: the promise holds for given totals.
    """

    absolute: float
    relative: float
    active_ratio: float

    def at(self, active_ratio: float) -> float:
        """Return the highest candidate ratio tolerated when active has `active_ratio`."""
        return self.absolute + self.relative * active_ratio


def compared(candidate: Counts, active: Counts, border: Border) -> tuple[float, ...]:
    """Return the log pay-off of each expert for one block in which both colours had requests."""
    return tuple([_hedged(candidate, active, q, border) for q in alternatives(border.at(border.active_ratio))])


def alone(counts: Counts, limit: float) -> tuple[float, ...]:
    """Return the log pay-off of each expert against "this colour's ratio is at most `limit`" (0 < limit < 1)."""
    good = counts.total - counts.bad
    return tuple(
        counts.bad * log(q / limit) + good * log((1.0 - q) / (1.0 - limit)) if q > limit else 0.0
        for q in alternatives(limit)
    )


def _hedged(candidate: Counts, active: Counts, q: float, border: Border) -> float:
    x = _active_guess(candidate.total, active.total, q, border)
    y = border.at(x)
    if y >= q:
        return 0.0  # This fault would be tolerated: nothing to bet on.
    s = (q - y) / (y * (1.0 - y))
    h = border.relative * s * candidate.total / active.total
    most = _HEDGE_MAX / (1.0 - x)
    if h > most:
        s, h = s * most / h, most
    return (
        candidate.bad * log1p(s * (1.0 - y))
        + (candidate.total - candidate.bad) * log1p(-s * y)
        + active.bad * log1p(-h * (1.0 - x))
        + (active.total - active.bad) * log1p(h * x)
    )


def _active_guess(candidate_total: int, active_total: int, q: float, border: Border) -> float:
    """Return active's ratio on the border that explains "candidate at q, active as guessed" best.

    It is the minimum of the two weighted information distances (the reverse information projection): the slope
    falls from active's guessed ratio to the point where the candidate is tolerated, so bisection finds its root.
    """
    d, r, guessed = border.absolute, border.relative, border.active_ratio
    low, high = guessed, min((q - d) / r, 1.0 - 1e-9)
    if high <= low:
        return low
    for _ in range(_BISECTIONS):
        x = sqrt(low * high)
        y = d + r * x
        rising = r * candidate_total * (q - y) * x * (1.0 - x)
        falling = active_total * (x - guessed) * y * (1.0 - y)
        low, high = (x, high) if rising > falling else (low, x)
    return sqrt(low * high)

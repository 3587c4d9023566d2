"""How many candidate requests the judge needs to see a fault, and how long they take to come. Arithmetic only.

One candidate request, with the active ones that come beside it, is worth a random log pay-off to each of the judge's
experts. After n of them an expert has won at least `gain n - 1.28 sigma sqrt(n)` with a chance of 90 %; the fault is
seen when that reaches the odds of a rollback and what the stakes have cost. Bursts of errors (dispersion) make every
request worth less. The bets are those the judge makes, not a copy of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf, log, sqrt

from lbctl.core.judge import Counts
from lbctl.core.judge.bets import Border, compared
from lbctl.model.units import BP_FULL

POWER_Z = 1.28
"""One-sided 90 % of the normal distribution."""
STAKES_LOG = 5.0
"""What it costs that neither the size of the fault nor its step was known beforehand."""
_TICKS_S = 0.6
# Requests are whole, and the first ones come late: two more, and the spread of a small number of them.
_WHOLE_COUNT = 2.0
_SPREAD_COUNT_MAX = 30.0


@dataclass(frozen=True, slots=True)
class Payoff:
    """One expert's log pay-off of a candidate request and the active requests that come with it.

    `quiet` is paid when all of them are good; a bad one of the candidate adds `bad`, each bad one of active adds
    `active_bad` (a loss). `active_count` active requests come with one of the candidate.
    """

    quiet: float
    bad: float
    active_bad: float
    active_count: float

    def mean(self, fault_ratio: float, active_ratio: float) -> float:
        """Return the expected gain when the candidate fails with `fault_ratio`."""
        return self.quiet + fault_ratio * self.bad + self.active_count * active_ratio * self.active_bad

    def variance(self, fault_ratio: float, active_ratio: float) -> float:
        """Return its variance."""
        own = fault_ratio * (1.0 - fault_ratio) * self.bad**2
        return own + self.active_count * active_ratio * (1.0 - active_ratio) * self.active_bad**2


def payoffs(share_bp: int, border: Border) -> tuple[Payoff, ...]:
    """Return what the judge's experts bet at a share in 1..9999 bp, active being where `border` guesses it."""
    candidate, active = share_bp, BP_FULL - share_bp
    # A pay-off is a sum over requests: three corners of the counts tell all of it.
    quiet = compared(Counts(candidate, 0), Counts(active, 0), border)
    bad = compared(Counts(candidate, candidate), Counts(active, 0), border)
    active_bad = compared(Counts(candidate, 0), Counts(active, active), border)
    return tuple(
        Payoff(q / candidate, (b - q) / candidate, (a - q) / active, active / candidate)
        for q, b, a in zip(quiet, bad, active_bad, strict=True)
    )


def count_to_see(
    fault_ratio: float, bets: Iterable[Payoff], border: Border, *, dispersion: float, false_rollback: float
) -> float:
    """Return how many candidate requests show `fault_ratio` with 90 % power; infinite for what is tolerated."""
    if fault_ratio <= border.at(border.active_ratio):
        return inf
    target = -log(false_rollback) + STAKES_LOG
    pairs = [
        (bet.mean(fault_ratio, border.active_ratio), bet.variance(fault_ratio, border.active_ratio)) for bet in bets
    ]
    count = min((_count(mean / dispersion, sqrt(var / dispersion), target) for mean, var in pairs), default=inf)
    return count + _WHOLE_COUNT + POWER_Z * sqrt(min(count, _SPREAD_COUNT_MAX))


def _count(gain: float, sigma: float, target: float) -> float:
    """Return the smallest n with gain n - z sigma sqrt(n) >= target."""
    if gain <= 0.0:
        return inf
    spread = POWER_Z * sigma
    return ((spread + sqrt(spread**2 + 4.0 * gain * target)) / (2.0 * gain)) ** 2


def seconds_for(count: float, candidate_rps: float) -> float:
    """Return how long `count` candidate requests take, with the ticks a decision takes; infinite without traffic."""
    return count / candidate_rps + _TICKS_S if candidate_rps > 0.0 else inf


def count_in(span_s: float, candidate_rps: float) -> float:
    """Return how many candidate requests a span brings that are also decided on: the inverse of `seconds_for`."""
    return max(0.0, span_s - _TICKS_S) * candidate_rps

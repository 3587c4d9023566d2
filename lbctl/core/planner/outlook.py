"""What each step of a plan will see of a fault that begins with it, and how long it must last to see enough."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, inf, isfinite, sqrt

from lbctl.core.planner.power import Payoff, count_in, count_to_see, payoffs, seconds_for
from lbctl.core.planner.traffic import Aim, Traffic
from lbctl.model.topology import Plan, PlanMode
from lbctl.model.units import BP_FULL, SECOND, Span

_BISECTIONS = 40
# Of the requests that `hold.max` should bring, so many are planned with: traffic is not as even as its mean.
PLANNED_PART = 0.8


@dataclass(frozen=True, slots=True)
class Outlook:
    """One step under today's traffic.

    `needed_count` and `needed_s`: candidate requests and seconds that show `target_rate` with 90 % power, infinite
    where nothing can. `sees_ratio`: the smallest fault that the step as planned shows, None if not even total failure.
    `evidence_count`: requests that must be judged before it is done, 0 where only time counts; `lasts` is how long
    that makes it. At 100 % active has no traffic to compare with: nothing is seen by comparison.
    """

    share_bp: int
    needed_count: float
    needed_s: float
    sees_ratio: float | None
    evidence_count: int
    lasts: Span

    @property
    def compared(self) -> bool:
        """Whether both pools get requests at this step."""
        return self.share_bp < BP_FULL

    def short(self, target_rate: float) -> bool:
        """Whether a fault of `target_rate` may pass this step unseen."""
        return self.compared and (self.sees_ratio is None or self.sees_ratio > target_rate)


def outlooks(plan: Plan, mode: PlanMode, aim: Aim, traffic: Traffic) -> tuple[Outlook, ...]:
    """Return one outlook for each step of the plan."""
    return tuple(_outlook(share_bp, plan, mode, aim, traffic) for share_bp in plan.steps_bp)


def needed_s(share_bp: int, aim: Aim, traffic: Traffic) -> float:
    """Return how long a step must last to see the target rate; infinite where no length suffices."""
    if share_bp >= BP_FULL:
        return inf
    return _Step.of(share_bp, aim, traffic).seconds(aim.target_rate)


def sees_in(share_bp: int, span_s: float, aim: Aim, traffic: Traffic) -> float | None:
    """Return the smallest fault ratio that a step of `span_s` seconds shows; None if not even total failure."""
    if share_bp >= BP_FULL:
        return None
    return _Step.of(share_bp, aim, traffic).sees(span_s)


@dataclass(frozen=True, slots=True)
class _Step:
    share_bp: int
    bets: Sequence[Payoff]
    aim: Aim
    traffic: Traffic

    @staticmethod
    def of(share_bp: int, aim: Aim, traffic: Traffic) -> "_Step":
        return _Step(share_bp, payoffs(share_bp, aim.border(traffic)), aim, traffic)

    @property
    def rps(self) -> float:
        return self.traffic.candidate_rps(self.share_bp)

    def count(self, fault_ratio: float) -> float:
        return count_to_see(
            fault_ratio,
            self.bets,
            self.aim.border(self.traffic),
            dispersion=self.traffic.dispersion,
            false_rollback=self.aim.false_rollback,
        )

    def seconds(self, fault_ratio: float) -> float:
        return seconds_for(self.count(fault_ratio), self.rps)

    def sees(self, span_s: float) -> float | None:
        border = self.aim.border(self.traffic)
        low, high = border.at(border.active_ratio), 1.0
        if self.seconds(high) > span_s:
            return None
        for _ in range(_BISECTIONS):
            middle = sqrt(low * high)
            low, high = (low, middle) if self.seconds(middle) <= span_s else (middle, high)
        return high


def _outlook(share_bp: int, plan: Plan, mode: PlanMode, aim: Aim, traffic: Traffic) -> Outlook:
    if share_bp >= BP_FULL:
        return Outlook(share_bp, inf, inf, None, 0, plan.bake)
    step = _Step.of(share_bp, aim, traffic)
    count = step.count(aim.target_rate)
    evidence = 0 if mode is PlanMode.WARN else _evidence(count, plan, step.rps)
    waits_s = seconds_for(evidence, step.rps) if evidence and mode is PlanMode.AUTO else 0.0
    lasts_s = max(plan.hold_min / SECOND, waits_s)
    return Outlook(
        share_bp=share_bp,
        needed_count=count,
        needed_s=seconds_for(count, step.rps),
        sees_ratio=step.sees(lasts_s + 1e-6),
        evidence_count=evidence,
        lasts=Span(round(lasts_s * SECOND)),
    )


def _evidence(count: float, plan: Plan, candidate_rps: float) -> int:
    """Return how many requests to wait for: what the target needs, but no more than `hold.max` should bring."""
    most = floor(PLANNED_PART * count_in(plan.hold_max / SECOND, candidate_rps))
    return min(ceil(count), most) if isfinite(count) else 0

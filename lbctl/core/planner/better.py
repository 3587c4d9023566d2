"""The better plan: the same steps where they can see enough within `hold.max`, else fewer and larger ones."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil

from lbctl.core.planner.outlook import PLANNED_PART, Outlook, needed_s, outlooks, sees_in
from lbctl.core.planner.traffic import Aim, Traffic
from lbctl.model.topology import Plan, PlanMode
from lbctl.model.units import BP_FULL, DAY, MINUTE, SECOND, Span

HALF_BP = 5_000
"""More than half of the traffic adds risk, but nothing to compare with."""
# A hold is named in whole seconds that people like: up to a length, in steps of so many.
_ROUND_TO = ((MINUTE, 5 * SECOND), (10 * MINUTE, 30 * SECOND), (120 * MINUTE, MINUTE), (DAY, 15 * MINUTE))


@dataclass(frozen=True, slots=True)
class Better:
    """Steps and hold that see more. `sees_ratio` is the smallest fault that its weakest step shows."""

    steps_bp: tuple[int, ...]
    hold: Span
    sees_ratio: float
    until_full: Span
    """How long it is at least until 100 %."""


def blind(seen: tuple[Outlook, ...], target_rate: float) -> bool:
    """Whether a fault of `target_rate` may pass a step of the plan unseen, or no step compares at all."""
    return any(one.short(target_rate) for one in seen) or not any(one.compared for one in seen)


def better(plan: Plan, mode: PlanMode, aim: Aim, traffic: Traffic) -> Better | None:
    """Return a plan that sees more than `plan`; None if that sees enough already, or if none does.

    Small steps stay where each can see `target_rate` within `hold.max`, and all together within twice that. If no
    plan sees it within a day, the one that sees most within `hold.max` is returned.
    """
    if not blind(outlooks(plan, mode, aim, traffic), aim.target_rate):
        return None
    for steps in _choices(plan, mode, aim, traffic):
        needed = max(needed_s(step, aim, traffic) for step in steps)
        if needed <= DAY / SECOND:
            found = _as_plan(steps, _hold(needed, plan, mode), plan, mode, aim, traffic)
            if found is not None and found.until_full <= max(2 * plan.hold_max, found.hold):
                return found
    return _as_plan((HALF_BP,), plan.hold_max, plan, mode, aim, traffic)


def _choices(plan: Plan, mode: PlanMode, aim: Aim, traffic: Traffic) -> Iterator[tuple[int, ...]]:
    most_s = plan.hold_max / SECOND * (PLANNED_PART if mode is PlanMode.AUTO else 1.0)
    able = [step for step in plan.steps_bp if needed_s(step, aim, traffic) <= most_s]
    for dropped in range(len(able)):
        yield tuple(able[dropped:])
    yield (HALF_BP,)


def _hold(needed: float, plan: Plan, mode: PlanMode) -> Span:
    """Return the hold that gives every step what it needs; in `auto` steps last as long as they must by themselves."""
    if mode is PlanMode.AUTO and needed <= PLANNED_PART * plan.hold_max / SECOND:
        return plan.hold_min
    return Span(max(plan.hold_min, _rounded(needed)))


def _rounded(span_s: float) -> int:
    grain = next((grain for most, grain in _ROUND_TO if span_s * SECOND <= most), 15 * MINUTE)
    return ceil(span_s * SECOND / grain) * grain


def _as_plan(
    steps: tuple[int, ...], hold: Span, plan: Plan, mode: PlanMode, aim: Aim, traffic: Traffic
) -> Better | None:
    # As `--hold` does: a longer hold than `hold.max` gets the same time again to be done.
    hold_max = plan.hold_max if hold < plan.hold_max else Span(2 * hold)
    changed = replace(plan, steps_bp=(*steps, BP_FULL), hold_min=hold, hold_max=hold_max)
    seen = [one for one in outlooks(changed, mode, aim, traffic) if one.compared]
    found = [sees_in(one.share_bp, one.lasts / SECOND, aim, traffic) for one in seen]
    ratios = [ratio for ratio in found if ratio is not None]
    if len(ratios) < len(found):
        return None
    return Better(
        steps_bp=changed.steps_bp,
        hold=hold,
        sees_ratio=max(ratios),
        until_full=Span(sum(one.lasts for one in seen)),
    )

"""How the planner's numbers read in a sentence for an operator."""

from math import isfinite

from lbctl.core.planner.better import Better
from lbctl.core.planner.outlook import Outlook
from lbctl.core.planner.traffic import Aim, Traffic
from lbctl.model.topology import Plan
from lbctl.model.units import SECOND, percent, seconds


def ratio_words(ratio: float) -> str:
    """Return a ratio to two places that count: `41 %`, `4.7 %`, `0.34 %`."""
    return f"{100 * ratio:.0f} %" if ratio >= 0.0995 else f"{100 * ratio:.2g} %"


def rate_words(rps: float) -> str:
    """Return a rate: `1200 rps`, `5 rps`, `0.25 rps`."""
    return f"{rps:.0f} rps" if rps >= 9.95 else f"{rps:.2g} rps"


def span_words(span_s: float) -> str:
    """Return a length of time, `more than a year` where the number says nothing."""
    if span_s > 365 * 86_400:
        return "more than a year"
    if span_s > 2 * 86_400:
        return f"{span_s / 86_400:.0f} days"
    return seconds(round(span_s * 10) * 100 if span_s < 10 else round(span_s) * SECOND)


def traffic_words(traffic: Traffic) -> str:
    """Return what the plan was made for."""
    dispersion = f"dispersion {traffic.dispersion:.2g} ({traffic.dispersion_from.value})"
    return f"{rate_words(traffic.rps)}, active {ratio_words(traffic.active_bad_ratio)} bad, {dispersion}"


def step_words(outlook: Outlook, plan: Plan, aim: Aim, traffic: Traffic) -> str:
    """Return what a step sees, how long it must last, and what it waits for."""
    if not outlook.compared:
        return f"bake {seconds(plan.bake)}: {_uncompared(traffic)}"
    if outlook.evidence_count:
        sees = _sees(outlook, aim).partition(" (")[0]
        return f"{_held(outlook, plan)}, until {outlook.evidence_count} requests are judged: {sees}"
    return f"hold {seconds(plan.hold_min)}: {_sees(outlook, aim)}"


def step_sentence(outlook: Outlook, aim: Aim, traffic: Traffic) -> str:
    """Return the same in one sentence that stands alone."""
    place = f"{rate_words(traffic.rps)}, step {percent(outlook.share_bp)} for {seconds(outlook.lasts)}"
    return f"{place}: {_sees(outlook, aim)}"


def better_words(found: Better, aim: Aim) -> str:
    """Return a better plan in words."""
    steps = ", ".join(percent(step) for step in found.steps_bp)
    seen, target = ratio_words(found.sees_ratio), ratio_words(aim.target_rate)
    short = "" if found.sees_ratio <= aim.target_rate else f"; no plan shows {target} within a day"
    each = f"by {steps}, each held {seconds(found.hold)} at least"
    return f"{each}, every step shows {seen}, and 100 % comes after {seconds(found.until_full)}{short}"


def options_words(found: Better) -> str:
    """Return it as options of `lbctl switch`."""
    steps = ",".join(percent(step).replace(" ", "") for step in found.steps_bp)
    return f"--steps {steps} --hold {seconds(found.hold)}"


def _held(outlook: Outlook, plan: Plan) -> str:
    least, lasts = seconds(plan.hold_min), seconds(outlook.lasts // SECOND * SECOND)
    return f"hold {least}" if outlook.lasts <= plan.hold_min else f"hold {least}, about {lasts}"


def _sees(outlook: Outlook, aim: Aim) -> str:
    target = ratio_words(aim.target_rate)
    sees = "sees nothing" if outlook.sees_ratio is None else f"sees ≥ {ratio_words(outlook.sees_ratio)}"
    if not isfinite(outlook.needed_count):
        return f"{sees}; {target} is tolerated at active's ratio of today"
    if not isfinite(outlook.needed_s):
        return "sees nothing: there is no traffic now"
    if outlook.short(aim.target_rate):
        return f"to see {target} it must last {span_words(outlook.needed_s)}; as planned it {sees}"
    return f"{sees} ({target} takes {span_words(outlook.needed_s)})"


def _uncompared(traffic: Traffic) -> str:
    nothing = "active has no requests left to compare with"
    if not traffic.baseline:
        return nothing
    return f"{nothing}; worse than active used to be goes down to where it is compared again"

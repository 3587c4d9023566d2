"""A release's plan: what the request says, over what the config says. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from lbctl.config.quantity import STEPS_HINT, parse_share, parse_span, steps_fault
from lbctl.control.bodies import PlanBody
from lbctl.model.errors import Refused
from lbctl.model.topology import Plan
from lbctl.model.units import DAY, Span

SPAN_MAX = Span(30 * DAY)


def overlaid(default: Plan, body: PlanBody) -> Plan:
    """Return `default` with everything `body` gives; `bake` follows `hold` where only that is given.

    Raises:
        Refused: a share or duration that cannot be read, or steps that do not rise to 100 %.
    """
    plan = default
    if body.steps is not None:
        plan = replace(plan, steps_bp=_steps(body.steps))
    if body.hold is not None:
        hold = _span("hold", body.hold)
        plan = replace(plan, hold_min=hold, bake=hold, hold_max=hold_limit(default, hold))
    if body.bake is not None:
        plan = replace(plan, bake=_span("bake", body.bake))
    if body.retain is not None:
        plan = replace(plan, retain=_span("retain", body.retain))
    return plan


def hold_limit(default: Plan, hold: Span) -> Span:
    """A step that must be held longer than the config's limit gets the same time again to be done."""
    return default.hold_max if hold < default.hold_max else Span(2 * hold)


def _steps(texts: Sequence[str]) -> tuple[int, ...]:
    try:
        steps = tuple(parse_share(text) for text in texts)
    except ValueError as error:
        raise Refused("bad_steps", f"steps: {error}", then="write 5%,25%,50%,100%", exit_code=2) from None
    fault = steps_fault(steps)
    if fault is not None:
        raise Refused("bad_steps", f"steps: {fault[1]} (number {fault[0] + 1})", then=STEPS_HINT, exit_code=2)
    return steps


def _span(name: str, text: str) -> Span:
    try:
        span = parse_span(text)
    except ValueError as error:
        raise Refused("bad_duration", f"{name}: {error}", then="write 500ms, 2s, 10m or 1h30m", exit_code=2) from None
    if span > SPAN_MAX:
        raise Refused("bad_duration", f"{name}: {text} is longer than 30d", then="take a shorter one", exit_code=2)
    return span

"""What a plan will see, for `lbctl plan`: traffic, steps, a better plan, and what nobody can see. Pure."""

from collections.abc import Iterator, Sequence
from math import isfinite
from shlex import quote
from typing import Any

from lbctl.config.quantity import share_text, span_text
from lbctl.core.evidence import WARM_UP
from lbctl.core.judge.latency import WARMUP_FACTOR
from lbctl.core.planner import Better, Forecast, Outlook, Source, Traffic, way_out
from lbctl.core.planner.wording import better_words, ratio_words, step_sentence, step_words, traffic_words
from lbctl.core.state import State
from lbctl.model.names import Colour, InstanceName
from lbctl.model.operation import Capabilities
from lbctl.model.topology import Driver, Plan, PlanMode, Service
from lbctl.model.units import BP_FULL, percent, seconds

Json = dict[str, Any]
UNKNOWN = "unknown"
"""What stands for a version that nobody named."""
Capable = dict[InstanceName, Capabilities | str]
"""What each instance can do, or why nobody could find out."""


def traffic_view(ahead: Forecast) -> Json | None:
    """Return the traffic the plan was made for; None where it is not known."""
    found = ahead.traffic
    if isinstance(found, str):
        return None
    return {
        "rps": found.rps,
        "active_bad_ratio": found.active_bad_ratio,
        "dispersion": found.dispersion,
        "dispersion_from": found.dispersion_from.name.lower(),
        "known_s": found.known_s,
        "text": traffic_words(found),
    }


def steps_view(ahead: Forecast) -> list[Json]:
    """Return every step: what it needs, sees and waits for."""
    shares = (0, *ahead.plan.steps_bp)
    seen = ahead.steps or (None,) * len(ahead.plan.steps_bp)
    return [
        {
            "share_bp": step,
            "hold_min_ms": ahead.plan.hold_min,
            "needed_s": None if outlook is None or not isfinite(outlook.needed_s) else outlook.needed_s,
            "sees_ratio": None if outlook is None else outlook.sees_ratio,
            "evidence": 0 if outlook is None else outlook.evidence_count,
            "text": f"{percent(before)} → {percent(step)}, {_step_text(step, ahead, outlook)}",
        }
        for before, step, outlook in zip(shares, ahead.plan.steps_bp, seen, strict=False)
    ]


def total_ms(ahead: Forecast) -> int:
    """Return how long the release takes at least."""
    plan = ahead.plan
    lasts = [one.lasts for one in ahead.steps if one.compared] or [plan.hold_min] * (len(plan.steps_bp) - 1)
    return sum(lasts) + plan.bake + plan.retain


def better_view(ahead: Forecast, service: Service, version: str = UNKNOWN) -> Json | None:
    """Return the better plan with the command that releases `version` by it."""
    found = ahead.better
    if found is None:
        return None
    return {
        "steps_bp": list(found.steps_bp),
        "hold_ms": found.hold,
        "sees_ratio": found.sees_ratio,
        "until_full_ms": found.until_full,
        "text": better_words(found, ahead.aim),
        "command": _command(found, ahead.plan, service, version),
    }


def sight_warnings(ahead: Forecast, state: State, service: Service, able: Capable) -> Iterator[Json]:
    """Yield what the plan or the judge will not see."""
    known = ahead.traffic
    if isinstance(known, str):
        yield _told("TRAFFIC_NOT_KNOWN", f"what the steps see cannot be said: {known}{_unplanned(ahead.mode)}")
    elif ahead.blind and ahead.mode is not PlanMode.STRICT:
        yield _told("STEP_TOO_SHORT", _too_short(ahead, known))
    if isinstance(known, str) or not known.baseline:
        text = (
            "active must be known for 10 min and 1,000 requests: until then no candidate is compared with what active "
            "used to be, and none retreats"
        )
        yield _told("BASELINE_OFF", text)
    if service.judge.dispersion is None and (isinstance(known, str) or known.dispersion_from is Source.ASSUMED):
        yield _told("DISPERSION_ASSUMED", "how bursty errors are is not learned yet: 2 is assumed")
    if not _timed(known, state, service):
        yield _told("LATENCY_NOT_JUDGED", _untimed(state, service))
    elif ahead.plan.hold_min <= WARM_UP:
        yield _told("LATENCY_COLD", _cold(ahead.plan))
    yield from _grains(ahead.plan, able)


def floors(plan: Plan, able: Capable, service: Service, candidate: Colour) -> Iterator[Json]:
    """Yield the steps that an instance cannot set at all, for the candidate or for what is left to active."""
    for name, known in able.items():
        if isinstance(known, str):
            continue
        floor = known.of(service.name).floor_bp
        least = max(known.share_grain_bp, floor.get(candidate, 1))
        most = BP_FULL - floor.get(candidate.other, 0)
        low = [step for step in plan.steps_bp if step < least]
        high = [step for step in plan.steps_bp if most < step < BP_FULL]
        for steps, limit in ((low, f"below {percent(least)}"), (high, f"above {percent(most)} but 100 %")):
            if steps:
                text = f"{name} sets no share {limit}: {_listed(steps)} cannot be met; leave it out"
                yield _told("SHARE_FLOOR", text)


def _step_text(step: int, ahead: Forecast, outlook: Outlook | None) -> str:
    plan = ahead.plan
    if outlook is not None and isinstance(ahead.traffic, Traffic):
        return step_words(outlook, plan, ahead.aim, ahead.traffic)
    hold = f"bake {seconds(plan.bake)}" if step == plan.steps_bp[-1] else f"hold {seconds(plan.hold_min)}"
    return f"{hold}, needs 5 judged requests of the candidate"


def _command(found: Better, plan: Plan, service: Service, version: str) -> str:
    steps = ",".join(share_text(step) for step in found.steps_bp)
    times = f"--hold {span_text(found.hold)} --bake {span_text(plan.bake)}"
    told = "" if version == UNKNOWN else f" --version {quote(version)}"
    return f"lbctl switch {service.name} --steps {steps} {times}{told}"


def _too_short(ahead: Forecast, known: Traffic) -> str:
    short = [step_sentence(one, ahead.aim, known) for one in ahead.steps if one.short(ahead.aim.target_rate)]
    first = short[0] if short else "no step below 100 % compares the candidate with active"
    more = f", and {len(short) - 1} more" if len(short) > 1 else ""
    then = "" if ahead.better is not None else f"; {way_out(ahead)}"
    return f"{first}{more}; a fault of {ratio_words(ahead.aim.target_rate)} may pass unseen{then}"


def _unplanned(mode: PlanMode) -> str:
    if mode is not PlanMode.AUTO:
        return ""
    return "; its steps wait for time and 5 requests alone, although judge.plan is auto"


def _timed(known: Traffic | str, state: State, service: Service) -> bool:
    learned = isinstance(known, Traffic) and known.latency
    return learned or any(name == service.name for _, name in state.observed.timing)


def _untimed(state: State, service: Service) -> str:
    plane = state.topology.planes[service.plane]
    if plane.driver is Driver.HAPROXY and plane.request_log is None:
        return f"only errors are judged: counters have no times; set request_log of data plane {plane.name}"
    return f"only errors are judged: no times of requests are known from data plane {plane.name}"


def _cold(plan: Plan) -> str:
    text = f"for the first {seconds(WARM_UP)} of its traffic a candidate may be {WARMUP_FACTOR:g} times as slow (cold"
    return f"{text} caches), and a step is held for {seconds(plan.hold_min)}: a longer one sees a slow candidate"


def _grains(plan: Plan, able: Capable) -> Iterator[Json]:
    for name, known in able.items():
        if isinstance(known, str) or known.share_grain_bp <= 1:
            continue
        grain = known.share_grain_bp
        off = [step for step in plan.steps_bp if step >= grain and step % grain]
        if off:
            yield _told("SHARE_GRAIN", f"{name} sets shares in grains of {percent(grain)}: {_listed(off)} is rounded")


def _listed(steps_bp: Sequence[int]) -> str:
    return ", ".join(percent(step) for step in steps_bp)


def _told(code: str, text: str) -> Json:
    return {"code": code, "text": text}

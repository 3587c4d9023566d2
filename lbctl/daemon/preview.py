"""What `lbctl plan` says before a release: steps, times, writes, refusals and warnings. Pure."""

from typing import Any

from lbctl.core.requests import switchable
from lbctl.core.state import State
from lbctl.core.wellness import wellness
from lbctl.model.errors import Refused
from lbctl.model.names import Colour, InstanceName, ServiceName
from lbctl.model.operation import Capabilities
from lbctl.model.reading import InstanceReading
from lbctl.model.route import Route
from lbctl.model.topology import Plan, Service
from lbctl.model.units import percent, seconds

Json = dict[str, Any]
Capable = dict[InstanceName, Capabilities | str]
"""What each instance can do, or why nobody could find out."""

FORBIDDING = ("NOT_DURABLE", "NOT_FENCED")


def plan_view(state: State, service: Service, to: Colour | None, plan: Plan, version: str, able: Capable) -> Json:
    """Return the plan of a release of `service`, with everything that would stop it now."""
    refusals: list[Json] = []
    warnings: list[Json] = []
    adopted = state.record.services.get(service.name)
    try:
        adopted = switchable(state, service, to)
    except Refused as refused:
        refusals.append({"code": refused.code, "text": _joined(refused)})
    origin = adopted.active if adopted is not None else (to.other if to is not None else Colour.BLUE)
    candidate = origin.other
    for instance in state.topology.instances_of(service.name):
        _instance(state, instance, able.get(instance, "not asked yet"), refusals, warnings)
    well = wellness(service, candidate, state.observed, state.topology)
    if not well.well:
        text = f"candidate not healthy ({well.up_count} of {well.server_count} up): {well.trouble()}"
        refusals.append({"code": "candidate", "text": text})
    if service.health is None:
        text = "no health check is configured: only the load balancer's own view counts"
        warnings.append({"code": "NO_HEALTH_CHECK", "text": text})
    shares = (0, *plan.steps_bp)
    return {
        "service": service.name,
        "from": origin.value,
        "to": candidate.value,
        "version_from": adopted.pool(origin).version if adopted is not None else "unknown",
        "version_to": version,
        "refusals": refusals,
        "warnings": warnings,
        "steps": [
            {"share_bp": step, "hold_min_ms": plan.hold_min, "text": _step_text(before, step, plan)}
            for before, step in zip(shares, plan.steps_bp, strict=False)
        ],
        "bake_ms": plan.bake,
        "retain_ms": plan.retain,
        "total_min_ms": (len(plan.steps_bp) - 1) * plan.hold_min + plan.bake + plan.retain,
        "writes": _writes(state, service.name, candidate, plan),
        "back": "at any step: one write per instance, then new requests go back at once",
    }


def _joined(refused: Refused) -> str:
    return ": ".join(part for part in (refused.what, refused.why) if part)


def _step_text(before: int, step: int, plan: Plan) -> str:
    hold = f"bake {seconds(plan.bake)}" if step == plan.steps_bp[-1] else f"hold {seconds(plan.hold_min)}"
    return f"{percent(before)} → {percent(step)}, {hold}, needs 5 judged requests of the candidate"


def _instance(
    state: State, name: InstanceName, able: Capabilities | str, refusals: list[Json], warnings: list[Json]
) -> None:
    reading = state.observed.instances.get(name)
    if not isinstance(reading, InstanceReading):
        reason = reading.reason if reading is not None else "it was not read yet"
        refusals.append({"code": "unreachable", "text": f"{name} cannot be read: {reason}"})
    if isinstance(able, str):
        return
    for told in able.cannot:
        code, _, text = told.partition(": ")
        (refusals if code in FORBIDDING else warnings).append({"code": code, "text": f"{name}: {text}"})


def _writes(state: State, name: ServiceName, candidate: Colour, plan: Plan) -> list[str]:
    first = plan.steps_bp[0]
    return [
        f"{instance}: {name} {route} → {route.with_share(candidate, first)}"
        for instance in state.topology.instances_of(name)
        if isinstance(reading := state.observed.instances.get(instance), InstanceReading)
        for route in _newest(reading, name)
    ]


def _newest(reading: InstanceReading, name: ServiceName) -> list[Route]:
    seen = reading.services.get(name)
    route = None if seen is None else seen.runtime.get(reading.generation)
    return [] if route is None else [route]

"""What `lbctl plan` says before a release: steps, times, writes, refusals and warnings. Pure."""

from typing import Any

from lbctl.core.ahead import ahead
from lbctl.core.planner import objection
from lbctl.core.requests import switchable
from lbctl.core.state import State
from lbctl.core.wellness import wellness
from lbctl.daemon.sight import Capable, better_view, floors, sight_warnings, steps_view, total_ms, traffic_view
from lbctl.model.errors import Refused
from lbctl.model.names import Colour, InstanceName, ServiceName
from lbctl.model.operation import Capabilities
from lbctl.model.reading import InstanceReading
from lbctl.model.route import Route
from lbctl.model.topology import Plan, Service

Json = dict[str, Any]
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
    forecast = ahead(state, service, plan)
    strict = objection(forecast)
    if strict is not None:
        refusals.append({"code": strict.code, "text": f"{_joined(strict)}; {strict.then}"})
    well = wellness(service, candidate, state.observed, state.topology)
    if not well.well:
        text = f"candidate not healthy ({well.up_count} of {well.server_count} up): {well.trouble()}"
        refusals.append({"code": "candidate", "text": text})
    if service.health is None:
        text = "no health check is configured: only the load balancer's own view counts"
        warnings.append({"code": "NO_HEALTH_CHECK", "text": text})
    here = {name: able[name] for name in state.topology.instances_of(service.name) if name in able}
    refusals += floors(plan, here)
    warnings += sight_warnings(forecast, state, service, here)
    return {
        "service": service.name,
        "from": origin.value,
        "to": candidate.value,
        "version_from": adopted.pool(origin).version if adopted is not None else "unknown",
        "version_to": version,
        "refusals": refusals,
        "warnings": warnings,
        "plan_mode": forecast.mode.value,
        "target_rate": forecast.aim.target_rate,
        "traffic": traffic_view(forecast),
        "steps": steps_view(forecast),
        "better": better_view(forecast, service),
        "bake_ms": plan.bake,
        "retain_ms": plan.retain,
        "total_min_ms": total_ms(forecast),
        "writes": _writes(state, service.name, candidate, plan),
        "back": "at any step: one write per instance, then new requests go back at once",
    }


def _joined(refused: Refused) -> str:
    return ": ".join(part for part in (refused.what, refused.why) if part)


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

"""What `lbctl plan` says before a release: steps, times, writes, refusals and warnings. Pure."""

from typing import Any

from lbctl.core.ahead import ahead
from lbctl.core.planner import objection
from lbctl.core.state import State
from lbctl.core.switching import switchable
from lbctl.daemon.sight import Capable, better_view, floors, sight_warnings, steps_view, total_ms, traffic_view
from lbctl.daemon.timing_view import told_doubts
from lbctl.daemon.unready import lacks, unready
from lbctl.model.errors import Refused
from lbctl.model.hook import BLOCKING, Hook
from lbctl.model.names import Colour, ServiceName
from lbctl.model.reading import InstanceReading
from lbctl.model.route import Route
from lbctl.model.sharedservers import shared_servers
from lbctl.model.topology import Plan, Service
from lbctl.model.units import BP_FULL

Json = dict[str, Any]


def plan_view(state: State, service: Service, to: Colour | None, plan: Plan, version: str, able: Capable) -> Json:
    """Return the plan of a release of `service`, with everything that would stop it now."""
    refusals: list[Json] = []
    warnings: list[Json] = []
    adopted = state.record.services.get(service.name)
    try:
        adopted = switchable(state, service, to)
    except Refused as refused:
        refusals.append({"code": refused.code, "text": _joined(refused)})
    if state.journal_error:
        refusals.append({"code": "journal", "text": f"the journal cannot be written: {state.journal_error}"})
    origin = adopted.active if adopted is not None else (to.other if to is not None else Colour.BLUE)
    candidate = origin.other
    for instance in state.topology.instances_of(service.name):
        warnings += lacks(state, service, instance, able.get(instance))
    forecast = ahead(state, service, plan)
    strict = objection(forecast)
    if strict is not None:
        refusals.append({"code": strict.code, "text": f"{_joined(strict)}; {strict.then}"})
    if service.health is None:
        text = "no health check is configured: only the load balancer's own view counts"
        warnings.append({"code": "NO_HEALTH_CHECK", "text": text})
    here = {name: able[name] for name in state.topology.instances_of(service.name) if name in able}
    warnings += told_doubts(state, service.name)
    warnings += _shared(state, service.name)
    warnings += sight_warnings(forecast, state, service, here)
    return {
        "service": service.name,
        "from": origin.value,
        "to": candidate.value,
        "version_from": adopted.pool(origin).version if adopted is not None else "unknown",
        "version_to": version,
        "refusals": refusals,
        "unready": [*unready(state, service, candidate, able), *floors(plan, here, service, candidate)],
        "warnings": warnings,
        "plan_mode": forecast.mode.value,
        "target_rate": forecast.aim.target_rate,
        "traffic": traffic_view(forecast),
        "steps": steps_view(forecast),
        "better": better_view(forecast, service, version),
        "bake_ms": plan.bake,
        "retain_ms": plan.retain,
        "total_min_ms": total_ms(forecast),
        "gate": _gate(plan),
        "hooks": [_hook(hook) for hook in state.topology.unit_of(service.name).hooks],
        "writes": _writes(state, service.name, candidate, plan),
        "back": "at any step: one write per instance, then new requests go back at once",
    }


def _shared(state: State, name: ServiceName) -> list[Json]:
    found = (text.partition(": ") for text in shared_servers(state.topology, name))
    return [{"code": code, "text": text} for code, _, text in found]


def _gate(plan: Plan) -> str:
    """Return who must approve before the first step; empty if nobody."""
    asked = plan.approvals
    return f"{asked.count} of group {asked.group} must approve before the first step" if asked.count else ""


def _hook(hook: Hook) -> Json:
    return {
        "at": hook.at.value,
        "name": hook.name,
        "asked": hook.at in BLOCKING,
        "timeout_ms": hook.timeout,
        "no_answer": hook.no_answer.value,
    }


def _joined(refused: Refused) -> str:
    return ": ".join(part for part in (refused.what, refused.why) if part)


def _writes(state: State, name: ServiceName, candidate: Colour, plan: Plan) -> list[str]:
    """Return the first write of each load balancer; none while a release runs, whose own writes would come before."""
    if state.record.running(name) is not None:
        return []
    first = plan.steps_bp[0]
    return [
        f"{instance}: {name} {route} → {route.with_share(candidate, first).with_keep(candidate, BP_FULL)}"
        for instance in state.topology.instances_of(name)
        if isinstance(reading := state.observed.instances.get(instance), InstanceReading)
        for route in _newest(reading, name)
    ]


def _newest(reading: InstanceReading, name: ServiceName) -> list[Route]:
    seen = reading.services.get(name)
    route = None if seen is None else seen.runtime.get(reading.generation)
    return [] if route is None else [route]

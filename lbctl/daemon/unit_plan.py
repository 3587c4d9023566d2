"""What `lbctl plan` says of a unit: all its services in one plan, by the carrier's steps. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from shlex import quote
from typing import Any

from lbctl.core.cutting import Cut, Version, cut
from lbctl.core.state import State
from lbctl.core.switching import occupied, parted, uncompared, unprepared
from lbctl.core.targets import target
from lbctl.daemon.named import unattested
from lbctl.daemon.pinning import unpinnable
from lbctl.daemon.preview import plan_view
from lbctl.daemon.session_plan import session_plan
from lbctl.daemon.session_view import kept_view
from lbctl.daemon.sight import UNKNOWN, Capable
from lbctl.daemon.uncounted import uncounted_warning
from lbctl.model.errors import Refused
from lbctl.model.names import Colour, ServiceName
from lbctl.model.reading import InstanceReading
from lbctl.model.record import Record
from lbctl.model.topology import Plan, Service, Unit
from lbctl.model.units import Instant

Json = dict[str, Any]
FORBIDDING = ("NO_MASTER_SOCKET", "NO_PINS")
"""What a load balancer lacks that one service can do without, and a unit cannot."""


def member_plan_view(
    state: State, service: Service, to: Colour | None, plan: Plan, version: str, able: Capable, now: Instant
) -> Json:
    """Return the plan of one service; one that is released with its unit is refused, and its unit named."""
    view = plan_view(state, service, to, plan, version, able)
    view |= {"unit": None, "members": [_member(view)]}
    view["sessions"] = session_plan(state, service, Colour(view["from"]), plan, now)
    view["warnings"] += [*unattested(service, version), *uncounted_warning(state, service)]
    left = [_told(refused) for refused in occupied(state, service.name, version, now)]
    view["refusals"] += left
    view["warnings"] += [] if left else _sessions_left(state, service.name, now)
    for refused in parted(state.topology, (service.name,)):
        view["refusals"] = [_told(refused), *view["refusals"]]
        view["unit"] = state.topology.unit_of(service.name).name
    return view


def _sessions_left(state: State, name: ServiceName, now: Instant) -> list[Json]:
    """Return that the candidate has users already: their requests are among its own from the first step on."""
    view = kept_view(state, name, now)
    if view is None or state.record.running(name) is not None:
        return []
    text = f"{view['colour']} of {name} still serves {view['who']}: whatever runs there serves them, at every step too"
    return [{"code": "SESSIONS_KEPT", "text": text}]


def unit_plan_view(
    state: State, unit: Unit, plan: Plan, versions: Mapping[ServiceName, str], able: Capable, now: Instant
) -> Json:
    """Return the plan of a release of all services of a unit, the carrier first in `versions`."""
    views = {name: plan_view(state, state.topology.services[name], None, plan, UNKNOWN, able) for name in versions}
    for name, view in views.items():
        view["warnings"] += unattested(state.topology.services[name], versions[name])
    first = next(iter(views.values()))
    told = [{"code": "CONTRACT_UNCHECKED", "text": f"{one.what}: {one.then}"} for one in uncompared(state, unit)]
    carrier = state.topology.services[first["service"]]
    told += [*_of_each(views, "warnings"), *uncounted_warning(state, carrier)]
    lacking = [one for one in told if one["code"] in FORBIDDING]
    lacking += [{"code": "NO_PINS", "text": text} for one in versions for text in unpinnable(state.topology, able, one)]
    refusals = [*map(_told, unprepared(state, unit, now)), *_of_each(views, "refusals"), *lacking]
    return {
        **first,
        "version_to": versions[first["service"]],
        "unit": unit.name,
        "members": [{**_member(one), "version_to": versions[name]} for name, one in views.items()],
        "refusals": _once(refusals),
        "unready": _once(_of_each(views, "unready")),
        "warnings": _once(one for one in told if one not in lacking),
        "writes": [*_pin_writes(state, plan, versions, now), *first["writes"]],
        "better": _better(state, first, unit, versions),
        "sessions": session_plan(state, carrier, Colour(first["from"]), plan, now),
    }


def _once(told: Iterable[Json]) -> list[Json]:
    return list({one["text"]: one for one in told}.values())


def _better(state: State, view: Json, unit: Unit, versions: Mapping[ServiceName, str]) -> Json | None:
    better: Json | None = view["better"]
    if better is None:
        return None
    # A version that nobody named and no server is asked for would be recorded as unknown.
    named = [
        f"--version {name}={'V' if one == UNKNOWN else quote(one)}"
        for name, one in versions.items()
        if one != UNKNOWN or state.topology.services[name].version is None
    ]
    command = better["command"].replace(f"lbctl switch {view['service']} ", f"lbctl switch {unit.name} ", 1)
    return {**better, "command": " ".join([command, *named])}


def _member(view: Json) -> Json:
    return {key: view[key] for key in ("service", "from", "to", "version_from", "version_to")}


def _told(refused: Refused) -> Json:
    text = ": ".join(part for part in (refused.what, refused.why) if part)
    return {"code": refused.code, "text": f"{text}; {refused.then}" if refused.then else text}


def _of_each(views: Mapping[ServiceName, Json], key: str) -> Iterator[Json]:
    """Yield what is said of each service by its name, and what is said alike of all of them as it is."""
    texts = [{one["text"] for one in view[key]} for view in views.values()]
    shared = set.intersection(*texts)
    for name, view in views.items():
        for one in view[key]:
            named = one["text"] in shared or one["text"].startswith(f"{name} ")
            yield one if named else {**one, "text": f"{name}: {one['text']}"}


def _pin_writes(state: State, plan: Plan, versions: Mapping[ServiceName, str], now: Instant) -> Iterator[str]:
    """Yield what preflight writes: the pins, before anything moves."""
    after = _recorded(state, plan, versions, now)
    if after is None:
        return
    for name in state.topology.services:
        want = target(state.topology, after, name)
        if want is None or not want.pins or want == target(state.topology, state.record, name):
            continue
        for instance in state.topology.instances_of(name):
            if isinstance(state.observed.instances.get(instance), InstanceReading):
                yield f"{instance}: {name} {' '.join(f'{caller}={pin}' for caller, pin in want.pins)}"


def _recorded(state: State, plan: Plan, versions: Mapping[ServiceName, str], now: Instant) -> Record | None:
    """Return the record as it would be with the release cut; None if it cannot be."""
    if any(name not in state.record.services or state.record.running(name) for name in versions):
        return None
    carrier = next(iter(versions))
    chosen = {name: Version(version) for name, version in versions.items()}
    try:
        return cut(state, Cut(carrier=carrier, versions=chosen, plan=plan, nonce="", wall="", by=""), now).record
    except Refused:
        return None

"""What must fit together between the services of a unit: who calls whom, and how their pools are told apart."""

from collections.abc import Iterator
from typing import Any

from lbctl.config.checks import COLOURS, members
from lbctl.config.composite import Values, sections
from lbctl.config.fault import did_you_mean
from lbctl.config.hooks import smoke
from lbctl.config.place import BAD, Place
from lbctl.config.services import PLAN_KEYS
from lbctl.core import coupling
from lbctl.model.errors import Refused
from lbctl.model.names import Colour, PlaneName, ServiceName
from lbctl.model.topology import Consumer, PinKind, Pool, Service, Topology


def coupled(services: dict[str, Any], units: Any, planes: dict[str, Any]) -> None:
    """Check units and consumers; the keys that a service leaves to its unit are hidden from then on."""
    unit_of = _membership(services, units)
    whole = _readable(units, services)
    for name, one in sections(services):
        if name in unit_of:
            _left_to_the_unit(name, one, unit_of[name])
        else:
            smoke(one, [(name, one)])
        if whole:
            _of_one_unit(name, one, services, unit_of)
        _pinnable(one, services)
    for name, unit in sections(units):
        inside = [member for member, owner in unit_of.items() if owner == name]
        _graph(unit, inside, services)
        smoke(unit, [(member, one) for member, one in sections(services) if member in inside])
        _capacity(unit, inside, services)
        _master_sockets(name, inside, services, planes)


def _membership(services: dict[str, Any], units: Any) -> dict[str, str]:
    """Return the unit of each service that is in one; a second unit of it is a fault."""
    unit_of: dict[str, str] = {}
    for name, unit in sections(units):
        if unit["services"] is BAD:
            continue
        if len(unit["services"]) == 1:
            then = "name another one, or delete the unit: a service in no unit is a unit of its own"
            unit.at("services").fault("a unit of one service", then)
        for index, member in enumerate(unit["services"]):
            place = _item(unit, index)
            if member not in services:
                place.fault(f"there is no service {member}", did_you_mean(member, services))
            elif unit_of.setdefault(member, name) != name:
                place.fault(f"{member} is already in unit {unit_of[member]}", "a service is in one unit: delete one")
            elif member in unit["services"][:index]:
                place.fault(f"{member} twice", "delete one of them")
    return unit_of


def _readable(units: Any, services: dict[str, Any]) -> bool:
    """Whether every unit says which services it has; else nobody complains that a service is in none."""
    if units is None:
        return True
    found = dict(sections(units))
    listed = [one["services"] for one in found.values()]
    if BAD in listed or not isinstance(units, dict) or len(found) < len(units):
        return False
    return all(len(names) > 1 and services.keys() >= set(names) for names in listed)


def _item(unit: Values, index: int) -> Place:
    path = f"{unit.at('services').path}[{index}]"
    return Place(path, unit.place.scope.places[path], unit.place.scope)


def _left_to_the_unit(name: str, service: Values, unit: str) -> None:
    service.hidden = frozenset(PLAN_KEYS)
    for key in PLAN_KEYS:
        if service.given(key):
            what = f"{name} is released with unit {unit}, by the plan of that unit"
            service.at(key).fault(what, f"move `{key}` to units.{unit}, or delete it")


def _of_one_unit(name: str, service: Values, services: dict[str, Any], unit_of: dict[str, str]) -> None:
    for caller in service["consumers"] if isinstance(service["consumers"], dict) else ():
        problem = _no_consumer(name, caller, services, unit_of)
        if problem:
            service.place.scope.keys[f"services.{name[:64]}.consumers.{caller[:64]}"].fault(*problem)


def _pinnable(service: Values, services: dict[str, Any]) -> None:
    _sources(service, services)
    haproxy = service["haproxy"]
    if service.given("consumers") and isinstance(haproxy, Values) and haproxy["form"] == "weights":
        what = "form weights has one backend: its callers cannot be pinned to a pool"
        haproxy.at("form").fault(what, "write `form: map`, or delete the consumers")


def _no_consumer(name: str, caller: str, services: dict[str, Any], unit_of: dict[str, str]) -> tuple[str, str] | None:
    if caller == name:
        return f"{name} would be its own consumer", "delete it: a service calls itself by its own pools"
    if caller not in services:
        return f"there is no service {caller}", did_you_mean(caller, services)
    ours, theirs = unit_of.get(name), unit_of.get(caller)
    if ours is None and theirs is None:
        return (
            f"{caller} calls {name}, and no unit has them",
            f"add `units: {{NAME: {{services: [{name}, {caller}]}}}}`",
        )
    if ours != theirs:
        known, other, missing = (ours, theirs, caller) if ours else (theirs, ours, name)
        elsewhere = f", which is in unit {other}" if other else ""
        what = f"{caller} calls {name}, and unit {known} is without {missing}{elsewhere}"
        return what, f"add {missing} to units.{known}.services"
    return None


def _sources(service: Values, services: dict[str, Any]) -> None:
    """Callers that are told by their source address must not share one."""
    taken: dict[str, str] = {}
    for caller, one in sections(service["consumers"]):
        consumer = services.get(caller)
        if one["pin"] != PinKind.SOURCE or not isinstance(consumer, Values):
            continue
        for colour, host in _hosts(consumer):
            this = f"{caller}-{colour}"
            there = taken.setdefault(host, this)
            if there != this:
                what = f"{host} is both {there} and {this}: a source address does not tell which of them calls"
                one.at("pin").fault(what, "write `pin: listener` with an address for each")
                break


def _hosts(service: Values) -> Iterator[tuple[str, str]]:
    if isinstance(service["pools"], Values):
        for colour, _, member in members(service["pools"]):
            yield colour, member.address.host


def _graph(unit: Values, inside: list[str], services: dict[str, Any]) -> None:
    """One service of the unit is where users come in, and no call leads back to where it came from."""
    callers = {name: one["consumers"] or {} for name, one in sections(services) if name in inside}
    if len(inside) < 2 or len(callers) < len(inside) or BAD in callers.values():
        return
    if any(not callers[name].keys() <= set(inside) - {name} for name in inside):
        return
    topology = _calls(callers)
    try:
        coupling.carrier(topology, _in_cycles(topology) or topology.services.keys())
    except Refused as refused:
        unit.at("services").fault(f"{refused.what}: {refused.why}", refused.then)


def _calls(callers: dict[str, Any]) -> Topology:
    """Return who calls whom, and nothing else."""
    blue, green, told = Pool(Colour.BLUE, ()), Pool(Colour.GREEN, ()), Consumer(kind=PinKind.LISTENER)
    found = {}
    for name in map(ServiceName, callers):
        consumers = {ServiceName(caller): told for caller in callers[name]}
        found[name] = Service(name=name, plane=PlaneName(""), blue=blue, green=green, consumers=consumers)
    return Topology({}, found)


def _in_cycles(topology: Topology) -> set[ServiceName]:
    """Return what is left when, again and again, the services that nobody left calls are taken away."""
    left = set(topology.services)
    while free := {name for name in left if not left & topology.services[name].consumers.keys()}:
        left -= free
    return left


def _capacity(unit: Values, inside: list[str], services: dict[str, Any]) -> None:
    for name in inside:
        pools = services[name]["pools"] if isinstance(services[name], Values) else None
        sizes = [len(pools[c]) for c in COLOURS if isinstance(pools[c], dict)] if isinstance(pools, Values) else []
        if isinstance(unit["capacity"], int) and sizes and unit["capacity"] > min(sizes):
            what = f"capacity {unit['capacity']} is more than the {min(sizes)} servers of the smaller pool of {name}"
            unit.at("capacity").fault(what, "lower it, or write equal")
            return


def _master_sockets(unit: str, inside: list[str], services: dict[str, Any], planes: dict[str, Any]) -> None:
    """Old workers of HAProxy go on routing after a reload: without the master socket their pins cannot be read."""
    used = dict.fromkeys(one["data_plane"] for name, one in sections(services) if name in inside)
    for plane_name in used:
        plane = planes.get(plane_name)
        if not isinstance(plane, Values) or plane["driver"] != "haproxy":
            continue
        for name, instance in sections(plane["instances"]):
            if not instance.given("master_socket"):
                what = f"instance {name} has no master_socket, and unit {unit} needs it: old workers go on routing"
                instance.place.fault(what, "start HAProxy with `-W -S PATH`, and add `master_socket: PATH`")

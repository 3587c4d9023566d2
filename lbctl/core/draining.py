"""Servers that people drain: refused where it would take the last capacity, carried out until read back. Pure.

lbctl by itself never changes what a server is to do; a drained server stays so over reloads and restarts, until
somebody lets it be ready again.
"""

from collections.abc import Iterator
from dataclasses import replace

from lbctl.core.change import Change
from lbctl.core.reply import Facts
from lbctl.core.state import Administer, Administered, Effect, State
from lbctl.core.targets import target
from lbctl.model.entry import Entry, Kind
from lbctl.model.errors import Refused
from lbctl.model.names import Colour, InstanceName, ServerName, ServiceName
from lbctl.model.operation import SetServer
from lbctl.model.reading import Admin, InstanceReading
from lbctl.model.record import Adopted, Drained, Phase
from lbctl.model.request import DrainServer
from lbctl.model.units import BP_FULL, SECOND, Instant, Span, since

AGAIN = Span(SECOND)
"""How often an instance is told once more what it has not done."""


def drain_server(state: State, request: DrainServer, now: Instant) -> tuple[Change | None, Facts]:
    """Return the change that drains a server, or ends that.

    Raises:
        Refused: there is no such server, or it is the last healthy capacity of a pool that takes traffic.
    """
    name, server = request.service, request.server
    adopted = _adopted(state, request)
    facts: Facts = {
        "service": name,
        "colour": request.colour.value,
        "server": server,
        "drained": request.on,
        "already": False,
        "waits": waits_for_maintenance(state, name),
    }
    known = adopted.drained.get(server)
    if request.on and (known is None or known.ends):
        _enough_left(state, request, adopted)
        drained = Drained(colour=request.colour, by=request.actor, since=now)
    elif not request.on and known is not None and not known.ends:
        drained = replace(known, ends=True)
    elif known is None and _is_drained(state, request):
        # Somebody drained it without lbctl: it is brought back all the same, and told until it is.
        drained = Drained(colour=request.colour, by=request.actor, since=now, ends=True)
    else:
        waits = facts["waits"] if known is not None else _by_hand(state, request)
        return None, {**facts, "already": True, "waits": waits}
    changed = replace(adopted, drained={**adopted.drained, server: drained})
    kind = Kind.SERVER_DRAINED if request.on else Kind.SERVER_UNDRAINED
    what = "is drained: it keeps its sessions and gets no new ones" if request.on else "is to be ready again"
    if facts["waits"]:
        what = f"is to be {'drained' if request.on else 'ready again'} when maintenance ends"
    why = f": {request.reason}" if request.reason else ""
    data = {"server": str(server), "colour": request.colour.value, "reason": request.reason}
    told = Entry(
        kind=kind, at=now, text=f"{server} of {name} {what}{why}", service=name, actor=request.actor, data={**data}
    )
    return Change(record=state.record.with_service(name, changed), entries=(told,)), facts


def waits_for_maintenance(state: State, name: ServiceName) -> str:
    """Return why no load balancer is told now what a server is to do; empty if they are."""
    if not state.record.in_maintenance(name):
        return ""
    return "maintenance is on: load balancers are told nothing; lbctl maintenance off"


def _by_hand(state: State, request: DrainServer) -> str:
    """Return that somebody else took a server out where it is to be ready, and how that is ended; empty if not so."""
    name, colour, server = request.service, request.colour, request.server
    readings = {i: state.observed.instances.get(i) for i in state.topology.instances_of(name)}
    seen = {i: one for i, one in readings.items() if isinstance(one, InstanceReading) and name in one.services}
    out = [i for i, one in seen.items() if _admin(one, name, colour, server) is Admin.MAINT]
    if not out:
        return ""
    binding = state.topology.services[name].haproxy
    where = f"{binding.backends[colour]}/{server}" if binding is not None else f"BACKEND/{server}"
    have = "has" if len(out) == 1 else "have"
    text = f"{', '.join(out)} {have} it in maintenance (MAINT), which lbctl did not order and does not end"
    return f"{text}; there: set server {where} state ready"


def _is_drained(state: State, request: DrainServer) -> bool:
    """Whether a load balancer reads that server as drained."""
    name, readings = request.service, map(state.observed.instances.get, state.topology.instances_of(request.service))
    seen = [one for one in readings if isinstance(one, InstanceReading) and name in one.services]
    return any(_admin(one, name, request.colour, request.server) is Admin.DRAIN for one in seen)


def _adopted(state: State, request: DrainServer) -> Adopted:
    name, servers = request.service, state.topology.services[request.service].pool(request.colour).servers
    if request.server not in {one.name for one in servers}:
        known = ", ".join(one.name for one in servers)
        what = f"{request.colour} of {name} has no server {request.server}"
        raise Refused("no_such_server", what, why=f"it has {known}", then=f"lbctl status {name}", exit_code=7)
    adopted = state.record.services.get(name)
    if adopted is None:
        then = f"lbctl adopt {name} --active blue|green --version V"
        raise Refused("not_adopted", f"{name} is only observed: nothing is written", then=then)
    return adopted


def _enough_left(state: State, request: DrainServer, adopted: Adopted) -> None:
    """A pool that takes new traffic, or is the way back, keeps a healthy server and the part that its traffic needs."""
    name, colour = request.service, request.colour
    pool, plan = state.topology.services[name].pool(colour), state.topology.services[name].plan
    down = state.wells[name, colour].down.keys() | state.wells[name, colour].unknown.keys()
    gone = {server for server, one in adopted.drained.items() if one.colour is colour and not one.ends}
    left = [one.name for one in pool.servers if one.name not in down | gone | {request.server}]
    use = _use(state, name, colour)
    if not use or (left and len(left) * BP_FULL >= plan.min_healthy_bp * len(pool.servers)):
        return
    raise Refused(
        "last_capacity",
        f"{request.server} is needed: {len(left)} of {len(pool.servers)} servers of {colour} of {name} would be left",
        why=f"{colour} {use}, and needs {plan.min_healthy_bp / 100:g} % of its servers, one at least",
        then=f"lbctl status {name}; bring others up, or lbctl undrain one first",
    )


def _use(state: State, name: ServiceName, colour: Colour) -> str:
    """Return what a pool is needed for; empty if its servers may all be drained."""
    want, adopted = target(state.topology, state.record, name), state.record.services[name]
    if want is None or want.share_bp(colour) > 0 or adopted.active is colour:
        return "takes traffic"
    release = state.record.running(name)
    if release is None or release.phase is Phase.RETIRING or release.members[name].origin is not colour:
        return ""
    return f"is the way back of release {release.id}"


def _differing(state: State, instance: InstanceName) -> Iterator[SetServer]:
    """Yield what servers of an instance are to be told, by the durable record and the last reading."""
    reading = state.observed.instances.get(instance)
    for name, adopted in state.durable.services.items() if isinstance(reading, InstanceReading) else ():
        assert isinstance(reading, InstanceReading)
        if name not in reading.services or name not in state.topology.services or state.durable.in_maintenance(name):
            continue
        for server, drained in adopted.drained.items():
            want, seen = Admin.READY if drained.ends else Admin.DRAIN, _admin(reading, name, drained.colour, server)
            if seen is not None and seen is not want:
                yield SetServer(service=name, colour=drained.colour, server=server, admin=want)


def _admin(reading: InstanceReading, name: ServiceName, colour: Colour, server: ServerName) -> Admin | None:
    seen = reading.services[name].pools[colour].servers.get(server)
    return None if seen is None else seen.admin


def administer(state: State, now: Instant) -> tuple[State, tuple[Effect, ...]]:
    """Tell every instance what its servers are to do, where it reads back otherwise."""
    if not any(adopted.drained for adopted in state.durable.services.values()):
        return state, ()
    effects: list[Effect] = []
    told = dict(state.administering)
    for instance in state.lanes:
        at, busy = told.get(instance, (Instant(-AGAIN), False))
        if busy or since(at, now) < AGAIN:
            continue
        operations = tuple(_differing(state, instance))
        if operations:
            told[instance] = (now, True)
            effects.append(Administer(instance, operations))
    return replace(state, administering=told), tuple(effects)


def administered(state: State, event: Administered) -> State:
    """Fold in the end of an order: what came of it is read back."""
    return replace(state, administering={**state.administering, event.instance: (event.now, False)})


def undrained(state: State, now: Instant) -> Iterator[Change]:
    """Yield that a server is forgotten which every instance reads back as ready again."""
    for name, adopted in state.record.services.items():
        for server, drained in adopted.drained.items():
            if not drained.ends or name not in state.topology.services:
                continue
            instances = state.topology.instances_of(name)
            if all(_reads_ready(state, one, name, drained.colour, server) for one in instances):
                left = {other: one for other, one in adopted.drained.items() if other != server}
                yield Change(record=state.record.with_service(name, replace(adopted, drained=left)))


def _reads_ready(state: State, instance: InstanceName, name: ServiceName, colour: Colour, server: ServerName) -> bool:
    """Whether a reading says so that was taken after the change, and after the last order: none is under way."""
    reading = state.observed.instances.get(instance)
    ordered_at, busy = state.administering.get(instance, (state.changed_at, False))
    if busy or not isinstance(reading, InstanceReading) or name not in reading.services:
        return False
    fresh = reading.taken_at > state.changed_at and reading.taken_at >= ordered_at
    return fresh and _admin(reading, name, colour, server) in {Admin.READY, None}

"""What `status` shows of single servers: what the prober, the load balancers and people say of each."""

from collections.abc import Iterator, Mapping
from typing import Any

from lbctl.core.draining import waits_for_maintenance
from lbctl.core.state import State
from lbctl.core.wellness import Wellness, balanced_by
from lbctl.daemon.emptying import drained_view, in_flight
from lbctl.daemon.named import said
from lbctl.model.names import Colour, ServerName, ServiceName
from lbctl.model.reading import InstanceReading, ServerReading
from lbctl.model.record import Drained
from lbctl.model.topology import Service

Json = dict[str, Any]


def server_views(state: State, service: Service) -> Json:
    """Return every server of a service by name, as `status` shows it."""
    servers: Json = {}
    whole = bool(all_readings(state, service.name))
    for colour in Colour:
        # The same word as in every decision: what is up here is never "not healthy" there.
        well = state.wells[service.name, colour]
        tables = _tables(state, service.name, colour)
        for server in service.pool(colour).servers:
            seen = [table[server.name] for table in tables if server.name in table]
            trouble = well.down.get(server.name) or well.unknown.get(server.name, "")
            health = state.observed.health.get((service.name, server.name))
            servers[server.name] = {
                "up": _up(well, server.name, is_seen=bool(seen) or health is not None),
                "weight": min(one.weight for one in seen) if seen else None,
                "in_flight": in_flight(state, service.name, colour, server.name),
                "pool": colour.value,
                "drained": drained_view(state, service.name, server.name),
                "draining": server.name in well.drained,
                "detail": _drained_words(state, service.name, colour, server.name, well)
                or trouble
                or (health.detail if health is not None else "")
                or next((o.detail for o in seen if o.detail), ""),
                "requests": sum(one.requests for one in seen) if seen and whole else None,
                "errors": sum(one.errors for one in seen) if seen and whole else None,
                "says": said(state, service, server.name),
            }
    return servers


def servers_up(state: State, service: Service, colour: Colour) -> Iterator[tuple[ServerName, bool | None]]:
    """Yield the same word alone for every server of a pool, for there may be thousands."""
    well = state.wells[service.name, colour]
    tables = _tables(state, service.name, colour)
    for server in service.pool(colour).servers:
        key = (service.name, server.name)
        is_seen = key in state.observed.health or any(server.name in table for table in tables)
        yield server.name, _up(well, server.name, is_seen=is_seen)


def _tables(state: State, name: ServiceName, colour: Colour) -> list[Mapping[ServerName, ServerReading]]:
    return [servers for _, servers in balanced_by(name, colour, state.observed, state.topology)]


def _up(well: Wellness, name: ServerName, *, is_seen: bool) -> bool | None:
    """None: nobody can say. A drained server is up: it serves the sessions it has."""
    if name in well.down and name not in well.drained:
        return False
    return True if is_seen and name not in well.unknown else None


def _drained_words(state: State, name: ServiceName, colour: Colour, server: ServerName, well: Wellness) -> str:
    """Return who drains a server, and the way back; empty if nobody does, or it is down besides."""
    adopted = state.record.services.get(name)
    one = None if adopted is None else adopted.drained.get(server)
    back = f"lbctl undrain {name}/{colour}/{server}"
    if server not in well.drained:
        return "" if one is None or server in well.down else _ordered_words(state, name, one)
    if one is None:
        return f"drained, not by lbctl: it keeps its sessions; {back}"
    if one.ends:
        return _ordered_words(state, name, one)
    return f"drained by {one.by}: it keeps its sessions; {back}"


def _ordered_words(state: State, name: ServiceName, one: Drained) -> str:
    """Return what a person ordered that no load balancer reads back yet."""
    waits = waits_for_maintenance(state, name)
    return f"is to be {'ready again' if one.ends else 'drained'}, says {one.by}{waits and f'; {waits}'}"


def readings_of(state: State, name: ServiceName) -> list[InstanceReading]:
    """Return the last readings of a service's instances that could be read."""
    found = (state.observed.instances.get(instance) for instance in state.topology.instances_of(name))
    return [reading for reading in found if isinstance(reading, InstanceReading) and name in reading.services]


def all_readings(state: State, name: ServiceName) -> list[InstanceReading]:
    """Return the last readings of a service's instances where all could be read, else none: the sum of some of them
    would pass for the whole."""
    found = readings_of(state, name)
    return found if len(found) == len(state.topology.instances_of(name)) else []

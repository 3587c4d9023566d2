"""What is known of a server that a person drains: whether every load balancer does it, and counts what is there. Pure.

Nothing seen is not nobody there: a load balancer that is not read, or was not told, may have work in flight.
"""

from collections.abc import Iterator

from lbctl.core.draining import waits_for_maintenance
from lbctl.core.oldworkers import unseen_workers
from lbctl.core.state import State
from lbctl.model.names import Colour, InstanceName, ServerName, ServiceName
from lbctl.model.reading import Admin, InstanceReading, ServerReading
from lbctl.model.record import Drained

Seen = tuple[InstanceReading, ServerReading]


def drained_view(state: State, name: ServiceName, server: ServerName) -> dict[str, str | bool] | None:
    """Return who drains a server, whether that is being ended, whether every load balancer reads it back, and what it
    waits for; None: nobody drains it."""
    adopted = state.record.services.get(name)
    one = None if adopted is None else adopted.drained.get(server)
    if one is None:
        return None
    waits = next(_waits(state, name, server, one), "")
    return {"by": one.by, "state": "ends" if one.ends else "drain", "read_back": not waits, "waits": waits}


def _waits(state: State, name: ServiceName, server: ServerName, drained: Drained) -> Iterator[str]:
    """Yield why nobody can say yet that the server is drained by all, or done being so."""
    if told_nothing := waits_for_maintenance(state, name):
        yield told_nothing
    want = {Admin.READY} if drained.ends else {Admin.DRAIN, Admin.MAINT}
    for instance in state.topology.instances_of(name):
        seen = _seen(state, instance, name, drained.colour, server)
        if seen is None or seen[0].taken_at <= drained.since:
            yield f"{instance} has not been read since"
        elif seen[1].admin not in want:
            yield f"{instance} does not read back yet that {server} is {'ready' if drained.ends else 'drained'}"
    for instance in state.topology.instances_of(name):
        yield from (f"{instance}: {text}" for text in _unseen(state, instance))


def in_flight(state: State, name: ServiceName, colour: Colour, server: ServerName) -> int | None:
    """Return what is in flight at a server on all load balancers and all their workers; None: not all could be
    looked at."""
    found = [_seen(state, one, name, colour, server) for one in state.topology.instances_of(name)]
    known = [one[1].in_flight for one in found if one is not None]
    unseen = any(_unseen(state, one) for one in state.topology.instances_of(name))
    return None if unseen or len(known) < len(found) else sum(known)


def _seen(state: State, instance: InstanceName, name: ServiceName, colour: Colour, server: ServerName) -> Seen | None:
    reading = state.observed.instances.get(instance)
    if not isinstance(reading, InstanceReading) or name not in reading.services:
        return None
    one = reading.services[name].pools[colour].servers.get(server)
    return None if one is None else (reading, one)


def _unseen(state: State, instance: InstanceName) -> list[str]:
    reading = state.observed.instances.get(instance)
    return [*unseen_workers(state.record, instance, reading)] if isinstance(reading, InstanceReading) else []

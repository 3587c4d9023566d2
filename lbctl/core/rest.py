"""Services without a running release: what is noted about them, and how their old pools become unused. Their traffic
is corrected by `lanes`. And what is noted of load balancers whatever runs. Pure."""

from collections.abc import Iterator
from dataclasses import replace

from lbctl.core.change import Change
from lbctl.core.oldworkers import with_lives
from lbctl.core.retiring import retire
from lbctl.core.state import State
from lbctl.model.entry import Entry, Kind, Severity
from lbctl.model.names import ServiceName
from lbctl.model.reading import InstanceReading
from lbctl.model.units import Instant


def at_rest(state: State, name: ServiceName, now: Instant) -> Change | None:
    """Note a reload or restart of a load balancer under an adopted service at rest, and go on proving its old pool."""
    if name not in state.record.services or state.record.running(name) is not None:
        return None
    readings = ((one, state.observed.instances.get(one)) for one in state.topology.instances_of(name))
    seen = {instance: one for instance, one in readings if isinstance(one, InstanceReading)}
    known, record = state.record.generations, with_lives(state.record, seen)
    if record.generations == known:
        return retire(state, name, now)
    changed = [i for i, one in seen.items() if i in known and known[i] != one.generation]
    text = f"{', '.join(changed)} was reloaded or restarted"
    told = Entry(kind=Kind.INSTANCE_RELOADED, at=now, text=text, severity=Severity.WARNING, service=name)
    return Change(record=record, entries=(told,) if changed else ())


def remembered(state: State) -> Iterator[Change]:
    """Yield that a load balancer that does not show its old workers has a new life, or shows them. One that has another
    name now is known by its life."""
    record = state.record
    for instance, reading in state.observed.instances.items():
        if not isinstance(reading, InstanceReading):
            continue
        life, known = reading.generation, record.generations.get(instance)
        began = known != life if known is not None else life in record.unseen.values()
        if reading.blind and began and record.unseen.get(instance) != life:
            yield Change(record=replace(record, unseen={**record.unseen, instance: life}))
        if not reading.blind and instance in record.unseen:
            left = {one: life for one, life in record.unseen.items() if one != instance}
            yield Change(record=replace(record, unseen=left))

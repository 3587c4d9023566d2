"""What load balancers have counted of a pool since it was proved unused. Pure.

A certificate holds what every generation had counted. A greater count is a late request; so is any count of one that
has begun to count anew (somebody cleared its counters), and then what it counts now is what later ones are told by.

Where a pool is no more than the rows of its servers, each server is compared with itself: one that is taken out of the
pool takes its count away, which is nobody's request, and one that is put in brings what it had counted elsewhere.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from lbctl.core.change import Change
from lbctl.core.state import State
from lbctl.model.certificate import Certificate
from lbctl.model.names import Colour, Generation, InstanceName, ServerName, ServiceName
from lbctl.model.reading import InstanceReading, PoolReading
from lbctl.model.record import Adopted, Pool

Counts = Mapping[Generation, int]


@dataclass(frozen=True, slots=True)
class _Compared:
    """A load balancer that looked when a pool was certified: what the certificate has of it, and what it says now."""

    instance: InstanceName
    found: Certificate
    now: PoolReading

    @property
    def known(self) -> Counts:
        """What it had counted."""
        return self.found.counted[self.instance]

    def rows_of(self, life: Generation) -> tuple[Mapping[ServerName, int], Mapping[ServerName, int]] | None:
        """Return what was counted of each server, and is now; None: that generation is not told by them."""
        known = self.found.rows.get(self.instance, {}).get(life)
        return None if known is None or life not in self.now.rows else (known, self.now.rows[life])

    def late(self, life: Generation) -> int:
        """Return by how much the count of a generation has grown."""
        rows = self.rows_of(life)
        if rows is None:
            return _more(self.now.arrived[life], self.known.get(life, 0))
        known, now = rows
        return sum(_more(count, known[server]) for server, count in now.items() if server in known)

    def requests(self, life: Generation) -> int:
        """Return how many requests those were. One that is still in flight is in no such figure yet."""
        served = self.found.served.get(self.instance)
        if served is None:
            return self.late(life)
        return max(1, _more(self.now.served.get(life, 0), served.get(life, 0)))

    def anew(self) -> Certificate:
        """Return the certificate with 0 for whatever counts from 0 again."""
        counted = {life: 0 for life, count in self.now.arrived.items() if count < self.known.get(life, 0)}
        rows = dict(self.found.rows.get(self.instance, {}))
        for life in rows.keys() & self.now.rows.keys():
            now = self.now.rows[life]
            counted.pop(life, None)
            rows[life] = {one: count if count <= now.get(one, count) else 0 for one, count in rows[life].items()}
        found = replace(self.found, counted={**self.found.counted, self.instance: {**self.known, **counted}})
        return replace(found, rows={**self.found.rows, self.instance: rows}) if rows else found


def late_request(state: State, name: ServiceName, colour: Colour, pool: Pool) -> str:
    """Return which load balancer counted a request of a pool after it was certified; empty if none did."""
    for one in _compared(state, name, colour, pool.certificate):
        for life in one.now.arrived:
            if one.late(life):
                return f"{one.requests(life)} came through {one.instance} ({life})"
    return ""


def not_counted_then(state: State, name: ServiceName, colour: Colour, found: Certificate) -> Iterator[str]:
    """Yield servers that are in the pool now and were not when it was certified, where each is counted by itself."""
    for one in _compared(state, name, colour, found):
        for known, now in filter(None, map(one.rows_of, one.now.rows)):
            yield from (f"{server} of {one.instance}" for server in now if server not in known)


def counted_anew(state: State) -> Iterator[Change]:
    """Yield certificates whose load balancers count from 0 again: from now on theirs is what a late request is told
    by."""
    for name, colour, adopted in certified_pools(state):
        pool = adopted.pool(colour)
        found = pool.certificate
        for instance in state.topology.instances_of(name):
            one = None if found is None else _looked(state, instance, name, colour, found)
            found = found if one is None else one.anew()
        if found != pool.certificate:
            pool = replace(pool, certificate=found)
            yield Change(record=state.record.with_service(name, adopted.with_pool(colour, pool)))


def certified_pools(state: State) -> Iterator[tuple[ServiceName, Colour, Adopted]]:
    """Yield every pool that has a certificate."""
    for name in state.topology.services:
        adopted = state.record.services.get(name)
        for colour in Colour:
            if adopted is not None and adopted.pool(colour).certificate is not None:
                yield name, colour, adopted


def _more(count: int, base: int) -> int:
    return count - base if count >= base else count


def _compared(state: State, name: ServiceName, colour: Colour, found: Certificate | None) -> Iterator[_Compared]:
    """Yield what each load balancer had counted when the pool was certified, and counts now. One that was not there
    then is no witness: whatever it counted, it may have counted before (`witnesses`)."""
    for instance in state.topology.instances_of(name) if found is not None else ():
        one = None if found is None else _looked(state, instance, name, colour, found)
        if one is not None:
            yield one


def _looked(
    state: State, instance: InstanceName, name: ServiceName, colour: Colour, found: Certificate
) -> _Compared | None:
    reading = state.observed.instances.get(instance)
    if instance not in found.counted or not isinstance(reading, InstanceReading) or name not in reading.services:
        return None
    return _Compared(instance, found, reading.services[name].pools[colour])

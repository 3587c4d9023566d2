"""Since when a pool is left alone: by every generation of every load balancer, reading by reading. Pure.

A request that came and ended between two readings is seen by the counters of the generation that took it. What a
generation did between its last reading and its end nobody counted: so any change of the generations begins anew. A
load balancer that cannot be read for a while changes nothing: its counters tell afterwards. Who calls past the load
balancers is in no counter: that one must be away for as long, too.
"""

from dataclasses import replace

from lbctl.core.connected import is_alone
from lbctl.core.readback import read_since
from lbctl.core.reconcile import routed
from lbctl.core.state import Calm, Calms, State
from lbctl.core.targets import target
from lbctl.model.names import Colour, ServiceName
from lbctl.model.reading import InstanceReading
from lbctl.model.record import PoolState, Record
from lbctl.model.route import Route
from lbctl.model.units import Instant

EVER = Instant(-(1 << 40))


def calms(state: State, now: Instant) -> Calms:
    """Return what is known, after these readings, of every pool that is to become unused."""
    return {
        (name, colour): _folded(state, name, colour, state.calms.get((name, colour), Calm()), now)
        for name in state.topology.services
        for colour in Colour
        if is_leaving(state.record, name, colour)
    }


def is_leaving(record: Record, name: ServiceName, colour: Colour) -> bool:
    """Whether a pool is to become unused."""
    adopted = record.services.get(name)
    if adopted is None or adopted.active is colour:
        return False
    pool = adopted.pool(colour)
    return pool.state is PoolState.DRAINING or (pool.state is PoolState.IDLE and pool.certificate is None)


def _folded(state: State, name: ServiceName, colour: Colour, calm: Calm, now: Instant) -> Calm:
    came = dict(calm.came)
    disturbed = False
    for instance in state.topology.instances_of(name):
        reading = state.observed.instances.get(instance)
        if isinstance(reading, InstanceReading) and name in reading.services:
            pool = reading.services[name].pools[colour]
            disturbed = disturbed or pool.in_flight > 0 or came.get(instance) != pool.arrived
            came[instance] = pool.arrived
    # What was in flight at one reading may end at any time before the next: only that one is the first without it.
    idle_since = None if disturbed else now if calm.idle_since is None else calm.idle_since
    alone_since = None
    if is_alone(state, name, colour):
        alone_since = now if calm.alone_since is None else calm.alone_since
    calm = replace(calm, came=came, idle_since=idle_since, alone_since=alone_since)
    return _closing(state, name, colour, calm, now)


def _closing(state: State, name: ServiceName, colour: Colour, calm: Calm, now: Instant) -> Calm:
    want = target(state.topology, state.record, name)
    closes = want is not None and not want.share_bp(colour) and not want.keep_bp(colour)
    if want is None or not closes or not reads_back(state, name, want):
        return replace(calm, closed_since=None)
    return calm if calm.closed_since is not None else replace(calm, closed_since=now)


def reads_back(state: State, name: ServiceName, want: Route) -> bool:
    """Whether every instance reads back this route, on every generation that routes and for the next start."""
    readings = [read_since(state, instance, name, EVER) for instance in state.topology.instances_of(name)]
    return all(reading is not None and routed(reading, name, want) for reading in readings)

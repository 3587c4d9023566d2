"""Who sent a request to a pool that nobody should use any more, as far as anybody can tell. Pure.

Three witnesses: what is still in flight has a client, calls of consumer pools are counted by who calls, and this host's
kernel knows who goes around the load balancers. A request that is over, of nobody's pool, has left no name here.
"""

from collections.abc import Iterator

from lbctl.core.connected import connected
from lbctl.core.state import State
from lbctl.model.names import Colour, ServiceName
from lbctl.model.reading import InstanceReading
from lbctl.model.units import Instant, seconds

NAMES_MAX = 3


def latecomers(state: State, name: ServiceName, colour: Colour, at: Instant) -> tuple[str, ...]:
    """Return who came after that instant, each as a sentence; nothing where nobody knows."""
    ways = (_in_flight(state, name, colour), _callers(state, name, colour, at), connected(state, name, colour))
    return tuple(one for way in ways for one in way)


def where_to_look(state: State, name: ServiceName, colour: Colour) -> str:
    """Return how a person finds out who it was, where nobody is named."""
    binding = state.topology.services[name].haproxy
    if binding is None:
        return "who it was, the load balancer's access log says"
    backend = binding.backends[colour]
    return f"who it was, HAProxy's own log says: client and frontend of what went to backend {backend}"


def _in_flight(state: State, name: ServiceName, colour: Colour) -> Iterator[str]:
    for instance in state.topology.instances_of(name):
        reading = state.observed.instances.get(instance)
        if not isinstance(reading, InstanceReading) or name not in reading.services:
            continue
        for one in reading.services[name].pools[colour].holders[:NAMES_MAX]:
            if one.client:
                yield f"{one.client} is in flight at {one.server or colour} for {seconds(one.age)}"


def _callers(state: State, name: ServiceName, colour: Colour, at: Instant) -> Iterator[str]:
    tally = state.matrix.get(name)
    for cell, last in () if tally is None else sorted(tally.last.items(), key=str):
        if cell.colour is colour and last > at:
            yield f"{cell.caller or 'a caller that is no pool of the unit'} called it"

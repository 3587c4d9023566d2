"""Closing by force what is left on a pool whose sessions had their time: when it is ordered, and what is told. Pure.

It begins only where nobody is sent to the pool any more, read back from every instance, and stops with whatever stops
lbctl from moving sessions: a pause, maintenance, a home that is not fit. Ending it needs no reading: a load balancer
that is not read closes nothing, by itself.
"""

from collections.abc import Iterator

from lbctl.core.leaving import gone_from, hindered, unwelcome
from lbctl.core.parting import closing_per_second
from lbctl.core.state import Lane, State
from lbctl.model.entry import Kind
from lbctl.model.names import Colour, InstanceName, ServiceName
from lbctl.model.operation import SetClosing
from lbctl.model.reading import InstanceReading
from lbctl.model.units import MINUTE, SECOND, Instant, Span, since

TURN = Span(10 * SECOND)
"""How long a load balancer has its turn."""
TRY_AGAIN = Span(MINUTE // 2)
"""A load balancer that cannot close says so at once: it is not asked with every reading."""


def closings(state: State, name: ServiceName, instance: InstanceName, now: Instant) -> Iterator[SetClosing]:
    """Yield the orders that bring one instance to what the record wants of it, at most one for each pool."""
    reading = state.observed.instances.get(instance)
    seen = reading.services.get(name) if isinstance(reading, InstanceReading) else None
    if seen is None:
        return
    for colour in Colour:
        now_per_second = seen.pools[colour].closing.per_second
        per_second = _wanted(state, name, colour, instance, now)
        if per_second == now_per_second or (per_second and _waits(state, name, colour, state.lanes[instance], now)):
            continue
        yield SetClosing(service=name, colour=colour, per_second=per_second, fence=state.ordered.rev)


def closing_news(state: State) -> Iterator[tuple[str, tuple[Kind, str, ServiceName]]]:
    """Yield what stands of closings, by a key: that one is at its end, or that it does not go on, and why."""
    for name in state.record.services:
        for colour in Colour if name in state.topology.services else ():
            yield from _news(state, name, colour)


def _wanted(state: State, name: ServiceName, colour: Colour, instance: InstanceName, now: Instant) -> int:
    """The part of one instance."""
    adopted = state.ordered.services.get(name)
    per_second = None if adopted is None else closing_per_second(adopted.pool(colour))
    if per_second is None or not gone_from(state.ordered, name, colour) or unwelcome(state, name, colour):
        return 0
    names = state.topology.instances_of(name)
    return shares(per_second, len(names), now)[names.index(instance)]


def shares(per_second: int, count: int, now: Instant) -> list[int]:
    """Return the parts of a rate that so many load balancers have now. Where there are more of them than connections a
    second, they take turns: together they never close more."""
    share, rest = divmod(per_second, count)
    turn = (now // TURN) * rest if share == 0 else 0
    return [share + ((one - turn) % count < rest) for one in range(count)]


def _waits(state: State, name: ServiceName, colour: Colour, lane: Lane, now: Instant) -> bool:
    refused = lane.refusal is not None and lane.refusal[0] == name and since(lane.refused_at, now) < TRY_AGAIN
    return refused or not state.settled or bool(hindered(state, name, colour, now))


def _news(state: State, name: ServiceName, colour: Colour) -> Iterator[tuple[str, tuple[Kind, str, ServiceName]]]:
    adopted = state.ordered.services.get(name)
    if adopted is None or closing_per_second(adopted.pool(colour)) is None:
        return
    readings = {i: state.observed.instances.get(i) for i in state.topology.instances_of(name)}
    seen = {
        i: one.services[name].pools[colour].closing
        for i, one in readings.items()
        if isinstance(one, InstanceReading) and name in one.services
    }
    for instance, one in seen.items():
        if one.trouble:
            text = f"{instance} closes nothing of {colour} of {name}: {one.trouble}"
            yield f"unclosed {instance} {name} {colour}", (Kind.CONNECTIONS_STAY, text, name)
    closed = sum(one.closed for one in seen.values())
    if closed and len(seen) == len(readings) and all(one.left == 0 and not one.trouble for one in seen.values()):
        were = "1 connection was" if closed == 1 else f"{closed} connections were"
        text = f"{were} closed on {colour} of {name}; none is left"
        yield f"closed {name} {colour}", (Kind.CONNECTIONS_CLOSED, text, name)

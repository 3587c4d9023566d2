"""What the state says of services, pools and servers, as samples: name, label values, value. Pure."""

from collections.abc import Iterator

from lbctl.core.judge.wording import interval
from lbctl.core.readback import under_way
from lbctl.core.reconcile import routed
from lbctl.core.seating import seats_of
from lbctl.core.situation import Situation
from lbctl.core.state import State
from lbctl.core.targets import target
from lbctl.daemon.retired_view import drain_left
from lbctl.daemon.server_views import all_readings, readings_of, servers_up
from lbctl.model.names import Colour, ServiceName
from lbctl.model.reading import InstanceReading
from lbctl.model.record import PoolState
from lbctl.model.route import Route
from lbctl.model.topology import Service
from lbctl.model.units import BP_FULL, Instant

Sample = tuple[str, tuple[str, ...], float]


def service_samples(state: State, service: Service, here: Situation | None, now: Instant) -> Iterator[Sample]:
    """Yield what is known of one service; `here` is its running release."""
    name = service.name
    yield from _weights(state, name)
    for colour in Colour:
        for server, up in servers_up(state, service, colour):
            if up is not None:
                yield "lbctl_server_up", (name, colour.value, server), float(up)
    for colour in Colour:
        labels = (name, colour.value)
        readings = all_readings(state, name)
        if readings:
            in_flight = sum(one.services[name].pools[colour].in_flight for one in readings)
            yield "lbctl_pool_inflight", labels, in_flight
        seats = seats_of(state, name, colour, now)
        if seats is not None and seats.known:
            yield "lbctl_pool_sticky_sessions", labels, seats.count()
        yield from _remaining(state, name, colour, here, now)
    if here is not None and here.moving:
        yield from _errors(here, name)
    yield "lbctl_frozen", (name,), float(name in state.observed.frozen)
    yield "lbctl_drift_detected", (name,), float(_drifted(state, name))


def _weights(state: State, name: ServiceName) -> Iterator[Sample]:
    want = target(state.topology, state.ordered, name)
    seen = _furthest(state, name, want)
    for colour in Colour:
        for kind, route in (("wanted", want), ("observed", seen)):
            if route is not None:
                share = route.share_bp(colour) / BP_FULL
                yield "lbctl_pool_weight_ratio", (name, colour.value, kind), share


def _furthest(state: State, name: ServiceName, want: Route | None) -> Route | None:
    """Return the route of all generations that is furthest from the wanted one: an average would hide a stray one."""
    routes = [route for one in readings_of(state, name) for route in one.services[name].effective.values()]
    aim = 0 if want is None else want.green_bp
    return max(routes, key=lambda route: abs(route.green_bp - aim), default=None)


def _drifted(state: State, name: ServiceName) -> bool:
    """Whether a load balancer that can be read and has nothing under way routes otherwise than ordered."""
    want = target(state.topology, state.ordered, name)
    if want is None or state.record.in_maintenance(name):
        return False
    for instance in state.topology.instances_of(name):
        reading, lane = state.observed.instances.get(instance), state.lanes.get(instance)
        if not isinstance(reading, InstanceReading) or under_way(lane, name, reading):
            continue
        if not routed(reading, name, want):
            return True
    return False


def _errors(here: Situation, name: ServiceName) -> Iterator[Sample]:
    """What the judge has counted at this step, by the service's own account."""
    progress = here.progress
    if progress is None:
        return
    step = progress.followers.get(name, progress.account).step
    member = here.release.members[name]
    for colour, counts in ((member.origin, step.active), (member.to, step.candidate)):
        if counts.total:
            low, high = interval(counts)
            for bound, value in (("point", min(counts.ratio, 1.0)), ("low", low), ("high", high)):
                yield "lbctl_pool_error_ratio", (name, colour.value, bound), value


def _remaining(
    state: State, name: ServiceName, colour: Colour, here: Situation | None, now: Instant
) -> Iterator[Sample]:
    adopted = state.record.services.get(name)
    if adopted is None or adopted.pool(colour).state is not PoolState.DRAINING:
        return
    leaving = adopted.pool(colour).leaving
    ends = [0 if leaving is None else leaving.deadline - now]
    if here is not None and here.release.phase.swapped and here.release.members[name].origin is colour:
        ends.append(drain_left(here))
    yield "lbctl_drain_remaining_seconds", (name, colour.value), max(0, *ends) / 1_000

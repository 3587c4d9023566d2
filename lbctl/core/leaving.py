"""The sessions of a pool that drains, on their way to the other one: when they begin, the next part, the end. Pure.

Each part is a decision like any other: durable before its effect, absolute, and the next one waits until it is read
back everywhere. So a crash repeats nothing, and whatever keeps lbctl from seeing or recording stops the moving.
"""

from collections.abc import Iterator
from dataclasses import replace

from lbctl.core.change import Change
from lbctl.core.parting import part
from lbctl.core.reconcile import routed
from lbctl.core.seating import seats_of
from lbctl.core.situation import home_open
from lbctl.core.state import State
from lbctl.core.targets import target
from lbctl.model.entry import Entry, Kind, Severity
from lbctl.model.names import Colour, ServiceName
from lbctl.model.reading import InstanceReading
from lbctl.model.record import Adopted, Phase, Pool, PoolState, Record
from lbctl.model.sessions import AtDeadline, Leaving
from lbctl.model.units import SECOND, Instant, Span, since

CLOSE_PER_SECOND = 20
"""The rate of closing where the sessions had none of their own."""
PACE = Span(SECOND // 2)
"""The least time between two parts."""
STALE = Span(3 * SECOND)


def leave_on(state: State, now: Instant) -> Iterator[Change]:
    """Yield what is due now for pools whose sessions leave them."""
    for name, adopted in state.record.services.items():
        for colour in Colour:
            pool = adopted.pool(colour)
            if pool.leaving is None or name not in state.topology.services or not gone_from(state.record, name, colour):
                continue
            change = _over(state, name, colour, pool.leaving, now) or _next(state, name, colour, pool.leaving, now)
            if change is not None:
                yield change


def gone_from(record: Record, name: ServiceName, colour: Colour) -> bool:
    """Whether this pool gets no new traffic and its sessions may leave it: it drains, or is on its way back."""
    release = record.running(name)
    going_back = release is not None and release.phase is Phase.ROLLING_BACK and release.members[name].to is colour
    return going_back or record.services[name].pool(colour).state is PoolState.DRAINING


def leaving_services(record: Record) -> list[ServiceName]:
    """Return the services that have a pool whose sessions are being moved now."""
    return [
        name
        for name, adopted in record.services.items()
        for pool in (adopted.blue, adopted.green)
        if pool.leaving is not None and pool.leaving.per_second is not None and pool.keep_bp
    ]


def hindered(state: State, name: ServiceName, colour: Colour, now: Instant) -> str:
    """Return why no session of this pool may be moved now; empty if they may."""
    return unwelcome(state, name, colour) or _unread(state, name, now)


def unwelcome(state: State, name: ServiceName, colour: Colour) -> str:
    """Return why nobody may be made to leave this pool for the other one, whatever the load balancers say."""
    if state.record.in_maintenance(name):
        return "maintenance is on: nothing is written"
    release = state.record.running(name)
    if release is not None and release.paused_by is not None:
        return f"release {release.id} is paused by {release.paused_by}"
    if state.journal_error:
        return f"the journal cannot be written: {state.journal_error}"
    if name in state.observed.checker_suspect:
        return f"the health checker is suspect: {state.observed.checker_suspect[name]}"
    home = state.wells[name, colour.other]
    if not home_open(state, name):
        return f"{colour.other} is not fit to take them: {home.trouble()}"
    return ""


def _unread(state: State, name: ServiceName, now: Instant) -> str:
    want = target(state.topology, state.record, name)
    for instance in state.topology.instances_of(name):
        reading = state.observed.instances.get(instance)
        if not isinstance(reading, InstanceReading) or since(reading.taken_at, now) > STALE:
            return f"{instance} cannot be read"
        lane = state.lanes[instance]
        settled = not lane.busy and not lane.unresolved and reading.taken_at > max(lane.ended_at, state.durable_at)
        if want is None or not settled or not routed(reading, name, want):
            return f"{instance} has not read back the last part yet"
    return ""


def _next(state: State, name: ServiceName, colour: Colour, leaving: Leaving, now: Instant) -> Change | None:
    if since(leaving.paced_at, now) < PACE or hindered(state, name, colour, now):
        return None
    adopted = state.record.services[name]
    keep_bp = adopted.pool(colour).keep_bp
    found = part(keep_bp, leaving, seats_of(state, name, colour, now), now)
    if found is None:
        return None
    pool = replace(adopted.pool(colour), keep_bp=found[0], leaving=found[1])
    if pool.keep_bp:
        return Change(record=state.record.with_service(name, adopted.with_pool(colour, pool)))
    if pool.leaving is not None and pool.leaving.at_deadline is AtDeadline.KEEP:
        pool = replace(pool, leaving=None)
    text = f"every session of {colour} of {name} was moved, or moves with its next request"
    return _told(state.record, name, adopted, colour, pool, now, Kind.SESSIONS_MOVED, text)


def _over(state: State, name: ServiceName, colour: Colour, leaving: Leaving, now: Instant) -> Change | None:
    """What the policy says once the deadline is over: it is told once."""
    if now < leaving.deadline or leaving.closing:
        return None
    adopted = state.record.services[name]
    pool, took = adopted.pool(colour), since(leaving.began_at, now) // SECOND
    left = _left(state, name, colour, leaving, now)
    if leaving.at_deadline is AtDeadline.KEEP:
        why = f"they were not moved within {took} s, and stay as they are"
        text = f"{_sessions(left)} of {colour} of {name} are kept: {why}"
        return _told(state.record, name, adopted, colour, replace(pool, leaving=None), now, Kind.SESSIONS_KEPT, text)
    closing = replace(pool, leaving=replace(leaving, closing=True, per_second=leaving.per_second or CLOSE_PER_SECOND))
    connected = _in_flight(state, name, colour)
    if left == 0 and connected == 0:
        return Change(record=state.record.with_service(name, adopted.with_pool(colour, closing)))
    of = f"of {colour} of {name}"
    moved = "" if left == 0 else f"{_sessions(left)} {of} move with their next request"
    opened = _open(connected)
    closed = f"{opened} {of} {'is' if connected == 1 else 'are'} closed" if opened else ""
    text = f"{' and '.join(filter(None, (moved, closed)))}: they were still there after {took} s"
    return _told(state.record, name, adopted, colour, closing, now, Kind.SESSIONS_CLOSING, text)


def _left(state: State, name: ServiceName, colour: Colour, leaving: Leaving, now: Instant) -> int | None:
    """Return how many sessions are left on a pool; None: nobody counted them."""
    seen, keep_bp = seats_of(state, name, colour, now), state.record.services[name].pool(colour).keep_bp
    return seen.alive(keep_bp) if seen is not None and seen.known else leaving.left


def _sessions(count: int | None) -> str:
    return "sessions that nobody counted" if count is None else f"about {count} sessions"


def _in_flight(state: State, name: ServiceName, colour: Colour) -> int | None:
    """Return how many requests and WebSockets are in flight at a pool; None: not all load balancers can be read."""
    readings = [state.observed.instances.get(instance) for instance in state.topology.instances_of(name)]
    seen = [one for one in readings if isinstance(one, InstanceReading) and name in one.services]
    return sum(one.services[name].pools[colour].in_flight for one in seen) if len(seen) == len(readings) else None


def _open(count: int | None) -> str:
    if count is None:
        return "connections that nobody counted"
    return f"{count} open connection{'s' * (count > 1)}" if count else ""


def _told(
    record: Record,
    name: ServiceName,
    adopted: Adopted,
    colour: Colour,
    pool: Pool,
    now: Instant,
    kind: Kind,
    text: str,
) -> Change:
    severity = Severity.WARNING if kind is Kind.SESSIONS_CLOSING else Severity.INFO
    release = record.latest(name)
    told = Entry(
        kind=kind,
        at=now,
        text=text,
        severity=severity,
        service=name,
        release=None if release is None else release.id,
        data={"pool": colour.value, "keep_bp": pool.keep_bp},
    )
    return Change(record=record.with_service(name, adopted.with_pool(colour, pool)), entries=(told,))

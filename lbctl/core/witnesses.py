"""Whether those by whom a pool was proved unused can still speak for it. Pure.

A certificate holds what every load balancer had counted, and stands as long as each of them is looked at. One that
began another life while nobody looked has lost what it counted in between, and one that is new in the config never
looked: what they sent there nobody knows. Then the pool is proved anew, from the beginning. Nobody is known to have
come, so nobody is paged, and the usual quiet time is enough.
"""

from collections.abc import Iterator

from lbctl.core.change import Change
from lbctl.core.countedsince import certified_pools, not_counted_then
from lbctl.core.late import in_use_again
from lbctl.core.state import Sight, Sights, State
from lbctl.model.certificate import Certificate
from lbctl.model.entry import Entry, Kind, Severity
from lbctl.model.names import Colour, InstanceName, ServiceName
from lbctl.model.reading import InstanceReading
from lbctl.model.units import SECOND, Instant, Span, seconds, since

WATCHED = Span(10 * SECOND)
"""Not read for longer, a load balancer was looked at by nobody. A restart under lbctl's eyes takes less."""


def sights(state: State) -> Sights:
    """Return, after these readings, when each load balancer was last looked at."""
    found = {name: _sight(state, name) for name in state.lanes}
    return {name: one for name, one in found.items() if one is not None}


def _sight(state: State, name: InstanceName) -> Sight | None:
    before, reading = state.sights.get(name), state.observed.instances.get(name)
    if not isinstance(reading, InstanceReading):
        return before
    away = before is None or since(before.at, reading.taken_at) > WATCHED
    other = state.record.generations.get(name) not in {None, reading.generation}
    if away and other:
        return Sight(reading.taken_at, missed_at=reading.taken_at)
    return Sight(reading.taken_at, None if before is None else before.missed_at)


def doubt(state: State, name: ServiceName, colour: Colour, found: Certificate, now: Instant) -> str:
    """Return why nobody may rely on a certificate just now; empty if it stands as it was given."""
    ways = (_lost(state, name, colour, found), _unread(state, name, now), _unseen_there(state, name, colour))
    return next((why for way in ways for why in way), "")


def _lost(state: State, name: ServiceName, colour: Colour, found: Certificate) -> Iterator[str]:
    """Yield the load balancers that have been read and cannot speak for the time since it was certified, for all of the
    pool."""
    for server in not_counted_then(state, name, colour, found):
        yield f"{server} is new in the pool, and was not counted when that was proved"
    for instance in state.topology.instances_of(name):
        sight = state.sights.get(instance)
        if sight is not None and instance not in found.counted:
            yield f"{instance} is new in the config, and was not looked at when that was proved"
        elif sight is not None and sight.missed_at is not None and found.at <= sight.missed_at:
            yield f"{instance} was reloaded or restarted while nobody looked: what it had counted is gone"


def _unread(state: State, name: ServiceName, now: Instant) -> Iterator[str]:
    for instance in state.topology.instances_of(name):
        sight = state.sights.get(instance)
        if sight is None:
            yield f"the first reading of {instance} is awaited: nobody knows who came since it was certified"
        elif since(sight.at, now) > WATCHED:
            yield f"{instance} has not been read for {seconds(since(sight.at, now))}: nobody knows who came meanwhile"


def _unseen_there(state: State, name: ServiceName, colour: Colour) -> Iterator[str]:
    """Yield who would send somebody there, as by a hand while lbctl may write nothing, and who would not tell of it."""
    for instance in state.topology.instances_of(name):
        reading = state.observed.instances.get(instance)
        seen = reading.services.get(name) if isinstance(reading, InstanceReading) else None
        if seen is None:
            continue
        if untold := seen.pools[colour].untold:
            yield f"{untold[0]} of {instance} does not tell who uses {colour} of {name}"
        routes = (*seen.effective.values(), *((seen.boot,) if seen.boot is not None else ()))
        if any(route.share_bp(colour) or route.keep_bp(colour) for route in routes):
            yield f"{instance} sends new traffic or sessions to {colour} of {name}, or would after a reload"


def unwitnessed(state: State, now: Instant) -> Iterator[Change]:
    """Yield the end of each certificate that a load balancer cannot speak for any more."""
    for name, colour, adopted in certified_pools(state):
        found = adopted.pool(colour).certificate
        why = "" if found is None else next(_lost(state, name, colour, found), "")
        if why:
            yield _void(state, name, colour, why, now)


def _void(state: State, name: ServiceName, colour: Colour, why: str, now: Instant) -> Change:
    latest, quiet = state.record.latest(name), state.topology.services[name].drain.quiet
    text = f"{colour} of {name} was proved unused, but {why}. Its certificate is void: do not stop it before it is "
    told = Entry(
        kind=Kind.CERTIFICATE_VOID,
        at=now,
        text=f"{text}certified again. Nobody is known to have come; that takes {seconds(quiet)} if nobody does",
        severity=Severity.WARNING,
        service=name,
        release=None if latest is None else latest.id,
        data={"colour": colour.value, "next": "it is certified again by itself when nobody comes for `drain.quiet`"},
    )
    return Change(record=in_use_again(state.record, name, colour, state.record.running(name)), entries=(told,))

"""Who comes to a pool after it was proved unused: that voids its certificate. Pure.

Load balancers count requests (`countedsince`). Who calls past them is in no counter: the kernel's census of this host
goes on, and names who does.

Who came once after a quiet time is as quiet between two calls: the same quiet time would prove nothing. So the next
certificate needs a much longer one, longer than the pool was unused before, and longer still every further time.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from lbctl.core.change import Change
from lbctl.core.connected import called_past
from lbctl.core.countedsince import certified_pools, late_request
from lbctl.core.latecomers import latecomers, where_to_look
from lbctl.core.state import State
from lbctl.model.entry import Entry, Kind, Severity
from lbctl.model.names import Colour, ServiceName
from lbctl.model.record import Pool, PoolState, Record, Release
from lbctl.model.units import Instant, Span, seconds, since
from lbctl.model.voided import Voided

LONGER = 10
"""So many times `drain.quiet` at least, once somebody came after it."""
AGAIN = 2
"""Of the time in which nobody had come, and of the quiet time before: a caller with a rhythm is seen within it."""
Key = tuple[ServiceName, Colour]


@dataclass(frozen=True, slots=True)
class Came:
    """Somebody came to a certified pool: who, in a word, what that did, how that is known, and what is to be done.
    `named`: `why` names the caller."""

    by: str
    did: str
    why: str
    then: str
    named: bool = False


def came_after(state: State, name: ServiceName, colour: Colour, pool: Pool) -> Came | None:
    """Return who came to a pool after it was certified; None: nobody did."""
    if late := late_request(state, name, colour, pool):
        find = "find who still uses it; where it is stopped already, that request failed"
        return Came("a late request", "got a late request", late, find)
    if past := called_past(state, name, colour):
        find = "stop that program, or let it call through the load balancer; one that may stay: `drain.known`"
        return Came("a caller past its load balancers", "is called past its load balancers", past, find, named=True)
    return None


def voided(state: State, now: Instant) -> Iterator[Change]:
    """Yield the end of each certificate whose pool somebody uses since: whoever stopped that pool must know, also while
    the journal does not work."""
    for name, colour, adopted in certified_pools(state):
        came = came_after(state, name, colour, adopted.pool(colour))
        if came is not None:
            change = _voided(state, name, colour, came, now)
            yield replace(change, lowering=bool(state.journal_error) and _is_alone(state, name, colour))


def _is_alone(state: State, name: ServiceName, colour: Colour) -> bool:
    """Whether nothing else that waits for the journal would be kept with it."""
    adopted = state.durable.services.get(name)
    known = adopted is not None and adopted.pool(colour).certificate is not None
    return known and not state.offered and state.record is state.ordered


def _voided(state: State, name: ServiceName, colour: Colour, came: Came, now: Instant) -> Change:
    """In a release its consumers' pins still lead there, and it may still call: it is draining again, whoever said that
    it is stopped. At rest it stays apart."""
    record, release = state.record, state.record.running(name)
    pool = record.services[name].pool(colour)
    found = _found(state, name, colour, pool, came, now)
    text = (
        f"{colour} of {name} was proved unused and {came.did}: {found.why}. Its certificate is void: do not stop it, "
        f"and {came.then}. It is certified again when nobody came for {seconds(found.quiet)}"
    )
    text += "" if found.named else f"; {where_to_look(state, name, colour)}"
    partners = _partners(record, name, pool, release)
    called = " and ".join(f"{old} of {one}" for one, old in partners)
    text += f". It may call {called}: that certificate is void, too" if called else ""
    latest = record.latest(name)
    told = Entry(
        kind=Kind.CERTIFICATE_VOID,
        at=now,
        text=text,
        severity=Severity.PAGE,
        service=name,
        release=None if latest is None else latest.id,
        data={"colour": colour.value},
    )
    if release is not None:
        said = {one: by for one, by in release.stopped.items() if one != name}
        record = record.with_release(replace(release, stopped=said))
    for one, old in (name, colour), *partners:
        record = in_use_again(record, one, old, release)
    adopted = record.services[name]
    record = record.with_service(name, adopted.with_pool(colour, replace(adopted.pool(colour), voided=found)))
    return Change(record=record, entries=(told,))


def _found(state: State, name: ServiceName, colour: Colour, pool: Pool, came: Came, now: Instant) -> Voided:
    """Return what is remembered of it, and how long it must be quiet now."""
    assert pool.certificate is not None
    unused, before = since(pool.certificate.since, now), pool.voided
    least = LONGER * state.topology.services[name].drain.quiet
    longer = 0 if before is None else AGAIN * before.quiet
    who = () if came.named else latecomers(state, name, colour, pool.certificate.at)
    return Voided(
        at=now,
        by=came.by,
        why="; ".join((came.why, *who)),
        named=came.named or bool(who),
        unused=unused,
        quiet=Span(max(least, AGAIN * unused, longer)),
        times=1 if before is None else before.times + 1,
    )


def _partners(record: Record, name: ServiceName, pool: Pool, release: Release | None) -> list[Key]:
    """Return the old pools of providers that this one may call again: they were certified because it was stopped."""
    found = [] if release is None else [(one, colour) for one, colour in pool.paired.items() if one in record.services]
    return [(one, colour) for one, colour in found if record.services[one].pool(colour).certificate is not None]


def in_use_again(record: Record, name: ServiceName, colour: Colour, release: Release | None) -> Record:
    """Return the record in which a pool has no certificate: draining in a release, apart and idle at rest."""
    state = PoolState.IDLE if release is None else PoolState.DRAINING
    adopted = record.services[name]
    pool = replace(adopted.pool(colour), certificate=None, state=state)
    return record.with_service(name, adopted.with_pool(colour, pool))

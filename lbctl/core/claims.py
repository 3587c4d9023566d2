"""Claims: CI asks which pool it may deploy to, and holds it. Pure.

A deployable pool gets no traffic, honours no session, and what its servers call is refused, on every instance, now and
after a reload: a freshly deployed storefront that calls in the background must not meet an accounts it does not know.
"""

from collections.abc import Iterator
from dataclasses import replace

from lbctl.core.change import Change, cancel
from lbctl.core.connected import connected
from lbctl.core.coupling import providers_of
from lbctl.core.emptiness import emptiness, in_use, unsteered
from lbctl.core.readback import read_since
from lbctl.core.reply import Facts
from lbctl.core.seating import seats_of
from lbctl.core.state import State
from lbctl.model.entry import Entry, Kind, Scalar
from lbctl.model.errors import Refused
from lbctl.model.names import Colour, ServiceName
from lbctl.model.record import Adopted, By, Claimed, PoolState, Record, Release
from lbctl.model.request import Claim, GiveBack
from lbctl.model.route import Caller, Pin
from lbctl.model.topology import Protocol
from lbctl.model.units import SECOND, Instant, Span, after, seconds, since

LAST_ARRIVAL = Span(SECOND)
"""A load balancer that reads back a route may still send on what it took by the one before: Envoy's workers follow its
main thread within some 25 ms."""


def claim(state: State, request: Claim, now: Instant) -> tuple[Change | None, Facts]:
    """Return the change that holds the pool, and which it is.

    A release of the service that had no traffic yet ends with it: what was deployed for it does not go any more. What
    the other services of that release had on the board is there again.

    Raises:
        Refused: no pool of the service may be deployed to now; the text says what it is used for, or who holds it.
    """
    name = request.service
    ended = _superseded(state, name, now, request.actor)
    adopted = _deployable(state, ended.record, name)
    colour = adopted.active.other
    held = ended.record.claims.get(name)
    held = held if held is not None and held.colour is colour else None
    proved = adopted.pool(colour).certificate is not None if held is None else held.proved
    parked = name in ended.record.board
    taken = None if held is None or parked or is_holder(held, request) else held
    if taken is not None and not request.take_over:
        raise _of_another(state, name, taken, now)
    kept = "" if held is not None else sessions_there(state, name, colour, now)
    if kept and not request.take_over:
        raise _of_its_users(name, colour, kept)
    facts = _facts(name, colour, ended if ended.record is not state.record else None, proved=proved)
    accepts = request.take_over and held is not None and not (held.despite or held.granted)
    if held is not None and not parked and taken is None and ended.record is state.record and not accepts:
        return None, {**facts, "granted": claim_granted(state, name), "already": True}
    held = Claimed(
        colour=colour,
        by=request.actor,
        since=now,
        proved=proved,
        build=request.build,
        uid=request.uid,
        despite=request.take_over,
        tainted=adopted.pool(colour).handed_out if held is None else held.tainted or held.granted or parked,
        doubted=adopted.pool(colour).voided is not None or (held is not None and held.doubted),
    )
    told = _told(state, ended.record, request, held, taken, now)
    if kept:
        told = replace(told, text=f"{told.text}; {kept} move to {colour.other} with their next request")
    for known in connected(state, name, colour) if held.despite else ():
        told = replace(told, text=f"{told.text}; {known}: that is taken for no use of it")
    return Change(record=_held(ended.record, name, held), entries=(*ended.entries, told)), facts


def _facts(name: ServiceName, colour: Colour, ended: Change | None, *, proved: bool) -> Facts:
    """Return what a new claim is answered with. `ended`: the end of a release that it superseded."""
    return {
        "service": name,
        "colour": colour.value,
        "proved": proved,
        "granted": False,
        "already": False,
        "superseded": None if ended is None else ended.entries[0].release,
    }


def sessions_there(state: State, name: ServiceName, colour: Colour, now: Instant) -> str:
    """Return whose sessions a pool still honours, for people; empty if none are, or nobody came for so long that they
    are over.

    Sessions change colour by a release, at their rate; whoever wants to deploy waits for them. Only a carrier has
    sessions of its own: the calls of a follower's old pool are pinned.
    """
    pool, left = state.record.services[name].pool(colour), state.record.latest(name)
    carried = left is not None and left.service == name and left.peak_bp > 0
    plain = state.topology.services[name].protocol is Protocol.HTTP
    if not carried or not plain or pool.state is not PoolState.DRAINING or not pool.keep_bp:
        return ""
    if emptiness(state, name, colour, now).silent:
        return ""
    seen = seats_of(state, name, colour, now)
    count = None if seen is None or not seen.known else seen.below(pool.keep_bp).in_memory.count(pool.keep_bp)
    if count is None:
        return "sessions that nobody counted"
    return f"about {count} sessions" if count else "users who came lately"


def _of_its_users(name: ServiceName, colour: Colour, kept: str) -> Refused:
    return Refused(
        "sessions_kept",
        f"{colour} of {name} still serves {kept}, which stay by the policy of the release before",
        why="a pool is deployable when no request came to it for `drain.idle`: until then a session may come back",
        then=f"lbctl claim {name} --wait; lbctl claim {name} --take-over moves them all with their next request",
    )


def is_holder(held: Claimed, request: Claim | GiveBack) -> bool:
    """Whether who asks has the claim already: the same build; where neither names one, the same user."""
    if held.build or request.build:
        return held.build == request.build
    return held.by == request.actor if held.uid is None else held.uid == request.uid


def holder(held: Claimed) -> str:
    """Return who holds a pool, for people."""
    return f"build {held.build}" if held.build else held.by


def _of_another(state: State, name: ServiceName, held: Claimed, now: Instant) -> Refused:
    age = since(held.since, now)
    left = seconds(max(0, state.topology.unit_of(name).deadlines.claim - age))
    return Refused(
        "claimed",
        f"{held.colour} of {name} has been claimed by {holder(held)} for {seconds(age)}",
        why=f"it may be deploying there now; the claim ends in {left} if nothing is said to be ready until then",
        then=f"lbctl claim {name} --wait; or stop that deployment, then lbctl claim {name} --take-over",
    )


def _held(record: Record, name: ServiceName, held: Claimed) -> Record:
    """Return the record with the pool held and no session honoured there, and nothing of the service on the board.

    A pool that served until now keeps its state and its partners until it is empty: a request that it still answers
    may call one of them.
    """
    adopted = record.services[name]
    pool = replace(adopted.pool(held.colour), keep_bp=0, certificate=None, voided=None, handed_out=True, leaving=None)
    record = record.with_service(name, adopted.with_pool(held.colour, pool))
    board = {one: ready for one, ready in record.board.items() if one != name}
    return replace(record, claims={**record.claims, name: held}, board=board)


def _told(state: State, record: Record, request: Claim, held: Claimed, taken: Claimed | None, now: Instant) -> Entry:
    name, parked, release = request.service, record.board.get(request.service), state.record.running(request.service)
    was = parked if parked is not None else None if release is None else release.members[name]
    text = f"{held.colour} of {name} is claimed by {request.actor} to be deployed to"
    text += f", for build {held.build}" if held.build else ""
    text += "" if taken is None else f"; it is taken over from {holder(taken)}"
    text += "" if held.proved else "; nobody had proved that it was unused"
    text += "" if was is None else f", and {was.version}, which was ready, does not go any more"
    superseded = was.build if was is not None else "" if taken is None else taken.build
    data: dict[str, Scalar] = {
        "colour": held.colour.value,
        "build": held.build,
        "superseded": superseded,
        "reason": request.reason,
    }
    return Entry(kind=Kind.POOL_CLAIMED, at=now, text=text, service=name, actor=request.actor, data=data)


def _superseded(state: State, name: ServiceName, now: Instant, actor: str) -> Change:
    """Return the end of the service's release by a newer build, if it had no traffic yet.

    The others' claims and records are given back; their pools must be proved to be apart again before they go.
    """
    release = state.record.running(name)
    if release is None or not release.phase.unmoved:
        return Change(record=state.record)
    change = cancel(state.record, release, now, f"superseded: {name} is claimed for a newer build", By.NEWER, actor)
    return replace(change, record=_given_back(change.record, release, name, now))


def _given_back(record: Record, release: Release, claimed: ServiceName, now: Instant) -> Record:
    others = {one: held for one, held in release.claims.items() if one != claimed}
    claims = {one: replace(held, since=now, granted=False, tainted=True) for one, held in others.items()}
    ready = {one: standing for one, standing in release.ready.items() if one in others}
    return replace(record, claims={**record.claims, **claims}, board={**record.board, **ready})


def unclaimed(record: Record, name: ServiceName) -> Record:
    """Return the record without the claim of a service. Where it was never granted nobody could deploy, so that what
    served there is there still, and may be certified."""
    held = record.claims[name]
    claims = {one: claim for one, claim in record.claims.items() if one != name}
    adopted = record.services[name]
    pool = replace(adopted.pool(held.colour), handed_out=held.granted or held.tainted)
    return replace(record.with_service(name, adopted.with_pool(held.colour, pool)), claims=claims)


def claim_granted(state: State, name: ServiceName) -> bool:
    """Whether the claimed pool may be deployed to: it was proved to be apart since the claim, and that is durable."""
    held = state.record.claims.get(name)
    return held is not None and held.granted and state.durable.claims.get(name) == held


def grant(state: State, name: ServiceName, now: Instant) -> Change | None:
    """Return the next step of a claim, by readings taken since the last one: its pool is empty and becomes idle; it is
    proved to be apart and is granted."""
    held = state.record.claims.get(name)
    if held is None or held.granted or state.durable.claims.get(name) != held or lacking(state, name, held):
        return None
    if not _is_idle(state, name, held):
        return _idle(state, name, held, now)
    record = replace(state.record, claims={**state.record.claims, name: replace(held, granted=True)})
    text = f"{held.colour} of {name} gets no traffic and calls nobody, read back everywhere: it may be deployed to"
    data: dict[str, Scalar] = {"colour": held.colour.value}
    told = Entry(kind=Kind.POOL_GRANTED, at=now, text=text, service=name, actor=held.by, data=data)
    return Change(record=record, entries=(told,))


def lacking(state: State, name: ServiceName, held: Claimed) -> str:
    """Return what the next step of a claim waits for, for people; empty if nothing is in its way.

    A pool that served must be empty first: nothing reaches it any more, not by old workers nor past the load balancers,
    and nothing that did is still being answered.
    Then, idle, it must be apart: what its servers call is refused.
    """
    idle, lanes = _is_idle(state, name, held), state.lanes
    at = {
        i: held.since if idle else after(max(held.since, lanes[i].ended_at), LAST_ARRIVAL)
        for i in state.topology.instances_of(name)
    }
    ways = (
        in_use(state, name, held.colour, at),
        unsteered(state, name),
        () if held.despite or (idle and not held.doubted) else _connected(state, name, held.colour),
    )
    if used := next((why for way in ways for why in way), ""):
        return used
    caller = Caller(name, held.colour)
    for provider in providers_of(state.topology, name) if idle else ():
        if not _pinned_off(state, provider, caller, held.since):
            return f"calls of {caller} are not read back as refused by {provider} everywhere"
    return ""


def _connected(state: State, name: ServiceName, colour: Colour) -> Iterator[str]:
    for why in connected(state, name, colour):
        yield f"{why}; whoever knows that this is no use of it: lbctl claim {name} --take-over"


def _is_idle(state: State, name: ServiceName, held: Claimed) -> bool:
    return state.record.services[name].pool(held.colour).state is PoolState.IDLE


def _idle(state: State, name: ServiceName, held: Claimed, now: Instant) -> Change:
    """Return the end of a pool that serves nobody any more: what it calls is refused from now on."""
    adopted = state.record.services[name]
    pool = replace(adopted.pool(held.colour), state=PoolState.IDLE, paired={})
    record = state.record.with_service(name, adopted.with_pool(held.colour, pool))
    record = replace(record, claims={**record.claims, name: replace(held, since=now)})
    text = f"{held.colour} of {name} has no request in flight and gets no new one: what it calls is refused from now on"
    data: dict[str, Scalar] = {"colour": held.colour.value}
    told = Entry(kind=Kind.POOL_EMPTIED, at=now, text=text, service=name, actor=held.by, data=data)
    return Change(record=record, entries=(told,))


def _pinned_off(state: State, provider: ServiceName, caller: Caller, at: Instant) -> bool:
    """Whether nothing that the pool calls at a provider is answered. One that is only observed pins nobody."""
    if provider not in state.record.services:
        return True
    for instance in state.topology.instances_of(provider):
        reading = read_since(state, instance, provider, at)
        seen = None if reading is None else reading.services.get(provider)
        routes = () if reading is None else reading.routes_of(provider)
        if seen is None or seen.boot is None or not routes:
            return False
        if any(dict(route.pins).get(caller) is not Pin.NONE for route in (*routes, seen.boot)):
            return False
    return True


def _deployable(state: State, record: Record, name: ServiceName) -> Adopted:
    if name not in state.topology.services:
        known = ", ".join(sorted(state.topology.services))
        why = f"known are: {known}"
        raise Refused("no_such_service", f"there is no service {name}", why=why, then="lbctl status", exit_code=7)
    adopted = record.services.get(name)
    if adopted is None:
        then = f"lbctl adopt {name} --active blue|green --version V"
        raise Refused("not_adopted", f"{name} is only observed: nobody said which pool is active", then=then)
    release = record.running(name)
    if release is not None:
        raise Refused(
            "in_release",
            f"{release.members[name].to} of {name} is part of release {release.id} ({release.phase.value})",
            why="it has or had traffic: a newer build waits for the next release",
            then=f"lbctl release wait {release.id} --for finished",
        )
    _not_called(state, record, name, adopted.active.other)
    return adopted


def _not_called(state: State, record: Record, name: ServiceName, colour: Colour) -> None:
    """A pool that an old pool of a consumer is pinned to is in use as long as that one may call."""
    for consumer in state.topology.services[name].consumers:
        adopted = record.services.get(consumer)
        pools = {} if adopted is None else {caller: adopted.pool(caller) for caller in Colour}
        for caller, pool in pools.items():
            if pool.state is PoolState.DRAINING and pool.paired.get(name) is colour:
                raise Refused(
                    "still_called",
                    f"{colour} of {name} serves the old {caller} of {consumer}, which may still call",
                    why="it was released together with it and stays pinned to it",
                    then=f"lbctl claim {consumer} --wait first: its old pool is then emptied and shut off",
                )

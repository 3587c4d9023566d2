"""What people and CI ask for: admitted or refused in words, with the way out. Pure.

Each request becomes at most one change of the record. A refusal names the reason and the next command.
"""

from collections.abc import Callable
from dataclasses import replace

from lbctl.core import ready
from lbctl.core.afterwards import say_stopped, too_late, undo
from lbctl.core.approving import approve
from lbctl.core.board import contract_unread
from lbctl.core.change import Change, cancel, entry, go_back, next_step
from lbctl.core.claims import claim
from lbctl.core.coupling import providers_of
from lbctl.core.draining import drain_server
from lbctl.core.evidence import proved
from lbctl.core.hooks import closed
from lbctl.core.reply import Facts, facts
from lbctl.core.rules import climb, drain
from lbctl.core.situation import Situation, situation
from lbctl.core.state import Mark, State
from lbctl.core.switching import switch
from lbctl.model.entry import Entry, Kind
from lbctl.model.errors import Refused
from lbctl.model.names import Colour, ServiceName
from lbctl.model.reading import InstanceReading, Token, Unreadable
from lbctl.model.record import Adopted, By, Phase, Pool, PoolState, Record, Release
from lbctl.model.request import (
    Adopt,
    Approve,
    Asked,
    Cancel,
    Claim,
    DrainServer,
    Maintenance,
    OnRelease,
    Pause,
    Promote,
    Request,
    Resume,
    Rollback,
    SayReady,
    SayStopped,
    Switch,
    Undo,
    Withdraw,
)
from lbctl.model.topology import Service, Topology
from lbctl.model.units import BP_FULL, Instant, percent


def admit(state: State, request: Request, now: Instant) -> tuple[Change | None, Facts]:
    """Return the change a request makes (None: it is so already) and the facts for the caller.

    Raises:
        Refused: it may not be done now; nothing was changed.
    """
    match request:
        case Adopt():
            return _adopt(state, request, now)
        case Maintenance():
            return _maintenance(state, request, now)
        case Claim():
            return claim(state, request, now)
        case SayReady():
            _service(state, request.service)
            _journal_works(state)
            return ready.say(state, request, now)
        case Withdraw():
            return ready.withdraw(state, request, now)
        case Switch():
            _switched(state, request)
            return switch(state, request, now)
        case DrainServer():
            _service(state, request.service)
            _journal_works(state)
            return drain_server(state, request, now)
        case Undo():
            release = state.record.releases.get(request.unit)
            return undo(state, request, None if release is None else situation(state, release.service, now), now)
        case Pause() | Resume() | Approve() | Promote() | Rollback() | Cancel() | SayStopped():
            return _on_release(state, request, now)


def _service(state: State, name: ServiceName) -> Service:
    service = state.topology.services.get(name)
    if service is None:
        known = ", ".join(sorted(state.topology.services))
        raise Refused("no_such_service", f"there is no service {name}", why=f"known are: {known}", exit_code=7)
    return service


def _journal_works(state: State) -> None:
    if state.journal_error:
        raise Refused(
            "journal",
            "nothing new can be started: the journal cannot be written",
            why=state.journal_error,
            then="free space or repair the state directory; a rollback works without it",
        )


# ---- services


def _adopt(state: State, request: Adopt, now: Instant) -> tuple[Change | None, Facts]:
    service = _service(state, request.service)
    _journal_works(state)
    facts: Facts = {"service": request.service, "active": request.active.value, "version": request.version}
    known = state.record.services.get(request.service)
    running = state.record.running(request.service)
    if running is not None:
        raise Refused(
            "in_release", f"{service.name} is in release {running.id}", then=f"lbctl release show {running.id}"
        )
    contract_unread(state.topology, request.service, request.contract)
    if known is not None and known.active is request.active and known.pool(known.active).version == request.version:
        return _declared(state, request, known, now), facts
    _adoptable(state, service, request)
    record = _with_partners(state.topology, _adopted(state.record, request, known), request.service)
    text = f"{service.name} is adopted: {request.active} is active with version {request.version}"
    told = _about(request, Kind.SERVICE_ADOPTED, now, text, service.name)
    return Change(record=record, entries=(told, *_overtaken(state.record, record, request, now))), facts


def _declared(state: State, request: Adopt, known: Adopted, now: Instant) -> Change | None:
    """Return the change that records another contract of the version that is active already."""
    pool = known.pool(known.active)
    if not request.contract.declared or request.contract == pool.contract:
        return None
    adopted = known.with_pool(known.active, replace(pool, contract=request.contract))
    text = f"{request.service} {request.version}, which is active, declares another contract"
    told = _about(request, Kind.SERVICE_ADOPTED, now, text, request.service)
    return Change(record=state.record.with_service(request.service, adopted), entries=(told,))


def _adopted(record: Record, request: Adopt, known: Adopted | None) -> Record:
    """Return the record with that pool as the active one. A pool that stays the other one stays as it is, with its
    claim; one that was active may still serve, and what was claimed or ready in the new one is overtaken."""
    name, active = request.service, Pool(state=PoolState.ACTIVE, version=request.version, contract=request.contract)
    if known is None:
        old = Pool(state=PoolState.DRAINING)
        adopted = Adopted(active=request.active, blue=old, green=old).with_pool(request.active, active)
        return record.with_service(name, adopted)
    adopted = replace(known, active=request.active).with_pool(request.active, active)
    if known.active is request.active:
        return record.with_service(name, adopted)
    # Until now it followed the providers' splits, whomever it was paired with in its own release.
    old = replace(known.pool(known.active), state=PoolState.DRAINING, paired={})
    record = record.with_service(name, adopted.with_pool(known.active, old))
    claims = {one: held for one, held in record.claims.items() if one != name}
    return replace(record, claims=claims, board={one: ready for one, ready in record.board.items() if one != name})


def _with_partners(topology: Topology, record: Record, name: ServiceName) -> Record:
    """Return the record with a partner for every pool of an adopted service, or of its consumers, that may still call
    and has none: the provider's active pool. What is deployed to the other one later must not meet it."""
    for consumer in (name, *topology.services[name].consumers):
        if consumer not in record.services:
            continue
        adopted, providers = record.services[consumer], providers_of(topology, consumer)
        partners = {one: record.services[one].active for one in providers if one in record.services}
        for colour in Colour:
            pool = adopted.pool(colour)
            if pool.state is PoolState.DRAINING:
                adopted = adopted.with_pool(colour, replace(pool, paired={**partners, **pool.paired}))
        record = record.with_service(consumer, adopted)
    return record


def _overtaken(before: Record, after: Record, request: Adopt, now: Instant) -> tuple[Entry, ...]:
    """Say of a version that was ready in a pool that became active by a person's word that it goes nowhere."""
    ready = before.board.get(request.service)
    if ready is None or request.service in after.board:
        return ()
    text = f"{request.service} {ready.version} is not ready any more: {request.active} was adopted as active"
    told = _about(request, Kind.VERSION_WITHDRAWN, now, text, request.service)
    return (replace(told, data={**told.data, "version": ready.version, "build": ready.build}),)


def _adoptable(state: State, service: Service, request: Adopt) -> None:
    """Every instance must be readable, and new traffic must be where the person says it is (or `--settle`)."""
    for name in state.topology.instances_of(service.name):
        reading = state.observed.instances.get(name)
        if not isinstance(reading, InstanceReading):
            why = reading.reason if isinstance(reading, Unreadable) else "it was not read yet"
            raise Refused("unreachable", f"{name} cannot be read", why=why, then="lbctl status")
        seen = reading.services.get(service.name)
        if seen is None or (seen.obstacles and not seen.runtime):
            why = "" if seen is None else "; ".join(seen.obstacles)
            then = f"lbctl config render {state.topology.planes[service.plane].driver}"
            raise Refused("not_routed", f"{name} does not route {service.name}", why=why, then=then)
        shares = {route.share_bp(request.active) for route in seen.runtime.values()}
        if shares - {BP_FULL} and not request.settle:
            got = ", ".join(percent(share) for share in sorted(shares))
            raise Refused(
                "split",
                f"{request.active} does not take all new traffic of {service.name}",
                why=f"on {name} it takes {got}",
                then=f"lbctl adopt {service.name} --active {request.active} --settle",
            )


def _maintenance(state: State, request: Maintenance, now: Instant) -> tuple[Change | None, Facts]:
    _journal_works(state)
    facts: Facts = {"maintenance": request.on, "service": request.service}
    word = "on" if request.on else "off"
    if request.service is None:
        if state.record.maintenance == request.on:
            return None, facts
        record = replace(state.record, maintenance=request.on)
    else:
        adopted = state.record.services.get(_service(state, request.service).name)
        if adopted is None:
            then = f"lbctl adopt {request.service} --active blue --version V"
            raise Refused("not_adopted", f"{request.service} is only observed: nothing is written anyway", then=then)
        if adopted.maintenance == request.on:
            return None, facts
        record = state.record.with_service(request.service, replace(adopted, maintenance=request.on))
    text = f"maintenance {word} for {request.service or 'every service'}"
    return Change(
        record=record, entries=(_about(request, Kind.MAINTENANCE_CHANGED, now, text, request.service),)
    ), facts


# ---- releases


def _switched(state: State, request: Switch) -> None:
    """Refuse names that are not known, and whatever starts while the journal does not work."""
    for name in (request.service, *request.followers):
        _service(state, name)
    _journal_works(state)


def _on_release(state: State, request: OnRelease, now: Instant) -> tuple[Change | None, Facts]:
    release = next((r for r in state.record.releases.values() if r.id == request.release), None)
    if release is None:
        raise Refused(
            "no_such_release", f"there is no running release {request.release}", then="lbctl release list", exit_code=7
        )
    if release.phase.ended:
        told = f"release {release.id} has ended: {release.phase.value.replace('_', ' ')}"
        raise Refused("ended", told, why=release.outcome, then=_way_back(request, release))
    here = situation(state, release.service, now)
    if here is None:
        raise Refused(
            "not_configured", f"{release.service} is not in the config any more", then="restore it, then reload"
        )
    change = ON_RELEASE[type(request)](state, here, request)
    after = release if change is None else change.record.releases[release.unit_name]
    return change, facts(request, release, after)


def _way_back(request: OnRelease, release: Release) -> str:
    """Return the next command of who comes too late: what is finished goes back only by a release of its own."""
    if not isinstance(request, Rollback) or release.phase is not Phase.FINISHED:
        return f"lbctl explain {release.id}"
    return f"lbctl undo {release.unit_name}"


def _pause(state: State, now: Situation, request: Asked) -> Change | None:
    _not_going_back(now.release)
    if now.release.paused_by is not None:
        return None
    _journal_works(state)
    paused = replace(now.release, paused_by=_who(request))
    return _told(now.record, paused, Kind.RELEASE_PAUSED, now.at, f"paused by {request.actor}", request)


def _resume(state: State, now: Situation, request: Asked) -> Change | None:
    _not_going_back(now.release)
    _journal_works(state)
    if now.token_trouble:
        raise Refused(
            "token_unread",
            f"release {now.release.id} cannot be resumed: its go-token cannot be read",
            why=now.token_trouble,
            then=f"repair that; lbctl rollback {now.release.id} works without it",
        )
    needs_token = now.token in {Token.NONE, Token.HOLD} and now.release.id not in state.held_tokens
    if now.release.paused_by is None and not now.release.latched and not needs_token:
        return None
    resumed = replace(now.release, paused_by=None, latched={})
    if not needs_token:
        return _told(now.record, resumed, Kind.RELEASE_RESUMED, now.at, "resumed", request)
    resumed = replace(resumed, nonce=request.nonce)
    change = _told(now.record, resumed, Kind.RELEASE_RESUMED, now.at, "resumed with a new go-token", request)
    return replace(change, marks=(Mark(resumed.id, request.nonce, Token.GO),))


def _promote(state: State, now: Situation, request: Asked) -> Change | None:
    assert isinstance(request, Promote)
    _not_going_back(now.release)
    _journal_works(state)
    if now.release.phase.unmoved or now.release.phase.swapped:
        raise Refused(
            "nothing_to_promote",
            f"release {now.release.id} is in {now.release.phase.value}",
            why="promote goes to the next step: before first traffic all must be proved, afterwards none is left",
            then=f"lbctl why {now.release.id}",
        )
    holding = [hold for hold in (now.progress.holds if now.progress else ()) if not hold.overridable]
    if holding:
        raise Refused(
            "held", f"release {now.release.id} is held", why=holding[0].reason, then=f"needs: {holding[0].needs}"
        )
    gate = closed(now) if now.release.phase is Phase.SHIFTING else ""
    if gate:
        why = "it is asked when the step's time is over, and no person goes over it"
        raise Refused("hook_open", f"hook {gate} has not said yes to the next step", why=why, then="wait")
    if not proved(now) or not now.durable:
        raise Refused(
            "not_reached", "the last step is not read back everywhere yet", then=f"lbctl why {now.release.id}"
        )
    if now.release.phase is Phase.BAKING:
        return _promoted(drain(now, actor=request.actor), request)
    share_bp = BP_FULL if request.full else next_step(now.release)
    if share_bp == now.release.share_bp:
        return None
    return _promoted(climb(now, share_bp, actor=request.actor), request)


def _promoted(change: Change, request: Promote) -> Change:
    """Say who went on, and why: the step's own text has only the numbers."""
    (told,) = change.entries
    text = f"{told.text}; promoted by {_who(request)}"
    return replace(change, entries=(replace(told, text=text, data={**told.data, "reason": request.reason}),))


def _rollback(state: State, now: Situation, request: Asked) -> Change | None:
    del state
    if now.release.phase is Phase.ROLLING_BACK:
        return None
    if now.release.phase is Phase.RETIRING:
        raise too_late(now)
    return go_back(now.record, now.release, now.at, "person", _why(request, "rollback"), By.PERSON, request.actor)


def _stopped(state: State, now: Situation, request: Asked) -> Change | None:
    assert isinstance(request, SayStopped)
    _journal_works(state)
    return say_stopped(now, request)


def _cancel(state: State, now: Situation, request: Asked) -> Change | None:
    if not now.release.phase.unmoved:
        return _rollback(state, now, request)
    mark = Mark(now.release.id, now.release.nonce, Token.BACK)
    return cancel(now.record, now.release, now.at, _why(request, "cancel"), By.PERSON, request.actor, (mark,))


ON_RELEASE: dict[type, Callable[[State, Situation, Asked], Change | None]] = {
    Pause: _pause,
    Resume: _resume,
    Approve: approve,
    Promote: _promote,
    Rollback: _rollback,
    Cancel: _cancel,
    SayStopped: _stopped,
}


def _not_going_back(release: Release) -> None:
    if release.phase is Phase.ROLLING_BACK:
        raise Refused(
            "going_back",
            f"release {release.id} is going back",
            why="a rollback is latched: nothing leads to more traffic on the candidate",
            then=f"lbctl why {release.id}",
        )


def _who(request: Asked) -> str:
    return f"{request.actor}: {request.reason}" if request.reason else request.actor


def _why(request: Asked, word: str) -> str:
    return f"{word} by {_who(request)}"


def _told(record: Record, release: Release, kind: Kind, at: Instant, text: str, request: Asked) -> Change:
    told = entry(kind, release, at, text + _because(request), actor=request.actor, reason=request.reason)
    return Change(record=record.with_release(release), entries=(told,))


def _about(request: Asked, kind: Kind, at: Instant, text: str, service: ServiceName | None) -> Entry:
    told = text + _because(request)
    return Entry(kind=kind, at=at, text=told, service=service, actor=request.actor, data={"reason": request.reason})


def _because(request: Asked) -> str:
    return f": {request.reason}" if request.reason else ""

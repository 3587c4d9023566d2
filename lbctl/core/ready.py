"""Saying that a version is ready, taking it back, and cutting the set that fits. Pure."""

from dataclasses import replace

from lbctl.core.attestation import nameless
from lbctl.core.board import contract_unread, largest_set, obstacle
from lbctl.core.change import Change
from lbctl.core.claims import claim_granted
from lbctl.core.cutting import Cut, Version, cut
from lbctl.core.reply import Facts
from lbctl.core.state import State
from lbctl.model.entry import Entry, Kind, Scalar, Severity
from lbctl.model.errors import Refused
from lbctl.model.names import ReleaseId, ServiceName
from lbctl.model.record import Claimed, Ready, Record
from lbctl.model.request import SayReady, Withdraw
from lbctl.model.topology import Unit
from lbctl.model.units import Instant

SUPERSEDED = 25
"""What a pipeline ends with whose build was overtaken by another one."""


def say(state: State, request: SayReady, now: Instant) -> tuple[Change | None, Facts]:
    """Return the change that puts a record on the board. Saying the same again changes nothing.

    Raises:
        Refused: the service has no claim that is granted: nobody knows that its pool may be deployed to. Or another
            build has it, and may be deploying there.
    """
    name = request.service
    facts: Facts = {"service": name, "version": request.version, "build": request.build}
    known = state.record.board.get(name)
    same = known is not None and (known.version, known.build, known.contract) == (
        request.version,
        request.build,
        request.contract,
    )
    contract_unread(state.topology, name, request.contract)
    nameless(state.topology.services[name], request.version)
    going = None if same else _going(state, request)
    if same or going is not None:
        return None, {**facts, "release": going}
    _held_by(state, request)
    if not claim_granted(state, name):
        raise _not_claimed(state, request)
    record = Ready(
        version=request.version,
        build=request.build,
        contract=request.contract,
        by=request.actor,
        at=now,
        nonce=request.nonce,
        wall=request.wall,
        uid=request.uid,
        login=request.login,
    )
    text = f"{name} {request.version} is ready ({request.build or 'no build named'})"
    data = _data(request.version, request.build, request.reason)
    told = Entry(kind=Kind.VERSION_READY, at=now, text=text, service=name, actor=request.actor, data=data)
    return Change(record=replace(state.record, board={**state.record.board, name: record}), entries=(told,)), facts


def _not_claimed(state: State, request: SayReady) -> Refused:
    name, release = request.service, state.record.running(request.service)
    what = f"{name} has no claim: {request.version} may be in a pool that is used, or pinned to another partner"
    if release is not None:
        version = release.members[name].version
        what = f"{name} has no claim: its pool is in release {release.id} ({release.phase.value}) with {version}"
    return Refused(
        "not_claimed",
        what,
        why="a pool is claimed before it is deployed to, so that nothing reaches it and it calls nobody",
        then=f"lbctl claim {name} --wait, deploy, then say ready again",
    )


def _held_by(state: State, request: SayReady) -> None:
    """Refuse a build whose place another one took: what it deployed may be overwritten."""
    held = state.record.claims.get(request.service)
    if held is None or held.build in {"", request.build}:
        return
    raise Refused(
        "claimed_by_another",
        f"{held.colour} of {request.service} is claimed by build {held.build}, not by {request.build}",
        why="the claim of this build was taken over, or ended before it was ready; that build may deploy there now",
        then=f"lbctl claim {request.service} --build {request.build} --wait, and deploy again",
        exit_code=SUPERSEDED,
    )


def _data(version: str, build: str, reason: str) -> dict[str, Scalar]:
    """What a pipeline that waits for its build finds it by in the journal."""
    return {"version": version, "build": build, "reason": reason}


def _going(state: State, request: SayReady) -> ReleaseId | None:
    """Return the running release that this very build is in: a CI job that asks again is told so.

    Raises:
        Refused: it went with another contract; by that one its set was chosen, and the pins were set.
    """
    release = state.record.running(request.service)
    member = None if release is None else release.members[request.service]
    if release is None or member is None or (member.version, member.build) != (request.version, request.build):
        return None
    if member.contract != request.contract:
        raise Refused(
            "contract_fixed",
            f"{request.service} {request.version} is in release {release.id} with another contract",
            why="its set was chosen by that one, and it stays the contract of what goes",
            then=f"lbctl release show {release.id}; to go with this one: lbctl rollback {release.id}, claim again",
        )
    return release.id


def withdraw(state: State, request: Withdraw, now: Instant) -> tuple[Change | None, Facts]:
    """Return the change that takes a record off the board."""
    name = request.service
    if name not in state.record.board:
        release = state.record.running(name)
        going = None if release is None else release.members[name]
        version = "" if going is None else going.version
        return None, {"service": name, "release": None if release is None else release.id, "version": version}
    board = {one: ready for one, ready in state.record.board.items() if one != name}
    ready = state.record.board[name]
    text = f"{name} {ready.version} is not ready any more"
    data = _data(ready.version, ready.build, request.reason)
    told = Entry(kind=Kind.VERSION_WITHDRAWN, at=now, text=text, service=name, actor=request.actor, data=data)
    record = replace(state.record, board=board, claims=_held_anew(state.record, name, now=now))
    return Change(record=record, entries=(told,)), {"service": name, "build": ready.build}


def _held_anew(record: Record, *names: ServiceName, now: Instant) -> dict[ServiceName, Claimed]:
    """Return the claims, those of versions that left the board as if made now: another may be ready soon."""
    return {name: replace(one, since=now) if name in names else one for name, one in record.claims.items()}


def due(state: State, unit: Unit, now: Instant) -> Change | None:
    """Return the release of the largest set on the board that may go, if none of the unit runs."""
    record = state.record
    if not any(name in record.board for name in unit.services) or any(record.running(one) for one in unit.services):
        return None
    if record.in_maintenance(*unit.services) or any(one in state.observed.frozen for one in unit.services):
        return None
    going = [name for name in unit.services if name in record.board and claim_granted(state, name)]
    chosen = largest_set(state.topology, _only(record, going), unit)
    if not chosen:
        return None
    newest = max((record.board[name] for name in chosen), key=lambda one: one.at)
    versions = {name: _version(record.board[name]) for name in chosen}
    by = ", ".join(sorted({record.board[name].by for name in chosen}))
    set_going = Cut(
        carrier=chosen[0],
        versions=versions,
        plan=unit.plan,
        nonce=newest.nonce,
        wall=newest.wall,
        by=by,
        uids=tuple(sorted({who for name in chosen for who in record.board[name].people})),
    )
    try:
        return cut(state, set_going, now)
    except Refused as refused:
        return _parked(record, chosen, refused, now)


def _parked(record: Record, chosen: tuple[ServiceName, ...], refused: Refused, now: Instant) -> Change:
    """A set that its plan refuses leaves the board, and people are told why: it would be tried for ever."""
    board = {name: one for name, one in record.board.items() if name not in chosen}
    text = f"{', '.join(chosen)} cannot go: {refused.what}: {refused.why}; then {refused.then}"
    builds = " ".join(record.board[name].build for name in chosen)
    data: dict[str, Scalar] = {"build": builds, "code": refused.code}
    told = Entry(kind=Kind.VERSION_WITHDRAWN, at=now, text=text, service=chosen[0], severity=Severity.PAGE, data=data)
    return Change(record=replace(record, board=board, claims=_held_anew(record, *chosen, now=now)), entries=(told,))


def _only(record: Record, names: list[ServiceName]) -> Record:
    return replace(record, board={name: one for name, one in record.board.items() if name in names})


def _version(ready: Ready) -> Version:
    return Version(ready.version, ready.build, ready.contract)


def waiting(state: State, unit: Unit) -> dict[ServiceName, str]:
    """Return for every record on the board what it waits for."""
    found: dict[ServiceName, str] = {}
    for name in unit.services:
        if name not in state.record.board:
            continue
        release = state.record.running(name)
        alone = obstacle(state.topology, state.record, unit, (name,))
        if not claim_granted(state, name):
            found[name] = "waiting until every load balancer reads back that its pool is apart"
        elif any(one in state.observed.frozen for one in unit.services):
            found[name] = next(state.observed.frozen[one] for one in unit.services if one in state.observed.frozen)
        elif release is not None:
            found[name] = f"waiting for the end of release {release.id}"
        else:
            found[name] = str(alone) if alone is not None else "waiting for the rest of its unit"
    return found

"""What people ask when a release is through: that an old pool is stopped, and that all be undone. Pure."""

from collections.abc import Iterator
from dataclasses import replace

from lbctl.core.admission import because
from lbctl.core.board import obstacle
from lbctl.core.change import Change, entry, go_back
from lbctl.core.cutting import Cut, Version, cut
from lbctl.core.reply import Facts
from lbctl.core.situation import Situation
from lbctl.core.state import State
from lbctl.core.switching import called_by_strangers, switchable
from lbctl.model.entry import Kind
from lbctl.model.errors import Refused
from lbctl.model.names import Colour, ServiceName
from lbctl.model.record import By, Phase, Pool, Ready, Record, Release
from lbctl.model.request import SayStopped, Undo
from lbctl.model.units import Instant


def too_late(now: Situation) -> Refused:
    """Return why a release that retires cannot go back by a rollback."""
    certified = [
        f"{member.origin} of {name}"
        for name, member in now.release.members.items()
        if now.record.services[name].pool(member.origin).certificate is not None
    ]
    return Refused(
        "retiring",
        f"release {now.release.id} cannot go back by a rollback any more",
        why=f"{', '.join(certified)} is certified as unused, and may be stopped already",
        then=f"lbctl undo {now.release.unit_name}",
    )


def say_stopped(now: Situation, request: SayStopped) -> Change | None:
    """Return the change that takes somebody's word for it that a certified pool is stopped.

    Raises:
        Refused: it is no service of the release, or nobody has proved that its old pool may be stopped.
    """
    release, name = now.release, request.service
    member = release.members.get(name)
    if member is None:
        then = f"its services: {', '.join(release.members)}"
        raise Refused("bad_members", f"{name} is no service of release {release.id}", then=then, exit_code=2)
    if now.record.services[name].pool(member.origin).certificate is None:
        proof = now.empties.get(name)
        raise Refused(
            "not_certified",
            f"{member.origin} of {name} is not certified: it may be in use",
            why=proof.waits if proof is not None else f"release {release.id} is in {release.phase.value}",
            then=f"lbctl retired {release.id} --service {name} --wait",
        )
    if name in release.stopped:
        return None
    said = replace(release, stopped={**release.stopped, name: request.actor})
    text = f"{member.origin} of {name} is stopped, says {request.actor}"
    told = entry(Kind.POOL_STOPPED, said, now.at, text, actor=request.actor, reason=request.reason)
    return Change(record=now.record.with_release(said), entries=(replace(told, service=name),))


def undo(state: State, request: Undo, here: Situation | None, now: Instant) -> tuple[Change | None, Facts]:
    """Return the way back from the last release of a unit: a rollback while that may still be, else a new release of
    the recorded versions, with all checks. One that is just retiring ends first: `again` says to ask again.

    Raises:
        Refused: there is nothing to undo, or what served before is not there any more; the text names it.
    """
    release = state.record.releases.get(request.unit)
    if release is None or (_failed(release) and release.undoes is None):
        raise _nothing_to_undo(request, release)
    if release.phase.ended:
        return _anew(state, request, release, now)
    if here is None:
        gone = ", ".join(name for name in release.members if name not in state.topology.services)
        raise Refused("not_configured", f"{gone} is not in the config any more", then="restore it, then reload")
    return _running(here, request)


def _nothing_to_undo(request: Undo, release: Release | None) -> Refused:
    if release is None:
        return Refused("nothing_to_undo", f"{request.unit} had no release yet", then=f"lbctl status {request.unit}")
    what = f"what served before release {release.id} serves {request.unit} now"
    return Refused(
        "nothing_to_undo", what, why=f"it was {release.phase.value}: {release.outcome}", then="lbctl history"
    )


def _running(now: Situation, request: Undo) -> tuple[Change | None, Facts]:
    release = now.release
    facts: Facts = {"unit": request.unit, "service": release.service, "release": release.id, "again": False}
    if release.phase is Phase.RETIRING:
        did = "it ends without further certificates; then a new release goes back"
        change = None if release.cut_short else _cut_short(now, request, did)
        return change, {**facts, "phase": release.phase.value, "again": True, "did": did}
    if release.phase is Phase.ROLLING_BACK:
        return None, {**facts, "phase": release.phase.value, "did": "nothing was changed: it is going back"}
    if release.undoes is not None:
        # Asked twice, as after a time-out, it must not turn round: whoever wants that says so.
        did = f"nothing was changed: it brings back what served before; lbctl rollback {release.id} turns round"
        return None, {**facts, "phase": release.phase.value, "did": did}
    why = f"undo by {request.actor}" + (f": {request.reason}" if request.reason else "")
    change = go_back(now.record, release, now.at, "person", why, By.PERSON, request.actor)
    phase = change.record.releases[release.unit_name].phase
    did = "cancelled before first traffic" if phase.ended else f"going back to {release.origin} by a rollback"
    return change, {**facts, "phase": phase.value, "did": did}


def _cut_short(now: Situation, request: Undo, did: str) -> Change:
    ends = replace(now.release, cut_short=True)
    text = f"undo by {request.actor}: {did}{because(request)}"
    told = entry(Kind.RELEASE_CUT_SHORT, ends, now.at, text, actor=request.actor, reason=request.reason)
    return Change(record=now.record.with_release(ends), entries=(told,))


def _anew(state: State, request: Undo, release: Release, now: Instant) -> tuple[Change, Facts]:
    """Return the release of what served before."""
    for refused in _hindrances(state, request, release, now):
        raise refused
    pools = {name: state.record.services[name].pool(colour) for name, colour in _back_to(release).items()}
    undone = release.undoes if _failed(release) else release.id
    going = Cut(
        carrier=release.service,
        versions={name: Version(pool.version, pool.build, pool.contract) for name, pool in pools.items()},
        plan=request.plan,
        nonce=request.nonce,
        wall=request.wall,
        by=request.actor,
        uids=request.people,
        reason=f"undo of release {undone}" + (f": {request.reason}" if request.reason else ""),
        undoes=undone,
    )
    change = cut(state, going, now)
    begun = change.record.releases[release.unit_name]
    told = ", ".join(f"{name} {pool.version}" for name, pool in pools.items())
    return change, {
        "unit": request.unit,
        "service": begun.service,
        "release": begun.id,
        "again": False,
        "phase": begun.phase.value,
        "did": f"release {begun.id} brings back {told}",
    }


def _failed(release: Release) -> bool:
    return release.phase in {Phase.ROLLED_BACK, Phase.CANCELLED}


def _back_to(release: Release) -> dict[ServiceName, Colour]:
    """Return the pools that served before: those of the way back itself, where one was tried in vain."""
    return {name: member.to if _failed(release) else member.origin for name, member in release.members.items()}


def _hindrances(state: State, request: Undo, release: Release, now: Instant) -> Iterator[Refused]:
    """Yield why what served before cannot come back."""
    for name, colour in _back_to(release).items():
        if name not in state.topology.services:
            yield Refused("not_configured", f"{name} is not in the config any more", then="restore it, then reload")
            return
        switchable(state, state.topology.services[name], None)
        pool, well = state.record.services[name].pool(colour), state.wells[name, colour]
        whose, deploy = f"{colour} of {name}", f"lbctl claim {name} --wait, deploy the older version, then ready"
        if state.record.services[name].active is colour:
            yield Refused("overtaken", f"{colour.other} of {name} is not active any more", then=f"lbctl status {name}")
        if pool.handed_out:
            what = f"{whose} was claimed since it served: nobody knows that {pool.version} is still there"
            yield Refused("handed_out", what, then=deploy)
        if well.dead:
            then = f"start its servers, then lbctl undo {request.unit}"
            yield Refused("stopped", f"{whose} is stopped: no server is up", why=well.trouble(), then=then)
    yield from called_by_strangers(state, state.topology.unit_of(release.service), now)
    yield from _unfit(state, release, now)


def _unfit(state: State, release: Release, now: Instant) -> Iterator[Refused]:
    """What served before meets what serves beside it now: by contract, as on the board."""
    unit = state.topology.unit_of(release.service)
    pools = {name: state.record.services[name].pool(colour) for name, colour in _back_to(release).items()}
    board = {name: _ready(pool, now) for name, pool in pools.items()}
    found = obstacle(state.topology, _on_board(state.record, board), unit, tuple(release.members))
    if found is not None and all(pool.contract.declared for pool in pools.values()):
        then = "lbctl status; bring versions that fit, by claim and ready"
        yield Refused("does_not_fit", f"{found.service} cannot come back", why=found.why, then=then)


def _ready(pool: Pool, now: Instant) -> Ready:
    return Ready(version=pool.version, build=pool.build, contract=pool.contract, by="", at=now, nonce="", wall="")


def _on_board(record: Record, board: dict[ServiceName, Ready]) -> Record:
    return replace(record, board=board)

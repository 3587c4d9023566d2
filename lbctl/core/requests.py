"""What people and CI ask for: admitted or refused in words, with the way out. Pure.

Each request becomes at most one change of the record. A refusal names the reason and the next command.
"""

from collections.abc import Callable
from dataclasses import replace

from lbctl.core import ready
from lbctl.core.admission import about, because, journal_works, service_of
from lbctl.core.adopting import adopt
from lbctl.core.afterwards import say_stopped, too_late, undo
from lbctl.core.approving import approve
from lbctl.core.change import Change, cancel, entry, go_back, next_step
from lbctl.core.claims import claim
from lbctl.core.draining import drain_server
from lbctl.core.evidence import proved
from lbctl.core.freezing import frozen_by
from lbctl.core.givingback import give_back
from lbctl.core.hooks import closed
from lbctl.core.patience import outlasted
from lbctl.core.reasons import said_later
from lbctl.core.reply import Facts, facts
from lbctl.core.rules import climb, drain
from lbctl.core.situation import Situation, situation
from lbctl.core.state import Mark, State
from lbctl.core.switching import switch
from lbctl.model.entry import Kind
from lbctl.model.errors import Refused
from lbctl.model.reading import Token
from lbctl.model.record import By, Phase, Record, Release
from lbctl.model.request import (
    Adopt,
    Approve,
    Asked,
    Cancel,
    Claim,
    DrainServer,
    Freeze,
    GiveBack,
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
    Unfreeze,
    Withdraw,
)
from lbctl.model.units import BP_FULL, Instant


def admit(state: State, request: Request, now: Instant) -> tuple[Change | None, Facts]:
    """Return the change a request makes (None: it is so already) and the facts for the caller.

    Raises:
        Refused: it may not be done now; nothing was changed.
    """
    match request:
        case Adopt():
            return adopt(state, request, now)
        case Maintenance():
            return _maintenance(state, request, now)
        case Freeze() | Unfreeze():
            journal_works(state)
            return frozen_by(state, request, now)
        case Claim():
            return claim(state, request, now)
        case GiveBack() | SayReady() | DrainServer():
            return _of_service(state, request, now)
        case Withdraw():
            return ready.withdraw(state, request, now)
        case Switch():
            _switched(state, request)
            return switch(state, request, now)
        case Undo():
            release = state.record.releases.get(request.unit)
            return undo(state, request, None if release is None else situation(state, release.service, now), now)
        case Pause() | Resume() | Approve() | Promote() | Rollback() | Cancel() | SayStopped():
            return _on_release(state, request, now)


# ---- services


def _of_service(state: State, request: GiveBack | SayReady | DrainServer, now: Instant) -> tuple[Change | None, Facts]:
    service_of(state, request.service)
    journal_works(state)
    match request:
        case GiveBack():
            return give_back(state, request, now)
        case SayReady():
            return ready.say(state, request, now)
        case DrainServer():
            return drain_server(state, request, now)


def _maintenance(state: State, request: Maintenance, now: Instant) -> tuple[Change | None, Facts]:
    journal_works(state)
    facts: Facts = {"maintenance": request.on, "service": request.service}
    word = "on" if request.on else "off"
    if request.service is None:
        if state.record.maintenance == request.on:
            return None, facts
        record = replace(state.record, maintenance=request.on)
    else:
        adopted = state.record.services.get(service_of(state, request.service).name)
        if adopted is None:
            then = f"lbctl adopt {request.service} --active blue --version V"
            raise Refused("not_adopted", f"{request.service} is only observed: nothing is written anyway", then=then)
        if adopted.maintenance == request.on:
            return None, facts
        record = state.record.with_service(request.service, replace(adopted, maintenance=request.on))
    text = f"maintenance {word} for {request.service or 'every service'}"
    return Change(record=record, entries=(about(request, Kind.MAINTENANCE_CHANGED, now, text, request.service),)), facts


# ---- releases


def _switched(state: State, request: Switch) -> None:
    """Refuse names that are not known, and whatever starts while the journal does not work."""
    for name in (request.service, *request.followers):
        service_of(state, name)
    journal_works(state)


def _on_release(state: State, request: OnRelease, now: Instant) -> tuple[Change | None, Facts]:
    release = next((r for r in state.record.releases.values() if r.id == request.release), None)
    if release is None:
        raise Refused(
            "no_such_release", f"there is no running release {request.release}", then="lbctl release list", exit_code=7
        )
    later = said_later(state.record, release, request, now, journal_error=state.journal_error)
    if later is not None:
        return later, facts(request, release, later.record.releases[release.unit_name])
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
    return change, facts(request, release, after, frozen="; ".join(filter(None, (here.frozen, outlasted(here)))))


def _way_back(request: OnRelease, release: Release) -> str:
    """Return the next command of who comes too late: what is finished goes back only by a release of its own."""
    if not isinstance(request, Rollback) or release.phase is not Phase.FINISHED:
        return f"lbctl explain {release.id}"
    return f"lbctl undo {release.unit_name}"


def _pause(state: State, now: Situation, request: Asked) -> Change | None:
    _not_going_back(now.release)
    if now.release.paused_by is not None:
        return None
    journal_works(state)
    paused = replace(now.release, paused_by=_who(request))
    return _told(now.record, paused, Kind.RELEASE_PAUSED, now.at, f"paused by {request.actor}", request)


def _resume(state: State, now: Situation, request: Asked) -> Change | None:
    _not_going_back(now.release)
    journal_works(state)
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
    journal_works(state)
    if now.release.phase is Phase.AWAITING_APPROVAL and now.release.unapproved_count:
        raise _unapproved(now.release)
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


def _unapproved(release: Release) -> Refused:
    asked = release.plan.approvals
    return Refused(
        "nothing_to_promote",
        f"release {release.id} waits for approval: {release.unapproved_count} of {asked.count} are missing",
        why=f"promote goes over no approval; group {asked.group} gives it",
        then=f"lbctl release approve {release.id}",
    )


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
    journal_works(state)
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
    told = entry(kind, release, at, text + because(request), actor=request.actor, reason=request.reason)
    return Change(record=record.with_release(release), entries=(told,))

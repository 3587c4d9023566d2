"""Changes of the record that several rules make: each returns the new record and what to tell. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from lbctl.core.state import Mark
from lbctl.core.transitions import may_go
from lbctl.model.entry import Entry, Kind, Scalar, Severity
from lbctl.model.reading import Token
from lbctl.model.record import By, Phase, PoolState, Record, Release
from lbctl.model.sessions import Leaving, SessionPolicy
from lbctl.model.topology import SessionsBack
from lbctl.model.units import BP_FULL, Instant, after, percent

FAULTS_THAT_MOVE = frozenset({"errors", "candidate_dead", "blind", "token", "wrong_cell"})
"""Reasons of a rollback by itself that say the candidate cannot serve, or meets a partner that it may not know: its
sessions go back at once."""
SLOWNESS = frozenset({"latency"})
"""Reasons that say it serves, but worse: its sessions go back at the session rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A decision: the next record (its `rev` is set when it is taken) and what is told about it.

    `lowering`: takes effect before it is durable and is never taken back when its write fails. All other changes are
    undone if they cannot be recorded. `marks` are carried out before anything else.
    """

    record: Record
    entries: tuple[Entry, ...] = ()
    lowering: bool = False
    marks: tuple[Mark, ...] = ()


def entry(kind: Kind, release: Release, at: Instant, text: str, **more: object) -> Entry:
    """Return an entry about a release, with the numbers every reader wants."""
    severity = more.pop("severity", Severity.INFO)
    actor = more.pop("actor", "")
    assert isinstance(severity, Severity)
    data: dict[str, Scalar] = {
        "from": release.origin.value,
        "to": release.to.value,
        "version": release.version,
        "phase": release.phase.value,
        "share_bp": release.share_bp,
        **{key: value for key, value in more.items() if isinstance(value, str | int | float | bool)},
    }
    return Entry(
        kind=kind,
        at=at,
        text=text,
        severity=severity,
        service=release.service,
        release=release.id,
        actor=str(actor),
        data=data,
    )


def to_phase(release: Release, phase: Phase, at: Instant) -> Release:
    """Return the release in another phase. Every change of phase goes through here and so through the table."""
    assert may_go(release.phase, phase), f"no edge from {release.phase} to {phase}"
    return replace(release, phase=phase, phase_since=at)


def with_states(record: Record, release: Release, *, origin: PoolState, to: PoolState) -> Record:
    """Return the record with both pools of every service of the release in these states."""
    for name, member in release.members.items():
        adopted = record.services[name]
        old = replace(adopted.pool(member.origin), state=origin)
        new = replace(adopted.pool(member.to), state=to)
        new = replace(new, voided=None) if to is PoolState.ACTIVE else new
        record = record.with_service(name, adopted.with_pool(member.origin, old).with_pool(member.to, new))
    return record


def with_share(record: Record, release: Release, share_bp: int, at: Instant) -> Record:
    """Return the record with a new target share, a new epoch, and the candidate's sessions honoured again."""
    adopted = record.services[release.service]
    if share_bp > 0:
        adopted = adopted.with_pool(release.to, replace(adopted.pool(release.to), keep_bp=BP_FULL, leaving=None))
    moved = replace(
        to_phase(release, Phase.SHIFTING, at),
        share_bp=share_bp,
        epoch=release.epoch + 1,
        retreated_from_bp=0,
        peak_bp=max(release.peak_bp, share_bp),
    )
    return record.with_service(release.service, adopted).with_release(moved)


def lowered(
    record: Record, release: Release, share_bp: int, at: Instant, told: Entry, latch: Mapping[str, str] | None = None
) -> Change:
    """Return a lowering that is no way back: the token is held until it is durable, so that a crash cannot raise to
    the old target."""
    record = with_share(record, release, share_bp, at)
    release = record.releases[release.unit_name]
    latched = {**release.latched, **(latch or {})}
    release = replace(release, reached_bp=min(release.reached_bp, share_bp), latched=latched)
    mark = Mark(release.id, release.nonce, Token.HOLD)
    return Change(record=record.with_release(release), entries=(told,), lowering=True, marks=(mark,))


def go_back(
    record: Record,
    release: Release,
    at: Instant,
    code: str,
    reason: str,
    by: By,
    actor: str = "",
    numbers: Mapping[str, float | str] | None = None,
) -> Change:
    """Return the way back: latched, the share 0, and the candidate's sessions as the policy says.

    `back` is marked first: a rename needs no space, and from then on nothing raises, whatever happens to the journal.
    A release that never had traffic is cancelled instead.
    """
    mark = Mark(release.id, release.nonce, Token.BACK)
    if release.phase.unmoved:
        return cancel(record, release, at, reason, by, actor, marks=(mark,))
    goes = _sessions(release.plan.sessions_back, release.plan.sessions, code)
    moves = goes is SessionsBack.MOVE
    back = replace(
        to_phase(release, Phase.ROLLING_BACK, at),
        share_bp=0,
        epoch=release.epoch + 1,
        moves_sessions=moves,
        back_by=by,
        outcome=reason,
    )
    back = replace(back, followers={name: replace(one, flipped=False) for name, one in release.followers.items()})
    text = f"going back to {release.origin} from {percent(release.share_bp)} on {release.to}: {reason}"
    told = entry(
        Kind.ROLLBACK_STARTED,
        back,
        at,
        text,
        severity=Severity.WARNING,
        actor=actor,
        by=by.value,
        code=code,
        from_share_bp=release.share_bp,
        moves_sessions=moves,
        sessions=goes.value,
        stop=f"lbctl release show {release.id}",
        **(numbers or {}),
    )
    changed = _with_sessions_back(record, release, goes, at).with_release(back)
    return Change(record=changed, entries=(told,), lowering=True, marks=(mark,))


def leaves(policy: SessionPolicy, at: Instant) -> Leaving:
    """Return what is recorded of a pool whose sessions begin to leave it now."""
    return Leaving(
        per_second=policy.per_second,
        began_at=at,
        paced_at=at,
        deadline=after(at, policy.deadline),
        at_deadline=policy.at_deadline,
    )


def _with_sessions_back(record: Record, release: Release, goes: SessionsBack, at: Instant) -> Record:
    """Return the record with the pools as on the way back: active honours every session again, the candidate none of
    its own if they move at once, ever fewer if they are drained."""
    changed = with_states(record, release, origin=PoolState.ACTIVE, to=PoolState.CANDIDATE)
    carrier = changed.services[release.service]
    origin = replace(carrier.pool(release.origin), keep_bp=BP_FULL, leaving=None)
    candidate = carrier.pool(release.to)
    drained = leaves(release.plan.sessions, at) if goes is SessionsBack.DRAIN else None
    keep_bp = 0 if goes is SessionsBack.MOVE else candidate.keep_bp
    candidate = replace(candidate, keep_bp=keep_bp, leaving=drained)
    carrier = carrier.with_pool(release.origin, origin).with_pool(release.to, candidate)
    return _with_followers_back(changed.with_service(release.service, carrier), release)


def _with_followers_back(record: Record, release: Release) -> Record:
    """Return the record with the old pools of followers as active ones again: nobody may have called one for so long
    that it had stopped to honour sessions."""
    for name, member in release.followers.items():
        adopted = record.services[name]
        origin = replace(adopted.pool(member.origin), keep_bp=BP_FULL, leaving=None)
        record = record.with_service(name, adopted.with_pool(member.origin, origin))
    return record


def cancel(
    record: Record, release: Release, at: Instant, reason: str, by: By, actor: str = "", marks: tuple[Mark, ...] = ()
) -> Change:
    """Return the end of a release before its first traffic: the candidate is again what it was.

    What it took from the board does not go back there: it would be cut again at once, and nothing is tried again by
    itself. Only where a newer build ends it, the others get theirs back (`claims`).
    """
    ended = replace(to_phase(release, Phase.CANCELLED, at), outcome=reason, back_by=by)
    changed = record.with_release(ended)
    for name, member in release.members.items():
        adopted = changed.services[name]
        candidate = replace(adopted.pool(member.to), state=member.candidate_was)
        changed = changed.with_service(name, adopted.with_pool(member.to, candidate))
    text = f"cancelled before first traffic: {reason}{'' if by is By.NEWER else _final(release)}"
    severity = Severity.WARNING if by is By.ITSELF else Severity.INFO
    told = entry(Kind.RELEASE_CANCELLED, ended, at, text, severity=severity, actor=actor)
    return Change(record=changed, entries=(told,), marks=marks)


def _final(release: Release) -> str:
    """Return what becomes of the versions that came from the board; empty if none did."""
    names = " and ".join(f"{name} {release.ready[name].version}" for name in release.members if name in release.ready)
    if not names:
        return ""
    alone = len(release.ready) == 1
    subject = "does not go again by itself" if alone else "do not go again by themselves"
    return f"; {names} {subject}: lbctl claim {'it' if alone else 'each'}, then say ready"


def _sessions(wanted: SessionsBack, policy: SessionPolicy, code: str) -> SessionsBack:
    """Return what becomes of the candidate's sessions. Sessions that never move by policy are not drained either."""
    if wanted is not SessionsBack.AUTO:
        return wanted
    if code in FAULTS_THAT_MOVE:
        return SessionsBack.MOVE
    return SessionsBack.DRAIN if code in SLOWNESS and policy.per_second is not None else SessionsBack.KEEP


def next_step(release: Release) -> int:
    """Return the next larger step of the plan (0 counts as a step; at the top there is only 100 %)."""
    return next((step for step in release.plan.steps_bp if step > release.share_bp), BP_FULL)


def step_at_or_below(release: Release, share_bp: int) -> int:
    """Return the largest step that is not above `share_bp`; 0 counts as a step."""
    return max((step for step in (0, *release.plan.steps_bp) if step <= share_bp), default=0)

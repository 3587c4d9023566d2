"""How an old pool becomes unused and is certified, in a release and at rest. Pure.

In a release: consumers first, providers when their last consumer is certified and stopped. The first certificate is
the point of no return: CI may stop the pool from then on. At rest the same is done with every pool that is not proved
unused yet: one that was left unproven, or that users still had sessions on after a way back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from lbctl.core.change import Change, entry, to_phase
from lbctl.core.emptiness import emptiness
from lbctl.core.evidence import proved
from lbctl.core.holds import UNKNOWN_CALLER
from lbctl.core.matching import unpinned
from lbctl.core.situation import Situation
from lbctl.core.state import State
from lbctl.model.certificate import Certificate
from lbctl.model.entry import Entry, Kind, Scalar, Severity
from lbctl.model.names import Colour, ServiceName
from lbctl.model.record import Phase, PoolState, Record, Release
from lbctl.model.units import SECOND, Instant, Span, seconds, since

READ_BACK = Span(5 * SECOND)
"""So long before its `quiet` begins an old pool stops honouring sessions: that must be read back everywhere first."""


def from_draining(now: Situation) -> Change | None:
    """The first certificate once the old pool was kept long enough and is proved unused; unproven at the limit.

    It leads callers that nobody pins to the new pools, and there is no way back from it: not while there are such.
    """
    if not _may_end(now):
        return None
    plan, spent = now.release.plan, since(now.release.phase_since, now.at)
    if spent >= plan.retain and unpinned(now) is None and (certified := _certified(now)):
        return certified
    # Its proof must be there when `retain` is over, and not a moment later: that may be the limit as well.
    if spent + now.service.drain.quiet + READ_BACK >= plan.retain and (closed := _closed(now)):
        return closed
    return _ended(now) if spent >= max(plan.retain, now.service.drain.limit) else None


def from_retiring(now: Situation) -> Change | None:
    """The next certificate; the end with all of them, or without the rest at the limit."""
    if not _may_end(now):
        return None
    if _unflipped(now):
        return flip(now)
    change = None if now.release.cut_short else _certified(now) or _closed(now)
    if change is not None:
        return change
    over = now.release.cut_short or since(now.release.phase_since, now.at) >= _limit(now)
    return _ended(now) if over or not uncertified(now.record, now.release) else None


def _may_end(now: Situation) -> bool:
    progress = now.progress
    return proved(now) and progress is not None and all(hold.code == UNKNOWN_CALLER for hold in progress.holds)


def _limit(now: Situation) -> Span:
    return max(now.services[name].drain.limit for name in now.release.members)


def uncertified(record: Record, release: Release) -> tuple[ServiceName, ...]:
    """Return the services of a release whose old pool has no certificate."""
    pools = {name: record.services[name].pool(member.origin) for name, member in release.members.items()}
    return tuple(name for name, pool in pools.items() if pool.certificate is None)


def _certified(now: Situation) -> Change | None:
    """Return the certificate of the first old pool that is proved unused."""
    for name in uncertified(now.record, now.release):
        found = now.empties[name].certificate
        if found is not None:
            return certify(now, name, found)
    return None


def certify(now: Situation, name: ServiceName, found: Certificate) -> Change:
    """Return the certificate of one old pool of a release."""
    release, colour = to_phase(now.release, Phase.RETIRING, now.at), now.release.members[name].origin
    record = _with_pool(now.record, name, colour, found)
    told = entry(Kind.POOL_CERTIFIED, release, now.at, _said(name, colour, found, now.at), **_data(name, colour, found))
    return Change(record=record.with_release(release), entries=(replace(told, service=name),))


def _with_pool(
    record: Record,
    name: ServiceName,
    colour: Colour,
    found: Certificate,
    paired: Mapping[ServiceName, Colour] | None = None,
) -> Record:
    adopted = record.services[name]
    pool = replace(adopted.pool(colour), state=PoolState.IDLE, certificate=found)
    pool = pool if paired is None else replace(pool, paired=paired)
    return record.with_service(name, adopted.with_pool(colour, pool))


def _said(name: ServiceName, colour: Colour, found: Certificate, at: Instant) -> str:
    who = ", ".join(f"{instance} ({' '.join(lives)})" for instance, lives in found.counted.items())
    text = f"{colour} of {name} is proved unused: no request for {seconds(since(found.since, at))}, none in flight, no "
    text += f"session honoured, on {who}; confidence {found.confidence}"
    return f"{text}: {'; '.join(found.unseen)}" if found.unseen else text


def _data(name: ServiceName, colour: Colour, found: Certificate) -> dict[str, Scalar]:
    return {"service": name, "colour": colour.value, "confidence": found.confidence.value}


def _closed(now: Situation) -> Change | None:
    """Return the end of honouring sessions on an old pool that had no request for `quiet`."""
    for name in uncertified(now.record, now.release):
        colour = now.release.members[name].origin
        if now.empties[name].silent and now.record.services[name].pool(colour).keep_bp:
            record, told = _without_sessions(now.record, name, colour, now.empties[name].over_after, now.at)
            return Change(record=record, entries=(replace(told, release=now.release.id),))
    return None


def _without_sessions(
    record: Record, name: ServiceName, colour: Colour, quiet: Span, at: Instant
) -> tuple[Record, Entry]:
    adopted = record.services[name]
    record = record.with_service(
        name, adopted.with_pool(colour, replace(adopted.pool(colour), keep_bp=0, leaving=None))
    )
    text = f"no session was seen on {colour} of {name} for {seconds(quiet)}: one that comes back goes to {colour.other}"
    return record, Entry(kind=Kind.SESSIONS_CLOSED, at=at, text=text, service=name, data={"colour": colour.value})


def _unflipped(now: Situation) -> bool:
    return any(not follower.flipped for follower in now.release.followers.values())


def flip(now: Situation) -> Change:
    """Callers that are not pinned go to the candidates of the followers; read back before the pins go to rest."""
    followers = {name: replace(one, flipped=True) for name, one in now.release.followers.items()}
    flipped = replace(now.release, followers=followers, epoch=now.release.epoch + 1)
    return Change(record=now.record.with_release(flipped))


def _ended(now: Situation) -> Change:
    """Return the end: what is certified calls nobody any more; what is not stays draining, with its partners."""
    if _unflipped(now):
        return flip(now)
    left = uncertified(now.record, now.release)
    outcome = _unproven(now, left) if left else ""
    release = replace(to_phase(now.release, Phase.FINISHED, now.at), outcome=outcome)
    record = now.record
    for name, member in release.members.items():
        adopted = record.services[name]
        pool = adopted.pool(member.origin)
        if pool.certificate is not None:
            record = record.with_service(name, adopted.with_pool(member.origin, replace(pool, paired={})))
    pools = ", ".join(_pools(release, [*release.members]))
    text = f"{release.to} serves everything; {outcome or f'{pools} may be stopped'}"
    word = "unproven" if left else "certified"
    severity = Severity.WARNING if left else Severity.INFO
    told = entry(Kind.RELEASE_FINISHED, release, now.at, text, severity=severity, outcome=word, **_later(release, left))
    return Change(record=record.with_release(release), entries=(told,))


def _unproven(now: Situation, left: tuple[ServiceName, ...]) -> str:
    why = now.empties[left[0]].waits or next(iter(unpinned(now) or ()), "")
    kept = ", ".join(_pools(now.release, left))
    verb = "is" if len(left) == 1 else "are"
    return f"unproven: {kept} {verb} kept as draining; {why}" if why else f"unproven: {kept} {verb} kept as draining"


def _later(release: Release, left: tuple[ServiceName, ...]) -> dict[str, str]:
    """Return what people are told comes next; nothing where all is done."""
    if not left:
        return {}
    kept, of = " and ".join(_pools(release, left)), f" --service {left[0]}" * bool(release.followers)
    return {"next": f"do not stop {kept} yet: `lbctl retired {release.id}{of} --wait` says when it is proved unused"}


def _pools(release: Release, names: Sequence[ServiceName]) -> list[str]:
    if not release.followers:
        return [release.origin.value]
    return [f"{release.members[name].origin} of {name}" for name in names]


# ---- at rest


def retire(state: State, name: ServiceName, now: Instant) -> Change | None:
    """Return the next step of a pool that is not proved unused yet, of a service at rest. A claim has its own."""
    adopted = state.record.services[name]
    colour = adopted.active.other
    pool = adopted.pool(colour)
    if pool.certificate is not None or name in state.record.claims or state.record.in_maintenance(name):
        return None
    proof = emptiness(state, name, colour, now)
    if proof.silent and pool.keep_bp:
        record, told = _without_sessions(state.record, name, colour, proof.over_after, now)
        return Change(record=record, entries=(told,))
    if proof.certificate is None:
        return None
    record = _with_pool(state.record, name, colour, proof.certificate, paired={})
    text, data = _said(name, colour, proof.certificate, now), _data(name, colour, proof.certificate)
    told = Entry(
        kind=Kind.POOL_CERTIFIED, at=now, text=text, service=name, release=proof.certificate.release, data=data
    )
    return Change(record=record, entries=(told,))

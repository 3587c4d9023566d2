"""Cutting a release: from the versions that go together to its record. From then on the set is fixed. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lbctl.core import coupling, planner
from lbctl.core.ahead import ahead
from lbctl.core.change import Change, entry
from lbctl.core.state import Mark, State
from lbctl.model.entry import Kind
from lbctl.model.names import ReleaseId, ServiceName
from lbctl.model.reading import Token
from lbctl.model.record import Contract, Member, PoolState, Record, Release
from lbctl.model.topology import Plan
from lbctl.model.units import Instant, percent


@dataclass(frozen=True, slots=True)
class Version:
    """What goes of one service."""

    version: str
    build: str = ""
    contract: Contract = field(default_factory=Contract)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A set that goes: `carrier` and everything that goes with it. `nonce` binds the go-token."""

    carrier: ServiceName
    versions: Mapping[ServiceName, Version]
    plan: Plan
    nonce: str
    wall: str
    by: str
    uids: tuple[int, ...] = ()
    reason: str = ""
    undoes: ReleaseId | None = None


def cut(state: State, going: Cut, now: Instant) -> Change:
    """Return the start of the release.

    Raises:
        Refused: the plan is too short for what it must see (`judge.plan: strict`).
    """
    carrier = state.topology.services[going.carrier]
    plan = replace(planner.cut(ahead(state, carrier, going.plan)), sessions=carrier.sessions)
    release_id = ReleaseId(str(state.record.next_release))
    members = {name: _member(state.record, name, version) for name, version in going.versions.items()}
    own, unit = members[going.carrier], state.topology.unit_of(going.carrier)
    instances = {instance for name in members for instance in state.topology.instances_of(name)}
    release = Release(
        id=release_id,
        service=going.carrier,
        unit=unit.name if len(unit.services) > 1 else None,
        followers={name: one for name, one in members.items() if name != going.carrier},
        origin=own.origin,
        to=own.to,
        version=own.version,
        version_was=own.version_was,
        build=own.build,
        contract=own.contract,
        plan=plan,
        nonce=going.nonce,
        reason=going.reason,
        initiator=going.by,
        initiators=going.uids,
        candidate_was=own.candidate_was,
        generations={i: g for i, g in state.record.generations.items() if i in instances},
        started_at=now,
        started_wall=going.wall,
        phase_since=now,
        claims={name: one for name, one in state.record.claims.items() if name in members},
        ready={name: one for name, one in state.record.board.items() if name in members},
        undoes=going.undoes,
    )
    record = _without(_paired(state, release), release).with_release(release)
    steps = ", ".join(percent(step) for step in plan.steps_bp)
    ways = ", ".join(f"{name} {one.origin} → {one.to} ({one.version})" for name, one in release.members.items())
    because = f": {going.reason}" if going.reason else ""
    text = f"release {release_id}: {ways} by {steps}{because}"
    told = entry(Kind.RELEASE_STARTED, release, now, text, actor=going.by, reason=going.reason)
    record = replace(record, next_release=state.record.next_release + 1)
    return Change(record=record, entries=(told,), marks=(Mark(release_id, going.nonce, Token.GO),))


def _member(record: Record, name: ServiceName, going: Version) -> Member:
    adopted = record.services[name]
    return Member(
        origin=adopted.active,
        to=adopted.active.other,
        version=going.version,
        version_was=adopted.pool(adopted.active).version,
        build=going.build,
        contract=going.contract,
        candidate_was=adopted.pool(adopted.active.other).state,
    )


def _without(record: Record, release: Release) -> Record:
    """Return the record without the claims and the board records that this release takes up."""
    claims = {name: one for name, one in record.claims.items() if name not in release.members}
    board = {name: one for name, one in record.board.items() if name not in release.members}
    return replace(record, claims=claims, board=board)


def _paired(state: State, release: Release) -> Record:
    """Return the record with the candidates as such, and every calling pool with its partner."""
    record = state.record
    for name, member in release.members.items():
        adopted = record.services[name]
        candidate = replace(
            adopted.pool(member.to),
            state=PoolState.CANDIDATE,
            version=member.version,
            build=member.build,
            contract=member.contract,
            certificate=None,
            handed_out=False,
        )
        record = record.with_service(name, adopted.with_pool(member.to, candidate))
    colours = {name: (member.origin, member.to) for name, member in release.members.items()}
    for consumer, provider, *partners in coupling.pairings(state.topology, state.record, colours):
        adopted = record.services[consumer]
        for colour, partner in zip(colours[consumer], partners, strict=True):
            pool = adopted.pool(colour)
            adopted = adopted.with_pool(colour, replace(pool, paired={**pool.paired, provider: partner}))
        record = record.with_service(consumer, adopted)
    return record

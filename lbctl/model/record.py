"""The record: the one small durable value that recovery needs. Decisions and their limits, never effects or timers."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from lbctl.model.certificate import Certificate
from lbctl.model.names import Colour, Generation, InstanceName, ReleaseId, ServerName, ServiceName, UnitName
from lbctl.model.sessions import Leaving
from lbctl.model.topology import Plan
from lbctl.model.units import BP_FULL, Instant
from lbctl.model.voided import Voided

SCHEMA = 1
"""Version of the record's form. A journal with a newer one is opened for reading only."""


class Phase(StrEnum):
    """Where a release is in its life. The edges are in `core.transitions`."""

    PREFLIGHT = "preflight"
    AWAITING_APPROVAL = "awaiting_approval"
    SHIFTING = "shifting"
    BAKING = "baking"
    DRAINING = "draining"
    RETIRING = "retiring"
    FINISHED = "finished"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether no more traffic decision can follow."""
        return self in _ENDED

    @property
    def unmoved(self) -> bool:
        """Whether the candidate never had traffic: until then a release ends without a way back."""
        return self in _UNMOVED

    @property
    def swapped(self) -> bool:
        """Whether the candidate's pool is the active one, and the old pool is to become unused."""
        return self in _SWAPPED


_UNMOVED = frozenset({Phase.PREFLIGHT, Phase.AWAITING_APPROVAL})
_SWAPPED = frozenset({Phase.DRAINING, Phase.RETIRING})
_ENDED = frozenset({Phase.FINISHED, Phase.ROLLED_BACK, Phase.CANCELLED})


class PoolState(StrEnum):
    """What a pool is to its service. Swapped at every release; never derived from its colour."""

    ACTIVE = "active"
    CANDIDATE = "candidate"
    DRAINING = "draining"
    IDLE = "idle"


class By(StrEnum):
    """Who wanted the way back, or the end before first traffic. `newer`: a pool of it was claimed for a newer build."""

    ITSELF = "itself"
    PERSON = "person"
    NEWER = "newer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What a version offers to its consumers and wants of its providers; see `core.contracts`."""

    provides: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    requires: Mapping[str, str] = field(default_factory=dict)

    @property
    def declared(self) -> bool:
        """Whether anything is said at all."""
        return bool(self.provides or self.requires)


def people(uid: int | None, login: int | None) -> tuple[int, ...]:
    """Return as whom one asker is known: as the user, and as who logged in."""
    return tuple(sorted({one for one in (uid, login) if one is not None}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A standing record on the board: this version is deployed to the claimed pool and may go.

    `nonce` and `wall` are for the release that is cut when this record completes a set. `told_days` is how many days
    of waiting people were told of.
    """

    version: str
    build: str
    contract: Contract
    by: str
    at: Instant
    nonce: str
    wall: str
    uid: int | None = None
    """Whose word it is, and as whom they logged in: nobody approves what came of their own."""
    login: int | None = None
    told_days: int = 0

    @property
    def people(self) -> tuple[int, ...]:
        """As whom the one who said so is known."""
        return people(self.uid, self.login)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """Who holds an idle pool to deploy to it, since when. It ends with a release of it, or expires.

    The holder is `build`, or without one the user: another one may not deploy there meanwhile.
    `proved`: a certificate says that nobody used the pool. `granted`: since the claim, every route that keeps traffic
    and calls apart from the pool was read back everywhere. A grant stands: CI has deployed on the strength of it.
    `despite`: whoever is connected there past the load balancers, a person knows of it. `tainted`: even if it is never
    granted, nobody knows any more what runs there. `doubted`: somebody came there after it had been proved unused.
    """

    colour: Colour
    by: str
    since: Instant
    proved: bool = False
    granted: bool = False
    build: str = ""
    uid: int | None = None
    despite: bool = False
    tainted: bool = True
    doubted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A pool as recorded. `keep_bp` is the part of its own sessions that is honoured; `version` is what people said."""

    state: PoolState
    version: str = "unknown"
    keep_bp: int = BP_FULL
    build: str = ""
    contract: Contract = field(default_factory=Contract)
    paired: Mapping[ServiceName, Colour] = field(default_factory=dict)
    """By provider: which of its pools this pool was released with, while it may still call it."""
    certificate: Certificate | None = None
    """Says that it is unused; void from the next claim on, and when somebody uses it after all."""
    voided: Voided | None = None
    """Who came late and made a certificate void: the next one needs a longer quiet time."""
    handed_out: bool = False
    """It was claimed since it served: nobody knows that `version` is still there."""
    leaving: Leaving | None = None
    """Its sessions are on their way to the other pool, or are waited for; None: they stay as `keep_bp` says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """A server that a person drains, and who. `ends`: it is to be ready again; forgotten once that is read back."""

    colour: Colour
    by: str
    since: Instant
    ends: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """A service that lbctl drives. Services without a record are in observe mode: read, judged, never written."""

    active: Colour
    blue: Pool
    green: Pool
    maintenance: bool = False
    drained: Mapping[ServerName, Drained] = field(default_factory=dict)
    """Servers that people drain. lbctl by itself never changes what a server is to do."""

    def pool(self, colour: Colour) -> Pool:
        """The recorded pool of that colour."""
        return self.green if colour is Colour.GREEN else self.blue

    def with_pool(self, colour: Colour, pool: Pool) -> "Adopted":
        """The same service with that pool replaced."""
        return replace(self, green=pool) if colour is Colour.GREEN else replace(self, blue=pool)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """A freeze window that a person made: of a service or unit, or (None) of all, open from then on.

    `until` is a wall time of `zone`, as in `2026-12-20 18:00`; empty: until it is removed. `since` is for people.
    """

    target: str | None
    until: str
    zone: str
    reason: str
    by: str
    since: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One person's yes before first traffic. `login`: as whom that user logged in, before `sudo` or `su`."""

    uid: int
    by: str
    at: Instant
    reason: str = ""
    login: int | None = None

    @property
    def people(self) -> tuple[int, ...]:
        """As whom the one who approved is known."""
        return people(self.uid, self.login)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One service of a release; within it active = `origin`, which ran `version_was`, and candidate = `to`."""

    origin: Colour
    to: Colour
    version: str = "unknown"
    version_was: str = ""
    build: str = ""
    contract: Contract = field(default_factory=Contract)
    candidate_was: PoolState = PoolState.DRAINING
    """What the candidate's pool was before; a cancellation before first traffic gives that back."""
    flipped: bool = False
    """Of a follower: its default, for callers that are not pinned, is the candidate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One release of a unit: of `service`, the carrier of the split, and of the followers that its calls are pinned to.

    `origin`, `to`, `version`, `version_was` and `candidate_was` are the carrier's own, as in `Member`.

    `share_bp` is the candidate's target share, `reached_bp` the last one read back everywhere. `epoch` numbers the
    targets. `latched` are holds only `resume` clears. `nonce` binds the go-token. Timers of a step are not stored.
    """

    id: ReleaseId
    service: ServiceName
    unit: UnitName | None = None
    """None: the carrier is a unit of its own."""
    followers: Mapping[ServiceName, Member] = field(default_factory=dict)
    origin: Colour
    to: Colour
    version: str
    version_was: str = ""
    build: str = ""
    contract: Contract = field(default_factory=Contract)
    plan: Plan
    nonce: str
    reason: str
    initiator: str
    candidate_was: PoolState = PoolState.DRAINING
    """What the candidate's pool was before; a cancellation before first traffic gives that back."""
    started_at: Instant
    started_wall: str
    phase: Phase = Phase.PREFLIGHT
    phase_since: Instant
    share_bp: int = 0
    reached_bp: int = 0
    peak_bp: int = 0
    """The highest share the candidate was ever meant to have."""
    epoch: int = 1
    generations: Mapping[InstanceName, Generation] = field(default_factory=dict)
    """Lives of the instances that this release has looked at: each release meets a reload by itself."""
    paused_by: str | None = None
    latched: Mapping[str, str] = field(default_factory=dict)
    retreats: int = 0
    """How often it went down because the candidate was worse than active used to be; once by itself."""
    retreated_from_bp: int = 0
    """The share of the last target, if a retreat led from there to this one; it may be taken back then."""
    moves_sessions: bool = False
    """A rollback that takes the candidate's sessions back at once (its keep is 0)."""
    back_by: By | None = None
    """Who started the way back; None while there is none, and for a cancellation before first traffic."""
    outcome: str = ""
    """Why it ended as it did, or why it goes back; for people."""
    claims: Mapping[ServiceName, Claimed] = field(default_factory=dict)
    """The claims and board records that it took up: those of the others are given back if it is superseded."""
    ready: Mapping[ServiceName, Ready] = field(default_factory=dict)
    initiators: tuple[int, ...] = ()
    """The users who said that it may go, and as whom they logged in: they cannot approve it."""
    approvals: tuple[Approval, ...] = ()
    stopped: Mapping[ServiceName, str] = field(default_factory=dict)
    """Services whose old pool is stopped because somebody said so, and who."""
    cut_short: bool = False
    """It is to be undone: it waits for no further certificate."""
    undoes: ReleaseId | None = None
    """The release whose way back it is: where it did not get there, that may be asked again."""

    @property
    def unapproved_count(self) -> int:
        """How many approvals it lacks."""
        return max(0, self.plan.approvals.count - len(self.approvals))

    @property
    def unit_name(self) -> UnitName:
        """The unit that is released: named, or the carrier alone."""
        return self.unit or UnitName(self.service)

    @property
    def members(self) -> dict[ServiceName, Member]:
        """Every service of the release, the carrier first."""
        own = Member(
            origin=self.origin,
            to=self.to,
            version=self.version,
            version_was=self.version_was,
            build=self.build,
            contract=self.contract,
            candidate_was=self.candidate_was,
            flipped=True,
        )
        return {self.service: own, **self.followers}


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """All that must survive. `rev` rises with every change, also over failed writes; it is the fence."""

    schema: int = SCHEMA
    rev: int = 0
    clock: Instant = Instant(0)
    generations: Mapping[InstanceName, Generation] = field(default_factory=dict)
    """The last known life of every instance: a reload is told once for all services at rest."""
    unseen: Mapping[InstanceName, Generation] = field(default_factory=dict)
    """Load balancers that were reloaded or restarted and do not show whether older workers live; the life that began
    then."""
    services: Mapping[ServiceName, Adopted] = field(default_factory=dict)
    releases: Mapping[UnitName, Release] = field(default_factory=dict)
    """The running release of each unit, or the last one that ended."""
    claims: Mapping[ServiceName, Claimed] = field(default_factory=dict)
    board: Mapping[ServiceName, Ready] = field(default_factory=dict)
    """What is deployed, ready, and waits for the rest of its unit."""
    next_release: int = 1
    maintenance: bool = False
    freezes: Mapping[str, Frozen] = field(default_factory=dict)
    """Freeze windows that people made, by name."""

    def running(self, service: ServiceName) -> Release | None:
        """The release of `service` that has not ended."""
        for release in self.releases.values():
            if not release.phase.ended and (service == release.service or service in release.followers):
                return release
        return None

    def in_maintenance(self, *services: ServiceName) -> bool:
        """Whether nothing may be written for one of these services."""
        return self.maintenance or any(self.services[one].maintenance for one in services if one in self.services)

    def latest(self, service: ServiceName) -> Release | None:
        """The release of `service` that runs, or else the last one that ended."""
        found = [one for one in self.releases.values() if service == one.service or service in one.followers]
        return max(found, key=lambda one: int(one.id), default=None)

    def with_service(self, name: ServiceName, adopted: Adopted) -> "Record":
        """The same record with that service replaced."""
        return replace(self, services={**self.services, name: adopted})

    def with_release(self, release: Release) -> "Record":
        """The same record with that release replaced."""
        return replace(self, releases={**self.releases, release.unit_name: release})

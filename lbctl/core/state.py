"""What the core remembers between two steps, and the effects it asks for. Only `record` is durable."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lbctl.core import judge
from lbctl.core.counting import Books
from lbctl.core.ebb import Ebb
from lbctl.core.holds import Hold
from lbctl.core.matrix import Tally
from lbctl.core.measured import Measured
from lbctl.core.wellness import Pools, every_pool
from lbctl.model.entry import Entry
from lbctl.model.hook import Ask, Heard, HookKey
from lbctl.model.names import Colour, Generation, InstanceName, ReleaseId, ServerName, ServiceName
from lbctl.model.operation import Operation, Result, SetServer
from lbctl.model.reading import Observed, Token
from lbctl.model.record import Record
from lbctl.model.request import Answer, Request
from lbctl.model.route import Route
from lbctl.model.topology import Topology
from lbctl.model.units import MINUTE, Instant, Span

OPERATION_TIMEOUT = Span(1_000)
"""How long an operation may land late; after a start every instance counts as unresolved for as long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What is known of the running target of a release. Restarts with every epoch, but for the judge's account."""

    epoch: int
    account: judge.Account
    followers: Mapping[ServiceName, judge.Account] = field(default_factory=dict)
    """One account for each follower: its candidate against its active pool."""
    verdict: judge.Verdict | None = None
    """The gravest of all, and whose it is."""
    judged_before: judge.Verdict | None = None
    """The last word about the target before this one: only for what is told."""
    verdicts: Mapping[ServiceName, judge.Verdict] = field(default_factory=dict)
    opened: Mapping[ServiceName, judge.Account] = field(default_factory=dict)
    """The accounts with which this target began, and what was judged last and when: with these anybody can judge
    again."""
    samples: Mapping[ServiceName, judge.Sample] = field(default_factory=dict)
    sampled_at: Instant | None = None
    target_since: Instant
    warm_until: Instant = Instant(0)
    """Until then a slower candidate is filling its caches."""
    reached_since: Instant | None = None
    measured: Measured = field(default_factory=Measured)
    """What the split really gave since it is read back."""
    holds: tuple[Hold, ...] = ()
    held_since: Mapping[str, Instant] = field(default_factory=dict)
    told: frozenset[str] = frozenset()
    paged: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Offered:
    """A write under way: the decision and what is told with it."""

    record: Record
    entries: tuple[Entry, ...]


REFUSED_FOR = MINUTE
"""A refusal stands until nothing was refused for this long: it is tried again all the time, in ever new words."""


@dataclass(frozen=True, slots=True)
class Lane:
    """One instance: is a batch under way, and is an earlier operation's outcome still unknown.

    `unresolved` is why; it ends with an operation sent at or after `resolvable_at` whose outcome is `done`.
    """

    busy: bool = False
    services: frozenset[ServiceName] = frozenset()
    """What the last batch was about."""
    sent_at: Instant = Instant(0)
    ended_at: Instant = Instant(0)
    """When the last batch ended: an older reading says nothing about what it did."""
    rev: int = 0
    """The decision that the instance was last compared with. `fresh`: for the first time just now, so that what differs
    is nobody's doing yet."""
    fresh: bool = False
    stale_count: int = 0
    """Batches in a row that were answered `stale`."""
    unresolved: str = ""
    resolvable_at: Instant = Instant(0)
    refusal: tuple[ServiceName, str] | None = None
    """The last change that was refused, and why."""
    refused_at: Instant = Instant(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A server that is not up, or was not lately: `word` since when, and what people were told last, how often lately.

    Words are `up`, `down` and `unknown`.
    """

    word: str = "up"
    since: Instant
    told: str = "up"
    told_at: Instant = Instant(0)
    times: int = 0


@dataclass(frozen=True, slots=True)
class Calm:
    """What is known of one pool that is to become unused. Not recorded: after a start it is found out again.

    `came`: what each load balancer had counted there. `idle_since`: since when nothing came and nothing was in flight;
    None: just now something did. `closed_since`: since when it is read back everywhere that nothing new goes there and
    no session is honoured, now and after a reload; None: it is not so now. `alone_since`: since when nobody is known to
    be connected past the load balancers; None: somebody is.
    """

    came: Mapping[InstanceName, Mapping[Generation, int]] = field(default_factory=dict)
    idle_since: Instant | None = None
    closed_since: Instant | None = None
    alone_since: Instant | None = None

    @property
    def quiet_since(self) -> Instant | None:
        """Since when it is idle, closed and alone."""
        if self.idle_since is None or self.closed_since is None or self.alone_since is None:
            return None
        return max(self.idle_since, self.closed_since, self.alone_since)


Calms = Mapping[tuple[ServiceName, Colour], Calm]


@dataclass(frozen=True, slots=True)
class Sight:
    """When an instance was last read. `missed_at`: when it was met in another life than the recorded one after a time
    in which nobody looked; None: it never was. Not recorded."""

    at: Instant
    missed_at: Instant | None = None


Sights = Mapping[InstanceName, Sight]


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """All the core knows. `record` is the newest decision, `durable` the newest one known to be on disk.

    They differ while a write is under way, or while a lowering is carried on without a working journal.
    """

    topology: Topology
    record: Record
    durable: Record
    durable_at: Instant
    changed_at: Instant
    last_rev: int
    kept_rev: int = 0
    """The newest revision that holds a lowering: never taken back when its write fails."""
    offered: tuple["Offered", ...] = ()
    """Writes under way, oldest first: the journal ends them in this order."""
    retry_at: Instant = Instant(0)
    journal_error: str = ""
    untold: tuple[Entry, ...] = ()
    """Entries of decisions that stand although their write failed; offered again with the next one."""
    answers: tuple[Answer, ...] = ()
    """Accepted requests that wait for their revision to be durable."""
    held_tokens: frozenset[ReleaseId] = frozenset()
    """Tokens this process turned to `hold` and may turn back once the lowering is durable."""
    progress: Mapping[ReleaseId, Progress] = field(default_factory=dict)
    accounts: Mapping[ReleaseId, Mapping[ServiceName, judge.Account]] = field(default_factory=dict)
    """Accounts saved by an earlier process, used when a release's progress starts."""
    books: Mapping[ServiceName, Books] = field(default_factory=dict)
    matrix: Mapping[ServiceName, Tally] = field(default_factory=dict)
    """Who called whom, by provider."""
    learned: Mapping[ServiceName, judge.Learned] = field(default_factory=dict)
    """What is known of every adopted service's active pool."""
    calms: Calms = field(default_factory=dict)
    """Of every pool that is to become unused."""
    sights: Sights = field(default_factory=dict)
    """When every instance was last looked at."""
    administering: Mapping[InstanceName, tuple[Instant, bool]] = field(default_factory=dict)
    """When servers of an instance were last told what to do, or that ended; and whether it is still under way."""
    parked: tuple[Request, ...] = ()
    """Ways back that wait for the outcome of a first certificate."""
    hooks: Mapping[HookKey, Heard] = field(default_factory=dict)
    """Whom this process asked or told, and what was answered."""
    lanes: Mapping[InstanceName, Lane] = field(default_factory=dict)
    observed: Observed = field(default_factory=lambda: Observed(instances={}))
    wells: Pools
    """How well every pool is, by `observed`."""
    confirmed: Mapping[tuple[InstanceName, ServiceName], Route] = field(default_factory=dict)
    """The last target that each instance read back whole: where that still stands, nobody else changed anything."""
    told: frozenset[str] = frozenset()
    """Standing troubles of instances and ways home that people were told about; each is told once."""
    ebbs: Mapping[tuple[ServiceName, Colour], Ebb] = field(default_factory=dict)
    """How the sessions of draining pools become fewer."""
    servers: Mapping[tuple[ServiceName, ServerName], Seen] = field(default_factory=dict)
    """Servers that are, or lately were, otherwise than up. `servers_at` is when they were last looked at."""
    servers_at: Instant = Instant(0)
    overtaken: bool = False
    """A load balancer has seen a higher fence than ours, of decisions that a crash took: the next revision is above."""

    def seeing(self, observed: Observed) -> "State":
        """Return the state after this observation: how well every pool is goes with it."""
        return replace(self, observed=observed, wells=every_pool(self.topology, observed))

    @property
    def settled(self) -> bool:
        """Whether the newest decision is on disk and the journal works: the condition of every raise."""
        return self.durable.rev == self.record.rev and not self.journal_error

    @property
    def ordered(self) -> Record:
        """The record that traffic follows: the durable one, or a newer one that holds a lowering."""
        return self.record if self.kept_rev > self.durable.rev else self.durable


# ---- effects, in the order in which the shell carries them out


@dataclass(frozen=True, slots=True)
class Mark:
    """Set a release's go-token. `go` makes a new one, `hold` and `back` rename what is there, `none` removes it."""

    release: ReleaseId
    nonce: str
    token: Token


@dataclass(frozen=True, slots=True)
class Save:
    """Write the record and its entries in one transaction, and report `Recorded`. Never waited for.

    `kept`: the decision stands even if it cannot be written, so people are told of it all the same.
    """

    record: Record
    entries: tuple[Entry, ...]
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Note:
    """Write entries that belong to no change of the record."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Apply:
    """Carry out operations on one instance, all at once, and report `Applied`."""

    instance: InstanceName
    operations: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class Administer:
    """Bring servers of one instance to what people want of them, and report `Administered`."""

    instance: InstanceName
    operations: tuple[SetServer, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """Tell a caller the answer."""

    answer: Answer


@dataclass(frozen=True, slots=True)
class Free:
    """Turn a held token back to `go`: the lowering it was held for is durable. Makes no token where there is none."""

    release: ReleaseId
    nonce: str


Effect = Mark | Free | Save | Note | Apply | Administer | Reply | Ask


# ---- events


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed, and this is what is known."""

    now: Instant
    observed: Observed


@dataclass(frozen=True, slots=True)
class Recorded:
    """A `Save` ended. `error` empty: durable."""

    now: Instant
    rev: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class Applied:
    """An `Apply` ended; one result for each operation, in order."""

    now: Instant
    instance: InstanceName
    operations: tuple[Operation, ...]
    results: tuple[Result, ...]
    sent_at: Instant


@dataclass(frozen=True, slots=True)
class Administered:
    """An `Administer` ended; what came of it is read back."""

    now: Instant
    instance: InstanceName


@dataclass(frozen=True, slots=True)
class Configured:
    """A new config was accepted."""

    now: Instant
    topology: Topology

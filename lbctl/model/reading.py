"""What was seen: one reading of one load balancer instance, health, tokens. Facts in, with the time they were taken."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from lbctl.model.attested import Attested
from lbctl.model.census import Census
from lbctl.model.names import Colour, Generation, InstanceName, ReleaseId, ServerName, ServiceName
from lbctl.model.route import Cell, Route
from lbctl.model.sessions import Attendance
from lbctl.model.sketch import Buckets
from lbctl.model.units import Instant, Span

Rows = Mapping[Generation, Mapping[ServerName, int]]
"""How many requests each server of a pool was ever given, by generation."""


class Admin(StrEnum):
    """What somebody wants of a server: `drain` keeps its sessions and gives it no new ones."""

    READY = "ready"
    DRAIN = "drain"
    MAINT = "maint"


@dataclass(frozen=True, slots=True)
class ServerReading:
    """One server as the load balancer sees it. `usable` = it would be given a new request now if its pool has a share.

    `requests`, `errors` and `retries` are monotonic within a generation: the count of all attempts, of answers that
    were 5xx or never came, and of attempts repeated by the load balancer. Gauges are sums over all generations.
    """

    up: bool
    usable: bool
    weight: int
    requests: int
    errors: int
    retries: int
    in_flight: int
    queued: int = 0
    detail: str = ""
    admin: Admin = Admin.READY


@dataclass(frozen=True, slots=True)
class Holder:
    """A request, WebSocket or connection that has been in flight for `age`. `client` is empty where the load balancer
    does not tell who it is; `least`: it may be older."""

    server: ServerName
    age: Span
    client: str = ""
    least: bool = False
    generation: Generation | None = None


@dataclass(frozen=True, slots=True)
class Closing:
    """How far the forced closing of a pool is. `per_second` 0: none is ordered.

    `closed` counts connections since the driver started. `left` is how many there still were at the last look; None:
    not looked at yet. `trouble` is why nothing is closed now, as `CODE: text`.
    """

    per_second: int = 0
    closed: int = 0
    left: int | None = None
    trouble: str = ""


NO_CLOSING = Closing()


@dataclass(frozen=True, slots=True)
class PoolReading:
    """One pool on one instance. `requests` and `errors` are what its callers got, including answers the load balancer
    gave itself for this pool (503 without a usable server, 502); monotonic within a generation.

    `retries`: failed attempts that the load balancer hid by trying again, none of them in `errors`; monotonic.
    `started` counts what was handed out to be answered, `answered` what got the head of its answer: the difference
    waits. Both monotonic within a generation, but for a few; both 0 where a load balancer does not tell. `answered` may
    be too high, never too low.
    """

    servers: Mapping[ServerName, ServerReading]
    requests: int
    errors: int
    in_flight: int
    retries: int = 0
    started: int = 0
    answered: int = 0
    arrived: Mapping[Generation, int] = field(default_factory=dict)
    """Grows with every request, or connection, that comes to this pool: of every generation that still routes."""
    served: Mapping[Generation, int] = field(default_factory=dict)
    """How many requests those were, where `arrived` grows more than once with each; empty: it grows once."""
    rows: Rows = field(default_factory=dict)
    """The same as `arrived`, by server, where a pool is not more than the rows of its servers; empty: it is."""
    holders: tuple["Holder", ...] = ()
    """Who is in flight for long there, the oldest first; not all of them, where there are many."""
    closing: Closing = NO_CLOSING
    bound: int = 0
    """How many users a table of the load balancer brings to this pool, whatever its share and limit are."""
    uncounted: str = ""
    """Why nobody knows how many those are; empty if it is known."""
    untold: tuple[Generation, ...] = ()
    """Generations that route, and tell neither what comes to this pool nor what is in flight there."""


@dataclass(frozen=True, slots=True)
class ServiceReading:
    """One service on one instance. `runtime` has one route per worker generation that still routes, `boot` is what
    the load balancer would do after a reload or restart without lbctl (None: it could not be read)."""

    runtime: Mapping[Generation, Route]
    boot: Route | None
    pools: Mapping[Colour, PoolReading]
    skewed: Mapping[Generation, Route] = field(default_factory=dict)
    """What new traffic really gets where the route stands as ordered, but servers died or came back and moved the
    share with them: it is ordered again. Only load balancers that make a share of server weights have this."""
    obstacles: tuple[str, ...] = ()
    """`CODE: text` of what keeps the driver from carrying out a share: nothing goes forward while one stands."""
    matrix: Mapping[Generation, Mapping[Cell, int]] = field(default_factory=dict)
    """Calls by consumer pool and answering pool, of a service with consumers, by the generation that counted them.

    Monotonic within a generation, exact in every one that still routes; a cell that is absent has 0. What was refused
    by the pin `none` reached no pool and is in no cell. Calls of no known consumer pool are in the cells of None.
    """

    @property
    def requests(self) -> int:
        """How many both pools got."""
        return sum(pool.requests for pool in self.pools.values())

    @property
    def effective(self) -> Mapping[Generation, Route]:
        """What new traffic gets, by generation."""
        return {**self.runtime, **self.skewed}


@dataclass(frozen=True, slots=True)
class Timing:
    """How long the requests of a service took, by colour, in growing sketches; from the request log or histograms.

    `source` names one life of the counting: with another one the sketches began anew. `lost` counts requests that are
    known to be missing, `sampled` says that too many are missing for more than a hint (over 1 % of a window). `surplus`
    counts those that the load balancer never had, `forged` says that those are too many. `proved`: compared with it.

    A time is what a user waits for: from the end of the request to the last byte of its answer, whatever its status.
    Not among them: tunnels (WebSockets), whose length is the users' choice, and what the load balancer answered itself.
    """

    source: str
    taken_at: Instant
    pools: Mapping[Colour, Buckets]
    lost: int = 0
    sampled: bool = False
    surplus: int = 0
    forged: bool = False
    proved: bool = True

    @property
    def trusted(self) -> bool:
        """Whether these times are evidence."""
        return self.proved and not self.sampled and not self.forged


@dataclass(frozen=True, slots=True)
class InstanceReading:
    """One reading of one instance. `taken_at` is the instant *before* the first question was sent.

    `generation` is the newest life of the process: the one that a new connection reaches. Counters belong to it;
    `draining_generations` are older ones that still hold work and still route.
    """

    taken_at: Instant
    generation: Generation
    services: Mapping[ServiceName, ServiceReading]
    draining_generations: tuple[Generation, ...] = ()
    warnings: tuple[str, ...] = ()
    """Codes with text of what this reading cannot tell, as `NO_MASTER_SOCKET: …`."""
    timing: Mapping[ServiceName, Timing] = field(default_factory=dict)
    """Times of requests, from a load balancer that keeps histograms of them."""
    sessions: Mapping[ServiceName, Attendance] = field(default_factory=dict)
    """Who came back, from a load balancer that counts by bucket."""
    blind: bool = False
    """Older generations, from before this process's first look too, cannot be seen nor excluded."""
    unsent_log_lines: Mapping[Generation, int] = field(default_factory=dict)
    """Log lines, of any log, that a generation could not send; monotonic."""

    def routes_of(self, service: ServiceName) -> tuple[Route, ...]:
        """The routes of a service in every generation that has some; none while the newest has not told its own.

        A process that was just started answers before it has read its routes. What an older one does says nothing of
        a new connection, so until then nothing is proved.
        """
        seen = self.services.get(service)
        return () if seen is None or self.generation not in seen.runtime else tuple(seen.runtime.values())


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The last attempt to read an instance failed, and since when every attempt has."""

    since: Instant
    reason: str


@dataclass(frozen=True, slots=True)
class Health:
    """A server by the prober. `up` None = unknown (not asked yet, or the checker itself was late)."""

    up: bool | None
    since: Instant
    detail: str = ""
    refused_since: Instant | None = None
    """Since when every check was refused by the host itself: nothing listens there any more."""


class Token(StrEnum):
    """The go-token of a release in the runtime directory. `none`: no file (a reboot emptied the directory)."""

    GO = "go"
    HOLD = "hold"
    BACK = "back"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Observed:
    """All that is known at one tick. An instance that was never read is in neither mapping's good part."""

    instances: Mapping[InstanceName, InstanceReading | Unreadable]
    health: Mapping[tuple[ServiceName, ServerName], Health] = field(default_factory=dict)
    tokens: Mapping[ReleaseId, Token] = field(default_factory=dict)
    token_trouble: Mapping[ReleaseId, str] = field(default_factory=dict)
    """Releases whose token cannot be read, and why: nothing is raised for them, as if they had none."""
    checker_suspect: Mapping[ServiceName, str] = field(default_factory=dict)
    """Services for which the prober itself is the suspect (panic rule), and why."""
    frozen: Mapping[ServiceName, str] = field(default_factory=dict)
    """Services with an open freeze window: nothing of them goes forward, and why."""
    frozen_for: Mapping[ServiceName, Span] = field(default_factory=dict)
    """How long that window stays open; not of one that has no end until it is removed."""
    timing: Mapping[tuple[InstanceName, ServiceName], Timing] = field(default_factory=dict)
    """Times of requests, where a data plane tells them."""
    sessions: Mapping[tuple[InstanceName, ServiceName], Attendance] = field(default_factory=dict)
    """Which sessions came back lately, where a data plane or its request log tells."""
    census: Mapping[tuple[ServiceName, Colour], Census] = field(default_factory=dict)
    """What the kernel of this host counts of connections to draining pools."""
    attested: Mapping[tuple[ServiceName, ServerName], Attested] = field(default_factory=dict)
    """What candidate servers last said about their version."""

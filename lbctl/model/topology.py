"""What the config says exists: data planes with their instances, services with their two pools and their policies."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from lbctl.model.attested import VersionCheck
from lbctl.model.hook import Hook
from lbctl.model.names import Colour, InstanceName, PlaneName, ServerName, ServiceName, UnitName
from lbctl.model.route import Caller
from lbctl.model.sessions import SessionPolicy
from lbctl.model.units import BP_FULL, DAY, HOUR, MINUTE, SECOND, Span


@dataclass(frozen=True, slots=True)
class Address:
    """Where something listens: an IPv4 or IPv6 address in text without brackets, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Server:
    """One application server. `name` is the load balancer's own name for it; `cookie` its session cookie value."""

    name: ServerName
    address: Address
    cookie: str | None = None


@dataclass(frozen=True, slots=True)
class Pool:
    """The servers of one colour, in config order. Never empty."""

    colour: Colour
    servers: tuple[Server, ...]


class Probe(StrEnum):
    """How a server is asked whether it is well."""

    HTTP = "http"
    HTTPS = "https"
    TCP = "tcp"
    COMMAND = "command"


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """`port` None: the server's own. `status` is inclusive. `command` gets LBCTL_SERVER, LBCTL_HOST, LBCTL_PORT."""

    kind: Probe
    path: str = "/"
    port: int | None = None
    host: str | None = None
    status: tuple[int, int] = (200, 399)
    command: tuple[str, ...] = ()
    interval: Span = SECOND
    timeout: Span = Span(500)
    rise: int = 2
    fall: int = 3
    keep_alive: bool = False


@dataclass(frozen=True, slots=True)
class ServerTls:
    """How a TLS server that is asked by lbctl itself is verified: CA file, and the name the certificate must carry."""

    ca: str
    name: str


class Protocol(StrEnum):
    """What users speak. What a load balancer cannot see of it is one of the driver's `cannot`s."""

    HTTP = "http"
    GRPC = "grpc"
    TCP = "tcp"


class HaproxyForm(StrEnum):
    """`map`: a backend per colour and the split in a map. `weights`: one backend with the servers of both colours."""

    MAP = "map"
    WEIGHTS = "weights"


@dataclass(frozen=True, slots=True)
class HaproxyBinding:
    """Which HAProxy backends are this service's pools. `cookie` is the server cookie, `bucket_cookie` lbctl's own.

    In form `weights` both colours have the same backend.
    """

    backends: Mapping[Colour, str]
    cookie: str
    bucket_cookie: str
    form: HaproxyForm = HaproxyForm.MAP


class HoldLimit(StrEnum):
    """What happens when a step was held up to its maximum: page once and wait, or go back."""

    ASK = "ask"
    ROLLBACK = "rollback"


class SessionsBack(StrEnum):
    """What a rollback does with sessions that are already on the candidate."""

    AUTO = "auto"
    KEEP = "keep"
    DRAIN = "drain"
    MOVE = "move"


class DriftPolicy(StrEnum):
    """What to do when a person lowered the share by hand in mid-release."""

    RESPECT = "respect"
    REASSERT = "reassert"


@dataclass(frozen=True, slots=True)
class Approvals:
    """How many people of a group of this host must approve before first traffic."""

    count: int = 0
    group: str = ""
    gid: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a release goes: fixed when it is cut. `steps_bp` rise strictly and end at 10000."""

    steps_bp: tuple[int, ...] = (100, 500, 2_500, 5_000, BP_FULL)
    hold_min: Span = Span(2 * MINUTE)
    hold_max: Span = Span(30 * MINUTE)
    hold_then: HoldLimit = HoldLimit.ASK
    bake: Span = Span(10 * MINUTE)
    retain: Span = HOUR
    preflight: Span = Span(15 * MINUTE)
    sessions_back: SessionsBack = SessionsBack.AUTO
    sessions: SessionPolicy = field(default_factory=SessionPolicy)
    """How sessions leave the carrier's old pool; taken from the carrier when the release is cut."""
    drift: DriftPolicy = DriftPolicy.RESPECT
    min_healthy_bp: int = 5_000
    capacity: int | None = None
    """How many healthy candidate servers suffice; None = as many as active has."""
    approvals: Approvals = field(default_factory=Approvals)
    approval: Span = Span(8 * HOUR)
    """How long a release waits for its approvals."""
    evidence: tuple[int, ...] = ()
    """Candidate requests that must be judged before a step is done, beside each step; empty = time alone decides."""

    def evidence_at(self, share_bp: int) -> int:
        """The requests planned for a share: those of the smallest step that is not below it."""
        pairs = zip(self.steps_bp, self.evidence, strict=False)
        return next((count for step, count in pairs if step >= share_bp), 0)


class PlanMode(StrEnum):
    """A step too short to see `target_rate`: say so, lengthen it until the evidence is there, or refuse the plan."""

    WARN = "warn"
    AUTO = "auto"
    STRICT = "strict"


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeSettings:
    """The judge's knobs as configured; see docs/explanation/judge.md. `blind_limit` None = never.

    `dispersion` None = learned. A candidate above `retreat_above_bp` that is worse than the learned baseline goes back
    to `retreat_to_bp`. `target_rate` is the fault that the planner promises to see; `plan` what it does about a step
    that is too short for it. A request in flight for `slow_limit` counts as bad.
    """

    slo_ratio: float = 0.999
    false_rollback: float = 0.001
    margin_rel: float = 1.25
    active_limit: float = 0.01
    dispersion: float | None = None
    retreat_above_bp: int = 5_000
    retreat_to_bp: int = 5_000
    target_rate: float = 0.02
    plan: PlanMode = PlanMode.WARN
    slow_limit: Span = Span(5 * SECOND)
    blind_limit: Span | None = Span(10 * MINUTE)


class PinKind(StrEnum):
    """How a load balancer knows which consumer pool calls."""

    LISTENER = "listener"
    SOURCE = "source"
    HEADER = "header"


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """How one consumer's two pools are told apart. `listeners`: an address for each; `header`: its name."""

    kind: PinKind
    listeners: Mapping[Colour, Address] = field(default_factory=dict)
    header: str | None = None


class Rendezvous(StrEnum):
    """Which `ready` records may go together: by contract, all of the unit, or each alone and unchecked."""

    CONTRACT = "contract"
    ALL = "all"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze:
    """When nothing goes forward: on `days` (`fri`) from one time of day to another, or, without days, between two
    dates. Times are those of `zone`."""

    start: str
    end: str
    zone: str = "UTC"
    days: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """When an old pool counts as unused: no request for `quiet`. Not proved within `limit`: it is kept, unproven.

    `idle`: a sticky session that came within this time is still there, and keeps its pool. `known`: programs of this
    host whose connections past the load balancers are no use of a pool, as the kernel names them; `uid:N` for one
    that it does not name.
    """

    quiet: Span = Span(30 * SECOND)
    idle: Span = Span(10 * MINUTE)
    limit: Span = Span(30 * MINUTE)
    known: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How long a version may stand on the board, and a claimed pool may be held without a version that is ready."""

    board: Span = Span(14 * DAY)
    claim: Span = HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """Services released together, in the order of the config. `rendezvous` None: by what the records declare."""

    name: UnitName
    services: tuple[ServiceName, ...]
    rendezvous: Rendezvous | None = None
    plan: Plan = field(default_factory=Plan)
    judge: JudgeSettings = field(default_factory=JudgeSettings)
    deadlines: Deadlines = field(default_factory=Deadlines)
    freeze: tuple[Freeze, ...] = ()
    hooks: tuple[Hook, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service: two pools behind one data plane, how it is watched, released and judged."""

    name: ServiceName
    plane: PlaneName
    blue: Pool
    green: Pool
    listen: Address | None = None
    listen_tls: bool = False
    """The client side is TLS (ended by the load balancer): cookies are then `Secure`."""
    health: HealthCheck | None = None
    version: VersionCheck | None = None
    tls: ServerTls | None = None
    haproxy: HaproxyBinding | None = None
    protocol: Protocol = Protocol.HTTP
    consumers: Mapping[ServiceName, Consumer] = field(default_factory=dict)
    """Services that call this one through the load balancer, each pool of which can be pinned."""
    cookie: str = "SRV"
    """The cookie that names the server of a sticky session."""
    drain: Drain = field(default_factory=Drain)
    preview: tuple[str, ...] = ()
    """Networks from which a request may name the pool that answers it; see `lbctl.model.preview`."""
    sessions: SessionPolicy = field(default_factory=SessionPolicy)
    """How sessions leave a pool that drains."""
    plan: Plan = field(default_factory=Plan)
    judge: JudgeSettings = field(default_factory=JudgeSettings)
    deadlines: Deadlines = field(default_factory=Deadlines)
    freeze: tuple[Freeze, ...] = ()
    hooks: tuple[Hook, ...] = ()

    def pool(self, colour: Colour) -> Pool:
        """The pool of that colour."""
        return self.green if colour is Colour.GREEN else self.blue

    @property
    def callers(self) -> tuple[Caller, ...]:
        """Its consumers' pools, in a fixed order."""
        return _callers(tuple(self.consumers))


@lru_cache(maxsize=1_000)
def _callers(consumers: tuple[ServiceName, ...]) -> tuple[Caller, ...]:
    # Asked for many times in a tick, and the same for as long as a config stands.
    return tuple(sorted(Caller(name, colour) for name in consumers for colour in Colour))


class EnvoyMode(StrEnum):
    """`embedded`: lbctl renders everything and runs Envoy. `attached`: lbctl owns only the files it is given."""

    EMBEDDED = "embedded"
    ATTACHED = "attached"


class Driver(StrEnum):
    """Which adapter speaks to the data plane."""

    HAPROXY = "haproxy"
    ENVOY = "envoy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One running load balancer. `directory` is where its map or xDS files live; sockets are absolute paths."""

    name: InstanceName
    directory: str
    socket: str | None = None
    master_socket: str | None = None


@dataclass(frozen=True, slots=True)
class RequestLog:
    """Where the load balancers of a plane send a line for every request: a UDP address of this host, or the absolute
    path of a datagram socket. It is written `udp://HOST:PORT` or `unix:/PATH`."""

    at: Address | str

    def __str__(self) -> str:
        return f"unix:{self.at}" if isinstance(self.at, str) else f"udp://{self.at}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """The load balancing of some services: one driver, one or several instances."""

    name: PlaneName
    driver: Driver
    instances: tuple[Instance, ...]
    envoy_binary: str | None = None
    envoy_mode: EnvoyMode = EnvoyMode.EMBEDDED
    request_log: RequestLog | None = None


@dataclass(frozen=True, slots=True)
class Topology:
    """Everything the daemon drives."""

    planes: Mapping[PlaneName, Plane]
    services: Mapping[ServiceName, Service]
    units: Mapping[UnitName, Unit] = field(default_factory=dict)
    """Units of several services; every other service is a unit of its own."""

    def instances_of(self, service: ServiceName) -> tuple[InstanceName, ...]:
        """The instances that route `service`."""
        return tuple(instance.name for instance in self.planes[self.services[service].plane].instances)

    def unit_of(self, service: ServiceName) -> Unit:
        """The unit that `service` is released with."""
        for unit in self.units.values():
            if service in unit.services:
                return unit
        one = self.services[service]
        return Unit(
            name=UnitName(service),
            services=(service,),
            plan=one.plan,
            judge=one.judge,
            deadlines=one.deadlines,
            freeze=one.freeze,
            hooks=one.hooks,
        )

    def callers_of(self, service: ServiceName) -> tuple[Caller, ...]:
        """The consumer pools of `service`, in a fixed order."""
        return self.services[service].callers

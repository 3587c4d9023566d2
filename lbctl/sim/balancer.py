"""One simulated load balancer: generations that route, a boot value, counters, and operations on their way to it.

Operations of one process stay in order. Those of a dead process may land until its time-out has passed, and before any
operation that was sent a time-out later: that is all a real driver promises, and what the core has to live with.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random

from lbctl.core.state import OPERATION_TIMEOUT
from lbctl.model.names import Colour, Generation, InstanceName, ServerName, ServiceName
from lbctl.model.operation import Operation, Place, Result, SetClosing, Status
from lbctl.model.reading import Closing, InstanceReading, PoolReading, ServerReading, ServiceReading
from lbctl.model.route import Cell, Route
from lbctl.model.units import Instant
from lbctl.sim.site import NEIGHBOUR, SERVERS, SERVICE

UP = ServerReading(True, True, 100, 0, 0, 0, 0)
DOWN = ServerReading(False, False, 100, 0, 0, 0, 0, detail="L4CON")


FIRST = Generation("1@0")


@dataclass(slots=True)
class Pending:
    """An operation on its way. `land_at` None: it is lost. `heard` False: nobody will be told how it ended."""

    operation: Operation
    sent_at: Instant
    life: int
    land_at: Instant | None
    heard: bool
    refused: bool
    context: object = None
    result: Result | None = None
    given_up: bool = False
    """The process was told `unknown`."""


@dataclass(frozen=True, slots=True)
class Landed:
    """What one landing changed: the place, and the route there before and after."""

    pending: Pending
    instance: InstanceName
    place: Place
    before: Route
    after: Route


@dataclass(slots=True)
class Balancer:
    """One instance. `one_file`: the boot value is what routes (Envoy); `keeps_fence`: it outlives the process."""

    name: InstanceName
    service: ServiceName
    servers: dict[Colour, tuple[ServerName, ...]]
    route: Route
    one_file: bool = False
    keeps_fence: bool = True
    runtime: dict[Generation, Route] = field(default_factory=dict)
    boot: Route = field(default_factory=lambda: Route(0))
    newest: Generation = FIRST
    born: int = 1
    fence: int = 0
    requests: dict[Colour, int] = field(default_factory=dict)
    errors: dict[Colour, int] = field(default_factory=dict)
    closing: dict[Colour, int] = field(default_factory=dict)
    closed: dict[Colour, int] = field(default_factory=dict)
    pending: list[Pending] = field(default_factory=list)
    unreadable_until: Instant = Instant(-1)
    stalled_until: Instant = Instant(-1)
    untold_until: Instant = Instant(-1)
    """Until then the newest generation routes, and does not say how."""
    refuses: bool = False
    skewed_bp: int | None = None
    """What green really gets, where servers that died or came back moved a share made of weights."""
    obstacle: str = ""
    disturbed_at: Instant = Instant(-1)
    """When somebody other than lbctl last changed a route here."""
    came: dict[Generation, dict[Colour, int]] = field(default_factory=dict)
    """Requests that each generation took."""
    held: dict[Colour, int] = field(default_factory=lambda: dict.fromkeys(Colour, 0))
    """Long requests and WebSockets, of all generations."""
    served_at: dict[Colour, Instant] = field(default_factory=lambda: dict.fromkeys(Colour, Instant(-1)))
    """When each pool last got a request, or let one end, by any generation."""
    open_at: dict[Colour, Instant] = field(default_factory=lambda: dict.fromkeys(Colour, Instant(-1)))
    """When a generation last sent anybody to each pool, new or known."""
    calls: dict[Generation, dict[Cell, int]] = field(default_factory=dict)
    """Who called whom here, of a service with consumers, by the generation that counted it."""
    by_hand: set[Generation] = field(default_factory=set)
    """Generations that route as a person, or a boot value of a person's, says."""
    boot_by_hand: bool = False
    count: Callable[[str], None] = lambda _: None
    """Told of what went wrong here, by name."""
    beside: "Balancer | None" = None
    """What the same process does for another service: it is reloaded and read together with this one."""

    def __post_init__(self) -> None:
        self.boot = self.route
        self.runtime = {self.newest: self.route}
        self._zero()

    def _zero(self) -> None:
        self.requests = dict.fromkeys(Colour, 0)
        self.errors = dict.fromkeys(Colour, 0)

    @property
    def parts(self) -> "tuple[Balancer, ...]":
        """One for each service."""
        return (self,) if self.beside is None else (self, self.beside)

    def part(self, service: ServiceName) -> "Balancer":
        """The part for this service."""
        return next(one for one in self.parts if one.service == service)

    @property
    def touched_at(self) -> Instant:
        """When somebody other than lbctl last changed a route of any service here."""
        return max(one.disturbed_at for one in self.parts)

    @property
    def routes(self) -> Route:
        """What a new connection meets."""
        return self.runtime[self.newest]

    def reload(self, now: Instant, *, keep_old: bool) -> None:
        """Start a new generation from the boot value; old ones go on routing for the connections they hold."""
        self.born += 1
        old = dict(list(self.runtime.items())[-2:]) if keep_old and not self.one_file else {}
        if old:
            self.count("reload, old workers go on")
        self.newest = Generation(f"{self.born}@{now}")
        self.runtime = {**old, self.newest: self.boot}
        self.by_hand = (self.by_hand & old.keys()) | ({self.newest} if self.boot_by_hand else set())
        self.disturbed_at = now
        self._zero()
        if self.beside is not None:
            self.beside.reload(now, keep_old=keep_old)

    def edit(self, now: Instant, route: Route) -> None:
        """A person's hand on what routes now, in the newest generation."""
        self.runtime[self.newest] = route
        self.by_hand.add(self.newest)
        if self.one_file:
            self.boot, self.boot_by_hand = route, True
        self.disturbed_at = now

    def edit_boot(self, now: Instant, route: Route) -> None:
        """Config management changes the file; where one file is both, it routes at once."""
        self.boot, self.boot_by_hand = route, True
        if self.one_file:
            self.runtime[self.newest] = route
            self.by_hand.add(self.newest)
        self.disturbed_at = now

    def old_gone(self) -> None:
        """The old generations have let go of their last connection."""
        for one in self.parts:
            one.runtime = {one.newest: one.routes}

    def serve(self, colour: Colour, requests: int, errors: int, at: Instant, life: Generation | None = None) -> None:
        """Count requests; those of an older `life` are none of the newest one's."""
        life = life or self.newest
        if life == self.newest:
            self.requests[colour] += requests
            self.errors[colour] += errors
        counts = self.came.setdefault(life, dict.fromkeys(Colour, 0))
        counts[colour] += requests
        self.served_at[colour] = at

    def let_go(self, at: Instant) -> None:
        """Every long request ends."""
        for colour, count in self.held.items():
            if count:
                self.held[colour], self.served_at[colour] = 0, at

    def forget(self) -> None:
        """Whoever ordered a closing is gone, and it with them."""
        for one in self.parts:
            one.closing, one.closed = {}, {}
            one.pending = [late for late in one.pending if not isinstance(late.operation, SetClosing)]

    def close_some(self, at: Instant) -> None:
        """Close one of what is held, where that is ordered and nobody is sent there any more."""
        for colour, level in self.closing.items():
            if level and self.held[colour] and not any(route.feeds(colour) for route in self.runtime.values()):
                self.count("connections closed by force")
                self.held[colour] -= 1
                self.closed[colour] = self.closed.get(colour, 0) + 1
                self.served_at[colour] = at

    def due(self, now: Instant) -> list[Pending]:
        """Take what lands now, in an order that a real load balancer could show."""
        if now < self.stalled_until:
            return []
        landing: list[Pending] = []
        for pending in tuple(self.pending):
            if pending.land_at is not None and pending.land_at <= now and pending in self.pending:
                landing += self._with_older(pending)
        return landing

    def _with_older(self, last: Pending) -> list[Pending]:
        bound = [
            one
            for one in self.pending
            if one is not last
            and one.land_at is not None
            and (
                (one.life == last.life and self.pending.index(one) < self.pending.index(last))
                or one.sent_at <= last.sent_at - OPERATION_TIMEOUT
            )
        ]
        self.pending = [one for one in self.pending if one is not last and one not in bound]
        return [*bound, last]

    def land(self, pending: Pending, now: Instant) -> list[Landed]:
        """Carry out one operation and note its result."""
        operation = pending.operation
        pending.result = self._objection(pending, now)
        if pending.result is not None:
            return []
        pending.result = Result(Status.DONE)
        self.fence = operation.fence
        if isinstance(operation, SetClosing):
            self.closing[operation.colour] = operation.per_second
            return []
        self.closing = {one: 0 if operation.route.feeds(one) else level for one, level in self.closing.items()}
        landed = []
        if operation.place is Place.RUNTIME or self.one_file:
            landed = [
                Landed(pending, self.name, Place.RUNTIME, before, operation.route) for before in self.runtime.values()
            ]
            self.runtime = dict.fromkeys(self.runtime, operation.route)
            self.by_hand.clear()
            self.skewed_bp = None
        if operation.place is Place.BOOT or self.one_file:
            landed.append(Landed(pending, self.name, Place.BOOT, self.boot, operation.route))
            self.boot, self.boot_by_hand = operation.route, False
        return landed

    def _objection(self, pending: Pending, now: Instant) -> Result | None:
        operation = pending.operation
        if pending.refused or self.refuses:
            return Result(Status.REFUSED, f"no room at {now}")
        if self.keeps_fence and operation.fence < self.fence:
            self.count("operation stale: fence")
            return Result(Status.STALE, f"fence {operation.fence} is older than {self.fence}")
        if isinstance(operation, SetClosing):
            return None
        if operation.expect_generation not in {None, self.newest}:
            self.count("operation stale: generation")
            return Result(Status.STALE, f"{self.newest} answers, not {operation.expect_generation}")
        if operation.expect not in {None, self.routes}:
            self.count("operation stale: route")
            return Result(Status.STALE, f"it routes {self.routes}, not {operation.expect}")
        return None

    def read(self, now: Instant, up: set[ServerName]) -> InstanceReading:
        """Return what a driver would read now."""
        old = tuple(generation for generation in self.runtime if generation != self.newest)
        for one in self.parts:
            one.close_some(now)
        untold = {self.newest} if now < self.untold_until else set[Generation]()
        return InstanceReading(now, self.newest, {one.service: one.seen(up, untold) for one in self.parts}, old)

    def seen(self, up: set[ServerName], untold: set[Generation]) -> ServiceReading:
        """Return the part of a reading that is about this service. `untold`: lives that do not say how they route."""
        pools = {
            colour: PoolReading(
                {server: UP if server in up else DOWN for server in names},
                self.requests[colour],
                self.errors[colour],
                self.held[colour],
                closing=Closing(self.closing.get(colour, 0), self.closed.get(colour, 0), self.held[colour]),
                arrived={life: self.came.get(life, {}).get(colour, 0) for life in self.runtime},
            )
            for colour, names in self.servers.items()
        }
        skewed = {} if self.skewed_bp is None else {self.newest: replace(self.routes, green_bp=self.skewed_bp)}
        runtime = {life: route for life, route in self.runtime.items() if life not in untold}
        matrix = {life: dict(counts) for life, counts in self.calls.items() if life in self.runtime}
        return ServiceReading(runtime, self.boot, pools, skewed, (self.obstacle,) if self.obstacle else (), matrix)


def balancers(
    names: tuple[InstanceName, ...], chance: Random, keeps_no_fence: float, *, neighbour: bool
) -> dict[InstanceName, Balancer]:
    """Return the load balancers of a world, of the kind that chance wants. `neighbour`: each has a second service."""
    keeps_fence, one_file = chance.random() >= keeps_no_fence, chance.random() < 0.3
    found = {
        name: Balancer(name, SERVICE, dict(SERVERS), Route(0), one_file=one_file, keeps_fence=keeps_fence)
        for name in names
    }
    for name, balancer in found.items() if neighbour else ():
        balancer.beside = Balancer(name, NEIGHBOUR, dict(SERVERS), Route(0))
    return found

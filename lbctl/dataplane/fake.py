"""A load balancer in memory: the data-plane port with generations, reloads, fences and the routing rules of form `map`.

It does what it is told at once and keeps time by the clock it is given. Tests feed its counters by `send` (requests by
the routing rules) or by changing `servers` themselves.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address

from lbctl.model.errors import Unreachable
from lbctl.model.names import Colour, Generation, InstanceName, ServerName, ServiceName
from lbctl.model.operation import Capabilities, Place, Result, SetClosing, SetRoute, SetServer, Status
from lbctl.model.preview import network
from lbctl.model.reading import NO_CLOSING, Admin, Closing, InstanceReading, PoolReading, ServerReading, ServiceReading
from lbctl.model.route import Caller, Cell, Pin, Route
from lbctl.model.topology import PinKind, Service
from lbctl.model.units import BP_FULL, SECOND, Instant, Span, after, since

BUCKET = "LBK"


@dataclass(slots=True)
class FakeServer:
    """One server and its counts of the newest generation. `fails`: it answers 500."""

    up: bool = True
    fails: bool = False
    requests: int = 0
    errors: int = 0
    in_flight: int = 0
    admin: Admin = Admin.READY

    def reading(self) -> ServerReading:
        """The server as the load balancer sees it."""
        usable = self.up and self.admin is Admin.READY
        return ServerReading(self.up, usable, 100, self.requests, self.errors, 0, self.in_flight, admin=self.admin)


@dataclass(slots=True)
class FakePool:
    """One pool; `unserved` counts the 503s that the load balancer answered itself."""

    servers: dict[ServerName, FakeServer]
    unserved: int = 0
    arrived: Counter[Generation] = field(default_factory=Counter)
    """Requests that came, by the generation that took them."""
    closing: Closing = NO_CLOSING
    closing_since: Instant = Instant(0)
    bound: int = 0
    """Users whom a table brings here, whatever the route says."""

    def order(self, per_second: int, now: Instant) -> None:
        """Close what is in flight at this rate, from now on."""
        if per_second != self.closing.per_second:
            self.closing, self.closing_since = replace(self.closing, per_second=per_second), now

    def pass_time(self, now: Instant, *, fed: bool) -> None:
        """Close what is due by now. `fed`: somebody is still sent here, so nobody is cut off."""
        if not self.closing.per_second:
            return
        due = since(self.closing_since, now) * self.closing.per_second // SECOND
        closed = 0
        for server in self.servers.values():
            gone = 0 if fed else min(server.in_flight, due - closed)
            server.in_flight -= gone
            closed += gone
        self.closing_since = after(self.closing_since, Span(due * SECOND // self.closing.per_second))
        left = sum(server.in_flight for server in self.servers.values())
        trouble = "STILL_ROUTED: somebody is still sent there" if fed else ""
        self.closing = replace(self.closing, closed=self.closing.closed + closed, left=left, trouble=trouble)

    def reading(self, lives: Iterable[Generation]) -> PoolReading:
        """The pool as its callers got it; `lives` still route."""
        servers = self.servers.values()
        return PoolReading(
            servers={name: server.reading() for name, server in self.servers.items()},
            requests=self.unserved + sum(server.requests for server in servers),
            errors=self.unserved + sum(server.errors for server in servers),
            in_flight=sum(server.in_flight for server in servers),
            arrived={life: self.arrived[life] for life in lives},
            closing=self.closing,
            bound=self.bound,
        )


@dataclass(slots=True)
class FakeInstance:
    """One load balancer. Implements `lbctl.dataplane.port.DataPlane`. `broken` set: nobody answers, and that is why."""

    name: InstanceName
    services: Sequence[Service]
    clock: Callable[[], Instant]
    broken: str = ""
    chance: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311 - a toy's dice
    boot: dict[ServiceName, Route] = field(default_factory=dict)
    unkept: set[ServiceName] = field(default_factory=set)
    """Services whose boot value somebody deleted; written again it is there."""
    runtime: dict[Generation, dict[ServiceName, Route]] = field(default_factory=dict)
    """By generation, the newest last; the others are old workers that still route."""
    pools: dict[tuple[ServiceName, Colour], FakePool] = field(default_factory=dict)
    calls: dict[Generation, dict[ServiceName, Counter[Cell]]] = field(default_factory=dict)
    """Of services with consumers, by the generation that counted them."""
    _fence: int = 0
    _lives: int = 0

    def __post_init__(self) -> None:
        self.boot = {service.name: _unpinned(service) for service in self.services} | self.boot
        self.reload(keep_old=False)

    @property
    def generation(self) -> Generation:
        """The life that new connections reach."""
        return next(reversed(self.runtime))

    def reload(self, *, keep_old: bool = True) -> Generation:
        """Start anew from the boot values with counters at zero; returns the new life. Not `keep_old`: a restart."""
        self._lives += 1
        old = self.runtime if keep_old else {}
        self.runtime = {**old, Generation(f"{self._lives}@0"): dict(self.boot)}
        self._forget()
        self.calls[self.generation] = {service.name: Counter() for service in self.services if service.consumers}
        before = self.pools
        up = {key: {name: one.up for name, one in pool.servers.items()} for key, pool in self.pools.items()}
        self.pools = {
            (service.name, colour): replace(
                before.get((service.name, colour), FakePool({})),
                servers={
                    one.name: FakeServer(up.get((service.name, colour), {}).get(one.name, True)) for one in pool.servers
                },
                unserved=0,
            )
            for service in self.services
            for colour, pool in ((Colour.BLUE, service.blue), (Colour.GREEN, service.green))
        }
        return self.generation

    def end_old(self) -> None:
        """Let the old workers end."""
        self.runtime = {self.generation: self.runtime[self.generation]}
        self._forget()

    def _forget(self) -> None:
        self.calls = {life: counts for life, counts in self.calls.items() if life in self.runtime}

    async def probe(self) -> Capabilities:
        """See `DataPlane.probe`."""
        self._answer()
        return Capabilities(version="fake 1", pins=frozenset(PinKind))

    async def observe(self) -> InstanceReading:
        """See `DataPlane.observe`."""
        self._answer()
        return InstanceReading(
            taken_at=self.clock(),
            generation=self.generation,
            services={service.name: self._reading(service.name) for service in self.services},
            draining_generations=tuple(self.runtime)[:-1],
        )

    async def apply(self, operation: SetRoute) -> Result:
        """See `DataPlane.apply`."""
        if self.broken:
            return Result(Status.UNKNOWN, self.broken)
        if operation.service not in self.boot:
            return Result(Status.REFUSED, f"{self.name} has no service {operation.service}")
        if wrong := operation.route.misfit(self._service(operation.service).callers):
            return Result(Status.REFUSED, wrong)
        if operation.fence < self._fence:
            return Result(Status.STALE, f"fence {operation.fence} is older than {self._fence}")
        now = self.runtime[self.generation][operation.service]
        if operation.expect_generation not in {None, self.generation} or operation.expect not in {None, now}:
            return Result(Status.STALE, f"{self.generation} routes {now}")
        self._fence = operation.fence
        for colour in Colour:
            if operation.route.feeds(colour):
                self.pools[operation.service, colour].order(0, self.clock())
        self.unkept -= {operation.service} if operation.place is Place.BOOT else set()
        for routes in [self.boot] if operation.place is Place.BOOT else self.runtime.values():
            routes[operation.service] = operation.route
        return Result(Status.DONE)

    async def administer(self, operation: SetServer) -> Result:
        """See `DataPlane.administer`."""
        if self.broken:
            return Result(Status.UNKNOWN, self.broken)
        self.pools[operation.service, operation.colour].servers[operation.server].admin = operation.admin
        return Result(Status.DONE)

    async def set_closing(self, operation: SetClosing) -> Result:
        """See `DataPlane.set_closing`."""
        if self.broken:
            return Result(Status.UNKNOWN, self.broken)
        if operation.service not in self.boot:
            return Result(Status.REFUSED, f"{self.name} has no service {operation.service}")
        if operation.fence < self._fence:
            return Result(Status.STALE, f"fence {operation.fence} is older than {self._fence}")
        self._fence = operation.fence
        self.pools[operation.service, operation.colour].order(operation.per_second, self.clock())
        return Result(Status.DONE)

    async def verify(self, service: ServiceName, route: Route) -> bool | None:
        """See `DataPlane.verify`."""
        return None if self.broken else all(routes.get(service) == route for routes in self.runtime.values())

    async def close(self) -> None:
        """See `DataPlane.close`."""

    def send(
        self,
        service: ServiceName,
        jar: MutableMapping[str, str] | None = None,
        *,
        caller: Caller | None = None,
        life: Generation | None = None,
        misled: Colour | None = None,
    ) -> tuple[int, str]:
        """Route one request by the newest generation, or by an older `life`; returns status and server name.

        `jar` is a session's cookies, `caller` the consumer pool that calls. Who is pinned to nobody gets 503 from
        nobody; see `refuses`. `misled`: it goes there, whatever the pin says.
        """
        jar = {} if jar is None else jar
        wanted = self._service(service)
        life = life or self.generation
        route = self.runtime[life][service]
        pin = _pin(route, caller) if misled is None else Pin(misled.value)
        if pin is Pin.NONE:
            return 503, ""
        pinned = pin is not Pin.SPLIT
        colour = Colour(pin.value) if pinned else self._colour(wanted, route, jar)
        if not pinned and 0 < route.green_bp < BP_FULL and not _usable(self.pools[service, colour]):
            colour = colour.other
        if service in self.calls[life]:
            self.calls[life][service][Cell(caller if caller in wanted.callers else None, colour)] += 1
        pool = self.pools[service, colour]
        pool.arrived[life] += 1
        if not (usable := _usable(pool)):
            pool.unserved += 1
            return 503, ""
        kept = ServerName(jar.get(wanted.cookie, ""))
        name = kept if kept in usable else self.chance.choice(usable)
        server = pool.servers[name]
        server.requests += 1
        server.errors += server.fails
        jar[wanted.cookie] = name
        jar.setdefault(BUCKET, str(self.chance.randrange(max(1, route.keep_bp(colour)))))
        return 500 if server.fails else 200, name

    def preview(self, service: ServiceName, wanted: Colour, source: str) -> tuple[int, str] | None:
        """Route one preview, counted nowhere; returns status and server name. None: it is a user like others."""
        listed = self._service(service).preview
        if not any(ip_address(source) in network(one) for one in listed):
            return None
        usable = _usable(self.pools[service, wanted])
        return (200, self.chance.choice(usable)) if usable else (503, "")

    def refuses(self, service: ServiceName, caller: Caller | None) -> bool:
        """Whether this caller is answered with `x-lbctl-refused: pin`."""
        return _pin(self.runtime[self.generation][service], caller) is Pin.NONE

    def _service(self, name: ServiceName) -> Service:
        return next(one for one in self.services if one.name == name)

    def _colour(self, service: Service, route: Route, jar: MutableMapping[str, str]) -> Colour:
        for colour in Colour if service.cookie in jar else ():
            if any(one.name == jar[service.cookie] for one in service.pool(colour).servers):
                return colour if int(jar.get(BUCKET, "0")) < route.keep_bp(colour) else colour.other
        return Colour.GREEN if self.chance.randrange(BP_FULL) < route.green_bp else Colour.BLUE

    def _reading(self, service: ServiceName) -> ServiceReading:
        runtime = {life: routes[service] for life, routes in self.runtime.items()}
        for colour in Colour:
            fed = any(route.feeds(colour) for route in runtime.values())
            self.pools[service, colour].pass_time(self.clock(), fed=fed)
        pools = {colour: self.pools[service, colour].reading(self.runtime) for colour in Colour}
        matrix = {life: dict(counts[service]) for life, counts in self.calls.items() if service in counts}
        boot = None if service in self.unkept else self.boot[service]
        return ServiceReading(runtime=runtime, boot=boot, pools=pools, matrix=matrix)

    def _answer(self) -> None:
        if self.broken:
            raise Unreachable(f"{self.name}: {self.broken}")


def _pin(route: Route, caller: Caller | None) -> Pin:
    return next((pin for one, pin in route.pins if one == caller), Pin.SPLIT)


def _unpinned(service: Service) -> Route:
    return Route(0, pins=tuple((caller, Pin.SPLIT) for caller in service.callers))


def _usable(pool: FakePool) -> list[ServerName]:
    return [name for name, server in pool.servers.items() if server.up and server.admin is Admin.READY]

"""One load balancer of a rehearsal: it does at once what it is told, counts, and reads back what is so."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lbctl.model.names import Colour, Generation, InstanceName, ServerName, ServiceName
from lbctl.model.operation import Operation, Place, Result, SetClosing, Status
from lbctl.model.reading import InstanceReading, PoolReading, ServerReading, ServiceReading, Timing
from lbctl.model.route import Caller, Cell, Pin, Route
from lbctl.model.topology import Service
from lbctl.model.units import Instant
from lbctl.sim.rehearsal.dice import Carry

Key = tuple[ServiceName, Colour]


@dataclass(slots=True)
class Counted:
    """What one pool of one service did here in this life of the load balancer."""

    requests: int = 0
    errors: int = 0
    by_server: dict[ServerName, list[int]] = field(default_factory=dict)
    times: Counter[int] = field(default_factory=Counter)

    def add(self, server: ServerName | None, requests: int, errors: int) -> None:
        """Count requests of one server; of none where the load balancer answered itself."""
        self.requests += requests
        self.errors += errors
        if server is not None:
            pair = self.by_server.setdefault(server, [0, 0])
            pair[0] += requests
            pair[1] += errors


class Edge:
    """One instance, with a route for each of its services."""

    def __init__(self, name: InstanceName, services: Iterable[Service], routes: Mapping[ServiceName, Route]) -> None:
        self.name = name
        self.services = {service.name: service for service in services}
        self.routes = {name: routes[name] for name in self.services}
        self.boot = dict(self.routes)
        self.deaf = False
        """It can be neither read nor written, and goes on routing."""
        self._born = 1
        self._fence = 0
        self._splits: dict[ServiceName, Carry] = {name: Carry() for name in self.services}
        self._anew()

    def _anew(self) -> None:
        self.life = Generation(f"{self._born}@{self.name}")
        self.counted: dict[Key, Counted] = {(name, colour): Counted() for name in self.services for colour in Colour}
        self.cells: dict[ServiceName, Counter[Cell]] = {name: Counter() for name in self.services}

    def reload(self) -> None:
        """Begin anew from the boot values; nobody is left on the old workers."""
        self._born += 1
        self.routes = dict(self.boot)
        self._anew()

    def split(self, service: ServiceName, count: int, caller: Caller | None) -> dict[Colour, int]:
        """Return how many of `count` requests each pool gets; what a pin refuses goes to none."""
        route = self.routes[service]
        pin = dict(route.pins).get(caller, Pin.SPLIT) if caller is not None else Pin.SPLIT
        if pin is Pin.NONE:
            return {}
        if pin is not Pin.SPLIT:
            return {Colour(pin.value): count}
        green = self._splits[service].take(count * route.green_bp / 10_000)
        green = min(green, count)
        return {Colour.BLUE: count - green, Colour.GREEN: green}

    def called(self, service: ServiceName, caller: Caller | None, colour: Colour, count: int) -> None:
        """Note who called whom, where that is counted."""
        if self.services[service].consumers and count:
            self.cells[service][Cell(caller, colour)] += count

    def apply(self, operation: Operation) -> Result:
        """Carry out one operation."""
        if operation.fence < self._fence:
            return Result(Status.STALE, f"fence {operation.fence} is older than {self._fence}")
        if isinstance(operation, SetClosing):
            return Result(Status.DONE)
        if operation.expect_generation not in {None, self.life}:
            return Result(Status.STALE, f"{self.life} answers")
        if operation.expect not in {None, self.routes[operation.service]}:
            return Result(Status.STALE, "the route is another one")
        self._fence = operation.fence
        (self.routes if operation.place is Place.RUNTIME else self.boot)[operation.service] = operation.route
        return Result(Status.DONE)

    def read(self, now: Instant, down: Mapping[Key, set[ServerName]], timed: set[ServiceName]) -> InstanceReading:
        """Return what a driver would read now."""
        services = {name: self._service(one, down) for name, one in self.services.items()}
        timing = {name: self._timing(name, now) for name in self.services if name in timed}
        return InstanceReading(now, self.life, services, timing=timing)

    def _service(self, service: Service, down: Mapping[Key, set[ServerName]]) -> ServiceReading:
        name = service.name
        pools = {colour: self._pool(service, colour, down.get((name, colour), set())) for colour in Colour}
        matrix = {self.life: dict(self.cells[name])} if service.consumers else {}
        return ServiceReading({self.life: self.routes[name]}, self.boot[name], pools, matrix=matrix)

    def _pool(self, service: Service, colour: Colour, down: set[ServerName]) -> PoolReading:
        seen = self.counted[service.name, colour]
        servers = {}
        for server in service.pool(colour).servers:
            up = server.name not in down
            requests, errors = seen.by_server.get(server.name, (0, 0))
            servers[server.name] = ServerReading(up, up, 100, requests, errors, 0, 0, detail="" if up else "L4CON")
        return PoolReading(servers, seen.requests, seen.errors, 0, arrived={self.life: seen.requests})

    def _timing(self, name: ServiceName, now: Instant) -> Timing:
        return Timing(self.life, now, {colour: dict(self.counted[name, colour].times) for colour in Colour})

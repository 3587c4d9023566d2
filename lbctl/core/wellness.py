"""Which servers are well now, by prober and load balancer together, and whether the way home is open. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lbctl.model.names import Colour, InstanceName, ServerName, ServiceName
from lbctl.model.reading import Admin, InstanceReading, Observed, ServerReading
from lbctl.model.topology import Service, Topology
from lbctl.model.units import BP_FULL


@dataclass(frozen=True, slots=True)
class Wellness:
    """One pool: how many servers there are, which are surely down and why, which nobody can say anything about.

    `drained` are those among the down that only people keep from new traffic: they serve the sessions they have.
    """

    server_count: int
    down: Mapping[ServerName, str]
    unknown: Mapping[ServerName, str]
    drained: frozenset[ServerName] = frozenset()

    @property
    def up_count(self) -> int:
        """Servers known to be up."""
        return self.server_count - len(self.down) - len(self.unknown)

    @property
    def dead(self) -> bool:
        """Every server is surely down."""
        return len(self.down) == self.server_count

    @property
    def well(self) -> bool:
        """Every server is surely up."""
        return self.up_count == self.server_count

    @property
    def alive_bp(self) -> int:
        """The fraction that is not surely down: what a way home may count on (unknown is not down)."""
        return (self.server_count - len(self.down)) * BP_FULL // self.server_count

    def trouble(self) -> str:
        """Return the servers that are not up, each with its reason."""
        return "; ".join(f"{name}: {why}" for name, why in [*self.down.items(), *self.unknown.items()])


@dataclass(frozen=True, slots=True)
class Pair:
    """Both pools of one service of a release."""

    candidate: Wellness
    active: Wellness


def together(pools: Mapping[ServiceName, Wellness]) -> Wellness:
    """Return several pools as one: servers are named with their service where there are several."""
    if len(pools) == 1:
        return next(iter(pools.values()))
    count = sum(pool.server_count for pool in pools.values())
    down = {ServerName(f"{name}/{server}"): why for name, pool in pools.items() for server, why in pool.down.items()}
    unknown = {ServerName(f"{name}/{s}"): why for name, pool in pools.items() for s, why in pool.unknown.items()}
    return Wellness(count, down, unknown)


Pools = Mapping[tuple[ServiceName, Colour], Wellness]


def every_pool(topology: Topology, observed: Observed) -> Pools:
    """Return how well every pool is: judged once for each observation."""
    return {
        (service.name, colour): wellness(service, colour, observed, topology)
        for service in topology.services.values()
        for colour in Colour
    }


def wellness(service: Service, colour: Colour, observed: Observed, topology: Topology) -> Wellness:
    """Judge every server of a pool. Down: the prober says so, or an instance would give it no new request.

    A prober that is itself suspect (panic rule) is not believed: its word counts as unknown.
    """
    suspect = service.name in observed.checker_suspect
    balanced = [*balanced_by(service.name, colour, observed, topology)]
    down: dict[ServerName, str] = {}
    unknown: dict[ServerName, str] = {}
    drained: set[ServerName] = set()
    for server in service.pool(colour).servers:
        probed = observed.health.get((service.name, server.name)) if service.health is not None else None
        # A fault goes before an order: a drained server may be down as well.
        ordered, refusal = _refused(service, colour, server.name, balanced)
        if refusal and not ordered:
            down[server.name] = refusal
        elif probed is not None and probed.up is False and not suspect:
            down[server.name] = probed.detail or "health check fails"
        elif refusal:
            down[server.name] = refusal
            drained.add(server.name)
        elif suspect and service.health is not None:
            unknown[server.name] = "the health checker itself is suspect"
        elif service.health is not None and (probed is None or probed.up is None):
            unknown[server.name] = probed.detail if probed and probed.detail else "not checked yet"
    return Wellness(len(service.pool(colour).servers), down, unknown, frozenset(drained))


_WANTED = (False, "")
Balanced = tuple[InstanceName, Mapping[ServerName, ServerReading]]


def balanced_by(name: ServiceName, colour: Colour, observed: Observed, topology: Topology) -> Iterator[Balanced]:
    """Yield what each load balancer that could be read says of a pool's servers."""
    for instance in topology.instances_of(name):
        reading = observed.instances.get(instance)
        if isinstance(reading, InstanceReading) and name in reading.services:
            yield instance, reading.services[name].pools[colour].servers


def _refused(service: Service, colour: Colour, server: ServerName, balanced: Sequence[Balanced]) -> tuple[bool, str]:
    """Return why a load balancer gives this server no new request, a fault before an order; and whether it is only
    somebody's order."""
    found = _WANTED
    for name, servers in balanced:
        seen = servers.get(server)
        if seen is not None and seen.usable and seen.admin is not Admin.DRAIN:
            continue
        if seen is None:
            why = False, f"{name} does not know it"
        elif seen.up and seen.admin is Admin.DRAIN:
            why = True, f"{name} drains it (lbctl undrain {service.name}/{colour}/{server})"
        else:
            why = False, f"{name} says {seen.detail or ('weight 0' if seen.up else 'down')}"
        found = why if found is _WANTED else min(found, why)
    return found


def way_open(home: Wellness, exposed: Wellness, min_healthy_bp: int) -> bool:
    """Whether traffic may move from `exposed` to `home`: never to a pool that is worse off now.

    Closed only if `home` has no server left, or fewer than `min_healthy_bp` and no larger part than `exposed`.
    """
    if home.dead:
        return False
    return home.alive_bp >= min_healthy_bp or home.alive_bp > exposed.alive_bp

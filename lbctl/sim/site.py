"""What the simulated config says: one service, or two behind the same load balancers."""

from collections.abc import Sequence

from lbctl.model.census import Census, Connections, Strangers
from lbctl.model.names import Colour, InstanceName, PlaneName, ServerName, ServiceName
from lbctl.model.sessions import SessionPolicy
from lbctl.model.topology import (
    Address,
    Drain,
    Driver,
    HealthCheck,
    Instance,
    JudgeSettings,
    Plane,
    Pool,
    Probe,
    Server,
    Service,
    Topology,
)
from lbctl.model.units import Instant, Span

SERVICE = ServiceName("shop")
NEIGHBOUR = ServiceName("pay")
"""Another service of the same load balancers, for scenarios. It has servers of the same names."""
SERVERS = {colour: tuple(ServerName(f"{colour}-{number}") for number in (1, 2)) for colour in Colour}
EDGE = PlaneName("edge")


def topology(
    instances: Sequence[InstanceName],
    services: Sequence[ServiceName] = (SERVICE,),
    blind_limit: Span | None = Span(20_000),
    sessions: SessionPolicy | None = None,
    idle: Span = Span(400),
) -> Topology:
    """Return services with two servers a colour behind these instances. `idle`: when a session is over."""
    plane = Plane(
        name=EDGE,
        driver=Driver.HAPROXY,
        instances=tuple(Instance(name=name, directory="/nowhere") for name in instances),
    )
    return Topology(
        {EDGE: plane}, {name: _service(name, blind_limit, sessions or SessionPolicy(), idle) for name in services}
    )


def _service(name: ServiceName, blind_limit: Span | None, sessions: SessionPolicy, idle: Span) -> Service:
    host = "192.0.2.1" if name == SERVICE else "192.0.2.2"
    pools = {c: Pool(c, tuple(Server(server, Address(host, 80)) for server in SERVERS[c])) for c in Colour}
    return Service(
        name=name,
        plane=EDGE,
        blue=pools[Colour.BLUE],
        green=pools[Colour.GREEN],
        health=HealthCheck(kind=Probe.HTTP),
        drain=Drain(quiet=Span(400), idle=idle, limit=Span(2_000)),
        judge=JudgeSettings(blind_limit=blind_limit),
        sessions=sessions,
    )


def unconnected(topology: Topology, now: Instant) -> dict[tuple[ServiceName, Colour], Census]:
    """Return that the kernel knows of no connection to any server."""
    return {
        (service.name, colour): Census(
            taken_at=now,
            servers={server.address: Connections() for server in service.pool(colour).servers},
            strangers=Strangers(),
        )
        for service in topology.services.values()
        for colour in Colour
    }

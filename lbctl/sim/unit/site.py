"""What the config of the simulated unit says: accounts, three servers a pool, and storefront, seven, which calls it."""

from collections.abc import Sequence
from dataclasses import replace

from lbctl.model.names import Colour, InstanceName, ServerName, ServiceName, UnitName
from lbctl.model.route import Caller, Pin, Route
from lbctl.model.topology import (
    Address,
    Consumer,
    Deadlines,
    Drain,
    Driver,
    HealthCheck,
    Instance,
    JudgeSettings,
    PinKind,
    Plan,
    Plane,
    Pool,
    Probe,
    Server,
    Service,
    Topology,
    Unit,
)
from lbctl.model.units import Span
from lbctl.sim.site import EDGE

A, B = ServiceName("accounts"), ServiceName("storefront")
SHOP = UnitName("shop")
SERVICES = (A, B)
SIZES = {A: 3, B: 7}
SERVERS = {
    (name, colour): tuple(ServerName(f"{name[0]}-{colour}-{number}") for number in range(1, size + 1))
    for name, size in SIZES.items()
    for colour in Colour
}
CALLERS = {colour: Caller(B, colour) for colour in Colour}
DEADLINES = Deadlines(board=Span(600_000), claim=Span(8_000))
"""A claim that nobody goes on with ends within a simulated minute; a version on the board waits for its partner."""
UNPINNED = {A: Route(0, pins=tuple((caller, Pin.SPLIT) for caller in CALLERS.values())), B: Route(0)}
"""Where a load balancer begins that nobody has steered yet."""


def topology(instances: Sequence[InstanceName], plan: Plan) -> Topology:
    """Return the unit behind these load balancers; what the board cuts goes by `plan`."""
    plane = Plane(
        name=EDGE,
        driver=Driver.HAPROXY,
        instances=tuple(Instance(name=name, directory="/nowhere") for name in instances),
    )
    called = {B: Consumer(kind=PinKind.LISTENER)}
    services = {A: replace(_service(A), consumers=called), B: _service(B)}
    unit = Unit(name=SHOP, services=SERVICES, plan=plan, deadlines=DEADLINES)
    return Topology({EDGE: plane}, services, {SHOP: unit})


def _service(name: ServiceName) -> Service:
    blue, green = (_pool(name, colour) for colour in (Colour.BLUE, Colour.GREEN))
    return Service(
        name=name,
        plane=EDGE,
        blue=blue,
        green=green,
        health=HealthCheck(kind=Probe.HTTP),
        drain=Drain(quiet=Span(400), idle=Span(400), limit=Span(3_000)),
        judge=JudgeSettings(blind_limit=Span(20_000)),
    )


def _pool(name: ServiceName, colour: Colour) -> Pool:
    return Pool(colour, tuple(Server(server, Address("192.0.2.1", 80)) for server in SERVERS[name, colour]))

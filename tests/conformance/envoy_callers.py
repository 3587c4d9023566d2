"""A service behind a real Envoy that two pools of a consumer call, told apart in each of the ways there are."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from lbctl.dataplane.envoy import embedded
from lbctl.demo.ports import free_port
from lbctl.model.names import Colour, ServerName, ServiceName
from lbctl.model.operation import Result
from lbctl.model.route import Caller, Cell, Pin, Route
from lbctl.model.topology import Address, Consumer, EnvoyMode, PinKind, Pool, Protocol, Server, Service
from tests.conformance.envoy_attached import AttachedWorld, attached_to
from tests.conformance.envoy_harness import NAMES, SHOP, Backend, Client, EnvoyWorld, ToyServer, world_of

STOREFRONT = ServiceName("storefront")
BLUE, GREEN = (Caller(STOREFRONT, colour) for colour in Colour)
HOSTS = {BLUE: "127.0.20.11", GREEN: "127.0.21.11"}
"""Where the servers of each pool call from."""
OUTSIDER = "127.0.30.1"
HEADER = "x-pool"


@dataclass(frozen=True, slots=True)
class Way:
    """How somebody calls: the port, the address it calls from, and what it says of itself."""

    port: int
    host: str
    headers: dict[str, str]


@dataclass(slots=True)
class Called:
    """The world of `shop`, whose consumer is `storefront`."""

    world: EnvoyWorld[Any]
    kind: PinKind
    services: tuple[Service, ...]

    def way(self, caller: Caller | None) -> Way:
        """How a pool calls; None: an outsider, who calls as users do."""
        if caller is None:
            return Way(self.world.port, OUTSIDER, {})
        consumer = self.services[0].consumers[STOREFRONT]
        match self.kind:
            case PinKind.LISTENER:
                return Way(consumer.listeners[caller.colour].port, "127.0.0.1", {})
            case PinKind.SOURCE:
                return Way(self.world.port, HOSTS[caller], {})
            case PinKind.HEADER:
                # By the address of the other pool: only the header tells.
                return Way(self.world.port, HOSTS[replace(caller, colour=caller.colour.other)], {HEADER: str(caller)})

    def client(self, caller: Caller | None, **headers: str) -> Client:
        """A keep-alive client of that pool."""
        way = self.way(caller)
        client = self.world.client(**headers)
        client.port, client.source = way.port, way.host
        client.headers |= way.headers
        return client

    async def apply(self, route: Route) -> Result:
        """Apply a route with the next fence."""
        return await self.world.driver.apply(self.world.set_route(route))

    async def matrix(self) -> dict[str, int]:
        """The cells that have calls, of the life that answers."""
        reading = await self.world.driver.observe()
        cells: dict[Cell, int] = dict(reading.services[SHOP].matrix[reading.generation])
        return {str(cell): count for cell, count in cells.items() if count}

    async def restart(self) -> None:
        """End Envoy and start it on its files, without a driver."""
        await self.world.driver.close()
        if isinstance(self.world, AttachedWorld):
            await self.world.owner.restart()
        else:
            await _embedded_anew(self.world, self.services)
        self.world.driver = self.world.another_driver(self.services)


async def _embedded_anew(world: EnvoyWorld[Any], services: tuple[Service, ...]) -> None:
    await embedded.stop(world.instance)
    await embedded.start(world.instance, services)


def route(green_bp: int, blue: Pin, green: Pin) -> Route:
    """A split and what both pools of the consumer are pinned to."""
    return Route(green_bp, pins=((BLUE, blue), (GREEN, green)))


def with_consumer(shop: Service, kind: PinKind) -> Service:
    """`shop` with a consumer whose pools are told apart like this."""
    own = {colour: Address("127.0.0.1", free_port()) for colour in Colour}
    listeners = own if kind is PinKind.LISTENER else {}
    consumer = Consumer(kind=kind, listeners=listeners, header=HEADER if kind is PinKind.HEADER else None)
    return replace(shop, consumers={STOREFRONT: consumer})


def storefront(shop: Service) -> Service:
    """The consumer itself: nobody has to be there, only its addresses count."""
    pools = [
        Pool(caller.colour, (Server(ServerName(f"{caller}-1"), Address(HOSTS[caller], 9)),)) for caller in (BLUE, GREEN)
    ]
    listen = Address("127.0.0.1", free_port())
    return replace(
        shop,
        name=STOREFRONT,
        blue=pools[0],
        green=pools[1],
        listen=listen,
        protocol=Protocol.HTTP,
        consumers={},
    )


@asynccontextmanager
async def called(mode: EnvoyMode, kind: PinKind) -> AsyncIterator[Called]:
    """HTTP servers that are called; everything on blue, nothing pinned."""
    servers = {name: await ToyServer(name).open() for name in NAMES}
    async with called_at(servers, mode, kind, Protocol.HTTP) as here:
        yield here


@asynccontextmanager
async def called_at(
    servers: dict[str, Backend], mode: EnvoyMode, kind: PinKind, protocol: Protocol
) -> AsyncIterator[Called]:
    """As `called`, of servers that listen already."""
    make = world_of if mode is EnvoyMode.EMBEDDED else attached_to
    async with make(servers, protocol) as world:
        shop = with_consumer(world.service, kind)
        here = Called(world, kind, (shop, storefront(shop)))
        await world.driver.close()
        if isinstance(world, AttachedWorld):
            world.write_bootstrap(here.services)
            await world.owner.restart()
        world.driver = world.another_driver(here.services)
        await world.driver.ensure_running()
        await here.apply(route(0, Pin.SPLIT, Pin.SPLIT))
        yield here

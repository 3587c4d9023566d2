"""What the conformance suite asks of a load balancer with two services, whichever it is."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from lbctl.dataplane.port import DataPlane
from lbctl.model.names import Colour, Generation, ServerName, ServiceName
from lbctl.model.operation import Place, Result, SetRoute, Status
from lbctl.model.reading import PoolReading, ServiceReading
from lbctl.model.route import Caller, Pin, Route
from lbctl.model.topology import Address, Consumer, PinKind, Service
from lbctl.model.units import BP_FULL

SHOP = ServiceName("shop")
TILL = ServiceName("till")
NAMES = tuple(f"{colour}-{number}" for colour in Colour for number in (1, 2))
"""The servers of `shop`, by name. `till` has the same ones with `till-` before the name."""
BLUE_ONLY = Route(0)
CALLERS = tuple(Caller(TILL, colour) for colour in Colour)
"""The pools that call `shop` in a world with consumers."""


LISTED, UNLISTED = "127.0.40.9", "127.0.41.9"
"""Addresses from which a preview of `shop` may be asked for, and may not, in a world with `PREVIEW_FROM`."""
CLAIMS = ("x-forwarded-for", "x-real-ip", "forwarded", "x-envoy-external-address", "x-lbctl-src")
"""Headers in which a client may say where it calls from."""
PREVIEW_FROM = ("127.0.40.0/25", "2001:db8::/32")


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer: the server's name is its body, empty if the load balancer answered itself."""

    status: int
    server: str
    refused: bool = False
    """By a pin, and told so."""
    previewed: str = ""
    """Which pool is said to have been previewed."""

    @property
    def colour(self) -> Colour | None:
        """Which pool answered."""
        return next((colour for colour in Colour if f"{colour}-" in self.server), None)


class Visitor(Protocol):
    """A keep-alive client, with cookies if it is a session."""

    @property
    def jar(self) -> dict[str, str] | None:
        """Its cookies."""

    async def ask(self) -> Answered:
        """Send one request."""


class World(Protocol):
    """A running load balancer with `shop` and `till`, toy servers behind it, and a driver. Nothing is adopted yet."""

    driver: DataPlane

    @property
    def callers(self) -> tuple[Caller, ...]:
        """The consumer pools of `shop`: `CALLERS`, or nobody."""

    @property
    def socket(self) -> str:
        """What the text of an `Unreachable` must name."""

    def visitor(self, service: ServiceName = SHOP, *, session: bool = False, caller: Caller | None = None) -> Visitor:
        """A client, hung up at the end. `caller`: one of the pools that call `shop`."""

    def previewer(
        self, wanted: str, *, source: str, claims: str = "", session: bool = False, caller: Caller | None = None
    ) -> Visitor:
        """A client of `shop` that calls from `source`, `claims` to call from elsewhere, and asks for a preview of the
        pool `wanted`."""

    def let(self, server: str, *, fails: bool = False, dead: bool = False) -> None:
        """Make a server answer 500 to users, or refuse connections from now on."""

    def another_driver(self) -> DataPlane:
        """A driver as a fresh lbctld would make it."""

    async def restart(self) -> None:
        """End the load balancer and start it on the files that are there, without lbctl."""

    async def end(self) -> None:
        """End the load balancer."""


Opened = Callable[[], AbstractAsyncContextManager[World]]


@dataclass(slots=True)
class Operator:
    """Gives operations with rising fences to a world's driver, as the daemon does."""

    world: World
    fence: int = 0

    def operation(self, route: Route, service: ServiceName = SHOP, place: Place = Place.RUNTIME) -> SetRoute:
        """An operation with the next fence."""
        self.fence += 1
        return SetRoute(service=service, place=place, route=route, fence=self.fence)

    async def apply(self, route: Route, service: ServiceName = SHOP, place: Place = Place.RUNTIME) -> Result:
        """Apply a route with the next fence."""
        return await self.world.driver.apply(self.operation(route, service, place))

    async def route(self, green_bp: int, keep_blue_bp: int = 10_000, keep_green_bp: int = 10_000) -> None:
        """Bring `shop` there, runtime and boot value."""
        await self.bring(SHOP, Route(green_bp, keep_blue_bp, keep_green_bp))

    async def pin(self, blue: Pin, green: Pin, route: Route = BLUE_ONLY) -> Route:
        """Bring `shop` to a route, with its blue and green callers pinned, and return all of it."""
        whole = replace(route, pins=tuple(zip(CALLERS, (blue, green), strict=True)))
        await self.bring(SHOP, whole)
        return whole

    async def bring(self, service: ServiceName, route: Route) -> None:
        """Bring a service there, runtime and boot value; both must be done."""
        for place in Place:
            result = await self.world.driver.apply(replace(self.operation(route, service), place=place))
            assert result.status is Status.DONE, result

    async def makes(self, route: Route, service: ServiceName = SHOP) -> bool:
        """Whether this load balancer says that it can make a route. Some move sessions only at share 0."""
        able = (await self.world.driver.probe()).of(service)
        at_rest = any(text.startswith("CANNOT_MOVE_WHILE_SPLIT") for text in able.cannot)
        return all(
            route.keep_bp(colour) % able.keep_grain_bp == 0
            and not (at_rest and route.keep_bp(colour) < BP_FULL and route.share_bp(colour) > 0)
            and not 0 < route.share_bp(colour) < able.floor_bp.get(colour, 1)
            for colour in Colour
        )

    async def chosen(self, *routes: Route) -> Route:
        """The first of these that it can make."""
        for route in routes:
            if await self.makes(route):
                return route
        raise AssertionError(routes)

    async def reading(self, service: ServiceName = SHOP) -> ServiceReading:
        """What the driver sees of a service."""
        return (await self.world.driver.observe()).services[service]

    async def pool(self, colour: Colour, service: ServiceName = SHOP) -> PoolReading:
        """What the driver sees of a pool."""
        return (await self.reading(service)).pools[colour]

    async def server(self, name: str) -> tuple[int, int]:
        """Requests and errors of one server of `shop`."""
        pool = await self.pool(Colour.BLUE if name.startswith("blue") else Colour.GREEN)
        return pool.servers[ServerName(name)].requests, pool.servers[ServerName(name)].errors

    async def generation(self) -> Generation:
        """The life that answers."""
        return (await self.world.driver.observe()).generation


@asynccontextmanager
async def adopted(opened: Opened) -> AsyncIterator[Operator]:
    """A world with everything on blue, runtime and boot."""
    async with opened() as world:
        operator = Operator(world)
        await operator.bring(SHOP, Route(0, pins=tuple((caller, Pin.SPLIT) for caller in world.callers)))
        await operator.bring(TILL, Route(0))
        yield operator


def twin(shop: Service, port: int) -> Service:
    """`till`: the same servers under other names, on a port of its own."""
    pools = [
        replace(pool, servers=tuple(replace(one, name=ServerName(f"till-{one.name}")) for one in pool.servers))
        for pool in (shop.blue, shop.green)
    ]
    listen = Address("127.0.0.1", port)
    return replace(shop, name=TILL, blue=pools[0], green=pools[1], listen=listen, consumers={}, preview=())


def by_listener(*ports: int) -> dict[ServiceName, Consumer]:
    """`till` as a consumer: its blue and its green servers call at ports of their own."""
    listeners = {colour: Address("127.0.0.1", port) for colour, port in zip(Colour, ports, strict=True)}
    return {TILL: Consumer(kind=PinKind.LISTENER, listeners=listeners)}

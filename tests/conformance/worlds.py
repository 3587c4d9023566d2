"""The load balancers that the conformance suite runs against: the fake, and real ones: HAProxy in both forms, Envoy in
both modes."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Self

import pytest

from lbctl.dataplane.envoy import embedded
from lbctl.dataplane.envoy.driver import EnvoyInstance
from lbctl.dataplane.envoy.layout import layout_of
from lbctl.dataplane.fake import FakeInstance
from lbctl.dataplane.port import DataPlane
from lbctl.demo.ports import free_port
from lbctl.model.names import Colour, InstanceName, PlaneName, ServerName, ServiceName
from lbctl.model.route import Caller
from lbctl.model.topology import Address, Consumer, HaproxyForm, Pool, Server, Service
from tests.conformance.envoy_attached import AttachedWorld, attached_world
from tests.conformance.envoy_harness import Client, EnvoyWorld, ToyServer, clock, envoy_world
from tests.conformance.haproxy_harness import haproxy_world
from tests.conformance.harness import CLAIMS, NAMES, PREVIEW_FROM, SHOP, Answered, World, by_listener, twin


class FakeVisitor:
    """A client of the fake."""

    def __init__(self, fake: FakeInstance, service: ServiceName, *, session: bool, caller: Caller | None) -> None:
        self._fake, self._service, self._caller = fake, service, caller
        self.jar: dict[str, str] | None = {} if session else None
        self._wanted, self._source = "", "127.0.0.1"

    def wanting(self, wanted: str, source: str) -> Self:
        """The same, asking for a preview."""
        self._wanted, self._source = wanted, source
        return self

    def _previewed(self) -> tuple[int, str] | None:
        if self._caller is not None or self._wanted not in set(Colour):
            return None
        return self._fake.preview(self._service, Colour(self._wanted), self._source)

    async def ask(self) -> Answered:
        """See `Visitor.ask`."""
        if (said := self._previewed()) is not None:
            return Answered(*said, previewed=self._wanted)
        refused = self._fake.refuses(self._service, self._caller)
        status, server = self._fake.send(self._service, self.jar, caller=self._caller)
        return Answered(status, server.removeprefix("till-"), refused)


class FakeWorld:
    """The fake with both services."""

    socket = "/run/fake.sock"

    def __init__(self, consumers: Mapping[ServiceName, Consumer]) -> None:
        pools = [
            Pool(colour, tuple(Server(ServerName(n), Address("127.0.0.1", 1)) for n in NAMES if n.startswith(colour)))
            for colour in Colour
        ]
        shop = Service(
            name=SHOP,
            plane=PlaneName("edge"),
            blue=pools[0],
            green=pools[1],
            consumers=consumers,
            preview=PREVIEW_FROM if consumers else (),
        )
        self.callers = shop.callers
        self.fake = FakeInstance(InstanceName("edge/lb1"), (shop, twin(shop, 1)), clock)
        self.driver: DataPlane = self.fake

    def visitor(
        self, service: ServiceName = SHOP, *, session: bool = False, caller: Caller | None = None
    ) -> FakeVisitor:
        """See `World.visitor`."""
        return FakeVisitor(self.fake, service, session=session, caller=caller)

    def previewer(
        self, wanted: str, *, source: str, claims: str = "", session: bool = False, caller: Caller | None = None
    ) -> FakeVisitor:
        """See `World.previewer`. The fake believes no claims."""
        del claims
        return self.visitor(session=session, caller=caller).wanting(wanted, source)

    def let(self, server: str, *, fails: bool = False, dead: bool = False) -> None:
        """See `World.let`."""
        for pool in self.fake.pools.values():
            for name, one in pool.servers.items():
                if name.removeprefix("till-") == server:
                    one.fails, one.up = fails, not dead

    def another_driver(self) -> DataPlane:
        """See `World.another_driver`: the fake is its own driver."""
        return self.fake

    async def restart(self) -> None:
        """See `World.restart`."""
        self.fake.reload(keep_old=False)

    async def end(self) -> None:
        """See `World.end`."""
        self.fake.broken = f"{self.socket}: nobody listens"


class EnvoyVisitor:
    """A client of the embedded Envoy."""

    def __init__(self, client: Client) -> None:
        self.client = client

    @property
    def jar(self) -> dict[str, str] | None:
        """See `Visitor.jar`."""
        return self.client.jar

    async def ask(self) -> Answered:
        """See `Visitor.ask`."""
        answer = await self.client.get()
        refused = ("x-lbctl-refused", "pin") in answer.headers
        previewed = dict(answer.headers).get("x-lbctl-preview", "")
        return Answered(answer.status, answer.body if answer.body in NAMES else "", refused, previewed)


class EnvoyPair:
    """`EnvoyWorld` with a second service."""

    def __init__(self, world: EnvoyWorld[ToyServer], *, called: bool) -> None:
        self._world = world
        consumers = by_listener(free_port(), free_port()) if called else {}
        shop = replace(world.service, consumers=consumers, preview=PREVIEW_FROM if called else ())
        self.services: list[Service] = [shop, twin(shop, free_port())]
        self.driver: DataPlane = self.another_driver()

    @property
    def socket(self) -> str:
        """See `World.socket`."""
        return str(layout_of(self._world.instance).admin_socket)

    async def ensure_running(self) -> None:
        """Start it, or bring its files up to the config."""
        assert isinstance(self.driver, EnvoyInstance)
        await self.driver.ensure_running()

    @property
    def callers(self) -> tuple[Caller, ...]:
        """See `World.callers`."""
        return self.services[0].callers

    def visitor(
        self, service: ServiceName = SHOP, *, session: bool = False, caller: Caller | None = None
    ) -> EnvoyVisitor:
        """See `World.visitor`."""
        client = self._world.client(session=session)
        if caller is not None:
            client.port = self.services[0].consumers[caller.service].listeners[caller.colour].port
        if service != SHOP:
            listen = self.services[1].listen
            assert listen is not None
            client.port = listen.port
        return EnvoyVisitor(client)

    def previewer(
        self, wanted: str, *, source: str, claims: str = "", session: bool = False, caller: Caller | None = None
    ) -> EnvoyVisitor:
        """See `World.previewer`."""
        visitor = self.visitor(session=session, caller=caller)
        visitor.client.source = source
        visitor.client.headers |= {"x-lbctl-preview": wanted, **dict.fromkeys(CLAIMS if claims else (), claims)}
        return visitor

    def let(self, server: str, *, fails: bool = False, dead: bool = False) -> None:
        """See `World.let`."""
        self._world.servers[server].mode = "error" if fails else "ok"
        if dead:
            self._world.servers[server].close()

    def another_driver(self) -> DataPlane:
        """See `World.another_driver`."""
        return self._world.another_driver(self.services)

    async def restart(self) -> None:
        """See `World.restart`."""
        await self.end()
        await self.ensure_running()

    async def end(self) -> None:
        """See `World.end`."""
        await embedded.stop(self._world.instance)


class AttachedPair(EnvoyPair):
    """The same behind an Envoy that its owner runs."""

    def __init__(self, world: AttachedWorld[ToyServer], *, called: bool) -> None:
        super().__init__(world, called=called)
        self._owner = world.owner

    async def restart(self) -> None:
        """See `World.restart`."""
        await self._owner.restart()

    async def end(self) -> None:
        """See `World.end`."""
        await self._owner.stop()


@asynccontextmanager
async def fake() -> AsyncIterator[World]:
    """The fake."""
    yield FakeWorld({})


@asynccontextmanager
async def fake_with_consumers() -> AsyncIterator[World]:
    """The fake, whose `till` calls `shop`."""
    yield FakeWorld(by_listener(1, 2))


@asynccontextmanager
async def haproxy() -> AsyncIterator[World]:
    """A real HAProxy."""
    async with haproxy_world() as world:
        yield world


@asynccontextmanager
async def haproxy_with_consumers() -> AsyncIterator[World]:
    """A real HAProxy, where `till` calls `shop` at listeners of its own."""
    async with haproxy_world(consumers=by_listener(free_port(), free_port()), preview=PREVIEW_FROM) as world:
        yield world


@asynccontextmanager
async def weights() -> AsyncIterator[World]:
    """A real HAProxy, with the servers of both colours in one backend."""
    async with haproxy_world(form=HaproxyForm.WEIGHTS) as world:
        yield world


@asynccontextmanager
async def envoy() -> AsyncIterator[World]:
    """A real Envoy."""
    async with _embedded(called=False) as pair:
        yield pair


@asynccontextmanager
async def envoy_with_consumers() -> AsyncIterator[World]:
    """A real Envoy, where `till` calls `shop` at listeners of its own."""
    async with _embedded(called=True) as pair:
        yield pair


@asynccontextmanager
async def _embedded(*, called: bool) -> AsyncIterator[EnvoyPair]:
    async with envoy_world() as world:
        pair = EnvoyPair(world, called=called)
        await pair.ensure_running()
        try:
            yield pair
        finally:
            await pair.driver.close()


@asynccontextmanager
async def envoy_attached() -> AsyncIterator[World]:
    """A real Envoy that lbctl neither starts nor stops."""
    async with _attached(called=False) as pair:
        yield pair


@asynccontextmanager
async def envoy_attached_with_consumers() -> AsyncIterator[World]:
    """The same behind an Envoy that lbctl neither starts nor stops."""
    async with _attached(called=True) as pair:
        yield pair


@asynccontextmanager
async def _attached(*, called: bool) -> AsyncIterator[AttachedPair]:
    async with attached_world() as world:
        pair = AttachedPair(world, called=called)
        world.write_bootstrap(pair.services)
        await pair.restart()
        try:
            yield pair
        finally:
            await pair.driver.close()


ALL: list[Any] = [
    pytest.param(fake, id="fake"),
    pytest.param(haproxy, id="haproxy", marks=pytest.mark.haproxy),
    pytest.param(weights, id="weights", marks=pytest.mark.haproxy),
    pytest.param(envoy, id="envoy", marks=pytest.mark.envoy),
    pytest.param(envoy_attached, id="envoy attached", marks=pytest.mark.envoy),
]
PINNING: list[Any] = [
    pytest.param(fake_with_consumers, id="fake"),
    pytest.param(haproxy_with_consumers, id="haproxy", marks=pytest.mark.haproxy),
    pytest.param(envoy_with_consumers, id="envoy", marks=pytest.mark.envoy),
    pytest.param(envoy_attached_with_consumers, id="envoy attached", marks=pytest.mark.envoy),
]
"""Worlds in which the pools of `till` call `shop`, and `shop` can be previewed. A load balancer that learns to pin, or
to preview, joins here."""

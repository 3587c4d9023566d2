"""What is a use of a pool, and what is none: counted by the load balancer as the servers themselves count it.

Idle keep-alive clients, pipelined requests, HTTP/2 and long requests, on real load balancers.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from lbctl.model.names import Colour
from lbctl.model.operation import SetServer, Status
from lbctl.model.reading import Admin, Holder, InstanceReading, PoolReading
from tests.conformance.envoy_harness import EnvoyWorld, envoy_world
from tests.conformance.haproxy_harness import HaproxyWorld, haproxy_world
from tests.conformance.harness import SHOP, Operator
from tests.integration.h2_calls import calls

BLUE, GREEN = Colour.BLUE, Colour.GREEN
AWAY = (10_000, 0)
"""All new requests go to green, and no session of blue is honoured."""


@asynccontextmanager
async def envoy() -> AsyncIterator[EnvoyWorld]:
    async with envoy_world() as world:
        yield world


@asynccontextmanager
async def haproxy() -> AsyncIterator[HaproxyWorld]:
    async with haproxy_world() as world:
        yield world


each = pytest.mark.parametrize(
    "opened",
    [
        pytest.param(haproxy, id="haproxy", marks=pytest.mark.haproxy),
        pytest.param(envoy, id="envoy", marks=pytest.mark.envoy),
    ],
)


def port(world: Any) -> int:
    return int(world.port if isinstance(world, EnvoyWorld) else world.service().listen.port)


def seen(world: Any, colour: Colour) -> int:
    """How many requests the servers of a pool had, by themselves."""
    return sum(len(one.seen) for name, one in world.servers.items() if name.startswith(f"{colour}-"))


async def reading(world: Any) -> InstanceReading:
    found: InstanceReading = await world.driver.observe()
    return found


async def pool(world: Any, colour: Colour = BLUE) -> PoolReading:
    return (await reading(world)).services[SHOP].pools[colour]


async def arrived(world: Any, colour: Colour) -> int:
    """What has come to a pool so far. Envoy counts each request when a server gets it and when it is answered."""
    times = 2 if isinstance(world, EnvoyWorld) else 1
    return sum((await pool(world, colour)).arrived.values()) // times


async def right(world: Any) -> None:
    """The load balancer counts what the servers count."""
    for colour in Colour:
        assert await arrived(world, colour) == seen(world, colour), colour


@each
async def test_a_client_that_is_idle_on_an_old_connection_is_no_use_and_goes_to_the_new_pool(opened: Any) -> None:
    async with opened() as world:
        here = Operator(world)
        await here.route(0)
        clients = [world.client() for _ in range(5)]
        for client in clients:
            await client.get()
        await here.route(*AWAY)
        blue = await pool(world)
        assert (blue.in_flight, blue.holders, await arrived(world, BLUE)) == (0, (), 5)
        for client in clients:
            assert (await client.get()).body.startswith("green-")
        assert (await arrived(world, BLUE), await arrived(world, GREEN)) == (5, 5)
        await right(world)


@each
async def test_every_pipelined_request_is_counted_where_it_goes_also_over_a_change(opened: Any) -> None:
    async with opened() as world:
        here = Operator(world)
        await here.route(0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port(world))
        writer.write(b"GET /after/200 HTTP/1.1\r\nhost: shop\r\n\r\n" * 6)
        await _answer(reader)
        assert (await pool(world)).in_flight == 1
        await here.route(*AWAY)
        for _ in range(5):
            await _answer(reader)
        assert seen(world, BLUE) + seen(world, GREEN) == 6
        assert seen(world, GREEN) >= 1
        await right(world)
        assert (await pool(world)).in_flight == 0
        writer.transport.abort()


async def _answer(reader: asyncio.StreamReader, seconds: float = 10.0) -> bytes:
    """Return the head of the next answer, in small letters."""
    async with asyncio.timeout(seconds):
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        size = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(size)
        return head


@each
async def test_http2_is_counted_by_stream_and_its_idle_connection_is_no_use(opened: Any) -> None:
    async with opened() as world:
        here = Operator(world)
        await here.route(0)
        await calls("127.0.0.1", port(world), 5, "/")
        assert seen(world, BLUE) == 5
        await right(world)
        slow = asyncio.create_task(calls("127.0.0.1", port(world), 1, "/slow"))
        async with asyncio.timeout(10):
            while seen(world, BLUE) < 6:
                await asyncio.sleep(0.01)
        await here.route(*AWAY)
        assert (await pool(world)).in_flight == 1
        for server in world.servers.values():
            server.held.set()
        await slow
        assert (await pool(world)).in_flight == 0
        await right(world)


@each
@pytest.mark.parametrize("ms", [2_500, pytest.param(60_000, marks=pytest.mark.long)])
async def test_a_long_request_is_in_flight_and_named_until_it_ends(opened: Any, ms: int) -> None:
    async with opened() as world:
        here = Operator(world)
        await here.route(0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port(world))
        writer.write(f"GET /after/{ms} HTTP/1.1\r\nhost: shop\r\n\r\n".encode())
        long = asyncio.create_task(_answer(reader, 10 + ms / 1000))
        async with asyncio.timeout(10):
            while not seen(world, BLUE):
                await asyncio.sleep(0.01)
        await here.route(*AWAY)
        if isinstance(world, HaproxyWorld):
            await world.reloaded()
        oldest = 0
        while not long.done():
            blue = await pool(world)
            if not long.done():
                assert blue.in_flight == 1
                oldest = max([oldest, *(one.age for one in blue.holders)])
            await asyncio.sleep(0.1)
        assert (await long).startswith(b"http/1.1 200 ")
        writer.transport.abort()
        assert oldest >= 0.6 * ms
        assert (await pool(world)).in_flight == 0


@pytest.mark.haproxy
async def test_who_is_at_a_drained_server_or_on_an_old_worker_is_named_beside_traffic() -> None:
    async with haproxy() as world:
        here = Operator(world)
        await here.route(0)
        _, writer = await asyncio.open_connection("127.0.0.1", port(world))
        writer.write(b"GET /after/60000 HTTP/1.1\r\nhost: shop\r\n\r\n")
        async with asyncio.timeout(10):
            while not (busy := [name for name, one in (await pool(world)).servers.items() if one.in_flight]):
                await asyncio.sleep(0.01)
        assert (await pool(world)).holders == (), "where new requests go nobody is waited for"
        done = await world.driver.administer(SetServer(service=SHOP, colour=BLUE, server=busy[0], admin=Admin.DRAIN))
        assert done.status is Status.DONE
        assert [one.server for one in await held(world)] == busy
        done = await world.driver.administer(SetServer(service=SHOP, colour=BLUE, server=busy[0], admin=Admin.READY))
        assert done.status is Status.DONE
        await world.reloaded()
        newest = (await reading(world)).generation
        (left,) = await held(world)
        assert left.server == busy[0]
        assert left.generation != newest
        writer.transport.abort()


async def held(world: Any) -> tuple[Holder, ...]:
    """Who is named, once it is asked again."""
    async with asyncio.timeout(10):
        while not (found := (await pool(world)).holders):
            await asyncio.sleep(0.2)
    return found

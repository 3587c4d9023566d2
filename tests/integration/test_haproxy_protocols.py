"""TCP and gRPC services on a real HAProxy: what is split, what is counted, and what is said to be hidden."""

import asyncio
import re
import socket
import struct
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from lbctl.demo.binomial import within_binomial
from lbctl.model.names import Colour
from lbctl.model.route import Route
from lbctl.model.topology import Address, HaproxyForm, HealthCheck, Probe, Protocol, Server, Service
from lbctl.model.units import Span
from tests.conformance.envoy_harness import Client
from tests.conformance.haproxy_harness import HaproxyWorld, haproxy_world, require_haproxy
from tests.conformance.harness import SHOP, Operator
from tests.integration.h2_calls import calls

pytestmark = pytest.mark.haproxy

# ---- TCP


@asynccontextmanager
async def tcp_world() -> AsyncIterator[tuple[HaproxyWorld, Operator]]:
    """A started world whose services are plain connections, adopted on blue."""
    async with haproxy_world(protocol=Protocol.TCP) as world:
        here = Operator(world)
        await here.route(0)
        yield world, here


async def connected(world: HaproxyWorld, count: int) -> list[tuple[str, Client]]:
    """So many connections, each with the server that took it; all stay open."""
    found = []
    for _ in range(count):
        client = world.client()
        found.append(((await client.get()).body, client))
    return found


def colours(found: Sequence[tuple[str, Client]]) -> Counter[str]:
    """How many connections each colour took."""
    return Counter(name.split("-")[0] for name, _ in found)


@pytest.mark.parametrize("green_bp", [0, 2_500, 10_000])
async def test_connections_are_shared_as_asked_and_stay_where_they_are(green_bp: int) -> None:
    async with tcp_world() as (world, here):
        await here.route(green_bp)
        held = await connected(world, 200)
        assert within_binomial(colours(held)[Colour.GREEN], 200, green_bp / 10_000)
        await here.route(10_000 - green_bp)
        assert [(await client.get()).body for _, client in held] == [name for name, _ in held]


async def test_the_route_of_connections_is_read_back_and_survives_a_reload() -> None:
    async with tcp_world() as (world, here):
        await here.bring(SHOP, Route(3_333))
        await world.reloaded()
        reading = await here.reading()
        assert ({*reading.runtime.values()}, reading.boot) == ({Route(3_333)}, Route(3_333))


async def test_a_connection_counts_when_it_begins_and_waits_for_no_answer() -> None:
    async with tcp_world() as (world, here):
        held = await connected(world, 7)
        pool = await here.pool(Colour.BLUE)
        assert (pool.requests, pool.errors, pool.in_flight) == (7, 0, 7)
        assert pool.started == pool.answered
        for _, client in held:
            client.close()


async def test_what_no_server_took_or_a_server_broke_off_is_an_error_and_a_bad_answer_is_not() -> None:
    async with tcp_world() as (world, here):
        world.let("blue-1", fails=True)
        world.let("blue-2", fails=True)
        assert {(await world.client().get()).status for _ in range(4)} == {500}
        assert (await here.pool(Colour.BLUE)).errors == 0, "TCP_PAYLOAD_UNSEEN"
        broken = await resetting(world, "blue-1"), await resetting(world, "blue-2")
        for _ in range(5):
            with pytest.raises((OSError, asyncio.IncompleteReadError)):
                await world.client().get()
        assert (await here.pool(Colour.BLUE)).errors == 5
        for server in broken:
            server.close()
        async with asyncio.timeout(5):
            while any(one.usable for one in (await here.pool(Colour.BLUE)).servers.values()):
                await asyncio.sleep(0.02)
        before = await here.pool(Colour.BLUE)
        for _ in range(3):
            with pytest.raises((OSError, asyncio.IncompleteReadError)):
                await world.client().get()
        after = await here.pool(Colour.BLUE)
        assert (after.requests - before.requests, after.errors - before.errors) == (3, 3)


async def resetting(world: HaproxyWorld, name: str) -> asyncio.Server:
    """Put a server that resets every connection after its first bytes in a toy server's place."""
    port = world.servers[name].port
    world.servers[name].close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.read(100)
        if not head or head.startswith(b"GET /healthz"):
            with suppress(ConnectionError):
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n" * bool(head))
                await writer.drain()
            writer.close()
            return
        channel = writer.get_extra_info("socket")
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    return await asyncio.start_server(serve, "127.0.0.1", port)


async def test_with_one_pool_dead_the_other_takes_its_connections_only_in_a_split() -> None:
    async with tcp_world() as (world, here):
        await here.route(5_000)
        for name in ("green-1", "green-2"):
            world.let(name, dead=True)
        async with asyncio.timeout(5):
            while any(one.usable for one in (await here.pool(Colour.GREEN)).servers.values()):
                await asyncio.sleep(0.02)
        assert set(colours(await connected(world, 20))) == {"blue"}
        await here.route(10_000)
        with pytest.raises((OSError, asyncio.IncompleteReadError)):
            await world.client().get()


async def test_what_tcp_hides_is_said() -> None:
    async with tcp_world() as (world, _):
        able = (await world.driver.probe()).of(SHOP)
        assert [text.partition(":")[0] for text in able.cannot] == ["TCP_PAYLOAD_UNSEEN", "TCP_CONNECTIONS_STAY"]
        assert able.stickiness == ()


# ---- gRPC

TOY = """global
    stats socket {directory}/toy.sock level admin
defaults
    mode http
    timeout client 10s
    timeout server 10s
    timeout connect 1s
"""
TOY_SERVER = """
frontend {name}
    bind 127.0.0.1:{port} proto h2
    http-request return status 503 if {{ path /broken }}
    http-request return status 200 hdr grpc-status 14 hdr x-server {name} if {{ path /fails }}
    http-request return status 200 hdr grpc-status 0 hdr x-server {name}
"""


@asynccontextmanager
async def grpc_world(form: HaproxyForm) -> AsyncIterator[HaproxyWorld]:
    """A started world of gRPC services: HTTP/2 without TLS on both sides. The servers are HAProxies themselves."""
    async with haproxy_world(protocol=Protocol.GRPC, form=form, begin=False) as world:
        ports = {name: server.port for name, server in world.servers.items()}
        for server in world.servers.values():
            server.close()
        text = TOY + "".join(TOY_SERVER.format(name=name, port=port) for name, port in ports.items())
        config = world.directory / "toy.cfg"
        config.write_text(text.replace("{directory}", str(world.directory)))
        toys = await asyncio.create_subprocess_exec(
            require_haproxy(), "-db", "-f", str(config), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            await listening(world.directory / "toy.sock")
            world.services = [with_tcp_checks(world, one) for one in (0, 1)]
            world.write_config()
            await world.begin()
            world.driver = world.another_driver()
            yield world
        finally:
            toys.terminate()
            await toys.wait()


async def listening(path: Path) -> None:
    """Wait until the toys are up."""
    async with asyncio.timeout(10):
        while not path.exists():
            await asyncio.sleep(0.02)


def with_tcp_checks(world: HaproxyWorld, number: int) -> Service:
    """The same service, checked by connecting: the toys have no HTTP/1."""
    check = HealthCheck(kind=Probe.TCP, interval=Span(100), timeout=Span(400), fall=2, rise=1)
    return replace(world.services[number], health=check)


async def answered(world: HaproxyWorld, count: int, path: str = "/shop.Shop/Get") -> Counter[str]:
    """Which servers answered so many calls on one connection, and with which gRPC status."""
    listen = world.service().listen
    assert listen is not None
    blocks = await calls(listen.host, listen.port, count, path)
    found = [re.search(rb"grpc-status.(\d+).*?((?:blue|green)-\d)", block, re.DOTALL) for block in blocks]
    return Counter("" if one is None else f"{one[2].decode()} {one[1].decode()}" for one in found)


@pytest.mark.parametrize("form", list(HaproxyForm))
@pytest.mark.parametrize("green_bp", [0, 2_500, 10_000])
async def test_calls_on_one_connection_are_shared_as_asked(form: HaproxyForm, green_bp: int) -> None:
    async with grpc_world(form) as world:
        await Operator(world).route(green_bp)
        seen = await answered(world, 200)
        green = sum(count for name, count in seen.items() if name.startswith(Colour.GREEN))
        assert within_binomial(green, 200, green_bp / 10_000), seen
        assert all(name.endswith(" 0") for name in seen)


@pytest.mark.parametrize("form", list(HaproxyForm))
async def test_an_error_behind_a_200_is_counted_as_good_and_that_is_said(form: HaproxyForm) -> None:
    async with grpc_world(form) as world:
        here = Operator(world)
        await here.route(0)
        assert set(await answered(world, 10, "/fails")) == {"blue-1 14", "blue-2 14"}
        pool = await here.pool(Colour.BLUE)
        assert (pool.requests, pool.errors) == (10, 0)
        assert await answered(world, 4, "/broken") == {"": 4}
        pool = await here.pool(Colour.BLUE)
        assert (pool.requests, pool.errors) == (14, 4)
        codes = [text.partition(":")[0] for text in (await world.driver.probe()).of(SHOP).cannot]
        assert codes[:2] == ["GRPC_STATUS_UNSEEN", "GRPC_NO_SESSIONS"]


async def test_a_dead_grpc_server_costs_nobody_a_call() -> None:
    async with grpc_world(HaproxyForm.MAP) as world:
        here = Operator(world)
        await here.route(0)
        assert set(await answered(world, 20)) == {"blue-1 0", "blue-2 0"}
        dead = replace(world.service(), blue=replace(world.service().blue, servers=gone(world)))
        world.services = [dead, world.services[1]]
        world.write_config()
        await world.reloaded()
        assert await answered(world, 20) == {"blue-2 0": 20}
        assert (await here.pool(Colour.BLUE)).errors == 0


def gone(world: HaproxyWorld) -> tuple[Server, ...]:
    """The blue servers, the first of them where nobody listens."""
    first, second = world.service().blue.servers
    return (Server(first.name, Address("127.0.0.1", 1)), second)

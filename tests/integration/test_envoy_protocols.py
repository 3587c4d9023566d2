"""gRPC and TCP behind a real Envoy: who answers, what is counted of it, and what survives a change of the share."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from lbctl.demo.binomial import within_binomial
from lbctl.model.names import Colour
from lbctl.model.operation import Status
from lbctl.model.reading import PoolReading
from lbctl.model.route import Route
from lbctl.model.topology import Protocol, ServerTls
from tests.conformance.envoy_harness import NAMES, SHOP, EnvoyWorld, world_of
from tests.conformance.grpc_toy import Called, GrpcClient, GrpcServer
from tests.conformance.tcp_toy import Line, TcpServer, dial
from tests.integration.probe_servers import Authority

pytestmark = pytest.mark.envoy


@asynccontextmanager
async def grpc_world() -> AsyncIterator[EnvoyWorld[GrpcServer]]:
    """gRPC servers, all on blue."""
    servers = {name: await GrpcServer(name).open() for name in NAMES}
    async with world_of(servers, Protocol.GRPC) as world:
        await world.route(0)
        yield world


@asynccontextmanager
async def tcp_world() -> AsyncIterator[EnvoyWorld[TcpServer]]:
    """TCP servers, all on blue."""
    servers = {name: await TcpServer(name).open() for name in NAMES}
    async with world_of(servers, Protocol.TCP) as world:
        await world.route(0)
        yield world


async def pool(world: "EnvoyWorld[GrpcServer] | EnvoyWorld[TcpServer]", colour: Colour = Colour.BLUE) -> PoolReading:
    return (await world.driver.observe()).services[SHOP].pools[colour]


async def called(world: EnvoyWorld[GrpcServer], mode: str, count: int = 3) -> tuple[int, int]:
    """How many calls and failed calls of blue some calls of this kind are counted as."""
    for server in world.servers.values():
        server.mode = mode
    before = await pool(world)
    client = GrpcClient(world.port)
    await client.call(count)
    client.close()
    after = await pool(world)
    return after.requests - before.requests, after.errors - before.errors


async def test_calls_go_to_the_pool_that_has_the_share_and_the_split_is_by_call() -> None:
    async with grpc_world() as world:
        client = GrpcClient(world.port)
        for green_bp in (0, 2_500, 10_000):
            assert (await world.route(green_bp)).status is Status.DONE
            green = Counter(one.server.split("-")[0] for one in await client.call(400))["green"]
            assert within_binomial(green, 400, green_bp / 10_000)
        client.close()


@pytest.mark.parametrize(
    ("mode", "failed"),
    [
        *(("0", 0), ("only 0", 0), ("5", 0), ("only 3", 0), ("8", 0), ("16", 0)),
        *(("2", 3), ("4", 3), ("12", 3), ("13", 3), ("14", 3), ("15", 3), ("only 14", 3), ("only 2", 3)),
        *(("http 404", 0), ("http 500", 3), ("http 503", 3), ("reset", 3), ("refused", 3)),
    ],
)
async def test_a_call_fails_by_its_grpc_status_and_what_has_none_by_its_http_status(mode: str, failed: int) -> None:
    async with grpc_world() as world:
        assert await called(world, mode) == (3, failed)
        assert (await pool(world, Colour.GREEN)).requests == 0


async def test_a_status_is_counted_for_the_pool_that_gave_it_while_the_share_is_split() -> None:
    async with grpc_world() as world:
        await world.route(5_000)
        for name, server in world.servers.items():
            server.mode = "13" if name.startswith("green") else "0"
        client = GrpcClient(world.port)
        green = sum(one.server.startswith("green") for one in await client.call(100))
        client.close()
        blue, other = await pool(world), await pool(world, Colour.GREEN)
        assert (blue.requests, blue.errors) == (100 - green, 0)
        assert (other.requests, other.errors) == (green, green)
        assert sum(one.errors for one in other.servers.values()) == green


async def test_a_call_that_breaks_off_without_a_status_counts_as_neither_and_its_server_is_named() -> None:
    async with grpc_world() as world:
        assert await called(world, "cut") == (0, 0)
        assert sum(one.errors for one in (await pool(world)).servers.values()) == 3


async def test_streams_that_go_on_are_in_flight_and_known_as_such() -> None:
    async with grpc_world() as world:
        for server in world.servers.values():
            server.mode = "open"
        client = GrpcClient(world.port)
        await client.call(4, until_answered=True)
        seen = await pool(world)
        # Each is answered, so nobody waits, and none has ended.
        assert (seen.in_flight, seen.started - seen.answered, seen.requests) == (4, 0, 0)
        await world.route(10_000)
        assert (await pool(world)).in_flight == 4
        client.close()
        async with asyncio.timeout(5):
            while (await pool(world)).in_flight:
                await asyncio.sleep(0.01)


async def test_what_envoy_answers_itself_for_an_empty_pool_is_counted_once() -> None:
    async with grpc_world() as world:
        for name in ("blue-1", "blue-2"):
            world.servers[name].close()
        assert await called(world, "0", 2) == (2, 2)
        async with asyncio.timeout(5):
            while any(one.up for one in (await pool(world)).servers.values()):
                await asyncio.sleep(0.02)
        before = await pool(world)
        client = GrpcClient(world.port)
        assert {one.code for one in await client.call(3)} == {14}
        client.close()
        after = await pool(world)
        assert (after.requests - before.requests, after.errors - before.errors) == (3, 3)
        assert (await pool(world, Colour.GREEN)).requests == 0


async def test_a_stream_that_a_server_refused_is_sent_to_its_neighbour_and_nobody_sees_it() -> None:
    async with grpc_world() as world:
        world.servers["blue-1"].mode = "refused"
        client = GrpcClient(world.port)
        calls = await client.call(40)
        client.close()
        assert {(one.server, one.code) for one in calls} == {("blue-2", 0)}
        seen = await pool(world)
        assert (seen.requests, seen.errors) == (40, 0)


async def test_what_lbctl_cannot_see_of_grpc_and_tcp_is_said_beforehand() -> None:
    async with grpc_world() as grpc:
        codes = [text.partition(":")[0] for text in (await grpc.driver.probe()).of(SHOP).cannot]
        assert codes == ["TRUNCATED_ANSWERS_UNSEEN", "GRPC_NO_SESSIONS"]
    async with tcp_world() as tcp:
        codes = [text.partition(":")[0] for text in (await tcp.driver.probe()).of(SHOP).cannot]
        assert codes == ["TCP_PAYLOAD_UNSEEN", "TCP_CONNECTIONS_STAY"]


async def test_tcp_connections_go_to_the_pool_that_has_the_share() -> None:
    async with tcp_world() as world:
        for green_bp in (0, 2_500, 10_000):
            assert (await world.route(green_bp)).status is Status.DONE
            lines = [await dial(world.port) for _ in range(200)]
            green = sum(line.server.startswith("green") for line in lines)
            for line in lines:
                line.close()
            assert within_binomial(green, 200, green_bp / 10_000)


async def test_open_tcp_connections_survive_every_change_of_the_share_and_close_by_halves() -> None:
    async with tcp_world() as world:
        lines: list[Line] = [await dial(world.port) for _ in range(3)]
        for change in range(40):
            await world.route(change % 2 * 10_000, keep_blue_bp=0 if change % 2 else 10_000)
            assert [await line.echo(f"{change}") for line in lines] == [f"{change}"] * 3
        assert {line.server.split("-")[0] for line in lines} == {"blue"}
        assert [await line.farewell() for line in lines] == ["bye"] * 3


async def test_tcp_counts_connections_that_were_taken_and_those_that_nobody_took() -> None:
    async with tcp_world() as world:
        lines = [await dial(world.port) for _ in range(5)]
        seen = await pool(world)
        assert (seen.requests, seen.errors, seen.in_flight, seen.started - seen.answered) == (5, 0, 5, 0)
        assert sum(one.in_flight for one in seen.servers.values()) == 5
        for line in lines:
            line.close()
        async with asyncio.timeout(5):
            while (await pool(world)).in_flight:
                await asyncio.sleep(0.01)
        for name in ("blue-1", "blue-2"):
            world.servers[name].close()
        assert [(await dial(world.port)).server for _ in range(4)] == [""] * 4
        after = await pool(world)
        assert (after.requests - seen.requests, after.errors) == (4, 4)
        assert (await pool(world, Colour.GREEN)).requests == 0


async def test_a_tcp_server_that_refuses_is_left_for_its_neighbour() -> None:
    async with tcp_world() as world:
        world.servers["blue-1"].close()
        lines = [await dial(world.port) for _ in range(10)]
        assert {line.server for line in lines} == {"blue-2"}
        for line in lines:
            line.close()


async def test_before_adopt_a_tcp_connection_is_closed_without_a_word() -> None:
    servers = {name: await TcpServer(name).open() for name in NAMES}
    async with world_of(servers, Protocol.TCP) as world:
        assert (await dial(world.port)).server == ""
        await world.route(0)
        assert (await world.driver.observe()).services[SHOP].boot == Route(0)
        line = await dial(world.port)
        assert line.server.startswith("blue")
        line.close()


async def test_large_answers_come_whole_through_a_tcp_service() -> None:
    async with tcp_world() as world:
        line = await dial(world.port)
        text = "x" * 60_000
        for _ in range(50):
            assert await line.echo(text) == text
        line.close()


async def test_grpc_over_tls_says_that_it_wants_http2_and_trusts_only_the_right_name(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = authority.server_context("cart.internal")
    context.set_alpn_protocols(["h2"])
    servers = {name: await GrpcServer(name).open(context) for name in NAMES}
    async with world_of(servers, Protocol.GRPC) as world:
        await world.route(0)
        for name, code in (("other.internal", 14), ("cart.internal", 0)):
            await world.replace_service(replace(world.service, tls=ServerTls(str(authority.ca), name)))
            await world.driver.ensure_running()
            async with asyncio.timeout(10):
                while (await answered(world)).code != code:
                    await asyncio.sleep(0.05)
        assert servers["blue-1"].alpn == servers["blue-2"].alpn == "h2"


async def answered(world: EnvoyWorld[GrpcServer]) -> Called:
    client = GrpcClient(world.port)
    (found,) = await client.call()
    client.close()
    return found

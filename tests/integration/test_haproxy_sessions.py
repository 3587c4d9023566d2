"""What users of a real HAProxy get for hostile, old and odd cookies, and how failures are counted."""

import asyncio
from dataclasses import replace

import pytest

from lbctl.model.names import Colour, ServerName
from lbctl.model.reading import PoolReading
from lbctl.model.route import Route
from lbctl.model.topology import Pool, Server, Service
from tests.conformance.haproxy_harness import HaproxyWorld, haproxy_world
from tests.conformance.harness import SHOP, Operator

pytestmark = pytest.mark.haproxy

HOSTILE = (
    "LBK=",
    "LBK=abc",
    "LBK=99999999999999999999",
    "LBK=-1",
    "LBK=0x10",
    "LBK=12; LBK=abc",
    "LBK=abc; LBK=12",
    "SRV=",
    "SRV=nobody",
    "SRV=nobody; SRV=blue-1",
    "SRV=blue-1; SRV=green-1",
    "SRV=green-1; SRV=blue-1; LBK=1; LBK=2",
    "SRV=blue-1x; LBK=5",
    "SRV=-f; LBK=5",
    'SRV="; LBK="',
    "SRV=" + "a" * 8_000,
    "LBK=" + "7" * 8_000,
    "x=" + "y" * 8_000 + "; SRV=blue-1; LBK=1",
    "=; ;;; SRV; LBK",
    "SRV=blue-1%0d%0aset-cookie: a=b",
)


async def pool(world: HaproxyWorld, colour: Colour = Colour.BLUE) -> PoolReading:
    return await Operator(world).pool(colour)


@pytest.mark.parametrize("route", [Route(5_000, 5_000, 5_000), Route(0), Route(10_000, 0, 10_000)])
async def test_no_cookie_does_harm(route: Route) -> None:
    async with haproxy_world() as world:
        await Operator(world).bring(SHOP, route)
        for cookie in HOSTILE:
            answer = await world.client(cookie=cookie).get()
            assert answer.status == 200, cookie
            assert "lbctl" not in answer.body
            again = world.client(session=True)
            again.jar = dict(answer.cookies)
            assert (await again.get()).status == 200


async def test_a_session_with_garbage_beside_its_cookies_keeps_its_server() -> None:
    async with haproxy_world() as world:
        await Operator(world).route(5_000)
        for server in ("blue-2", "green-1"):
            client = world.client(cookie=f"junk; SRV={server}; LBK=17; other=1")
            assert {(await client.get()).body for _ in range(10)} == {server}


async def test_a_session_from_before_lbctl_keeps_its_server_and_gets_a_bucket_below_its_limit() -> None:
    async with haproxy_world() as world:
        await Operator(world).route(10_000, 300)
        buckets = []
        for _ in range(20):
            client = world.client(cookie="SRV=blue-1")
            answer = await client.get()
            assert answer.body == "blue-1"
            buckets.append(int(answer.cookies["LBK"]))
        assert max(buckets) < 300


def renamed(service: Service) -> Service:
    """Cookie values as they were configured before lbctl came: nothing in them tells a colour."""
    values = iter(("web1", "web2", "web3", "app:1/z~"))

    def with_cookies(pool: Pool) -> Pool:
        return replace(pool, servers=tuple(Server(one.name, one.address, next(values)) for one in pool.servers))

    return replace(service, blue=with_cookies(service.blue), green=with_cookies(service.green))


async def test_cookies_that_do_not_begin_with_the_colour_are_honoured() -> None:
    async with haproxy_world(begin=False) as world:
        world.services = [renamed(world.service()), *world.services[1:]]
        world.write_config()
        await world.begin()
        world.driver = world.another_driver()
        await Operator(world).route(5_000)
        for cookie, server in (("web1", "blue-1"), ("web2", "blue-2"), ("web3", "green-1"), ("app:1/z~", "green-2")):
            client = world.client(cookie=f"SRV={cookie}; LBK=1")
            assert {(await client.get()).body for _ in range(8)} == {server}


async def test_behind_tls_both_cookies_are_secure_and_in_clear_they_are_not() -> None:
    async with haproxy_world(begin=False) as world:
        shop, till = world.services
        world.services = [replace(shop, listen_tls=True), till]
        world.write_config()
        await world.begin()
        for service, expected in ((shop, True), (till, False)):
            answer = await world.client(service.name, session=True).get()
            cookies = [value for name, value in answer.headers if name == "set-cookie"]
            assert len(cookies) == 2
            for cookie in cookies:
                assert ("Secure" in cookie) is expected
                assert "HttpOnly" in cookie


async def test_answers_that_never_came_and_those_that_broke_off_are_errors_of_pool_and_server() -> None:
    async with haproxy_world() as world:
        for mode in ("reset", "truncated"):
            before = await pool(world)
            for server in world.servers.values():
                server.mode = mode
            for _ in range(10):
                try:
                    assert (await world.client().get()).status == 502
                except (asyncio.IncompleteReadError, ConnectionError):
                    assert mode == "truncated"
            after = await pool(world)
            assert (after.requests - before.requests, after.errors - before.errors) == (10, 10), mode
            servers = after.servers.values()
            assert sum(one.errors for one in servers) - sum(one.errors for one in before.servers.values()) == 10
            assert all(one.errors <= one.requests for one in servers)


async def test_a_server_that_just_died_costs_retries_and_no_user_an_error() -> None:
    async with haproxy_world() as world:
        world.servers["blue-1"].close()
        for _ in range(6):
            assert (await world.client().get()).status == 200
        seen = await pool(world)
        assert (seen.requests, seen.errors) == (6, 0)
        assert seen.servers[ServerName("blue-1")].retries == seen.servers[ServerName("blue-1")].requests


async def test_a_dead_server_is_named_with_what_the_check_said() -> None:
    async with haproxy_world() as world:
        world.servers["blue-1"].close()
        async with asyncio.timeout(5):
            while (one := (await pool(world)).servers[ServerName("blue-1")]).up:
                await asyncio.sleep(0.02)
        assert not one.usable
        # A check that was on its way when the server closed ends with a reset.
        assert one.detail in {"DOWN Connection refused", "DOWN Connection reset by peer"}


async def test_a_websocket_is_no_error_whoever_ends_it() -> None:
    async with haproxy_world() as world:
        for side in ("user", "server"):
            reader, writer = await world.upgraded()
            writer.write(b"hello\n")
            assert await reader.readline() == b"hello\n"
            if side == "server":
                writer.write_eof()
                await reader.read()
            writer.transport.abort()
        await asyncio.sleep(0.1)
        seen = await pool(world)
        assert (seen.requests, seen.errors, seen.in_flight) == (2, 0, 0)


async def test_with_one_pool_empty_the_other_stands_in_only_while_both_take_new_traffic() -> None:
    async with haproxy_world() as world:
        here = Operator(world)
        await here.route(5_000)
        for name in ("green-1", "green-2"):
            world.servers[name].close()
        async with asyncio.timeout(5):
            while any(one.usable for one in (await pool(world, Colour.GREEN)).servers.values()):
                await asyncio.sleep(0.02)
        assert {(await world.visitor().ask()).colour for _ in range(30)} == {Colour.BLUE}
        await here.route(10_000)
        assert {(await world.visitor().ask()).status for _ in range(10)} == {503}

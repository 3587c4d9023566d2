"""TLS on both sides of a real HAProxy: servers whose certificate must be the right one, and users who come by TLS."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from lbctl.dataplane.haproxy.render import render
from lbctl.model.names import Colour
from lbctl.model.topology import HealthCheck, Probe, ServerTls
from lbctl.model.units import Span
from tests.conformance.haproxy_harness import HaproxyWorld, haproxy_world
from tests.conformance.harness import SHOP, Operator
from tests.integration.probe_servers import Authority

pytestmark = pytest.mark.haproxy

HTTPS = HealthCheck(kind=Probe.HTTPS, path="/healthz", interval=Span(100), timeout=Span(400), fall=2, rise=1)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@asynccontextmanager
async def tls_servers(authority: Authority, context: ssl.SSLContext, name: str) -> AsyncIterator[HaproxyWorld]:
    """A world whose servers all speak TLS with this certificate, while `name` is expected of them."""
    async with haproxy_world(begin=False) as world:
        for server in world.servers.values():
            server.close()
            await server.open(context)
        world.services = [replace(one, health=HTTPS, tls=ServerTls(str(authority.ca), name)) for one in world.services]
        world.write_config()
        world.driver = world.another_driver()
        await world.begin()
        yield world


async def healthy(world: HaproxyWorld, *, up: bool) -> str:
    """Wait until every blue server is so; returns what HAProxy says of one."""
    async with asyncio.timeout(10):
        while True:
            pool = (await world.driver.observe()).services[SHOP].pools[Colour.BLUE]
            if all(server.up is up and (up or server.detail) for server in pool.servers.values()):
                return next(iter(pool.servers.values())).detail
            await asyncio.sleep(0.02)


async def test_servers_over_tls_with_the_right_certificate_are_checked_and_used(authority: Authority) -> None:
    async with tls_servers(authority, authority.server_context("right.test"), "right.test") as world:
        await healthy(world, up=True)
        answers = [await world.client().get() for _ in range(10)]
        assert {answer.status for answer in answers} == {200}
        assert {answer.body for answer in answers} <= {"blue-1", "blue-2"}


@pytest.mark.parametrize(
    ("name", "until", "expected", "said"),
    [
        ("left.test", "20491231000000Z", "right.test", "certificate different from the expected one"),
        ("old.test", "20210101000000Z", "old.test", "handshake failure"),
    ],
)
async def test_servers_with_a_wrong_or_an_expired_certificate_get_no_request(
    authority: Authority, name: str, until: str, expected: str, said: str
) -> None:
    async with tls_servers(authority, authority.server_context(name, until=until), expected) as world:
        assert said in await healthy(world, up=False)
        assert (await world.client().get()).status == 503
        assert not any(server.seen for server in world.servers.values())


async def test_a_session_of_a_user_who_comes_by_tls_keeps_its_server_by_secure_cookies(
    authority: Authority, tmp_path: Path
) -> None:
    authority.server_context("127.0.0.1")
    folder = authority.ca.parent
    pair = tmp_path / "site.pem"
    pair.write_text((folder / "127.0.0.1.pem").read_text() + (folder / "127.0.0.1.key").read_text())
    trusting = ssl.create_default_context(cafile=str(authority.ca))
    async with haproxy_world(begin=False) as world:
        shop, till = world.services
        world.services = [replace(shop, listen_tls=True), till]
        note = "    # the client side is TLS: add `ssl crt FILE` here"
        text = render(world.instance, world.services)
        assert text.count(note) == 1
        world.write_config(text.replace(note, f" ssl crt {pair}"))
        await world.begin()
        await Operator(world).route(5_000)
        url = f"https://127.0.0.1:{shop.listen.port if shop.listen else 0}/"
        colours = set()
        for _ in range(12):
            jar = aiohttp.CookieJar(unsafe=True)
            async with aiohttp.ClientSession(cookie_jar=jar, connector=aiohttp.TCPConnector(ssl=trusting)) as user:
                served = {await (await user.get(url)).text() for _ in range(8)}
            assert len(served) == 1
            assert all(cookie["secure"] and cookie["httponly"] for cookie in jar)
            colours.add(served.pop().split("-")[0])
        assert colours == {"blue", "green"}

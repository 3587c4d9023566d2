"""An HAProxy that lbctl cannot drive as it stands: the text names what is wrong and what to write."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lbctl.dataplane.haproxy.render import render
from lbctl.model.errors import Garbled, Unreachable
from lbctl.model.names import Colour, ServerName
from lbctl.model.operation import Status
from lbctl.model.route import Route
from lbctl.model.topology import Address, HaproxyForm, HealthCheck, Pool, Probe, Protocol, Server, ServerTls, Service
from tests.conformance.haproxy_harness import GLOBAL, HaproxyWorld, haproxy_world, require_haproxy
from tests.conformance.harness import Operator

pytestmark = pytest.mark.haproxy

NOBODY = 65_534
STRANGER = """
import asyncio, os, sys
from lbctl.dataplane.haproxy.client import ask
from lbctl.model.errors import Unreachable
os.setgroups([]); os.setgid({uid}); os.setuid({uid})
try:
    asyncio.run(ask(sys.argv[1], ["show info"], 1.0))
except Unreachable as error:
    print(error)
"""


async def test_without_the_map_in_its_config_it_says_what_to_include() -> None:
    async with haproxy_world(begin=False) as world:
        world.write_config(f"\nlisten other\n mode http\n bind {world.service().listen}\n")
        await world.begin()
        for call in (world.driver.probe(), world.driver.observe()):
            with pytest.raises(Garbled, match=r"state\.map: include what `lbctl config render haproxy --write-maps`"):
                await call
        result = await Operator(world).apply(Route(100))
        assert result.status is Status.UNKNOWN
        assert "has not loaded" in result.detail


async def test_without_a_backend_it_names_the_backend() -> None:
    async with haproxy_world(begin=False) as world:
        shop, till = world.services
        text = render(world.instance, [shop])
        world.write_config(text)
        await world.begin()
        with pytest.raises(Garbled, match="till_blue"):
            await world.driver.probe()
        assert await world.another_driver([shop]).probe()
        assert till.name == "till"


async def test_a_map_of_almost_the_same_name_does_not_count() -> None:
    async with haproxy_world(begin=False) as world:
        other = world.directory / "maps" / "state.map.old"
        other.write_text("shop 0:10000:10000\n")
        world.write_config(render(world.instance, world.services).replace(str(world.map), str(other)))
        await world.begin()
        with pytest.raises(Garbled, match="has not loaded"):
            await world.driver.probe()


@pytest.mark.parametrize("level", ["operator", "user"])
@pytest.mark.parametrize("master", [True, False])
async def test_a_socket_without_admin_rights_is_refused_with_the_word_to_write(level: str, master: bool) -> None:
    async with haproxy_world(master=master, begin=False) as world:
        config = world.directory / "h.cfg"
        config.write_text(config.read_text().replace("level admin", f"level {level}"))
        await world.begin()
        with pytest.raises(Garbled, match=rf"admin\.sock has level {level}: write `level admin`"):
            await world.driver.probe()


@pytest.mark.skipif(os.geteuid() != 0, reason="dropping privileges needs root")
async def test_no_right_on_the_socket_names_owner_group_and_mode() -> None:
    async with haproxy_world() as world:
        path = world.directory / "admin.sock"
        path.chmod(0o660)
        said = said_to_a_stranger(path)
        assert f"{path}: no right to open it (owner 0, group 0, mode 0660): run lbctld in that group" in said
        world.directory.chmod(0o700)
        assert "its directory is closed to us" in said_to_a_stranger(path)


def said_to_a_stranger(path: Path) -> str:
    """What a child without our rights is told."""
    code = STRANGER.format(uid=NOBODY)
    root = Path(__file__).parents[2]
    out = subprocess.run(
        [sys.executable, "-c", code, str(path)], cwd=root, capture_output=True, text=True, timeout=30, check=True
    )
    return out.stdout


async def test_a_missing_socket_a_dead_one_and_one_with_a_long_path_are_unreachable() -> None:
    async with haproxy_world(begin=False) as world:
        with pytest.raises(Unreachable, match="does not exist: start HAProxy"):
            await world.driver.observe()
        await world.begin()
        await world.end()
        with pytest.raises(Unreachable, match="nobody listens"):
            await world.driver.observe()
        world.instance = replace(world.instance, master_socket="/" + "x" * 200)
        with pytest.raises(Unreachable, match="too long"):
            await world.another_driver().observe()


def accepted(world: HaproxyWorld, services: list[Service]) -> str:
    """What `haproxy -c` says about the rendered sections behind a minimal global one; empty: it is content."""
    config = world.directory / "c.cfg"
    config.write_text(GLOBAL.format(directory=world.directory, more="") + render(world.instance, services))
    ran = subprocess.run(
        [require_haproxy(), "-c", "-f", str(config)], capture_output=True, text=True, timeout=20, check=False
    )
    return "" if ran.returncode == 0 else ran.stderr


def _previewed(service: Service, form: HaproxyForm) -> Service:
    networks = tuple(f"10.0.{number}.0/24" for number in range(19))
    return replace(service, preview=(*networks, "2001:db8::/32") if form is HaproxyForm.MAP else ())


def wide(colour: Colour, count: int) -> Pool:
    return Pool(colour, tuple(Server(ServerName(f"{colour}-{i}"), Address("::1", 1000 + i)) for i in range(count)))


@pytest.mark.parametrize("form", list(HaproxyForm))
async def test_haproxy_accepts_what_is_rendered_for_every_kind_of_service(tmp_path: Path, form: HaproxyForm) -> None:
    async with haproxy_world(begin=False, form=form) as world:
        shop, till = world.services
        ca = tmp_path / "ca.pem"
        key = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=shop", "-keyout", "/dev/null"]
        subprocess.run([*key, "-out", str(ca)], check=True, capture_output=True, timeout=60)
        https = HealthCheck(kind=Probe.HTTPS, path="/ready?deep=1&x=%20", host="shop.example:8443", port=8443)
        kinds = {
            "two services": [shop, till],
            "preview": [_previewed(shop, form)],
            "preview without checks": [_previewed(replace(shop, health=None), form)],
            "preview of grpc": [_previewed(replace(shop, protocol=Protocol.GRPC), form)],
            "preview over tls": [
                _previewed(
                    replace(shop, health=replace(https, port=None), tls=ServerTls(str(ca), "shop.example")), form
                )
            ],
            "ipv6": [replace(shop, listen=Address("::1", 8000))],
            "no checks": [replace(shop, health=None)],
            "tcp checks": [replace(shop, health=HealthCheck(kind=Probe.TCP, port=9))],
            "command checks": [replace(shop, health=HealthCheck(kind=Probe.COMMAND, command=("/bin/true",)))],
            "https checks": [replace(shop, health=https)],
            "https checks with a ca": [replace(shop, health=https, tls=ServerTls(str(ca), "shop.example"))],
            "tls before": [replace(shop, listen_tls=True)],
            "grpc": [replace(shop, protocol=Protocol.GRPC)],
            "grpc, https checks": [replace(shop, protocol=Protocol.GRPC, health=https)],
            "grpc, tls before, tcp checks": [
                replace(shop, protocol=Protocol.GRPC, listen_tls=True, health=HealthCheck(kind=Probe.TCP))
            ],
            "many servers": [replace(shop, blue=wide(Colour.BLUE, 300), green=wide(Colour.GREEN, 250))],
        }
        if form is HaproxyForm.MAP:
            kinds |= {
                "tcp": [replace(shop, protocol=Protocol.TCP), replace(till, protocol=Protocol.TCP, health=None)],
                "tcp, https checks": [replace(shop, protocol=Protocol.TCP, health=https)],
            }
        complaints = {kind: said for kind, services in kinds.items() if (said := accepted(world, services))}
        assert complaints == {}

"""An HAProxy that was there before lbctl: imported, adopted, released and rolled back under its users' sessions."""

import asyncio
import json
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from lbctl.dataplane.haproxy.client import ask
from lbctl.demo.ground import running
from lbctl.demo.ports import free_port
from lbctl.demo.proxy import OwnHaproxy
from lbctl.demo.stage import SERVICE, Stage
from lbctl.demo.toypool import ToyPool
from tests.e2e.scene import adopt, ended, haproxy, release, share_is, until
from tests.e2e.steady import steady

pytestmark = pytest.mark.haproxy

STOCK = """global
	log /dev/log	local0
	stats socket {0}/haproxy.sock mode 600 level admin
	stats timeout 30s

	# Default SSL material locations
	ca-base /etc/ssl/certs
	crt-base /etc/ssl/private

defaults
	log	global
	mode	http
	option	httplog
	option	dontlognull
        timeout connect 5000
        timeout client  50000
        timeout server  50000

frontend www
	bind 127.0.0.1:{1}
{more}	default_backend shop

backend shop
	balance roundrobin
	option httpchk GET /healthz
	cookie SERVERID insert indirect nocache
{servers}
{backends}"""
PLAN = """    steps: [50%, 100%]
    hold: {min: 60s, max: 5m, then: ask}
    bake: 60s
    retain: 5m
    on_rollback: {sessions: keep}
"""


class Existing(OwnHaproxy):
    """An HAProxy that runs on a config of its own, and is only reloaded once lbctl's lines are in it."""

    async def begin(self, directory: Path, config: Path) -> None:
        """Put the rules in, check, reload."""
        args = ["--config", str(config), "--into", str(directory / "haproxy.cfg"), "--write-maps"]
        text = await command("config", "render", "haproxy", *args, "--active", f"{SERVICE}=blue")
        (directory / "haproxy.cfg").write_text(text)
        assert self._process is not None
        check = await asyncio.create_subprocess_exec(self._binary, "-c", "-q", "-f", str(directory / "haproxy.cfg"))
        assert await check.wait() == 0
        self._process.send_signal(signal.SIGUSR2)

    async def end(self, directory: Path) -> None:
        """The test ends it: it was there before."""


async def command(*words: str, code: int | None = 0) -> str:
    """What `lbctl` prints to stdout; `code` None: whatever it exits with."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "lbctl.cli", *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert code in {None, process.returncode}, f"{out.decode()}\n{err.decode()}"
    return out.decode()


def server_lines(pool: ToyPool) -> str:
    """Servers as people write them: with a short cookie value, and checked."""
    pairs = enumerate(pool.servers.items(), 1)
    return "\n".join(f"\tserver {name} {host}:{port} cookie w{n} check" for n, (name, (host, port)) in pairs)


async def imported(directory: Path, green: ToyPool) -> str:
    """The proposal, with what a person must fill in, and the daemon's own places."""
    maps, master = f"{directory}/maps", f"{directory}/master.sock"
    words = [str(directory / "haproxy.cfg"), "--map-dir", maps, "--master-socket", master]
    text = await command("config", "import", *words, code=4)
    filled = ", ".join(f"{name}: '{host}:{port}'" for name, (host, port) in green.servers.items())
    text = text.replace("green: {}", f"green: {{{filled}}}")
    for proposed, place in (("/var/lib/lbctl\n", f"{directory}/state\n"), ("/run/lbctl", f"{directory}/run")):
        text = text.replace(proposed, place)
    return text + "\n" + PLAN


async def test_a_stock_haproxy_is_imported_adopted_released_and_rolled_back_and_nobody_is_logged_out(
    tmp_path: Path,
) -> None:
    async with AsyncExitStack() as stack:
        plain = haproxy()
        assert isinstance(plain, OwnHaproxy)
        proxy = Existing(plain._binary)
        blue = await stack.enter_async_context(await ToyPool.start("blue", "1.0.0", servers=2))
        green = await stack.enter_async_context(await ToyPool.start("green", "2.0.0", servers=2))
        port = free_port()
        stock = STOCK.format(tmp_path, port, more="", servers=server_lines(blue), backends="")
        (tmp_path / "haproxy.cfg").write_text(stock)
        stack.push_async_callback(OwnHaproxy.end, proxy, tmp_path)
        await proxy.launch(tmp_path)
        await until(lambda: listening(port))
        users = await stack.enter_async_context(steady(port, 30, 0.3))
        text = await imported(tmp_path, green)
        daemon, control = await stack.enter_async_context(running(tmp_path, proxy, text))
        here = Stage(tmp_path, tmp_path / "lbctl.yaml", proxy, port, {"blue": blue, "green": green}, control, daemon)
        await adopt(here)
        number = await release(here)
        await share_is(here, 5_000)

        async def split() -> bool:
            return users.visitors["green"] > 5

        await until(split)
        await control.post(f"/v1/releases/{number}/rollback", {"reason": "a drill"})
        assert (await ended(here))["phase"] == "rolled_back"
        users.forget()
        await asyncio.sleep(1)
        assert (users.failures, users.changes, users.by_colour["blue"]) == ([], [], 30)
        assert users.visitors["green"] == 0
        await doctor_is_content(tmp_path)


async def listening(port: int) -> bool:
    """Whether somebody takes connections there."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def doctor_is_content(directory: Path) -> None:
    """Doctor has no fault to tell, with the daemon and without it; maps under /tmp do not survive a boot, though."""
    words = ["doctor", "--config", f"{directory}/lbctl.yaml", "--haproxy-cfg", f"{directory}/haproxy.cfg", "--json"]
    for socket, runs in (("run/control.sock", True), ("none.sock", False)):
        found = json.loads(await command("--socket", f"{directory}/{socket}", *words, code=None))
        assert found["daemon"] is runs
        faults = [one for one in found["findings"] if one["weight"] == "fault"]
        assert {one["code"] for one in faults} <= {"MAP_MANAGED"}, faults
        assert ("DAEMON_UNREACHABLE" in {one["code"] for one in found["findings"]}) is not runs


ROUTED = """global
    stats socket {0}/haproxy.sock mode 600 level admin
defaults web
    mode http
    timeout connect 1s
    timeout client 5s
    timeout server 5s
frontend www from web
    bind 127.0.0.1:{1}
    acl is_api path_beg /api/
    use_backend static if {{ path_beg /static/ }} || {{ path /favicon.ico }}
    use_backend api_blue if is_api !{{ path /api/legacy }}
    default_backend shop_blue
backend static from web
    server s {static}
backend shop_blue from web
    server sb {sb}
backend shop_green from web
    server sg {sg}
backend api_blue from web
    cookie A insert indirect nocache
    server ab {ab} cookie ab
backend api_green from web
    cookie A insert indirect nocache
    server ag {ag} cookie ag
listen alone from web
    bind 127.0.0.1:{2}
    balance roundrobin
    server x-old {sb} weight 100
    server x-new {sg} weight 0
"""
PLACES = ("static", "sb", "sg", "ab", "ag")


async def test_a_frontend_that_routes_by_acl_splits_each_service_by_itself(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        plain = haproxy()
        assert isinstance(plain, OwnHaproxy)
        pools = {name: await stack.enter_async_context(await ToyPool.start(name, "1", servers=1)) for name in PLACES}
        at = {name: ":".join(map(str, next(iter(pool.servers.values())))) for name, pool in pools.items()}
        ports = free_port(), free_port()
        (tmp_path / "haproxy.cfg").write_text(ROUTED.format(tmp_path, *ports, **at))
        text = await command("config", "import", f"{tmp_path}/haproxy.cfg", "--map-dir", f"{tmp_path}/maps", code=0)
        (tmp_path / "lbctl.yaml").write_text(text)
        actives = [word for name in ("shop", "api", "alone") for word in ("--active", f"{name}=blue")]
        args = ["--config", f"{tmp_path}/lbctl.yaml", "--into", f"{tmp_path}/haproxy.cfg", "--write-maps"]
        (tmp_path / "haproxy.cfg").write_text(await command("config", "render", "haproxy", *args, *actives))
        stack.push_async_callback(plain.end, tmp_path)
        await plain.launch(tmp_path)
        await until(lambda: listening(ports[0]))

        async def seen() -> dict[str, set[str]]:
            paths = ("/", "/static/x", "/favicon.ico", "/api/x", "/api/legacy")
            return {path: {await pool_of(ports[0], path) for _ in range(4)} for path in paths}

        before = {"/": {"sb"}, "/static/x": {"static"}, "/favicon.ico": {"static"}}
        assert await seen() == {**before, "/api/x": {"ab"}, "/api/legacy": {"sb"}}
        assert await pool_of(ports[1], "/") == "sb"
        maps = tmp_path / "maps" / "state.map"
        socket = str(tmp_path / "haproxy.sock")
        await ask(socket, [f"set map {maps} api 10000:10000:10000"], 2)
        assert await seen() == {**before, "/api/x": {"ag"}, "/api/legacy": {"sb"}}
        await ask(socket, [f"set map {maps} shop 10000:10000:10000", "set weight alone/x-new 100"], 2)
        assert await seen() == {**before, "/": {"sg"}, "/api/x": {"ag"}, "/api/legacy": {"sg"}}


async def pool_of(port: int, path: str) -> str:
    """Which pool answers somebody without cookies."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    head = (await reader.read()).decode("latin-1").lower()
    writer.close()
    return head.partition("x-pool: ")[2].partition("\r\n")[0]

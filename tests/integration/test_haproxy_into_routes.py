"""A real HAProxy before and after lbctl's rules: every request goes where it went, and a service's go by the map."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest

from lbctl.cli.app import main
from lbctl.config.load import load_text
from lbctl.dataplane.haproxy.existing.findings import Finding, Weight
from lbctl.dataplane.haproxy.existing.sections import read
from lbctl.dataplane.haproxy.existing.unreached import unreached
from lbctl.demo.ports import free_port
from tests.conformance.haproxy_harness import require_haproxy

pytestmark = pytest.mark.haproxy
NAMES = ("shop_blue", "shop_green", "other", "forum_blue", "forum_green")
PORTS = {name: number for number, name in enumerate(NAMES, 1)}
HEAD = """
global
    stats socket {directory}/admin.sock mode 660 level admin
defaults
    mode {mode}
    timeout client 5s
    timeout server 5s
    timeout connect 5s
frontend web
    bind 127.0.0.1:{port}
"""
CONFIG = """apiVersion: lbctl/v1
data_planes:
  edge: {{driver: haproxy, instances: {{lb1: {{socket: {directory}/admin.sock, map_dir: {directory}/maps}}}}}}
services:
"""
SERVICE = """  {name}:
    data_plane: edge
    haproxy: {{form: map, backends: {{blue: {name}_blue, green: {name}_green}}}}
    protocol: {mode}
    pools: {{blue: {{{name}-b: "127.0.0.1:{blue}"}}, green: {{{name}-g: "127.0.0.1:{green}"}}}}
"""

# What the frontend says, what is asked (Host or SNI, and path) and who answers, before and with all of shop on blue.
HTTP = {
    "an allow before the choice": (
        """
    acl internal src 127.0.0.0/8
    http-request deny if { path /no }
    http-request allow if internal
    http-request auth realm x if { path /never }
    acl is_shop hdr(host) -i shop.example
    use_backend shop_blue if is_shop
    default_backend other
""",
        {"shop.example /": "shop_blue", "else.example /": "other", "shop.example /no": "403"},
    ),
    "an allow, and nothing but the service": (
        """
    http-request allow if { src 127.0.0.0/8 }
    http-request set-header X-Late 1
    default_backend shop_blue
""",
        {"shop.example /": "shop_blue"},
    ),
    "two services and one of another team, an allow last": (
        """
    http-request set-header Host forum.example if { path_beg /forum }
    http-request allow
    use_backend other if { path_beg /other }
    use_backend forum_blue if { hdr(host) -i forum.example }
    use_backend shop_blue if { hdr(host) -i shop.example }
""",
        {
            "shop.example /": "shop_blue",
            "shop.example /forum": "forum_blue",
            "forum.example /other": "other",
            "none.example /": "503",
        },
    ),
    "a computed choice with a condition, whose name is not there": (
        """
    use_backend %[req.hdr(x-none)] if { path_beg /team }
    default_backend shop_blue
""",
        {"shop.example /": "shop_blue", "shop.example /team": "shop_blue"},
    ),
}
TCP = {
    "the textbook of SNI": (
        """
    tcp-request inspect-delay 2s
    tcp-request content accept if { req_ssl_hello_type 1 }
    use_backend shop_blue if { req_ssl_sni -i shop.example }
    default_backend other
""",
        {"shop.example /": "shop_blue", "else.example /": "other"},
    ),
    "TCP by address": (
        """
    tcp-request content accept if { src 127.0.0.0/8 }
    tcp-request content reject
    use_backend shop_blue if { dst 127.0.0.1 }
    default_backend other
""",
        {"shop.example /": "shop_blue"},
    ),
}


@asynccontextmanager
async def answering() -> AsyncIterator[dict[str, int]]:
    """A server for each backend, which says its name to whoever comes, by whatever protocol."""
    async with AsyncExitStack() as stack:
        ports = {}
        for name in NAMES:
            server = await asyncio.start_server(_saying(name), "127.0.0.1", 0)
            stack.push_async_callback(_closed, server)
            ports[name] = server.sockets[0].getsockname()[1]
        yield ports


def _saying(name: str):  # type: ignore[no-untyped-def]
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await reader.read(4_096)
            writer.write(f"HTTP/1.0 200 OK\r\n\r\nI am {name}\n".encode())
            await writer.drain()
            writer.close()

    return say


async def _closed(server: asyncio.Server) -> None:
    server.close()
    await server.wait_closed()


async def said(file: Path, port: int, mode: str, asked: Mapping[str, str]) -> dict[str, str]:
    """Who answers each request while HAProxy runs on `file`."""
    process = await asyncio.create_subprocess_exec(
        require_haproxy(), "-db", "-f", str(file), stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(20):
            while not await _open(port):
                assert process.returncode is None, (await process.communicate())[1].decode()
                await asyncio.sleep(0.02)
            return {request: await _answer(port, mode, *request.split()) for request in asked}
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.communicate()


async def _open(port: int) -> bool:
    with suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        return True
    return False


async def _answer(port: int, mode: str, host: str, path: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    text = f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode()
    writer.write(text if mode == "http" else hello(host))
    answer = (await reader.read(-1)).decode()
    writer.close()
    return next((name for name in NAMES if f"I am {name}\n" in answer), answer.split()[1] if answer else "closed")


def hello(host: str) -> bytes:
    """The first bytes of a TLS client that wants `host`."""
    context = ssl.create_default_context()
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(into, out, server_hostname=host).do_handshake()
    return out.read()


class Written:
    """The old config, and lbctl's of the same load balancer."""

    def __init__(self, directory: Path, ports: Mapping[str, int], mode: str, frontend: str) -> None:
        self.directory, self.mode, self.port = directory, mode, free_port()
        self.old = directory / "old.cfg"
        backends = [f"backend {name}\n    server s 127.0.0.1:{port}\n" for name, port in ports.items()]
        self.names = [name for name in ("shop", "forum") if f"{name}_" in frontend]
        head = HEAD.format(directory=directory, mode=mode, port=self.port)
        self.old.write_text(head + frontend + "".join(backends))
        (directory / "lbctl.yaml").write_text(
            CONFIG.format(directory=directory)
            + "".join(
                SERVICE.format(name=name, mode=mode, blue=ports[f"{name}_blue"], green=ports[f"{name}_green"])
                for name in self.names
            )
        )

    def merge(self, capsys: pytest.CaptureFixture[str], colour: str, *more: str) -> tuple[int, str, Path]:
        """The exit code, what is told, and the file with lbctl's rules, all of its services on `colour`."""
        actives = [word for name in self.names for word in ("--active", f"{name}={colour}")]
        words = ["--config", f"{self.directory}/lbctl.yaml", "--into", str(self.old), *(more or ("--write-maps",))]
        code = main(["config", "render", "haproxy", *words, *actives])
        out, err = capsys.readouterr()
        new = self.directory / "new.cfg"
        new.write_text(out)
        return code, err, new

    def missed(self, file: Path) -> list[Finding]:
        """What `lbctl doctor` says of requests that go past lbctl's rules."""
        config = load_text("lbctl.yaml", (self.directory / "lbctl.yaml").read_bytes(), uid=0, environ={})
        document = read([("new.cfg", file.read_text())])
        found = [one for service in config.topology.services.values() for one in unreached(document, service)]
        return [one for one in found if one.weight is Weight.FAULT]


CASES = [("http", *case) for case in HTTP.values()] + [("tcp", *case) for case in TCP.values()]


@pytest.mark.parametrize(("mode", "frontend", "asked"), CASES, ids=[*HTTP, *TCP])
async def test_every_request_goes_where_it_went_and_the_services_go_by_the_map(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mode: str, frontend: str, asked: Mapping[str, str]
) -> None:
    async with answering() as ports:
        made = Written(tmp_path, ports, mode, frontend)
        assert await said(made.old, made.port, mode, asked) == asked, "before"
        code, told, new = made.merge(capsys, "blue")
        assert code == 0, told
        assert await said(new, made.port, mode, asked) == asked, new.read_text()
        assert made.missed(new) == [], "nor does the doctor find anything that goes past them"
        (tmp_path / "maps/state.map").unlink()
        made.merge(capsys, "green")
        moved = {request: name.replace("blue", "green") for request, name in asked.items()}
        if "x-none" in frontend:
            moved["shop.example /team"] = "shop_blue"  # what the old lines take past lbctl, they take as before
        assert await said(new, made.port, mode, asked) == moved, new.read_text()


REFUSED = {
    "a computed choice of everything": (
        "http",
        "    use_backend %[req.hdr(host),lower,map_str({0}/hosts.map,shop_blue)]\n    default_backend shop_blue\n",
        "old.cfg:11: `use_backend %[",
    ),
    "a choice of everything before it": (
        "http",
        "    use_backend other\n    use_backend shop_blue if {{ path /x }}\n",
        "old.cfg:11: `use_backend other` takes every request",
    ),
    "a rule behind the allow that changes what the choice looks at": (
        "http",
        "    http-request allow if {{ path /x }}\n    http-request set-path /shop%[path]\n"
        "    use_backend shop_blue if {{ path_beg /shop }}\n    default_backend other\n",
        "old.cfg:12: `http-request set-path",
    ),
    "connections let through before their name is known": (
        "tcp",
        "    tcp-request inspect-delay 2s\n    tcp-request content accept if {{ src 10.0.0.0/8 }}\n"
        "    use_backend shop_blue if {{ req.ssl_sni -i shop.example }}\n    default_backend other\n",
        "old.cfg:12: `tcp-request content accept",
    ),
    "rules in a branch that only HAProxy decides": (
        "http",
        ".if version_atleast(2.4)\n    http-request allow\n.endif\n    default_backend shop_blue\n",
        "old.cfg:12: `http-request allow`",
    ),
}


@pytest.mark.parametrize(("mode", "frontend", "place"), REFUSED.values(), ids=REFUSED)
def test_where_lbctls_rules_would_be_missed_it_refuses_and_names_the_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mode: str, frontend: str, place: str
) -> None:
    made = Written(tmp_path, PORTS, mode, frontend.format(tmp_path))
    code, told, new = made.merge(capsys, "blue")
    assert (code, new.read_text()) == (4, "")
    assert f"error: {place}" in told


def test_an_allow_of_the_defaults_is_refused_because_nothing_can_stand_before_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = Written(tmp_path, PORTS, "http", "    default_backend shop_blue\n")
    made.old.write_text(made.old.read_text().replace("defaults", "defaults d\n    http-request allow"))
    code, told, _ = made.merge(capsys, "blue")
    assert code == 4
    assert "old.cfg:6: `http-request allow` stands in `defaults`" in told


def test_the_next_step_it_names_makes_the_map_files_and_works(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frontend = HTTP["two services and one of another team, an allow last"][0]
    made = Written(tmp_path, PORTS, "http", frontend)
    code, told, _ = made.merge(capsys, "blue", "--active", "shop=blue")
    assert (code, "add `--write-maps --active SERVICE=COLOUR` to this very command" in told) == (0, True)
    assert made.merge(capsys, "blue")[0] == 0
    assert (tmp_path / "maps/state.map").exists()


def test_a_pool_that_an_old_line_chose_by_itself_is_told_and_nothing_is_promised(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frontend = "    use_backend shop_green if { req.hdr(x-new) 1 }\n    default_backend shop_blue\n"
    _, told, _ = Written(tmp_path, PORTS, "http", frontend).merge(capsys, "blue")
    assert "old.cfg:11: shop: `use_backend shop_green if" in told
    assert "nothing moves by it" not in told

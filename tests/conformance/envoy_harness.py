"""A real embedded Envoy with toy servers on loopback, for the conformance suite and for Envoy's own tests."""

import asyncio
import os
import shutil
import ssl
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Protocol, Self, TypeVar

import pytest

from lbctl.dataplane.envoy import embedded
from lbctl.dataplane.envoy.binary import locate
from lbctl.dataplane.envoy.driver import EnvoyInstance
from lbctl.demo.ports import free_port
from lbctl.model import topology
from lbctl.model.errors import Garbled
from lbctl.model.names import Colour, InstanceName, PlaneName, ServerName, ServiceName
from lbctl.model.operation import Place, Result, SetRoute
from lbctl.model.route import Route
from lbctl.model.topology import Address, EnvoyMode, HealthCheck, Instance, Pool, Probe, Server, Service
from lbctl.model.units import Instant, Span
from lbctl.telemetry.sockets.severing import Severing

SHOP = ServiceName("shop")
_ANSWER_TIMEOUT_S = 10.0
TURNS = 10
"""So many turns of the loop end a server and all that it cut."""


def require_envoy() -> None:
    """Skip with the reason where the wheel is missing; fail in CI, where it must not be."""
    try:
        locate()
    except Garbled as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


def clock() -> Instant:
    """The clock of these tests."""
    return Instant(int(time.monotonic() * 1000))


class ToyServer:
    """One application server: says its name, or what `mode` tells it. `held` keeps slow requests waiting.

    `/after/MS` waits before it answers, `/drip/MS` before its last byte.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.mode = "ok"
        self.healthy = True
        self.seen: list[str] = []
        self.held = asyncio.Event()
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def open(self, tls: ssl.SSLContext | None = None) -> Self:
        """Listen, on the same port again after a `close`."""
        while self._server is not None and self._server.is_serving():
            await asyncio.sleep(0)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def refuse(self) -> None:
        """Refuse new connections, and serve those that are there to their end."""
        assert self._server is not None
        self._accept_no_more(self._server)
        while self._server.is_serving():
            await asyncio.sleep(0)

    def close(self) -> None:
        """Refuse new connections and cut the open ones, with one of the loop's next turns."""
        if self._server is not None:
            self._accept_no_more(self._server, self._cut)
        self._cut()

    def _accept_no_more(self, server: asyncio.Server, then: Callable[[], None] = lambda: None) -> None:
        """A connection that asyncio is just accepting when its server ends is lost to everybody, and never closed: so
        it ends some turns later."""
        loop = asyncio.get_running_loop()
        for listening in server.sockets:
            loop.remove_reader(listening.fileno())

        def end(turns: int) -> None:
            if turns:
                loop.call_soon(end, turns - 1)
                return
            server.close()
            then()

        loop.call_soon(end, 2)

    def _cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while await self._answer((await reader.readuntil(b"\r\n\r\n")).decode("latin-1"), reader, writer):
                    await writer.drain()
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        path = head.split(" ")[1]
        if path == "/healthz":
            writer.write(_said(200 if self.healthy else 503, ""))
            return True
        self.seen.append(head)
        if path == "/ws":
            return await _echo(reader, writer)
        if path == "/slow":
            await self.held.wait()
        if path.startswith("/after/"):
            await asyncio.sleep(int(path.removeprefix("/after/")) / 1000)
        if path.startswith("/drip/"):
            return await _drip(writer, int(path.removeprefix("/drip/")) / 1000)
        if self.mode in {"reset", "truncated"}:
            writer.write(_said(200, self.name, missing=50) if self.mode == "truncated" else b"")
            return False
        writer.write(_said(500 if self.mode == "error" else 200, self.name))
        return True


def _said(status: int, body: str, missing: int = 0) -> bytes:
    return f"HTTP/1.1 {status} Toy\r\ncontent-length: {len(body) + missing}\r\n\r\n{body}".encode()


async def _drip(writer: asyncio.StreamWriter, seconds: float) -> bool:
    """Answer at once, and let the last byte wait."""
    writer.write(b"HTTP/1.1 200 Toy\r\ncontent-length: 2\r\n\r\no")
    await writer.drain()
    await asyncio.sleep(seconds)
    writer.write(b"k")
    return True


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    writer.write(b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    return False


@dataclass(slots=True)
class Answer:
    """What a client got."""

    status: int
    body: str
    headers: list[tuple[str, str]]

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies it set."""
        pairs = (value.split(";")[0].partition("=") for name, value in self.headers if name == "set-cookie")
        return {name: value for name, _, value in pairs}


@dataclass(slots=True)
class Client:
    """A keep-alive client; with a jar it is a session."""

    port: int
    jar: dict[str, str] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    source: str | None = None
    """The own address it calls from."""
    _streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, path: str = "/", method: str = "GET") -> Answer:
        """One request; raises OSError or IncompleteReadError where it fails."""
        async with asyncio.timeout(_ANSWER_TIMEOUT_S):
            if self._streams is None:
                own = (self.source, 0) if self.source else None
                self._streams = await asyncio.open_connection("127.0.0.1", self.port, local_addr=own)
            reader, writer = self._streams
            headers = {"host": "shop.example", **self.headers}
            if self.jar:
                headers["cookie"] = "; ".join(f"{name}={value}" for name, value in self.jar.items())
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            writer.write(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1"))
            return await self._read(reader)

    async def upgrade(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a WebSocket (the echo of lines behind it is no real one) and return its streams."""
        self.headers |= {"connection": "upgrade", "upgrade": "websocket"}
        answer = await self.get("/ws")
        assert answer.status == 101
        assert self._streams is not None
        return self._streams

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def _read(self, reader: asyncio.StreamReader) -> Answer:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in head[1:] if line)
        headers = [(name.lower(), value.strip()) for name, _, value in pairs]
        size = int(dict(headers).get("content-length", "0"))
        answer = Answer(int(head[0].split()[1]), (await reader.readexactly(size)).decode(), headers)
        if self.jar is not None:
            self.jar |= answer.cookies
        if ("connection", "close") in headers:
            self.close()
        return answer


class Backend(Protocol):
    """A server of the toy pools, whatever it speaks."""

    name: str
    port: int
    held: asyncio.Event

    async def open(self) -> Self:
        """Listen."""

    def close(self) -> None:
        """Refuse new connections and cut the open ones."""


Kind = TypeVar("Kind", bound=Backend)
NAMES = ("blue-1", "blue-2", "green-1", "green-2")


class EnvoyWorld(Generic[Kind]):
    """One service with two servers a pool behind one embedded Envoy in a directory of its own."""

    def __init__(
        self,
        directory: Path,
        servers: dict[str, Kind],
        *,
        listen_tls: bool = False,
        protocol: topology.Protocol = topology.Protocol.HTTP,
        mode: EnvoyMode = EnvoyMode.EMBEDDED,
    ) -> None:
        self.servers = servers
        self.mode = mode
        self.port = free_port()
        self.instance = Instance(name=InstanceName("edge/lb1"), directory=str(directory))
        self.service = Service(
            name=SHOP,
            plane=PlaneName("edge"),
            blue=self._pool(Colour.BLUE, "blue-1", "blue-2"),
            green=self._pool(Colour.GREEN, "green-1", "green-2"),
            listen=Address("127.0.0.1", self.port),
            listen_tls=listen_tls,
            protocol=protocol,
            health=HealthCheck(
                kind=Probe.HTTP if protocol is topology.Protocol.HTTP else Probe.TCP,
                path="/healthz",
                interval=Span(100),
                timeout=Span(400),
                fall=2,
            ),
        )
        self.driver = self.another_driver()
        self.fence = 0
        self._clients: list[Client] = []

    def _pool(self, colour: Colour, *names: str) -> Pool:
        return Pool(
            colour, tuple(Server(ServerName(name), Address("127.0.0.1", self.servers[name].port)) for name in names)
        )

    def another_driver(self, services: Sequence[Service] | None = None) -> EnvoyInstance:
        """A driver as a fresh lbctld would make it."""
        return EnvoyInstance(self.instance, services or [self.service], clock, mode=self.mode, sockets=Severing())

    @property
    def directory(self) -> Path:
        """Where its files are."""
        return Path(self.instance.directory)

    @property
    def route_file(self) -> Path:
        """The one file that a release writes."""
        return self.directory / "rds" / "shop.json"

    def set_route(self, route: Route, place: Place = Place.RUNTIME) -> SetRoute:
        """An operation with the next fence."""
        self.fence += 1
        return SetRoute(service=SHOP, place=place, route=route, fence=self.fence)

    async def route(self, green_bp: int, keep_blue_bp: int = 10_000, keep_green_bp: int = 10_000) -> Result:
        """Apply a route with the next fence."""
        return await self.driver.apply(self.set_route(Route(green_bp, keep_blue_bp, keep_green_bp)))

    def client(self, *, session: bool = False, **headers: str) -> Client:
        """A client of the service, hung up at the end."""
        client = Client(self.port, {} if session else None, {k.replace("_", "-"): v for k, v in headers.items()})
        self._clients.append(client)
        return client

    async def replace_service(self, service: Service) -> None:
        """Go on as an lbctld that was given another config."""
        await self.driver.close()
        self.service = service
        self.driver = self.another_driver()

    async def stop(self) -> None:
        """End Envoy, if it runs, and everything else."""
        for client in self._clients:
            client.close()
        await self.driver.close()
        if self.mode is EnvoyMode.EMBEDDED:
            await embedded.stop(self.instance)
        for server in self.servers.values():
            server.held.set()
            server.close()
        for _ in range(TURNS):
            await asyncio.sleep(0)  # What was cut is gone with one of the loop's next turns, and the loop ends here.


@asynccontextmanager
async def envoy_world(
    *, listen_tls: bool = False, directory: Path | None = None
) -> AsyncIterator[EnvoyWorld[ToyServer]]:
    """A started world of HTTP servers, not adopted yet."""
    servers = {name: await ToyServer(name).open() for name in NAMES}
    async with world_of(servers, topology.Protocol.HTTP, listen_tls=listen_tls, directory=directory) as world:
        yield world


@asynccontextmanager
async def world_of(
    servers: dict[str, Kind],
    protocol: topology.Protocol,
    *,
    listen_tls: bool = False,
    directory: Path | None = None,
) -> AsyncIterator[EnvoyWorld[Kind]]:
    """A started world of servers that listen already. Its directory is short, because a unix socket's path is."""
    require_envoy()
    made = Path(tempfile.mkdtemp(prefix="lbe-"))
    world = EnvoyWorld(directory or made, servers, listen_tls=listen_tls, protocol=protocol)
    try:
        await world.driver.ensure_running()
        yield world
    finally:
        await world.stop()
        shutil.rmtree(made)

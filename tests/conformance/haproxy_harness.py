"""A real HAProxy in master-worker mode with toy servers on loopback, for all tests that need one."""

import asyncio
import base64
import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from lbctl.dataplane.haproxy.client import ask
from lbctl.dataplane.haproxy.driver import HaproxyInstance
from lbctl.dataplane.haproxy.firstfiles import write_maps
from lbctl.dataplane.haproxy.render import render
from lbctl.demo.ports import free_port
from lbctl.model.errors import DataPlaneError
from lbctl.model.names import Colour, InstanceName, PlaneName, ServerName, ServiceName
from lbctl.model.route import Caller
from lbctl.model.topology import (
    Address,
    Consumer,
    HaproxyBinding,
    HaproxyForm,
    HealthCheck,
    Instance,
    PinKind,
    Pool,
    Probe,
    Protocol,
    RequestLog,
    Server,
    Service,
)
from lbctl.model.units import Span
from tests.conformance.envoy_harness import TURNS, Client, ToyServer, clock
from tests.conformance.harness import CLAIMS, NAMES, SHOP, TILL, Answered, twin

GLOBAL = """global
    {more}
    stats socket {directory}/admin.sock mode 666 level admin

defaults
    timeout connect 2s
    timeout client 30s
    timeout server 30s
"""
START_S = 10.0
CALL_FROM = {Colour.BLUE: "127.0.20.1", Colour.GREEN: "127.0.21.1"}
"""Where the servers of a consumer are that is told by its address or believed for it."""


def require_haproxy() -> str:
    """Skip with the reason where there is no haproxy; fail in CI, where there must be one. Returns its path."""
    binary = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")
    if binary is None:
        why = "no haproxy on PATH: apt-get install haproxy"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    return binary


class WebSocketServer(ToyServer):
    """A toy server whose upgrade HAProxy believes: it checks the key's answer."""

    async def _answer(self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if not head.startswith("GET /ws "):
            return await super()._answer(head, reader, writer)
        key = next(line[19:] for line in head.split("\r\n") if line.lower().startswith("sec-websocket-key: "))
        accept = base64.b64encode(hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest())
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n")
        writer.write(b"sec-websocket-accept: " + accept + b"\r\n\r\n")
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
        return False


class HaproxyVisitor:
    """A client of one frontend."""

    def __init__(self, client: Client) -> None:
        self.client = client

    @property
    def jar(self) -> dict[str, str] | None:
        """See `Visitor.jar`."""
        return self.client.jar

    async def ask(self) -> Answered:
        """See `Visitor.ask`."""
        answer = await self.client.get()
        own = answer.status == 503 and "<html>" in answer.body
        refused = ("x-lbctl-refused", "pin") in answer.headers
        return Answered(
            answer.status, "" if own else answer.body, refused, dict(answer.headers).get("x-lbctl-preview", "")
        )


class HaproxyWorld:
    """`shop` and `till` on one HAProxy in a directory of its own, all on blue."""

    def __init__(
        self,
        directory: Path,
        servers: dict[str, ToyServer],
        *,
        master: bool = True,
        form: HaproxyForm = HaproxyForm.MAP,
        protocol: Protocol = Protocol.HTTP,
        consumers: Mapping[ServiceName, Consumer] | None = None,
        preview: tuple[str, ...] = (),
    ) -> None:
        self.directory = directory
        self.form = form
        self.protocol = protocol
        self.servers = servers
        self.instance = Instance(
            name=InstanceName("edge/lb1"),
            directory=str(directory / "maps"),
            socket=str(directory / "admin.sock"),
            master_socket=str(directory / "master.sock") if master else None,
        )
        shop = replace(self._shop(), consumers=consumers or {}, preview=preview)
        till = _bound(twin(shop, free_port()), form)
        if any(one.kind is not PinKind.LISTENER for one in shop.consumers.values()):
            till = moved(till, CALL_FROM)
        self.services: Sequence[Service] = (shop, till)
        self.more = "nbthread 2"
        self.request_log: RequestLog | None = None
        self.driver = self.another_driver()
        self.process: asyncio.subprocess.Process | None = None
        self._clients: list[Client] = []

    def _shop(self) -> Service:
        pools = {
            colour: Pool(
                colour,
                tuple(
                    Server(ServerName(name), Address("127.0.0.1", self.servers[name].port))
                    for name in self.servers
                    if name.startswith(colour)
                ),
            )
            for colour in Colour
        }
        # The servers are in this process, which a busy host lets wait: who is dead refuses, and needs no time-out.
        check = HealthCheck(kind=Probe.HTTP, path="/healthz", interval=Span(100), timeout=Span(3_000), fall=2, rise=1)
        return _bound(
            Service(
                name=SHOP,
                plane=PlaneName("edge"),
                blue=pools[Colour.BLUE],
                green=pools[Colour.GREEN],
                listen=Address("127.0.0.1", free_port()),
                health=check,
                protocol=self.protocol,
            ),
            self.form,
        )

    @property
    def socket(self) -> str:
        """See `World.socket`."""
        return self.instance.master_socket or str(self.instance.socket)

    @property
    def map(self) -> Path:
        """The map file."""
        return self.directory / "maps" / "state.map"

    def service(self, name: ServiceName = SHOP) -> Service:
        """One of the services."""
        return next(one for one in self.services if one.name == name)

    def another_driver(self, services: Sequence[Service] | None = None) -> HaproxyInstance:
        """A driver as a fresh lbctld would make it."""
        return HaproxyInstance(self.instance, services or self.services, clock)

    def client(self, service: ServiceName = SHOP, *, session: bool = False, **headers: str) -> Client:
        """A client of the service, hung up at the end."""
        listen = self.service(service).listen
        assert listen is not None
        client = Client(listen.port, {} if session else None, {k.replace("_", "-"): v for k, v in headers.items()})
        self._clients.append(client)
        return client

    @property
    def callers(self) -> tuple[Caller, ...]:
        """See `World.callers`."""
        return self.services[0].callers

    def visitor(
        self, service: ServiceName = SHOP, *, session: bool = False, caller: Caller | None = None
    ) -> HaproxyVisitor:
        """See `World.visitor`. Callers that are told by address have 127.0.20.1 and 127.0.21.1."""
        client = self.client(service, session=session)
        if caller is not None:
            consumer = self.service(service).consumers[caller.service]
            match consumer.kind:
                case PinKind.LISTENER:
                    client.port = consumer.listeners[caller.colour].port
                case PinKind.SOURCE:
                    client.source = CALL_FROM[caller.colour]
                case PinKind.HEADER:
                    client.source = CALL_FROM[caller.colour]
                    client.headers[str(consumer.header)] = str(caller)
        return HaproxyVisitor(client)

    def previewer(
        self, wanted: str, *, source: str, claims: str = "", session: bool = False, caller: Caller | None = None
    ) -> HaproxyVisitor:
        """See `World.previewer`."""
        visitor = self.visitor(session=session, caller=caller)
        visitor.client.source = source
        visitor.client.headers |= {"x-lbctl-preview": wanted, **dict.fromkeys(CLAIMS if claims else (), claims)}
        return visitor

    async def upgraded(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """An open WebSocket; what is written to it comes back."""
        return await self.client(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ==", Sec_WebSocket_Version="13").upgrade()

    def let(self, server: str, *, fails: bool = False, dead: bool = False) -> None:
        """See `World.let`."""
        self.servers[server].mode = "error" if fails else "ok"
        if dead:
            self.servers[server].close()

    def write_config(self, body: str | None = None) -> None:
        """Write the config: what lbctl renders, behind a minimal global section."""
        text = render(self.instance, self.services, self.request_log) if body is None else body
        (self.directory / "h.cfg").write_text(GLOBAL.format(directory=self.directory, more=self.more) + text)

    async def begin(self) -> None:
        """Start it on the files that are there, and wait until it answers."""
        with (self.directory / "log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                require_haproxy(),
                *("-W", "-S", f"{self.directory}/master.sock,mode,666", "-f", str(self.directory / "h.cfg")),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        async with asyncio.timeout(START_S):
            while not await self._answers():
                assert self.process.returncode is None, (self.directory / "log").read_text()
                await asyncio.sleep(0.01)

    async def _answers(self) -> bool:
        try:
            await ask(str(self.directory / "master.sock"), ["show proc"], 0.5)
            await ask(str(self.directory / "admin.sock"), ["show info"], 0.5)
        except DataPlaneError:
            return False
        return True

    async def end(self) -> None:
        """Kill it, master and workers."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            await self.process.wait()

    async def restart(self) -> None:
        """See `World.restart`."""
        await self.end()
        await self.begin()

    def reload(self) -> None:
        """What a person or config management does. Returns at once."""
        assert self.process is not None
        self.process.send_signal(signal.SIGUSR2)

    async def reloaded(self) -> None:
        """Reload, and wait until a new worker answers."""
        before = (await self.driver.observe()).generation
        self.reload()
        async with asyncio.timeout(START_S):
            while await self._generation() in {before, None}:
                await asyncio.sleep(0.02)

    async def _generation(self) -> str | None:
        try:
            return (await self.driver.observe()).generation
        except DataPlaneError:
            return None

    async def workers(self) -> list[int]:
        """The pids of all workers, as the kernel knows them."""
        assert self.process is not None
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    async def stop(self) -> None:
        """End everything."""
        for client in self._clients:
            client.close()
        await self.driver.close()
        await self.end()
        for server in self.servers.values():
            server.held.set()
            server.close()
        for _ in range(TURNS):
            await asyncio.sleep(0)  # What was cut is gone with one of the loop's next turns, and the loop ends here.


def _bound(service: Service, form: HaproxyForm) -> Service:
    shared = form is HaproxyForm.WEIGHTS
    backends = {colour: f"{service.name}_all" if shared else f"{service.name}_{colour}" for colour in Colour}
    return replace(service, haproxy=HaproxyBinding(backends, cookie="SRV", bucket_cookie="LBK", form=form))


def moved(service: Service, hosts: Mapping[Colour, str]) -> Service:
    """The same service with the servers of each colour on hosts of their own."""
    pools = {
        colour: Pool(colour, tuple(replace(one, address=Address(host, 1)) for one in service.pool(colour).servers))
        for colour, host in hosts.items()
    }
    return replace(service, blue=pools[Colour.BLUE], green=pools[Colour.GREEN])


@asynccontextmanager
async def haproxy_world(
    *,
    master: bool = True,
    begin: bool = True,
    form: HaproxyForm = HaproxyForm.MAP,
    protocol: Protocol = Protocol.HTTP,
    consumers: Mapping[ServiceName, Consumer] | None = None,
    preview: tuple[str, ...] = (),
    names: Sequence[str] = NAMES,
    request_log: RequestLog | None = None,
) -> AsyncIterator[HaproxyWorld]:
    """A started world. Its directory is short, because a unix socket's path is."""
    require_haproxy()
    directory = Path(tempfile.mkdtemp(prefix="lbh-"))
    directory.chmod(0o755)
    servers = {name: await WebSocketServer(name).open() for name in names}
    world = HaproxyWorld(
        directory, servers, master=master, form=form, protocol=protocol, consumers=consumers, preview=preview
    )
    try:
        write_maps(world.instance, world.services, {SHOP: Colour.BLUE, TILL: Colour.BLUE})
        world.request_log = request_log
        world.write_config()
        if begin:
            await world.begin()
        yield world
    finally:
        await world.stop()
        shutil.rmtree(directory)

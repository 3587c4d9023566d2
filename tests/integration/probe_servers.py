"""Servers that behave and servers that do not, on real loopback sockets, for the prober's tests."""

import asyncio
import contextlib
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

from lbctl.model.topology import Probe
from lbctl.probe.port import ProbeResult
from lbctl.probe.supervisor import Prober
from lbctl.probe.target import Target

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def saying(answer: bytes, *, then_hold: bool = False) -> Behaviour:
    """Read a request, send `answer`, and close (or hold the connection until the client leaves)."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        if then_hold:
            await reader.read()

    return behave


async def keeping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer every request on one connection."""
    while True:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await writer.drain()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Never answer."""
    await reader.read()


async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close at once."""


async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send one byte of a good answer every 100 ms."""
    for byte in OK:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.1)


class Seen:
    """Results by key, and a way to wait for enough of them."""

    def __init__(self) -> None:
        self.all: list[ProbeResult] = []

    def take(self, batch: Sequence[ProbeResult]) -> None:
        self.all.extend(batch)

    def of(self, key: str) -> list[ProbeResult]:
        return [result for result in self.all if result.key == key]

    async def wait_for(self, condition: Callable[[], bool], *, within_s: float = 10.0) -> None:
        deadline = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline, f"not seen within {within_s} s; last: {self.all[-5:]}"
            await asyncio.sleep(0.02)

    async def wait_all(self, keys: Sequence[str], count: int = 1) -> None:
        await self.wait_for(lambda: all(len(self.of(key)) >= count for key in keys))


@contextlib.asynccontextmanager
async def serving(
    behaviour: Behaviour, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """A server with this behaviour; gives its port."""
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await behaviour(reader, writer)
        finally:
            tasks.discard(task)
            writer.transport.abort() if behaviour is silent else writer.close()

    server = await asyncio.start_server(accept, host, 0, ssl=tls, backlog=1024)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def probing(*targets: Target) -> AsyncIterator[tuple[Prober, Seen]]:
    """A running prober with these targets."""
    seen = Seen()
    prober = Prober(seen.take)
    prober.set_targets(targets)
    await prober.start()
    try:
        yield prober, seen
    finally:
        await prober.stop()


def target(key: str, port: int, kind: Probe = Probe.HTTP, **more: object) -> Target:
    """A target on 127.0.0.1 probed every 100 ms."""
    values: dict[str, object] = {"ip": "127.0.0.1", "interval_ms": 100, "timeout_ms": 300, **more}
    return Target(key=key, kind=kind, port=port, **values)  # type: ignore[arg-type]


def closed_port() -> int:
    """A port on which nothing listens."""
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


_CA_CONFIG = """[ca]
default_ca = test
[test]
dir = {0}
database = {0}/index.txt
new_certs_dir = {0}
serial = {0}/serial
default_md = sha256
policy = any
copy_extensions = copy
[any]
commonName = supplied
"""


class Authority:
    """A certificate authority in a folder, by the openssl program."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.ca = folder / "ca.pem"
        (folder / "index.txt").touch()
        (folder / "serial").write_text("01\n")
        (folder / "ca.cnf").write_text(_CA_CONFIG.format(folder))
        self._run(
            "req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=test-ca -keyout ca.key -out ca.pem",
        )

    def server_context(self, name: str, *, until: str = "20491231000000Z") -> ssl.SSLContext:
        """A server's context with a certificate for `name` that ends at `until`."""
        san = f"IP:{name}" if name[0].isdigit() else f"DNS:{name}"
        self._run(
            f"req -newkey rsa:2048 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr"
            f" -addext subjectAltName={san}"
        )
        self._run(
            f"ca -batch -notext -config ca.cnf -keyfile ca.key -cert ca.pem -startdate 20200101000000Z"
            f" -enddate {until} -in {name}.csr -out {name}.pem"
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        return context

    def _run(self, words: str) -> None:
        done = subprocess.run(
            ["openssl", *words.split()], cwd=self._folder, capture_output=True, timeout=30, check=False
        )
        assert done.returncode == 0, done.stderr.decode()

"""The listener for Prometheus alone: one request a connection, one path, nothing that can be changed.

It is there only where the config asks for it. Nobody is asked who they are: on loopback the kernel does not say.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from lbctl.control.framing import HEAD_MAX, Framed, frame
from lbctl.control.hostname import is_this_host
from lbctl.control.listener import Listener, listen, listen_on_port
from lbctl.control.problem import Problem
from lbctl.control.reads import METRICS_MEDIA
from lbctl.model.topology import Address

KEY = "daemon.metrics"
CONNECTIONS_MAX = 16
REQUEST_S = 5.0
WRITE_S = 10.0
LINGER_S = 1.0
"""What was not read must be, or the peer never sees why it is refused."""
NOT_HERE = Problem(
    status=404,
    code="no_such_thing",
    what="only GET /metrics is here",
    then="the rest is at the control socket",
    exit_code=7,
)
FOREIGN = Problem(
    status=421,
    code="foreign_host",
    what="metrics are not served under this name",
    then="ask for localhost:PORT, or let the proxy in front set that Host",
    exit_code=6,
)
FULL = Problem(status=503, code="busy", what="too many connections", then="close some, then try again")
LATE = Problem(status=408, code="too_slow", what="the request was not there in time", why=f"{REQUEST_S:g} s")


class ScrapeServer:
    """Serves `text` at an address from `start` to `stop`."""

    def __init__(self, at: Address | str, text: Callable[[], Awaitable[bytes]]) -> None:
        self._at = at
        self._text = text
        self._listener: Listener | None = None
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to serve.

        Raises:
            CannotListen: the port or the path is taken, or there is no right to it.
        """
        if isinstance(self._at, str):
            self._listener = listen(self._at, key=KEY)
            self._server = await asyncio.start_unix_server(self._arrived, sock=self._listener.sock, limit=HEAD_MAX)
            return
        self._listener = listen_on_port(self._at, KEY)
        self._server = await asyncio.start_server(self._arrived, sock=self._listener.sock, limit=HEAD_MAX)

    async def stop(self) -> None:
        """Take no more connections, end those that are open, remove the socket's file."""
        if self._listener is not None:
            self._listener.remove()
        if self._server is not None:
            self._server.close()
        for task in self._open:
            task.cancel()
        if self._open:
            await asyncio.wait(self._open)

    def _arrived(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= 2 * CONNECTIONS_MAX:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._answered(reader, writer, full=len(self._open) >= CONNECTIONS_MAX))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _answered(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, full: bool) -> None:
        try:
            writer.write(FULL.message() if full else await self._answer(reader))
            async with asyncio.timeout(WRITE_S):
                await writer.drain()
            writer.write_eof()
            async with asyncio.timeout(LINGER_S):
                while await reader.read(HEAD_MAX):
                    pass
        except (OSError, TimeoutError):
            writer.transport.abort()
        finally:
            with contextlib.suppress(OSError):
                writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        try:
            async with asyncio.timeout(REQUEST_S):
                asked = await _request(reader)
        except TimeoutError:
            return LATE.message()
        if isinstance(asked, Problem):
            return asked.message()
        what, host = asked
        if not isinstance(self._at, str) and not is_this_host(host):
            return FOREIGN.message()
        return await self._whole() if what == "GET /metrics" else NOT_HERE.message()

    async def _whole(self) -> bytes:
        body = await self._text()
        head = (
            f"HTTP/1.1 200 OK\r\nContent-Type: {METRICS_MEDIA}; charset=utf-8\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        return head.encode() + body


async def _request(reader: asyncio.StreamReader) -> tuple[str, str] | Problem:
    """Return method and path of the one request and the host it asks for, or what is wrong with it."""
    buffer = b""
    while True:
        fresh = await reader.read(HEAD_MAX)
        buffer += fresh
        found = frame(buffer)
        if isinstance(found, Framed):
            first, *fields = found.data.decode("latin-1").split("\r\n")
            method, target, _ = first.split(" ")
            host = next((field[5:] for field in fields if field.lower().startswith("host:")), "")
            return f"{method} {target.partition('?')[0]}", host.strip()
        if isinstance(found, Problem):
            return found
        if not fresh:
            return NOT_HERE

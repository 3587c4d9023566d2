"""The whole control server under hostile peers: real connections over a unix socket, one after the other."""

import asyncio
import atexit
import contextlib
import json
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from lbctl.control.door import Limits
from lbctl.control.listener import listen
from lbctl.control.server import ControlServer
from tests.fake_desk import FakeDesk

LIMITS = Limits(request_s=0.5, idle_s=0.5, answer_s=2.0, write_s=1.0)
ANSWERS_MAX = 1 << 20
HANGS_S = 8.0


class Desk(FakeDesk):
    """One at which nothing happens any more: who follows its events gets to their end."""

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[AsyncIterator[dict[str, Any] | None]]:
        async def nothing_more() -> AsyncIterator[dict[str, Any] | None]:
            yield None

        yield nothing_more()


class Peer:
    """Says something to a server of its own and hears it out."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._room = tempfile.TemporaryDirectory(prefix="lbctl-fuzz-")
        self._path = str(Path(self._room.name) / "run" / "control.sock")
        self._server = ControlServer(Desk(), listen(self._path), limits=LIMITS)
        self._loop.run_until_complete(self._server.start())
        atexit.register(self.close)

    def say(self, data: bytes) -> bytes:
        """Return all that the server answers to these bytes and their end."""
        return self._loop.run_until_complete(asyncio.wait_for(self._said(data), HANGS_S))

    def close(self) -> None:
        """End the server, and leave nothing."""
        self._loop.run_until_complete(self._server.stop())
        self._loop.close()
        self._room.cleanup()

    async def _said(self, data: bytes) -> bytes:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.connect(self._path)
        sock.setblocking(False)
        found = bytearray()
        with sock:
            sending = asyncio.ensure_future(self._sent(sock, data))
            with contextlib.suppress(ConnectionError):
                while (chunk := await self._loop.sock_recv(sock, 1 << 16)) and len(found) < ANSWERS_MAX:
                    found += chunk
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sending
        return bytes(found)

    async def _sent(self, sock: socket.socket, data: bytes) -> None:
        with contextlib.suppress(OSError):
            await self._loop.sock_sendall(sock, data)
            sock.shutdown(socket.SHUT_WR)


_PEERS: list[Peer] = []


def control_server(data: bytes) -> object:
    """Whatever comes, every answer is a whole one of HTTP, and none says that lbctl has a fault."""
    if not _PEERS:
        _PEERS.append(Peer())
    answer = _PEERS[0].say(data)
    assert not answer or answer.startswith(b"HTTP/1.1 "), answer[:100]
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(answer[9:12] or b"0")
    assert status != 500, body
    if b"application/problem+json" in head:
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        assert json.loads(body[:length])["title"], body
    return status

"""A toy TCP server that speaks first, and its client."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

_ANSWER_TIMEOUT_S = 10.0


class TcpServer:
    """Says its name, then every line again; what was sent before a half-close it answers with `bye`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = 0
        self.seen = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.held = asyncio.Event()

    async def open(self) -> Self:
        """Listen, on the same port again after a `close`."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def close(self) -> None:
        """Refuse new connections and cut the open ones."""
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with suppress(OSError):
                writer.write(f"{self.name}\n".encode())
                while line := await reader.readline():
                    self.seen += 1
                    writer.write(line)
                    await writer.drain()
                writer.write(b"bye\n")
                await writer.drain()
        finally:
            self._writers.discard(writer)
            writer.close()


@dataclass(slots=True)
class Line:
    """One open connection. `server` is who took it, empty if it was closed without a word."""

    server: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def echo(self, text: str) -> str:
        """Say something and return what comes back."""
        self.writer.write(f"{text}\n".encode())
        return (await asyncio.wait_for(self.reader.readline(), _ANSWER_TIMEOUT_S)).decode().strip()

    async def farewell(self) -> str:
        """Close the own half and return what the other side still says."""
        self.writer.write_eof()
        said = (await asyncio.wait_for(self.reader.read(), _ANSWER_TIMEOUT_S)).decode().strip()
        self.close()
        return said

    def close(self) -> None:
        """Hang up."""
        self.writer.transport.abort()


async def dial(port: int, host: str = "127.0.0.1") -> Line:
    """Open a connection from `host` and wait for its first line."""
    async with asyncio.timeout(_ANSWER_TIMEOUT_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(host, 0))
        line = Line((await reader.readline()).decode().strip(), reader, writer)
    if not line.server:
        line.close()
    return line

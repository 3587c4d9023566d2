"""A toy gRPC server and client over cleartext HTTP/2, for what a proxy can see of gRPC: names, statuses, breaks."""

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, RequestReceived, ResponseReceived, StreamEnded, StreamReset, TrailersReceived
from h2.settings import SettingCodes, Settings

MESSAGE = b"\0\0\0\0\0"
"""An empty gRPC message."""
_ANSWER_TIMEOUT_S = 10.0
_READ_BYTES = 65_536


class GrpcServer:
    """Ends every call as `mode` says: a gRPC status by its number, an HTTP status as `http 500`, `cut`, `reset`,
    `refused`, or `open`: answered, and never ended."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.mode = "0"
        self.seen = 0
        self.port = 0
        self.alpn: str | None = None
        self.held = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def open(self, tls: ssl.SSLContext | None = None) -> Self:
        """Listen, on the same port again after a `close`."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=tls)
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
        tls = writer.get_extra_info("ssl_object")
        if tls is not None:
            self.alpn = tls.selected_alpn_protocol()
        connection = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.local_settings = Settings(client=False, initial_values={SettingCodes.MAX_CONCURRENT_STREAMS: 1_000})
        connection.initiate_connection()
        try:
            with suppress(OSError):
                writer.write(connection.data_to_send())
                while data := await reader.read(_READ_BYTES):
                    for event in connection.receive_data(data):
                        self._react(connection, event)
                    writer.write(connection.data_to_send())
                    await writer.drain()
        finally:
            self._writers.discard(writer)
            writer.close()

    def _react(self, connection: H2Connection, event: Event) -> None:
        match event:
            case RequestReceived():
                self.seen += 1
            case DataReceived(stream_id=stream, flow_controlled_length=size):
                connection.acknowledge_received_data(size, stream)
            case StreamEnded(stream_id=stream):
                self._answer(connection, stream)
            case _:
                pass

    def _answer(self, connection: H2Connection, stream: int) -> None:
        head = [(":status", "200"), ("content-type", "application/grpc"), ("x-server", self.name)]
        match self.mode.split():
            case ["reset"]:
                connection.reset_stream(stream, 2)
            case ["refused"]:
                connection.reset_stream(stream, 7)
            case ["http", status]:
                connection.send_headers(stream, [(":status", status)], end_stream=True)
            case ["cut"]:
                connection.send_headers(stream, head)
                connection.reset_stream(stream, 2)
            case ["open"]:
                connection.send_headers(stream, head)
            case ["only", status]:
                connection.send_headers(stream, [*head, ("grpc-status", status)], end_stream=True)
            case [status]:
                connection.send_headers(stream, head)
                connection.send_data(stream, MESSAGE)
                connection.send_headers(stream, [("grpc-status", status)], end_stream=True)
            case other:
                raise AssertionError(other)


@dataclass(slots=True)
class Called:
    """How a call ended: its HTTP status, who answered, its gRPC status (None: it has none)."""

    status: int = 0
    server: str = ""
    code: int | None = None
    ended: bool = False

    def heard(self, headers: Mapping[str, str]) -> None:
        """Take what head or trailers say."""
        self.status = int(headers.get(":status", self.status))
        self.server = headers.get("x-server", self.server)
        self.code = int(headers["grpc-status"]) if "grpc-status" in headers else self.code


@dataclass(slots=True)
class GrpcClient:
    """Calls over one connection; `close` gives up whatever is under way."""

    port: int
    _calls: dict[int, Called] = field(default_factory=dict)
    _connection: H2Connection | None = None
    _streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def call(self, count: int = 1, *, until_answered: bool = False) -> list[Called]:
        """Make so many calls at once; wait until all have ended, or only until all are answered."""
        async with asyncio.timeout(_ANSWER_TIMEOUT_S):
            if self._streams is None:
                self._streams = await asyncio.open_connection("127.0.0.1", self.port)
                self._connection = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
                self._connection.initiate_connection()
            assert self._connection is not None
            made = [self._start(self._connection) for _ in range(count)]
            self._streams[1].write(self._connection.data_to_send())
            while not all(one.ended or (until_answered and one.status) for one in made):
                await self._hear(self._connection, *self._streams)
        return made

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    def _start(self, connection: H2Connection) -> Called:
        stream = connection.get_next_available_stream_id()
        head = {":method": "POST", ":scheme": "http", ":path": "/shop.Cart/Add", ":authority": "shop.example"}
        more = {"content-type": "application/grpc", "te": "trailers"}
        connection.send_headers(stream, [*head.items(), *more.items()])
        connection.send_data(stream, MESSAGE, end_stream=True)
        self._calls[stream] = Called()
        return self._calls[stream]

    async def _hear(self, connection: H2Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = await reader.read(_READ_BYTES)
        if not data:
            raise ConnectionResetError("hung up")
        for event in connection.receive_data(data):
            match event:
                case ResponseReceived(stream_id=stream) | TrailersReceived(stream_id=stream):
                    self._calls[stream].heard({str(name): str(value) for name, value in event.headers or ()})
                case DataReceived(stream_id=stream, flow_controlled_length=size):
                    connection.acknowledge_received_data(size, stream)
                case StreamEnded(stream_id=stream) | StreamReset(stream_id=stream):
                    self._calls[stream].ended = True
                case _:
                    pass
        writer.write(connection.data_to_send())

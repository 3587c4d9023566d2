"""One connection: hands whole requests, one at a time, to the HTTP library, and watches every clock."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, cast

from lbctl.control.door import Door
from lbctl.control.framing import BODY_MAX, HEAD_MAX, Framed, Partial, frame
from lbctl.control.peer import Peer, read_peer
from lbctl.control.problem import Problem
from lbctl.crash import Point, passing

BUFFER_MAX = 2 * (HEAD_MAX + BODY_MAX)
LINGER_S = 2.0
LINGER_BYTES_MAX = 4 * 1_024 * 1_024
"""What a refused peer may still send: it must come to reading the answer, without holding a place for long."""

LATE = Problem(
    status=408, code="too_slow", what="the request was not there in time", why="10 s from its first byte", exit_code=2
)
FULL = Problem(status=503, code="busy", what="too many connections", then="close some, then try again", exit_code=1)


class Connection(asyncio.Protocol):
    """A wrapper around the HTTP library's protocol, made for each connection.

    `finished` must be called when an answer is completely written; only then the next request is handed on, so a
    peer that sends many at once makes no queue. `streaming`: the answer has no end, and ends when the peer goes. `who`
    is asked who connected.
    """

    def __init__(
        self,
        inner: Callable[[], asyncio.Protocol],
        door: Door,
        known: dict[Any, "Connection"],
        who: Callable[[socket.socket], Peer] = read_peer,
    ) -> None:
        self.peer = Peer(0, 0xFFFFFFFF, frozenset())
        self.streaming = False
        self._make_inner = inner
        self._inner: asyncio.Protocol | None = None
        self._door = door
        self._known = known
        self._who = who
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._needed = 0
        """With how many bytes in the buffer it is worth looking at them again."""
        self._busy = False
        self._over = False
        self._continued = False
        self._discarded = 0
        self._idle_since_s = self._loop.time()
        self._clock: asyncio.TimerHandle | None = None

    @property
    def idle_since_s(self) -> float | None:
        """Since when no request is under way; None: one is."""
        return None if self._busy else self._idle_since_s

    def evict(self) -> None:
        """Close at once, to make room."""
        if self._transport is not None:
            self._transport.abort()

    # ---- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the peer in, or tell it that there is no room."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transports are no subclasses.
        connection: socket.socket = transport.get_extra_info("socket")
        try:
            self.peer = self._who(connection)
        except OSError:
            self._transport.abort()
            return
        if not self._door.admit(self):
            self._refuse(FULL)
            return
        self._inner = self._make_inner()
        self._known[self._inner] = self
        self._inner.connection_made(transport)
        self._arm(self._door.limits.request_s, self._late)

    def data_received(self, data: bytes) -> None:
        """Take bytes; hand on a request as soon as it is whole."""
        assert self._transport is not None
        if self._over:
            self._discarded += len(data)
            if self._discarded > LINGER_BYTES_MAX:
                self._transport.abort()
            return
        fresh = not self._buffer
        self._buffer += data
        if self._busy:
            if len(self._buffer) > BUFFER_MAX:
                self._transport.pause_reading()
            return
        if fresh:
            self._arm(self._door.limits.request_s, self._late)
        self._next()

    def eof_received(self) -> bool:
        """A peer may close its half and still read the answer; a request that is cut off gets nothing."""
        if self._busy:
            self._over = True
            return not self.streaming
        if self._buffer and not self._over:
            self._refuse(Problem(status=400, code="truncated", what="the request ends too early", exit_code=2))
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the peer."""
        self._disarm()
        self._door.leave(self)
        if self._inner is not None:
            self._known.pop(self._inner, None)
            self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """The peer does not read."""
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """The peer reads again."""
        if self._inner is not None:
            self._inner.resume_writing()

    # ---- requests

    def finished(self) -> None:
        """The answer is written: go on with what came meanwhile."""
        assert self._transport is not None
        passing(Point.ANSWER_AFTER)
        self._busy = False
        self._idle_since_s = self._loop.time()
        if self._transport.is_closing():
            return
        if self._over:
            self._buffer.clear()
            self._transport.close()
        self._transport.resume_reading()
        if self._buffer:
            self._arm(self._door.limits.request_s, self._late)
            self._loop.call_soon(self._next)
        else:
            self._arm(self._door.limits.idle_s, self.evict)

    def _next(self) -> None:
        assert self._transport is not None
        if self._busy or self._over or len(self._buffer) <= self._needed or self._transport.is_closing():
            return
        match frame(bytes(self._buffer)):
            case Framed() as framed:
                self._hand_on(framed)
            case Partial(waiting=waiting, size=size):
                self._needed = max(0, size - 1)
                if waiting and not self._continued:
                    self._continued = True
                    self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            case Problem() as problem:
                self._refuse(problem)

    def _hand_on(self, framed: Framed) -> None:
        assert self._inner is not None
        self._disarm()
        del self._buffer[: framed.size]
        self._busy, self._continued, self._over, self._needed = True, False, framed.last, 0
        self._inner.data_received(framed.data)

    def _late(self) -> None:
        self._refuse(LATE)

    def _refuse(self, problem: Problem) -> None:
        """Answer, close our half, and give the peer a moment to read it."""
        assert self._transport is not None
        self._over = True
        self._buffer.clear()
        if self._transport.is_closing():
            return
        self._transport.write(problem.message())
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._arm(LINGER_S, self.evict)

    def _arm(self, delay_s: float, then: Callable[[], None]) -> None:
        self._disarm()
        self._clock = self._loop.call_later(delay_s, then)

    def _disarm(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

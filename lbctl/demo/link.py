"""One keep-alive client connection that carries one request at a time and tells its owner how it ended."""

import asyncio
import os
import select
from typing import Protocol, cast

from lbctl.demo.heads import BODY_LIMIT, HEAD_LIMIT, AnswerHead, BadHead, chunks_end, read_answer

_GONE = select.POLLIN | select.POLLRDHUP | select.POLLHUP | select.POLLERR


class Owner(Protocol):
    """Who uses a link. Of a request's life exactly one of `answered` and `broke` is called."""

    def answered(self, answer: AnswerHead) -> None: ...
    def broke(self, kind: str, detail: str, *, resendable: bool) -> None:
        """The request was sent and will not be answered; `resendable`: a used link, and no byte of an answer came."""

    def idle_closed(self, link: "Link") -> None:
        """The peer closed this link while no request was under way."""


class Link(asyncio.Protocol):
    """A request is written straight to the socket after a look at it, not queued behind the event loop's turn.

    So it is certain whether a connection had been closed by its peer *before* any byte of the request was sent.
    """

    __slots__ = ("_answer", "_fd", "_in", "_owner", "_poll", "_transport", "_used", "_waiting")

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._in = b""
        self._answer: AnswerHead | None = None
        self._waiting = False
        self._used = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transports are no subclasses
        self._fd: int = transport.get_extra_info("socket").fileno()
        self._poll = select.poll()
        self._poll.register(self._fd, _GONE)

    def send(self, request: bytes) -> bool:
        """Send one request; False: the peer had closed before, nothing was sent, and this link is done."""
        if not self._transport.is_closing() and not self._poll.poll(0):
            self._waiting, sent = True, 0
            try:
                sent = os.write(self._fd, request)
            except BlockingIOError:
                pass  # the transport sends what the socket cannot take now
            except OSError:
                self._waiting = False
            if self._waiting:
                if sent < len(request):
                    self._transport.write(request[sent:])
                return True
        self.drop()
        return False

    def drop(self) -> None:
        """Close without telling the owner anything."""
        self._waiting = False
        self._owner = _NOBODY
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if not self._waiting:
            self._transport.abort()  # bytes nobody asked for, such as a 408 for an idle connection
            return
        self._in = self._in + data if self._in else data
        try:
            self._read()
        except BadHead as bad:
            self._break("bad_answer", str(bad))

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._waiting:
            self._owner.idle_closed(self)
        elif self._answer is not None and self._answer.length is None and not self._answer.chunked and exc is None:
            self._done(keep=False)
        elif self._in:
            self._break("cut_in_answer", f"after {len(self._in)} bytes of an answer")
        else:
            self._break(
                "reset" if exc is not None else "cut_before_answer", "used link" if self._used else "fresh link"
            )

    def _read(self) -> None:
        if self._answer is None:
            self._answer = read_answer(self._in)
            if self._answer is None:
                return
        answer, size = self._answer, len(self._in)
        if size > HEAD_LIMIT + BODY_LIMIT:
            raise BadHead(f"an answer of over {BODY_LIMIT} bytes")
        bodiless = answer.status in (204, 304)
        end = chunks_end(self._in, answer.head_size) if answer.chunked else None
        if answer.length is not None or bodiless:
            end = answer.head_size + (0 if bodiless else answer.length or 0)
        if end is None or size < end:
            return
        if size > end:
            raise BadHead(f"{size - end} bytes after the answer's end")
        self._done(keep=answer.keep_alive)

    def _done(self, *, keep: bool) -> None:
        answer, self._answer, self._in, self._waiting, self._used = self._answer, None, b"", False, True
        assert answer is not None
        owner = self._owner
        if not keep:
            self._owner = _NOBODY
            self._transport.close()
        owner.answered(answer if keep else answer._replace(keep_alive=False))

    def _break(self, kind: str, detail: str) -> None:
        owner, resendable = self._owner, self._used and not self._in
        self.drop()
        owner.broke(kind, detail, resendable=resendable)


class _Nobody:
    """The owner of a link that is done: its end is no news."""

    def answered(self, answer: AnswerHead) -> None: ...
    def broke(self, kind: str, detail: str, *, resendable: bool) -> None: ...
    def idle_closed(self, link: Link) -> None: ...


_NOBODY: Owner = _Nobody()

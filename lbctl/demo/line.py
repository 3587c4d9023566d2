"""A keep-alive connection that is dialled when it is needed and carries one request at a time."""

import asyncio
from typing import Protocol

from lbctl.demo.heads import AnswerHead
from lbctl.demo.link import Link


class LineCounts(Protocol):
    """Where a line counts what befalls its connections between two requests."""

    connections: int
    idle_closes: int
    stale_connection_retries: int


class Line:
    """Base of whoever sends requests: of each request's life exactly one of `took` and `broke` is called."""

    __slots__ = ("_dialling", "_host", "_line_counts", "_link", "_port", "_sent")

    def __init__(self, host: str, port: int, counts: LineCounts) -> None:
        self._host, self._port, self._line_counts = host, port, counts
        self._link: Link | None = None
        self._dialling: asyncio.Task[None] | None = None
        self._sent = b""

    def send(self, request: bytes) -> None:
        """Send one request, on a new connection where the peer has closed the old one."""
        self._sent = request
        if self._link is not None:
            if self._link.send(request):
                return
            self._line_counts.stale_connection_retries += 1
        self.send_anew()

    def send_anew(self) -> None:
        """Send the same request on a new connection."""
        self._link = None
        self._dialling = asyncio.get_running_loop().create_task(self._dial())

    def took(self, answer: AnswerHead) -> None:
        """A whole answer came."""
        raise AssertionError("whoever uses a line takes its answers")

    def broke(self, kind: str, detail: str, *, resendable: bool) -> None:
        """The request will not be answered; `resendable`: a used connection, and no byte of an answer came."""
        raise AssertionError("whoever uses a line hears of its end")

    def answered(self, answer: AnswerHead) -> None:
        if not answer.keep_alive:
            self._link = None
        self.took(answer)

    def idle_closed(self, link: Link) -> None:
        if link is self._link:
            self._link = None
            self._line_counts.idle_closes += 1

    def leave(self) -> None:
        """Drop the connection without counting anything."""
        if self._dialling is not None:
            self._dialling.cancel()
            self._dialling = None
        if self._link is not None:
            self._link.drop()
            self._link = None

    async def _dial(self) -> None:
        try:
            _, link = await asyncio.get_running_loop().create_connection(lambda: Link(self), self._host, self._port)
        except OSError as error:
            self._dialling = None
            kind = "refused" if isinstance(error, ConnectionRefusedError) else "unreachable"
            self.broke(kind, str(error), resendable=False)
            return
        self._dialling = None
        self._line_counts.connections += 1
        self._link = link
        if not link.send(self._sent):
            self.broke("cut_before_answer", "a fresh link was closed at once", resendable=False)

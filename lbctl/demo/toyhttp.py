"""One connection of a toy server: HTTP/1.1 with keep-alive, slow answers and a WebSocket echo."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import cast
from urllib.parse import parse_qs

from lbctl.demo import frames
from lbctl.demo.heads import BadHead, RequestHead, field, read_request
from lbctl.demo.toysite import Site
from lbctl.demo.upstream import Outcome

_SLOW_LIMIT_MS = 600_000


class ToyConnection(asyncio.Protocol):
    """Reads one request at a time and answers it before it looks at the next, so answers keep their order."""

    __slots__ = ("_busy", "_in", "_site", "_transport", "_upgraded")

    def __init__(self, site: Site) -> None:
        self._site = site
        self._in = b""
        self._busy = False
        self._upgraded = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transports are no subclasses
        self._site.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._site.connections.discard(self)
        self._site.counts.in_flight -= self._busy
        self._site.counts.websockets -= self._upgraded
        self._busy = self._upgraded = False

    def data_received(self, data: bytes) -> None:
        self._in = self._in + data if self._in else data
        self.pump()

    def pause_writing(self) -> None:
        """A peer that sends and never reads must not fill this process: it is not read either."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._transport.resume_reading()

    def cut(self) -> None:
        """Reset the connection, whatever it carries."""
        self._transport.abort()

    def pump(self) -> None:
        """Answer what is complete in the buffer. Called again by hand when a hang ends."""
        while self._in and not self._transport.is_closing():
            if self._busy or self._site.fault.hang:
                self._transport.pause_reading()
                return
            try:
                if not (self._echo() if self._upgraded else self._request()):
                    break
            except (BadHead, frames.BadFrame) as bad:
                self._transport.write(self._site.answer(400, str(bad).encode("latin-1", "replace"), close=True))
                self._transport.close()
                return
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def _request(self) -> bool:
        head = read_request(self._in)
        if head is None:
            return False
        self._in = self._in[head.size :]
        self._site.counts.requests += 1
        _ROUTES.get(head.path, ToyConnection._user)(self, head)
        return True

    def _health(self, head: RequestHead) -> None:
        self._site.counts.health_requests += 1
        self._answer(head, self._site.healthy if self._site.fault.health else self._site.unhealthy)

    def _version(self, head: RequestHead) -> None:
        self._answer(head, self._site.version_answer)

    def _user(self, head: RequestHead, wait_ms: float = 0.0) -> None:
        """Count a user request, decide whether the fault hits it, and answer now or later."""
        answer = self._site.user_answer(time.monotonic())
        wait_ms += self._site.fault.delay_ms
        if not wait_ms and self._site.upstream is None:
            self._answer(head, answer)
            return
        self._busy = True
        self._site.counts.in_flight += 1
        self._call(head, answer, wait_ms)

    def _call(self, head: RequestHead, answer: bytes, wait_ms: float) -> None:
        """Ask the service behind first, if there is one; a slow transaction asks once more at its end."""
        if not self._busy:
            return  # the user went away meanwhile
        if self._site.upstream is None:
            self._wait(head, answer, wait_ms)
        else:
            self._site.upstream.call(partial(self._called, head, answer, wait_ms))

    def _called(self, head: RequestHead, answer: bytes, wait_ms: float, outcome: Outcome) -> None:
        if outcome is Outcome.OK and wait_ms:
            asyncio.get_running_loop().call_later(wait_ms / 1000, self._call, head, answer, 0.0)
        else:
            self._answer_late(head, answer if outcome is Outcome.OK else self._site.without(outcome))

    def _wait(self, head: RequestHead, answer: bytes, wait_ms: float) -> None:
        asyncio.get_running_loop().call_later(wait_ms / 1000, self._answer_late, head, answer)

    def _slow(self, head: RequestHead) -> None:
        text = parse_qs(head.query.decode("latin-1"), max_num_fields=8).get("ms", ["0"])[0]
        if not text.isdecimal() or len(text) > 6 or int(text) > _SLOW_LIMIT_MS:
            raise BadHead(f"ms must be 0..{_SLOW_LIMIT_MS}")
        self._user(head, float(text))

    def _answer_late(self, head: RequestHead, answer: bytes) -> None:
        if not self._busy:
            return  # the user went away meanwhile
        self._busy = False
        self._site.counts.in_flight -= 1
        self._answer(head, answer)
        self.pump()

    def _answer(self, head: RequestHead, answer: bytes) -> None:
        self._transport.write(answer[: answer.index(b"\r\n\r\n") + 4] if head.method == b"HEAD" else answer)
        if not head.keep_alive:
            self._transport.close()

    def _upgrade(self, head: RequestHead) -> None:
        key = field(head.raw, head.lowered, b"sec-websocket-key")
        if key is None or (field(head.raw, head.lowered, b"upgrade") or b"").lower() != b"websocket":
            raise BadHead("/ws answers a WebSocket upgrade only")
        answer = self._site.user_answer(time.monotonic())
        if not answer.startswith(b"HTTP/1.1 200"):
            self._answer(head, answer)
            return
        self._upgraded = True
        self._site.counts.websockets += 1
        accept = b"Sec-WebSocket-Accept: %s\r\n\r\n" % frames.accept_key(key)
        self._transport.write(self._site.upgrade_head + accept)

    def _echo(self) -> bool:
        frame = frames.decode(self._in)
        if frame is None:
            return False
        self._in = self._in[frame.size :]
        opcode = {frames.PING: frames.PONG}.get(frame.opcode, frame.opcode)
        self._transport.write(frames.encode(opcode, frame.payload))
        if opcode == frames.CLOSE:
            self._transport.close()
        return True


_ROUTES: dict[bytes, Callable[[ToyConnection, RequestHead], None]] = {
    b"/healthz": ToyConnection._health,  # noqa: SLF001 - the table belongs to the class
    b"/version": ToyConnection._version,  # noqa: SLF001
    b"/slow": ToyConnection._slow,  # noqa: SLF001
    b"/ws": ToyConnection._upgrade,  # noqa: SLF001
}

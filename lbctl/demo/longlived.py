"""Users who stay: WebSockets that echo every second and slow transactions, which a switch must not cut."""

import asyncio
import base64
import os
import time
from dataclasses import dataclass

from lbctl.demo import frames
from lbctl.demo.crowd import CrowdPlan
from lbctl.demo.heads import BODY_LIMIT, HEAD_LIMIT, AnswerHead, BadHead, read_answer
from lbctl.demo.tally import LongCount

ECHO_INTERVAL_S = 1.0
_AGAIN_S = 1.0
_CUT_TIMES = 1_000
_CUTS = (OSError, asyncio.IncompleteReadError, TimeoutError, BadHead, frames.BadFrame, asyncio.LimitOverrunError)


@dataclass(slots=True)
class Stay:
    """One user's stay. `begun` is set once the server has it, from then on its loss is a cut."""

    plan: CrowdPlan
    count: LongCount
    begun: bool = False

    async def keep_coming(self) -> None:
        """Stay again and again until cancelled, with a second's pause after anything that went wrong."""
        while True:
            self.begun, writer = False, None
            try:
                async with asyncio.timeout(self.plan.timeout_s):
                    reader, writer = await asyncio.open_connection(
                        self.plan.host, self.plan.port, limit=HEAD_LIMIT + BODY_LIMIT
                    )
                await self.stay(reader, writer)
                self.count.open -= 1
            except _CUTS:
                self._count_loss()
                await asyncio.sleep(_AGAIN_S)
            finally:
                if writer is not None:
                    writer.close()

    async def stay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Do what this user came for; raises one of the ways of being cut."""
        raise AssertionError("a stay is a WebSocket or a transaction")

    def begin(self) -> None:
        """Count this stay as begun."""
        self.begun = True
        self.count.begun += 1
        self.count.open += 1

    def met(self, answer: AnswerHead) -> None:
        """Count the pool that answered."""
        self.count.pools[answer.pool] = self.count.pools.get(answer.pool, 0) + 1

    def _count_loss(self) -> None:
        if not self.begun:
            self.count.failed += 1
            return
        self.count.open -= 1
        self.count.cut += 1
        if len(self.count.cut_monotonic) < _CUT_TIMES:
            self.count.cut_monotonic.append(time.monotonic())


@dataclass(slots=True)
class WebSocketStay(Stay):
    """A WebSocket on /ws with an echo each second; it ends only by being cut."""

    async def stay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        key = base64.b64encode(os.urandom(16))
        writer.write(
            b"GET /ws HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n" % (self.plan.host_header.encode(), key)
        )
        async with asyncio.timeout(self.plan.timeout_s):
            raw = await reader.readuntil(b"\r\n\r\n")
        answer = read_answer(raw)
        if answer is None or answer.status != 101 or frames.accept_key(key) not in raw:
            raise BadHead(f"no WebSocket: {raw[:80]!r}")
        self.begin()
        self.met(answer)
        while True:
            await self._echo(reader, writer, b"echo %d" % self.count.answers)
            await _quiet(reader, ECHO_INTERVAL_S)

    async def _echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: bytes) -> None:
        writer.write(frames.encode(frames.TEXT, text, os.urandom(4)))
        async with asyncio.timeout(self.plan.timeout_s):
            buffer = await reader.readexactly(2 + len(text))
        frame = frames.decode(buffer)
        if frame is None or (frame.opcode, frame.payload) != (frames.TEXT, text):
            raise frames.BadFrame(f"not the echo of {text!r}: {buffer!r}")
        self.count.answers += 1


async def _quiet(reader: asyncio.StreamReader, span_s: float) -> None:
    """Wait, and notice at once if the peer ends the connection or speaks out of turn."""
    try:
        async with asyncio.timeout(span_s):
            await reader.readexactly(1)
    except TimeoutError:
        return
    raise frames.BadFrame("a frame that nobody asked for")


@dataclass(slots=True)
class SlowStay(Stay):
    """A transaction that the server answers after `slow_ms`; it has begun as soon as it is sent."""

    slow_ms: int = 6000

    async def stay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = f"GET /slow?ms={self.slow_ms} HTTP/1.1\r\nHost: {self.plan.host_header}\r\nConnection: close\r\n\r\n"
        writer.write(request.encode("latin-1"))
        self.begin()
        async with asyncio.timeout(self.slow_ms / 1000 + self.plan.timeout_s):
            answer = read_answer(await reader.readuntil(b"\r\n\r\n"))
            if answer is None or answer.status != 200 or answer.length is None:
                raise BadHead("not the slow answer")
            await reader.readexactly(answer.length)
        self.count.answers += 1
        self.met(answer)

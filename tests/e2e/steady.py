"""Users with sessions who come back steadily, each with cookies and a connection of its own, and what they saw."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from math import floor

ANSWER_TIMEOUT_S = 5.0
PAUSE_SPREAD = (0.5, 1.5)
"""The shortest and the longest pause of a session, in parts of `pause_s`."""


@dataclass(slots=True)
class Change:
    """A session was answered by another colour than before."""

    at_s: float
    session: int
    origin: str
    to: str


@dataclass(slots=True)
class Steady:
    """`count` sessions, each with a request every `pause_s` or so. `seen` counts answers by colour since `forget`."""

    port: int
    count: int
    pause_s: float
    colours: dict[int, str] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    answers: int = 0
    visitors: Counter[str] = field(default_factory=Counter)
    online: asyncio.Event = field(default_factory=asyncio.Event)
    """While it is not set only the first session, and those without cookies, can come."""
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def by_colour(self) -> Counter[str]:
        """How many sessions are where."""
        return Counter(self.colours.values())

    def twice(self) -> list[int]:
        """Return the sessions that changed colour more than once since `forget`."""
        return [one for one, times in Counter(change.session for change in self.changes).items() if times > 1]

    def forget(self) -> None:
        """Count from here on."""
        self.changes.clear()
        self.visitors.clear()

    def per_window(self, window_s: float = 10.0) -> list[int]:
        """Return how many moved in every window, a second apart, from the first move to the last.

        A session moves with its next request: the longest pause after the first move, when few of those let go have
        come yet, and before the last, when nobody is let go any more and the rest only come, is no part of a window.
        """
        times = [change.at_s for change in self.changes]
        if not times:
            return []
        longest_s = PAUSE_SPREAD[1] * self.pause_s
        first, last = times[0] + longest_s, times[-1] - longest_s
        starts = range(floor(last - first - window_s) + 1)
        return [sum(first + start <= at < first + start + window_s for at in times) for start in starts]

    async def live(self, number: int) -> None:
        """One session."""
        chance, cookies = random.Random(number), {}
        streams = None
        await asyncio.sleep(chance.random() * self.pause_s)
        while True:
            if number:
                await self.online.wait()
            streams, colour = await self._ask(streams, cookies)
            if colour and self.colours.get(number, colour) != colour:
                self.changes.append(Change(time.monotonic(), number, self.colours[number], colour))
            if colour:
                self.colours[number] = colour
            await asyncio.sleep(self.pause_s * chance.uniform(*PAUSE_SPREAD))

    async def visit(self, pause_s: float) -> None:
        """Somebody without cookies, again and again."""
        streams = None
        while True:
            streams, colour = await self._ask(streams, {})
            self.visitors[colour] += 1
            await asyncio.sleep(pause_s)

    async def _ask(
        self, streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None, cookies: dict[str, str]
    ) -> tuple[tuple[asyncio.StreamReader, asyncio.StreamWriter] | None, str]:
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                reader, writer = streams or await asyncio.open_connection("127.0.0.1", self.port)
                self._writers.add(writer)
                sent = "; ".join(f"{name}={value}" for name, value in cookies.items())
                header = f"cookie: {sent}\r\n" if sent else ""
                writer.write(f"GET / HTTP/1.1\r\nhost: demo.test\r\n{header}\r\n".encode())
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                told = [(name.lower(), value.strip()) for name, _, value in (one.partition(":") for one in head[1:])]
                await reader.readexactly(int(dict(told).get("content-length", "0")))
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            # A connection that was idle may be closed under a request: browsers send that one again (RFC 9110).
            if streams is None:
                self.failures.append(repr(error))
            else:
                self._close(streams[1])
            return (None, "") if streams is None else await self._ask(None, cookies)
        self.answers += 1
        if not head[0].startswith("HTTP/1.1 200"):
            self.failures.append(head[0])
        for name, value in told:
            if name == "set-cookie":
                key, _, text = value.partition(";")[0].partition("=")
                cookies[key] = text
        if ("connection", "close") in told:
            self._close(writer)
            return None, dict(told).get("x-pool", "")
        return (reader, writer), dict(told).get("x-pool", "")

    def start(self) -> None:
        """Come, with as many visitors as a tenth of the sessions make requests."""
        self.online.set()
        self._tasks = [asyncio.create_task(self.live(number)) for number in range(self.count)]
        self._tasks.append(asyncio.create_task(self.visit(max(0.02, self.pause_s / self.count * 10))))

    async def stop(self) -> None:
        """Stay away."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        for writer in tuple(self._writers):
            self._close(writer)
        await asyncio.sleep(0)

    def _close(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        writer.transport.abort()

    async def all_here(self) -> None:
        """Wait until every session has been answered once."""
        while len(self.colours) < self.count:
            await asyncio.sleep(0.05)


@asynccontextmanager
async def steady(port: int, count: int, pause_s: float) -> AsyncIterator[Steady]:
    """Sessions that have all begun."""
    found = Steady(port, count, pause_s)
    found.start()
    try:
        async with asyncio.timeout(60):
            await found.all_here()
        yield found
    finally:
        await found.stop()

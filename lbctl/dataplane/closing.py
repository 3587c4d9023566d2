"""The forced closing of pools, at a set rate: when how many may go. Which ones, and how, is each driver's own.

It never makes up for lost time: after a pause the rate is what it was. It ends with the process that runs it, and rests
while its load balancer is not read: whoever ordered it then cannot see that it should end.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import structlog

from lbctl.crash import Point, passing
from lbctl.dataplane.port import OPERATION_TIMEOUT_S
from lbctl.model.errors import LbctlError
from lbctl.model.names import Colour, ServiceName
from lbctl.model.operation import SetClosing
from lbctl.model.reading import NO_CLOSING, Closing, ServiceReading
from lbctl.model.route import Route

BEAT_S = 0.2
"""How often some are closed: at 20/s four at a time."""
LEASE_S = 3.0
"""How long an order stands without a reading of its load balancer."""
IDLE_S = 1.0
"""How often it is looked for late ones when none is left."""


@dataclass(frozen=True, slots=True)
class Cut:
    """What one beat closed, and how many are left. `trouble`: what went wrong besides, as `CODE: text`."""

    closed: int
    left: int
    trouble: str = ""


LATE_BEATS = 2
ANOTHER = "CLOSED_ANOTHER: "
"""The word in front of the trouble that somebody was hit who was not meant."""
UNREAD = f"CLOSING_UNREAD: the load balancer was not read for {LEASE_S:g} s: nothing is closed until it is"
log = structlog.get_logger("lbctl.closing")
Key = tuple[ServiceName, Colour]
Cutter = Callable[[ServiceName, Colour, int], Awaitable[Cut]]
"""Closes at most so many connections of a pool. Raises LbctlError: `CODE: text` says why it did not."""


class Closings:
    """The closings of one instance."""

    def __init__(self, cut: Cutter) -> None:
        self._cut = cut
        self._known: dict[Key, Closing] = {}
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._read_at_s = 0.0

    def set(self, operation: SetClosing) -> None:
        """Take an order; the same one again changes nothing."""
        key = operation.service, operation.colour
        self._read_at_s = asyncio.get_running_loop().time()
        runs = key in self._tasks and not self._tasks[key].done()
        if self.of(*key).per_second == operation.per_second and runs is bool(operation.per_second):
            return
        self._stop(key)
        known = self.of(*key)
        left = None if operation.per_second else known.left
        self._known[key] = replace(known, per_second=operation.per_second, left=left, trouble="")
        if operation.per_second:
            self._tasks[key] = asyncio.create_task(self._run(key, operation.per_second), name=f"close {key}")

    def spare(self, service: ServiceName, route: Route) -> None:
        """End the closing of every pool that this route sends anybody to. Call it before the route is written."""
        for key in [key for key in self._tasks if key[0] == service and route.feeds(key[1])]:
            self._stop(key)

    def of(self, service: ServiceName, colour: Colour) -> Closing:
        """Return how far the closing of a pool is."""
        return self._known.get((service, colour), NO_CLOSING)

    def added(self, service: ServiceName, seen: ServiceReading) -> ServiceReading:
        """Return a reading with how far its pools' closings are. Every reading lets them go on for a while."""
        self._read_at_s = asyncio.get_running_loop().time()
        if not any(key[0] == service for key in self._known):
            return seen
        pools = {colour: replace(pool, closing=self.of(service, colour)) for colour, pool in seen.pools.items()}
        return replace(seen, pools=pools)

    def close(self) -> None:
        """End all of them. What is connected stays so."""
        for key in [*self._tasks]:
            self._stop(key)

    def _stop(self, key: Key) -> None:
        if (task := self._tasks.pop(key, None)) is not None:
            task.cancel()
        self._known[key] = replace(self.of(*key), per_second=0)

    async def _run(self, key: Key, per_second: int) -> None:
        loop = asyncio.get_running_loop()
        # At a slow rate one goes with every beat.
        beat_s = max(BEAT_S, 1 / per_second)
        due, looked_at = 0.0, loop.time()
        while True:
            await asyncio.sleep(max(0.0, looked_at + (IDLE_S if self.of(*key).left == 0 else beat_s) - loop.time()))
            passed_s, looked_at = loop.time() - looked_at, loop.time()
            # What a pause missed is not made good: at most two beats' worth goes at once.
            due = min(due + per_second * passed_s, max(1.0, per_second * beat_s * LATE_BEATS))
            if looked_at - self._read_at_s > LEASE_S:
                due = 0.0
                self._note(key, trouble=UNREAD)
                continue
            try:
                async with asyncio.timeout(OPERATION_TIMEOUT_S):
                    passing(Point.CLOSE_BEFORE)
                    cut = await self._cut(*key, int(due + 1e-9))
                    passing(Point.CLOSE_AFTER)
            except TimeoutError:
                due = 0.0
                self._note(key, trouble=f"CLOSING_STALLED: no answer within {OPERATION_TIMEOUT_S:g} s")
            except LbctlError as error:
                self._note(key, trouble=str(error))
            except Exception as error:
                # What the host refuses now (a socket, a thread) it gives later.
                log.exception("closing.broken", service=key[0], pool=key[1].value)
                due = 0.0
                self._note(key, trouble=f"CLOSING_STALLED: {error!r}")
            else:
                due -= cut.closed
                before = self.of(*key)
                # That somebody else was hit is told until there is another order, not for a moment.
                trouble = cut.trouble or (before.trouble if before.trouble.startswith(ANOTHER) else "")
                self._known[key] = replace(before, closed=before.closed + cut.closed, left=cut.left, trouble=trouble)

    def _note(self, key: Key, trouble: str) -> None:
        self._known[key] = replace(self.of(*key), trouble=trouble)

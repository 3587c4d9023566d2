"""The calls of a toy server to the service it depends on, through the load balancer, each answer checked.

The check is the server's own: every answer carries its version, and a server speaks with the major versions it was
started for. lbctl is not asked.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from lbctl.demo.heads import AnswerHead
from lbctl.demo.line import Line

TIMEOUT_S = 5.0
TROUBLES = 20


class Outcome(StrEnum):
    """How one call ended. `fault` is an error on request; `refused`: the load balancer let this caller through to no
    pool; `mismatch`: somebody answered whom this server cannot speak with; `failed` is everything else."""

    OK = "ok"
    FAULT = "fault"
    REFUSED = "refused"
    MISMATCH = "mismatch"
    FAILED = "failed"


@dataclass(slots=True)
class CallCounts:
    """What became of the calls: for a user, and those that the server makes by itself (`background`).

    `called` counts the answers by the pool that gave them. `troubles` are the first mismatches and failures in words.
    """

    users: dict[str, int] = field(default_factory=Counter)
    background: dict[str, int] = field(default_factory=Counter)
    called: dict[str, int] = field(default_factory=Counter)
    troubles: list[str] = field(default_factory=list)
    connections: int = 0
    idle_closes: int = 0
    stale_connection_retries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """Whom a server calls: an address of the load balancer, and the major versions it can speak with.

    `background_s`: how often it calls by itself, whether users come or not; 0 = never.
    """

    host: str
    port: int
    speaks: frozenset[str]
    background_s: float = 0.0


class Upstream:
    """The connections of one server. A call that finds them all busy opens another one."""

    def __init__(self, name: str, dependency: Dependency, counts: CallCounts) -> None:
        self.dependency, self.counts = dependency, counts
        self.request = f"GET / HTTP/1.1\r\nHost: upstream.test\r\nX-Caller: {name}\r\n\r\n".encode("latin-1")
        self._idle: list[Call] = []

    def call(self, done: Callable[[Outcome], None]) -> None:
        """Call, count, and tell `done` how it ended."""
        self._go(self.counts.users, done)

    async def keep_calling(self) -> None:
        """Call by itself until cancelled."""
        while self.dependency.background_s:
            self._go(self.counts.background, lambda _: None)
            await asyncio.sleep(self.dependency.background_s)

    def _go(self, counts: dict[str, int], done: Callable[[Outcome], None]) -> None:
        (self._idle.pop() if self._idle else Call(self)).go(counts, done)

    def freed(self, call: "Call") -> None:
        """Take back who is done."""
        self._idle.append(call)


class Call(Line):
    """One connection, and the call it carries."""

    __slots__ = ("_counts", "_done", "_timer", "_upstream")

    def __init__(self, upstream: Upstream) -> None:
        super().__init__(upstream.dependency.host, upstream.dependency.port, upstream.counts)
        self._upstream = upstream

    def go(self, counts: dict[str, int], done: Callable[[Outcome], None]) -> None:
        """Send the call."""
        self._counts, self._done = counts, done
        self._timer = asyncio.get_running_loop().call_later(TIMEOUT_S, self._give_up)
        self.send(self._upstream.request)

    def took(self, answer: AnswerHead) -> None:
        called = self._upstream.counts.called
        if answer.pool:
            called[answer.pool] = called.get(answer.pool, 0) + 1
        self._end(self._met(answer), f"{answer.status} from {answer.server or 'nobody'} {answer.version}".rstrip())

    def broke(self, kind: str, detail: str, *, resendable: bool) -> None:
        del resendable
        self._end(Outcome.FAILED, f"{kind}: {detail}")

    def _met(self, answer: AnswerHead) -> Outcome:
        if answer.refused:
            return Outcome.REFUSED
        if answer.pool and answer.version.partition(".")[0] not in self._upstream.dependency.speaks:
            return Outcome.MISMATCH
        if answer.fault:
            return Outcome.FAULT
        return Outcome.OK if answer.status < 400 and answer.pool else Outcome.FAILED

    def _give_up(self) -> None:
        self.leave()
        self._end(Outcome.FAILED, f"no whole answer in {TIMEOUT_S:g} s")

    def _end(self, outcome: Outcome, detail: str) -> None:
        self._timer.cancel()
        self._counts[outcome] = self._counts.get(outcome, 0) + 1
        troubles = self._upstream.counts.troubles
        if outcome in {Outcome.MISMATCH, Outcome.FAILED} and len(troubles) < TROUBLES:
            troubles.append(f"{outcome}: {detail}")
        self._upstream.freed(self)
        self._done(outcome)

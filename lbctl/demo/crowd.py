"""Session users and visitors who send requests at a set rate, whatever becomes of the answers (an open loop)."""

import asyncio
import time
from collections import Counter, deque
from dataclasses import dataclass

from lbctl.demo.heads import AnswerHead
from lbctl.demo.jar import Jar
from lbctl.demo.line import Line
from lbctl.demo.tally import Report, Tally

_TICK_S = 0.004
_SWEEP_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class CrowdPlan:
    """Who comes and how often. `visitors` is the part of the requests that come without a cookie, 0..1.

    `visitor_links` bounds their connections; each session user has one. With `retry_idempotent` a request that was
    cut on a reused connection before any byte of an answer is sent once more, as RFC 9110 section 9.2.2 lets clients
    do; without it such a request is a failure.
    """

    host: str
    port: int
    rate: float
    sessions: int = 50
    visitors: float = 0.3
    visitor_links: int = 128
    timeout_s: float = 5.0
    host_header: str = "demo.test"
    retry_idempotent: bool = False


class Person(Line):
    """One user with a connection: a session user has a jar, a visitor has none."""

    __slots__ = ("_crowd", "_request", "_retried", "jar", "pool", "server", "started")

    def __init__(self, crowd: "Crowd", jar: Jar | None) -> None:
        super().__init__(crowd.plan.host, crowd.plan.port, crowd.tally.report)
        self._crowd = crowd
        self.jar = jar
        self._request = crowd.request_bytes("")
        self._retried = False
        self.pool = self.server = ""
        self.started = 0.0

    def go(self, now: float) -> None:
        """Send one request."""
        self.started = now
        self._retried = False
        self.send(self._request)

    def took(self, answer: AnswerHead) -> None:
        self._crowd.tally.answered(answer, self.started, visitor=self.jar is None)
        if self.jar is not None:
            self._remember(self.jar, answer)
        self._crowd.free(self)

    def _remember(self, jar: Jar, answer: AnswerHead) -> None:
        """Keep the cookies and note who answered; answers of the load balancer itself are no change of server."""
        if answer.cookies:
            for line in answer.cookies:
                jar.store(line)
            self._request = self._crowd.request_bytes(jar.header())
        if answer.pool:
            report = self._crowd.tally.report
            report.colour_changes += self.pool not in ("", answer.pool)
            report.server_changes += self.server not in ("", answer.server)
            self.pool, self.server = answer.pool, answer.server

    def log_out(self) -> None:
        """Forget every cookie: from the next request on it is somebody new."""
        self.jar = Jar()
        self._request = self._crowd.request_bytes("")
        self.pool = self.server = ""

    def broke(self, kind: str, detail: str, *, resendable: bool) -> None:
        if self._crowd.plan.retry_idempotent and resendable and not self._retried:
            self._retried = True
            self._crowd.tally.report.idempotent_retries += 1
            self.send_anew()
            return
        self._end_badly(kind, detail)

    def give_up(self) -> None:
        """End a request whose time is over."""
        self._end_badly("timeout", f"no whole answer in {self._crowd.plan.timeout_s:g} s")

    def _end_badly(self, kind: str, detail: str) -> None:
        self.leave()
        self._crowd.tally.failed(kind, detail)
        self._crowd.free(self)


class Crowd:
    """The rate loop. A slot is skipped, and counted so, when the loop is late or every user is still waiting."""

    def __init__(self, plan: CrowdPlan, tally: Tally) -> None:
        self.plan = plan
        self.tally = tally
        self._sessions = [Person(self, Jar()) for _ in range(plan.sessions)]
        self._idle_sessions = deque(self._sessions)
        self._idle_visitors: deque[Person] = deque()
        self._visitors: list[Person] = []
        self._under_way: dict[Person, None] = {}
        self._visitor_due = 0.0

    def request_bytes(self, cookies: str) -> bytes:
        """The request of one user."""
        cookie = f"Cookie: {cookies}\r\n" if cookies else ""
        return f"GET / HTTP/1.1\r\nHost: {self.plan.host_header}\r\n{cookie}\r\n".encode("latin-1")

    async def run(self, stop: asyncio.Event) -> None:
        """Send until stopped, then wait for the answers that are under way, at most their time-out."""
        origin, fired, swept = time.monotonic(), 0, 0.0
        burst = max(8, int(self.plan.rate * 0.05))
        while not stop.is_set():
            now = time.monotonic()
            due = int((now - origin) * self.plan.rate) - fired
            fired += due
            if due > burst:
                self.tally.report.skipped_slots += due - burst
                due = burst
            for _ in range(due):
                self._fire(time.monotonic())
            if now - swept > _SWEEP_S:
                swept = now
                self._sweep(now)
            await asyncio.sleep(_TICK_S)
        while self._under_way:
            await asyncio.sleep(0.01)
            self._sweep(time.monotonic())
        for person in [*self._sessions, *self._visitors]:
            person.leave()

    def _fire(self, now: float) -> None:
        self._visitor_due += self.plan.visitors
        if self._visitor_due >= 1.0 - 1e-9:
            self._visitor_due -= 1.0
            person = self._next_visitor()
        else:
            person = self._idle_sessions.popleft() if self._idle_sessions else None
        if person is None:
            self.tally.report.skipped_slots += 1
            return
        self.tally.report.requests += 1
        self._under_way[person] = None
        person.go(now)

    def _next_visitor(self) -> Person | None:
        if self._idle_visitors:
            return self._idle_visitors.popleft()
        if len(self._visitors) >= self.plan.visitor_links:
            return None
        self._visitors.append(Person(self, None))
        return self._visitors[-1]

    def free(self, person: Person) -> None:
        """Take a person back whose request has ended."""
        del self._under_way[person]
        (self._idle_sessions if person.jar is not None else self._idle_visitors).append(person)

    def log_out(self) -> None:
        """Every session ends."""
        for person in self._sessions:
            person.log_out()

    def _sweep(self, now: float) -> None:
        """Give up what has waited too long; the oldest request is always the first."""
        while self._under_way and now - (oldest := next(iter(self._under_way))).started > self.plan.timeout_s:
            oldest.give_up()

    def report(self, timeline_since: float = 0.0) -> Report:
        """All counts as of now."""
        where = Counter(person.pool for person in self._sessions if person.pool)
        return self.tally.close(dict(where), len(self._under_way), timeline_since)

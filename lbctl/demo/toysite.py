"""What one toy server of a pool is: its prepared answers, its fault and its counts."""

import random
from dataclasses import dataclass, field
from typing import Protocol

from lbctl.demo.upstream import CallCounts, Dependency, Outcome, Upstream

_REASONS = {
    200: b"OK",
    400: b"Bad Request",
    500: b"Internal Server Error",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
}


class Connection(Protocol):
    """What a site may ask of one of its open connections."""

    def cut(self) -> None: ...
    def pump(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Fault:
    """How a toy server misbehaves: `error_ratio` and `delay_ms` hit user requests only, `hang` everything."""

    error_ratio: float = 0.0
    delay_ms: float = 0.0
    health: bool = True
    refuse: bool = False
    hang: bool = False


@dataclass(slots=True)
class Counts:
    """What a toy server has seen. Times are time.monotonic(), which processes of one Linux machine share.

    `requests` is everything; `user_requests` leaves out /healthz and /version. `first_bad_monotonic` is the first
    error sent since the last fault order.
    """

    requests: int = 0
    user_requests: int = 0
    health_requests: int = 0
    errors_sent: int = 0
    in_flight: int = 0
    websockets: int = 0
    connections: int = 0
    last_user_monotonic: float | None = None
    first_bad_monotonic: float | None = None
    calls: CallCounts = field(default_factory=CallCounts)


class Site:
    """One listening server. Its answers are bytes prepared once, because a toy must cost next to nothing."""

    def __init__(self, name: str, pool: str, version: str, seed: int, calls: Dependency | None = None) -> None:
        self.name = name
        self.fault = Fault()
        self.counts = Counts()
        self.upstream = None if calls is None else Upstream(name, calls, self.counts.calls)
        self.connections: set[Connection] = set()
        self._random = random.Random(f"{seed}/{name}")
        self._pool = pool
        self.deploy(version)

    def deploy(self, version: str) -> None:
        """Run this version from the next request on."""
        name, pool = self.name, self._pool
        self._identity = f"X-Pool: {pool}\r\nX-Server: {name}\r\nX-Version: {version}\r\n".encode("latin-1")
        self.upgrade_head = (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" + self._identity
        )
        self.healthy = self.answer(200, b"ok\n")
        self.unhealthy = self.answer(503, b"failing on request\n")
        self.version_answer = self.answer(200, b'{"version": "%s"}\n' % version.encode(), b"application/json")
        self._good = self.answer(200, f"{name} {version}\n".encode())
        self._bad = self.answer(500, b"a fault on request\n", extra=b"X-Toy-Fault: 1\r\n")
        self._spoiled = self.answer(502, b"the service behind did not answer as it must\n")

    def answer(
        self, status: int, body: bytes, kind: bytes = b"text/plain", *, extra: bytes = b"", close: bool = False
    ) -> bytes:
        """A whole answer with the headers that tell who gave it."""
        end = b"Connection: close\r\n\r\n" if close else b"\r\n"
        first = b"HTTP/1.1 %d %s\r\nContent-Type: %s\r\n" % (status, _REASONS[status], kind)
        return first + self._identity + extra + b"Content-Length: %d\r\n" % len(body) + end + body

    def user_answer(self, now: float) -> bytes:
        """Count one user request that started now and give the answer the fault leaves it."""
        counts, ratio = self.counts, self.fault.error_ratio
        counts.user_requests += 1
        counts.last_user_monotonic = now
        if not ratio or self._random.random() >= ratio:
            return self._good
        counts.errors_sent += 1
        if counts.first_bad_monotonic is None:
            counts.first_bad_monotonic = now
        return self._bad

    def without(self, outcome: Outcome) -> bytes:
        """The answer where a call that it needs did not end well: a fault on request is passed on as one."""
        return self._bad if outcome is Outcome.FAULT else self._spoiled

    def set_fault(self, fault: Fault) -> None:
        """Take a fault into effect, for the next request on."""
        hung = self.fault.hang
        self.fault = fault
        self.counts.first_bad_monotonic = None
        if hung and not fault.hang:
            for connection in list(self.connections):
                connection.pump()

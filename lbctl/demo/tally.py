"""What the users met, counted so that nothing is lost: every request ends in exactly one of ok, failed, fault."""

import math
import time
from collections import Counter, deque
from dataclasses import dataclass, field

from lbctl.demo.heads import AnswerHead

BUCKET_S = 0.1
_TIMELINE_BUCKETS = 36_000  # an hour
_LATENCY_STEP = math.log(1.1)


@dataclass(slots=True)
class PoolCount:
    """What one pool answered. Times are of request *starts* on time.monotonic(), so they compare with fault times."""

    answered: int = 0
    visitors: int = 0
    sessions: int = 0
    faults: int = 0
    first_started_monotonic: float | None = None
    last_started_monotonic: float | None = None


@dataclass(slots=True)
class Bucket:
    """100 ms of the timeline, by the time of the answer: users answered well by pool, failures and faults."""

    monotonic: float
    pools: dict[str, int] = field(default_factory=dict)
    failed: int = 0
    faults: int = 0


@dataclass(slots=True)
class Latency:
    """Milliseconds from the slot's start to the whole answer; percentiles are right within 10 %."""

    p50_ms: float = 0.0
    p99_ms: float = 0.0
    max_ms: float = 0.0


@dataclass(slots=True)
class LongCount:
    """WebSockets or slow transactions. `cut` were lost after they had begun, `failed` never began.

    `begun == cut + open` for WebSockets, plus `answers` for transactions; at the end `open` are those sent home."""

    begun: int = 0
    answers: int = 0
    cut: int = 0
    failed: int = 0
    open: int = 0
    pools: dict[str, int] = field(default_factory=dict)
    cut_monotonic: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Report:
    """All counts at one instant. `requests == ok + failed_requests + faults_seen + in_flight`, always.

    `failed` has the kinds of `failed_requests`: `status_NNN`, `refused`, `unreachable`, `reset`, `timeout`,
    `bad_answer`, `cut_before_answer`, `cut_in_answer`. `faults_seen` are the toy servers' errors on request, which are
    not failures of the load balancer. A connection that its peer closed while nothing was under way is no failure:
    `idle_closes` were noticed before the next request, `stale_connection_retries` at its sending, before its first
    byte. `window` counts visitors answered by pool whose request started after the last `reset_window`.
    `sessions_by_pool` is where the session users are now.
    """

    monotonic: float
    elapsed_s: float
    cpu_s: float
    requests: int = 0
    in_flight: int = 0
    ok: int = 0
    failed_requests: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    first_failures: list[str] = field(default_factory=list)
    faults_seen: int = 0
    skipped_slots: int = 0
    connections: int = 0
    idle_closes: int = 0
    stale_connection_retries: int = 0
    idempotent_retries: int = 0
    colour_changes: int = 0
    server_changes: int = 0
    sessions_by_pool: dict[str, int] = field(default_factory=dict)
    pools: dict[str, PoolCount] = field(default_factory=dict)
    window_monotonic: float = 0.0
    window: dict[str, int] = field(default_factory=dict)
    latency: Latency = field(default_factory=Latency)
    websockets: LongCount = field(default_factory=LongCount)
    slow: LongCount = field(default_factory=LongCount)
    timeline: list[Bucket] = field(default_factory=list)


class Tally:
    """The one place where the users' counts change."""

    def __init__(self) -> None:
        now = time.monotonic()
        self.report = Report(monotonic=now, elapsed_s=0.0, cpu_s=0.0, window_monotonic=now)
        self._began = now
        self._failed: Counter[str] = Counter()
        self._latency: Counter[int] = Counter()
        self._timeline: deque[Bucket] = deque(maxlen=_TIMELINE_BUCKETS)
        self._slot = -1

    def answered(self, answer: AnswerHead, started: float, *, visitor: bool) -> None:
        """Count a request that got a whole answer."""
        now = time.monotonic()
        if answer.pool:
            self._by_pool(answer, started, visitor)
        if answer.fault:
            self.report.faults_seen += 1
            self._bucket(now).faults += 1
        elif answer.status >= 400:
            self.failed(f"status_{answer.status}", f"from {answer.server or 'the load balancer'}")
        elif not answer.pool:
            self.failed("bad_answer", "no X-Pool: no toy server answered")
        else:
            self.report.ok += 1
            pools = self._bucket(now).pools
            pools[answer.pool] = pools.get(answer.pool, 0) + 1
            self._latency[int(math.log(max(1e-6, now - started) * 1e6) / _LATENCY_STEP)] += 1
            self.report.latency.max_ms = max(self.report.latency.max_ms, (now - started) * 1000)

    def _by_pool(self, answer: AnswerHead, started: float, visitor: bool) -> None:
        count = self.report.pools.setdefault(answer.pool, PoolCount())
        count.answered += 1
        count.faults += answer.fault
        if count.first_started_monotonic is None:
            count.first_started_monotonic = started
        count.last_started_monotonic = max(started, count.last_started_monotonic or started)
        if not visitor:
            count.sessions += 1
            return
        count.visitors += 1
        if started >= self.report.window_monotonic:
            self.report.window[answer.pool] = self.report.window.get(answer.pool, 0) + 1

    def failed(self, kind: str, detail: str) -> None:
        """Count a request that failed its user."""
        now = time.monotonic()
        self._failed[kind] += 1
        self.report.failed_requests += 1
        self._bucket(now).failed += 1
        if len(self.report.first_failures) < 20:
            self.report.first_failures.append(f"{now:.3f} {kind}: {detail}")

    def reset_window(self) -> None:
        """Count shares from now on; answers to older requests do not enter."""
        self.report.window_monotonic = time.monotonic()
        self.report.window.clear()

    def close(self, sessions_by_pool: dict[str, int], in_flight: int, timeline_since: float) -> Report:
        """The report as of now, with the timeline from the given time on."""
        report = self.report
        report.monotonic = time.monotonic()
        report.elapsed_s = report.monotonic - self._began
        report.cpu_s = time.process_time()
        report.in_flight = in_flight
        report.failed = dict(self._failed)
        report.sessions_by_pool = sessions_by_pool
        report.latency.p50_ms, report.latency.p99_ms = self._percentile(0.50), self._percentile(0.99)
        report.timeline = [bucket for bucket in self._timeline if bucket.monotonic >= timeline_since]
        return report

    def _bucket(self, now: float) -> Bucket:
        slot = int(now / BUCKET_S)
        if slot != self._slot:
            self._slot = slot
            self._timeline.append(Bucket(monotonic=round(slot * BUCKET_S, 1)))
        return self._timeline[-1]

    def _percentile(self, part: float) -> float:
        left = part * self._latency.total()
        for step in sorted(self._latency):
            left -= self._latency[step]
            if left <= 0:
                return round(math.exp((step + 0.5) * _LATENCY_STEP) / 1000, 3)
        return 0.0

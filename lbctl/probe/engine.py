"""The prober's loop: one epoll set, one wheel, no task and no timer per probe.

The rules that keep it honest, each of them measured to be needed: (1) ready sockets are drained before deadlines are
judged; (2) a time-out counts from the probe's real start; (3) missed slots are skipped, never replayed; (4) starts per
round are capped; (5) the loop knows its own lateness, and a failure it may have caused itself is reported as unknown.
"""

import select
import socket
import time
from collections import deque
from collections.abc import Sequence

from lbctl.model.topology import Probe
from lbctl.probe.command import CommandEndpoint, sweep
from lbctl.probe.endpoint import Endpoint, TcpEndpoint
from lbctl.probe.frames import Row
from lbctl.probe.http_check import HttpEndpoint
from lbctl.probe.schedule import TICK_MS, Lateness, Wheel, first_tick, next_due
from lbctl.probe.target import Target
from lbctl.probe.words import Verdict

STARTS_MAX = 200
"""What may be started in one round, in units of `Endpoint.cost`."""
STALE_TICKS = 5
"""A slot missed by more than this is skipped."""
EVENTS_MAX = 512
DRAIN_ROUNDS_MAX = 16
BEAT_MS = 100
"""The loop comes round at least this often, even with nothing to do."""
GATHER_S = 0.001
"""With probes under way the loop sleeps this long before it looks: one look then sees many answers."""


def now_ms() -> float:
    """Return CLOCK_BOOTTIME in milliseconds."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) * 1000


def endpoint_for(target: Target) -> Endpoint:
    """Return the state machine for a target's kind."""
    match target.kind:
        case Probe.HTTP:
            return HttpEndpoint(target)
        case Probe.TCP:
            return TcpEndpoint(target)
        case Probe.COMMAND:
            return CommandEndpoint(target)
        case Probe.HTTPS:
            from lbctl.probe.tls import TlsEndpoint  # noqa: PLC0415  `ssl` is several megabytes.

            return TlsEndpoint(target)


class Engine:
    """Probes one set of targets. `rows` are results not yet taken; the counters are since the last report.

    `control` is watched too; `turn` says when there is something to read.
    """

    def __init__(self, control: socket.socket, in_flight_max: int) -> None:
        self.rows: list[Row] = []
        self.lateness = Lateness()
        self.in_flight = self.skipped = self.voided = 0
        self._in_flight_max = in_flight_max
        self._epoll = select.epoll()
        self._control = control.fileno()
        self._epoll.register(self._control, select.EPOLLIN)
        self._watched: dict[int, Endpoint] = {}
        self._endpoints: dict[Target, Endpoint] = {}
        self._pending: deque[Endpoint] = deque()
        self._now_ms = now_ms()
        self._starts: Wheel[Endpoint] = Wheel(self._tick())
        self._deadlines: Wheel[tuple[Endpoint, int]] = Wheel(self._tick())

    def replace(self, targets: Sequence[Target]) -> None:
        """Probe these from now on, and nothing else. A target that stays the same keeps its phase and connection."""
        before, self._endpoints = self._endpoints, {}
        for index, target in enumerate(targets):
            # TLS targets start anew, so that a changed CA file is read.
            kept = None if target.kind is Probe.HTTPS else before.pop(target, None)
            self._endpoints[target] = endpoint = kept or endpoint_for(target)
            endpoint.index = index
        for endpoint in before.values():
            self._retire(endpoint)
        self._pending.clear()
        self._starts = Wheel(self._tick())
        for endpoint in self._endpoints.values():
            target = endpoint.target
            identity = f"{target.key} {target.ip} {target.port}"
            endpoint.due_tick = first_tick(identity, target.interval_ms, self._tick())
            self._starts.add(endpoint.due_tick, endpoint)

    def turn(self) -> bool:
        """Go round once, waiting if there is nothing to do, and say whether the control socket is ready."""
        planned_ms = self._planned_ms()
        if self.in_flight:
            time.sleep(GATHER_S)
        wait_s = max(0.0, planned_ms - now_ms()) / 1000
        events = self._epoll.poll(wait_s, EVENTS_MAX)
        self._now_ms = now_ms()
        self.lateness.woke(planned_ms, self._now_ms)
        is_ready = self._drain(events)
        self._judge_deadlines()
        self._start_due()
        sweep()
        return is_ready

    def watch_control(self, *, to_write: bool) -> None:
        """Wake up for room to write, too."""
        self._epoll.modify(self._control, select.EPOLLIN | (select.EPOLLOUT if to_write else 0))

    def close(self) -> None:
        """Let go of everything; kills running commands."""
        for endpoint in self._endpoints.values():
            endpoint.close()
        self._epoll.close()

    def _tick(self) -> int:
        return int(self._now_ms) // TICK_MS

    def _planned_ms(self) -> float:
        """Return when the loop must be back. With probes under way it looks often, to notice being held up."""
        tick = self._tick()
        furthest = tick + (2 if self.in_flight else 5 if self.rows else BEAT_MS // TICK_MS)
        if self._pending:
            return self._now_ms
        following = min(self._starts.next_tick(furthest), self._deadlines.next_tick(furthest))
        return float((following + following % 2) * TICK_MS)  # Two slots at a time cost one waking up less.

    def _drain(self, events: list[tuple[int, int]]) -> bool:
        is_ready = False
        for _ in range(DRAIN_ROUNDS_MAX):
            for fd, _mask in events:
                if fd == self._control:
                    is_ready = True
                else:
                    self._advance(self._watched[fd])
            if len(events) < EVENTS_MAX:
                break
            events = self._epoll.poll(0, EVENTS_MAX)
        return is_ready

    def _advance(self, endpoint: Endpoint) -> None:
        verdict = endpoint.advance()
        if endpoint.wants != endpoint.watched:
            self._watch(endpoint)
        if verdict is not None:
            self._settle(endpoint, verdict)

    def _watch(self, endpoint: Endpoint) -> None:
        if endpoint.watched:
            self._epoll.modify(endpoint.fd, endpoint.wants)
        else:
            self._watched[endpoint.fd] = endpoint
            self._epoll.register(endpoint.fd, endpoint.wants)
        endpoint.watched = endpoint.wants

    def _settle(self, endpoint: Endpoint, verdict: Verdict) -> None:
        endpoint.busy = False
        self.in_flight -= 1
        ok, detail, excusable = verdict
        if ok is False and excusable and self._late_ms(endpoint) > endpoint.patience_ms:
            ok, detail = None, "the checker was late"
            self.voided += 1
        started_ms = endpoint.started_ms
        latency_us = max(0, int((self._now_ms - started_ms) * 1000))
        self.rows.append((endpoint.index, ok, detail, int(started_ms), latency_us))

    def _late_ms(self, endpoint: Endpoint) -> float:
        return self.lateness.total_ms - endpoint.late_ms

    def _judge_deadlines(self) -> None:
        for endpoint, serial in self._deadlines.take(self._tick()):
            if endpoint.busy and endpoint.serial == serial:
                self._judge_deadline(endpoint)

    def _judge_deadline(self, endpoint: Endpoint) -> None:
        """End what is overdue by its own clock: time that the checker itself lost in between is added first."""
        self._advance(endpoint)  # One last look: an answer that is here counts.
        if not endpoint.busy:
            return
        late_ms = self._late_ms(endpoint)
        due_ms = endpoint.started_ms + endpoint.timeout_ms + late_ms
        if late_ms <= endpoint.patience_ms and self._now_ms < due_ms:
            self._deadlines.add(int(due_ms) // TICK_MS + 1, (endpoint, endpoint.serial))
        else:
            self._settle(endpoint, endpoint.expire())

    def _start_due(self) -> None:
        tick = self._tick()
        self._pending.extend(self._starts.take(tick))
        room = STARTS_MAX
        while self._pending and room > 0:
            endpoint = self._pending.popleft()
            missed = tick - endpoint.due_tick
            endpoint.due_tick = next_due(endpoint.due_tick, endpoint.interval_ms, tick)
            self._starts.add(endpoint.due_tick, endpoint)
            if missed > STALE_TICKS or endpoint.busy or self.in_flight >= self._in_flight_max:
                self.skipped += not endpoint.busy
                continue
            room -= endpoint.cost
            self._start(endpoint)

    def _start(self, endpoint: Endpoint) -> None:
        endpoint.busy = True
        endpoint.serial += 1
        endpoint.started_ms = started_ms = now_ms()
        endpoint.late_ms = self.lateness.total_ms
        self.in_flight += 1
        verdict = endpoint.begin()
        if endpoint.wants != endpoint.watched:
            self._watch(endpoint)
        if verdict is not None:
            self._settle(endpoint, verdict)
        else:
            due_tick = int(started_ms + endpoint.timeout_ms) // TICK_MS + 1
            self._deadlines.add(due_tick, (endpoint, endpoint.serial))

    def _retire(self, endpoint: Endpoint) -> None:
        self.in_flight -= endpoint.busy
        endpoint.busy = False
        endpoint.close()

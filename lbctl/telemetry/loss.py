"""How much is missing: over the last ten seconds, and against what the load balancer itself counted."""

from collections import deque

from lbctl.model.names import Generation
from lbctl.model.reading import InstanceReading, ServiceReading
from lbctl.model.units import SECOND, Instant, Span, since

WINDOW = Span(10 * SECOND)
BEAT = SECOND
LOST_MAX = 0.01
LATE = Span(2 * SECOND)
"""What is missing for less may only be late: a daemon that could not run for a while fetches its lines in bursts."""


class Window:
    """Two growing counts, what came and what was lost, looked at once a second."""

    def __init__(self) -> None:
        self._looks: deque[tuple[Instant, int, int]] = deque(maxlen=WINDOW // BEAT + 2)

    def look(self, now: Instant, came: int, lost: int) -> bool:
        """Return whether more than 1 % of the last ten seconds is missing; calls within a second count as one."""
        looks = self._looks
        if not looks or since(looks[-1][0], now) >= BEAT:
            looks.append((now, came, lost))
            while len(looks) > 2 and since(looks[1][0], now) >= WINDOW:
                looks.popleft()
        _, came_before, lost_before = looks[0]
        fresh_lost = lost - lost_before
        return fresh_lost > LOST_MAX * (came - came_before + fresh_lost)


class Missing:
    """Requests of one service on one instance that were counted and have no line. Never more than really are missing.

    What a reading counted must have come in by the next one. Requests in flight may be counted already or not, and
    after a reload lines of older workers come in that the new one has not counted: both only make the number smaller.
    """

    def __init__(self) -> None:
        self.count = 0
        self._generation: Generation | None = None
        self._taken_at: Instant | None = None
        self._counted = self._offset = self._earlier = self._due = 0

    def compare(self, instance: InstanceReading, service: ServiceReading, lines: int) -> None:
        """Take a reading, and how many lines came in until now."""
        if instance.taken_at == self._taken_at:
            return
        self._taken_at = instance.taken_at
        counted = service.requests
        if instance.generation != self._generation or counted < self._counted:
            self._generation, self._earlier = instance.generation, self.count
            self._offset = lines - counted
        else:
            self.count = self._earlier + max(0, self._due + self._offset - lines)
        self._counted = counted
        self._due = counted - sum(pool.in_flight for pool in service.pools.values())


class Unsent:
    """Lines that the generations of one instance could not send, summed over their lives."""

    def __init__(self) -> None:
        self.count = 0
        self._known: dict[Generation, int] | None = None

    def compare(self, instance: InstanceReading) -> None:
        """Take a reading. What was lost before the first one is not counted, of a new generation everything is."""
        now = instance.unsent_log_lines
        known = now if self._known is None else self._known
        self.count += sum(max(0, number - known.get(generation, 0)) for generation, number in now.items())
        self._known = dict(now)

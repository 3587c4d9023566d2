"""How a drained server empties: what is in flight, how often its sessions still come, when that may be over. Pure."""

from collections import deque
from dataclasses import dataclass, field
from math import log

WINDOW_S = 10.0
"""A rate is that of the last so many seconds."""
FEW_PER_S = 1 / 30
"""Less than a request in half a minute: nobody comes any more."""


@dataclass(slots=True)
class BurnDown:
    """What was seen of one server: request counts by time, the last ones."""

    seen: deque[tuple[float, int]] = field(default_factory=deque)
    first: tuple[float, float] | None = None
    """When the rate was first known, and what it was."""
    last_at_s: float | None = None
    """When a request last came."""

    def look(self, now_s: float, requests: int | None) -> None:
        """Take in one look. A count that fell began anew; where nobody knows it, a request may have come."""
        if requests is None:
            self.last_at_s = now_s
            return
        if self.seen and requests < self.seen[-1][1]:
            self.seen.clear()
        if self.last_at_s is None or (self.seen and requests > self.seen[-1][1]):
            self.last_at_s = now_s
        self.seen.append((now_s, requests))
        while len(self.seen) > 2 and now_s - self.seen[0][0] > WINDOW_S:
            self.seen.popleft()
        rate = self.rate
        if self.first is None and rate is not None and now_s - self.seen[0][0] >= WINDOW_S / 2:
            self.first = (now_s, rate)

    def blind(self, now_s: float) -> None:
        """Nobody can say what is there now: the quiet time begins anew."""
        self.last_at_s = now_s

    @property
    def rate(self) -> float | None:
        """Requests per second lately; None: not known yet."""
        if len(self.seen) < 2 or self.seen[-1][0] <= self.seen[0][0]:
            return None
        return (self.seen[-1][1] - self.seen[0][1]) / (self.seen[-1][0] - self.seen[0][0])

    def quiet_s(self, now_s: float) -> float:
        """How long no request has come."""
        return 0.0 if self.last_at_s is None else now_s - self.last_at_s

    def eta_s(self, now_s: float) -> float | None:
        """When nobody comes any more, if it goes on halving as it did; None: nobody knows."""
        rate = self.rate
        if rate is not None and rate <= FEW_PER_S:
            return 0.0
        if rate is None or self.first is None or rate >= 0.9 * self.first[1] or now_s <= self.first[0]:
            return None
        per_s = log(self.first[1] / rate) / (now_s - self.first[0])
        return log(rate / FEW_PER_S) / per_s

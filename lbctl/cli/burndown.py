"""How a drained server empties: what is in flight, how often its sessions still come, when that may be over. Pure."""

from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise
from math import log, sqrt

WINDOW_S = 10.0
"""A rate is that of the last so many seconds."""
FALL_S, FALL_LEAST_S = 300.0, 15.0
"""Whether fewer and fewer come is seen by the last so many seconds, and not in less."""
SIGMAS = 2.0
"""A third of that time must have had so many deviations fewer requests than the one before: else it may be chance."""
FEW_PER_S = 1 / 30
"""Less than a request in half a minute: nobody comes any more."""


@dataclass(slots=True)
class BurnDown:
    """What was seen of one server: request counts by time, the last ones."""

    seen: deque[tuple[float, int]] = field(default_factory=deque)
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
        while len(self.seen) > 2 and now_s - self.seen[0][0] > FALL_S:
            self.seen.popleft()

    def blind(self, now_s: float) -> None:
        """Nobody can say what is there now: the quiet time begins anew."""
        self.last_at_s = now_s

    def anew(self, now_s: float) -> None:
        """It is not drained yet: new users come, too, and their end is no ebb of its sessions."""
        self.seen.clear()
        self.blind(now_s)

    @property
    def rate(self) -> float | None:
        """Requests per second lately; None: not known yet."""
        if len(self.seen) < 2 or self.seen[-1][0] <= self.seen[0][0]:
            return None
        (at_s, last), began_s = self.seen[-1], self.seen[-1][0] - WINDOW_S
        first_s, first = next(one for one in self.seen if one[0] >= began_s)
        if first_s == at_s:
            first_s, first = self.seen[-2]
        return (last - first) / (at_s - first_s)

    def quiet_s(self, now_s: float) -> float:
        """How long no request has come."""
        return 0.0 if self.last_at_s is None else now_s - self.last_at_s

    def eta_s(self) -> float | None:
        """When nobody comes any more, if they become fewer as they did; None: nobody knows, or they do not."""
        rate = self.rate
        if rate is None or rate <= FEW_PER_S:
            return None if rate is None else 0.0
        per_s = self._falls_by()
        return None if per_s is None else log(rate / FEW_PER_S) / per_s

    def _falls_by(self) -> float | None:
        """By which part the rate falls in a second, all the time and not only once; None: it does not."""
        third_s = (self.seen[-1][0] - self.seen[0][0]) / 3
        if 3 * third_s < FALL_LEAST_S:
            return None
        counts = [self._at(index * third_s) for index in range(4)]
        first, middle, last = (after - before for before, after in pairwise(counts))
        if not (_fewer(first, middle) and _fewer(middle, last)):
            return None
        return log(first / max(1, last)) / (2 * third_s)

    def _at(self, after_s: float) -> int:
        """The count so long after the first look that is kept."""
        return next((count for at_s, count in self.seen if at_s - self.seen[0][0] >= after_s - 1e-6), self.seen[-1][1])


def _fewer(before: int, after: int) -> bool:
    return before - after > SIGMAS * sqrt(before + after)

"""Whether those who usually come still come: a crowd that stays away all at once is cut off, it has not left. Pure.

Sessions end one by one, on both pools. So the usual rate follows what comes only slowly, and while less than a third of
it comes it rests: nobody can say who has left meanwhile. After ten minutes they are taken for gone.
"""

from collections import deque
from collections.abc import Hashable

from lbctl.model.sessions import Coming
from lbctl.model.units import MINUTE, Instant, Span, since

PART = 3
"""Less than one of so many usual ones, and the crowd is away."""
SHORTEST_S, LONGEST_S = 3, 60
"""It is looked for over so many seconds: the seldomer sessions come, the longer."""
ENOUGH = 20
"""So many are awaited before their absence says anything."""
FEW = 5
"""Where fewer come within the longest time, nobody can say."""
BELIEVED = Span(10 * MINUTE)


class Crowd:
    """The sessions of one service on one instance. `arrive` is told of each, `turn` when a second is over."""

    def __init__(self) -> None:
        self._arriving: set[Hashable] = set()
        self._seconds = 0
        self._arrived: deque[int] = deque(maxlen=LONGEST_S)
        self._usual = 0.0
        self._away_since: Instant | None = None

    def arrive(self, session: Hashable) -> None:
        """One came; within a second it counts once."""
        self._arriving.add(session)

    def turn(self, now: Instant) -> None:
        """A second is over."""
        self._arrived.append(len(self._arriving))
        self._arriving.clear()
        self._away_since = self._since(now)
        if self._away_since is None:
            self._seconds = min(LONGEST_S, self._seconds + 1)
            self._usual += (self._arrived[-1] - self._usual) / self._seconds

    @property
    def is_away(self) -> bool:
        """Whether hardly any of those who usually come still come."""
        return self._away_since is not None

    @property
    def coming(self) -> Coming:
        """What it adds up to."""
        return Coming(lately=self._lately(), usual=self._usual, away_since=self._away_since)

    def _since(self, now: Instant) -> Instant | None:
        if self._lately() * PART >= self._usual or self._usual * LONGEST_S < FEW:
            return None
        if self._away_since is not None and since(self._away_since, now) >= BELIEVED:
            self._usual = self._lately()
            return None
        return self._away_since or now

    def _lately(self) -> float:
        window_s = round(min(LONGEST_S, max(SHORTEST_S, ENOUGH / (self._usual or 1))))
        found = list(self._arrived)[-window_s:]
        return sum(found) / len(found) if found else 0.0

"""Whether those who usually come still come: a crowd that stays away all at once is cut off, it has not left. Pure.

Sessions end one by one, on both pools. So the usual rate follows what comes only slowly, and while less than a third of
it comes it rests: nobody can say who has left meanwhile. After ten minutes they are taken for gone.

Different sessions are counted, over as many seconds as it usually takes until twenty have come: one that polls every
second is still only one.
"""

from collections import deque
from collections.abc import Hashable

from lbctl.model.sessions import Coming
from lbctl.model.units import MINUTE, Instant, Span, since

PART = 3
"""Less than one of so many usual ones, and the crowd is away."""
NEARLY = 2 / 3
"""So much of the usual ones, and it is back."""
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
        self._arrived: deque[set[Hashable]] = deque()
        """Who came, by second of the window."""
        self._seconds = 0
        self._lately = self._usual = 0.0
        self._left_at: Instant | None = None
        """Since when it was never there for a minute, nor nearly as large as usual for a moment."""
        self._here_s = 0
        self._away_since: Instant | None = None

    def arrive(self, session: Hashable) -> None:
        """One came."""
        self._arriving.add(session)

    def turn(self, now: Instant) -> None:
        """A second is over."""
        self._arrived.append(self._arriving)
        self._arriving = set()
        while len(self._arrived) > _window_s(self._usual):
            self._arrived.popleft()
        # A crowd that just came here, from another instance, is not measured by who came here before.
        window = list(self._arrived)[-_window_s(max(self._usual, self._lately)) :]
        self._lately = len(set[Hashable]().union(*window)) / len(window)
        self._away_since = (self._away_since or now) if self._stays_away(now) else None
        if self._away_since is None:
            self._follow()

    @property
    def is_away(self) -> bool:
        """Whether hardly any of those who usually come still come."""
        return self._away_since is not None

    @property
    def coming(self) -> Coming:
        """What it adds up to."""
        return Coming(lately=self._lately, usual=self._usual, away_since=self._away_since)

    def _follow(self) -> None:
        """Until the window is full its mean says too much: sessions that came in both halves of it count in each."""
        self._seconds = min(LONGEST_S, self._seconds + 1) if self._is_full else 0
        self._usual += (self._lately - self._usual) / max(1, self._seconds)

    def _stays_away(self, now: Instant) -> bool:
        few = self._few
        self._here_s = 0 if few else self._here_s + 1
        if self._here_s >= LONGEST_S or self._lately >= NEARLY * self._usual:
            self._left_at = None
        if not few:
            return False
        # Some chance seconds in which a third came do not begin the ten minutes anew.
        self._left_at = self._left_at or now
        if since(self._left_at, now) >= BELIEVED:
            self._usual = self._lately
            return False
        return True

    @property
    def _few(self) -> bool:
        return self._is_full and self._usual * LONGEST_S >= FEW and self._lately * PART < self._usual

    @property
    def _is_full(self) -> bool:
        return len(self._arrived) >= _window_s(self._usual)


def _window_s(per_second: float) -> int:
    return round(min(LONGEST_S, max(SHORTEST_S, ENOUGH / (per_second or 1))))

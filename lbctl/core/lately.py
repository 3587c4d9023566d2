"""How much a growing count grew of late. Pure."""

from collections import deque

from lbctl.model.units import SECOND, Instant, Span, since

LATELY = Span(10 * SECOND)
"""Over this time the rate of a move is promised."""


class Lately:
    """One count. `look` is told what it is now."""

    def __init__(self) -> None:
        self._looks: deque[tuple[Instant, int]] = deque()

    def look(self, total: int, now: Instant) -> int:
        """Return by how much it grew within the last ten seconds; between two looks it grew evenly."""
        self._looks.append((now, total))
        while len(self._looks) > 1 and since(self._looks[1][0], now) >= LATELY:
            self._looks.popleft()
        (at, before), (until, after) = self._looks[0], self._looks[min(1, len(self._looks) - 1)]
        earlier = max(0, since(at, now) - LATELY)
        return total - before - round((after - before) * earlier / max(1, since(at, until)))

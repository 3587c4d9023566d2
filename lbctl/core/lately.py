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
        """Return by how much it grew within the last ten seconds."""
        self._looks.append((now, total))
        while since(self._looks[0][0], now) > LATELY:
            self._looks.popleft()
        return total - self._looks[0][1]

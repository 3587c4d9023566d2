"""Counters and histograms as plain numbers: they are touched at every probe and every tick, and read at a scrape."""

from bisect import bisect_left
from collections.abc import Sequence


class Histogram:
    """How many values fell below each bound, and their sum. Values beyond the last bound are counted too."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float, number: int = 1) -> None:
        """Count a value, `number` times."""
        self.counts[bisect_left(self.bounds, value)] += number
        self.total += value * number

    def cumulated(self) -> list[tuple[str, float]]:
        """Return upper bound and count of all values up to it, as Prometheus wants them."""
        found, sum_ = [], 0
        for bound, count in zip([*map(str, self.bounds), "+Inf"], self.counts, strict=True):
            sum_ += count
            found.append((bound, float(sum_)))
        return found


class Growing:
    """Sums counters of several lives of several processes into some that never fall.

    A load balancer that cannot be read for a while, or that is restarted, must not look like a burst of requests. What
    it had counted before lbctld looked for the first time is left out.
    """

    def __init__(self) -> None:
        self._last: dict[tuple[str, ...], tuple[str, tuple[float, ...]]] = {}
        self._sums: dict[tuple[str, ...], list[float]] = {}

    def take(self, source: str, key: tuple[str, ...], life: str, values: tuple[float, ...]) -> None:
        """Take what `source` counts now for `key` in this life of its own; a new life began at 0."""
        before = self._last.get((source, *key))
        self._last[source, *key] = (life, values)
        sums = self._sums.setdefault(key, [0.0] * len(values))
        if before is None:
            return
        since = before[1] if before[0] == life else (0.0,) * len(values)
        for index, (earlier, now) in enumerate(zip(since, values, strict=True)):
            sums[index] += max(0.0, now - earlier)

    def sums(self) -> dict[tuple[str, ...], list[float]]:
        """Return the sums by key."""
        return self._sums

    def keep(self, services: set[str]) -> None:
        """Forget every service that is not among these; the first part of a key is its service."""
        self._last = {key: value for key, value in self._last.items() if key[1] in services}
        self._sums = {key: value for key, value in self._sums.items() if key[0] in services}

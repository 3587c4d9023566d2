"""When the users of a stick table came, from what is left of their entries' time: each visit begins that anew.

HAProxy does not say how long an entry lives. Who came last has about all of it, so the longest that was ever seen left
is taken for it: until somebody comes all seem younger than they are, and count as alive.
"""

from collections.abc import Sequence

from lbctl.core.rollcall import FADES, NOBODY
from lbctl.dataplane.haproxy.sticktables import Bound
from lbctl.model.sessions import Visits
from lbctl.model.units import SECOND

NEW_S = 0.9
"""A smaller step of an entry's time is a rounding, or another request of the same page."""


class KeyVisits:
    """The visits to one pool, from one look at the tables to the next."""

    def __init__(self) -> None:
        self._whole_ms: dict[str, int] = {}
        """By table: how long an entry lives."""
        self._last: dict[int, float] = {}
        self._longest: dict[int, float] = {}
        self._clock_s = 0.0
        self._looked_s: float | None = None

    def look(self, entries: Sequence[Bound], now_s: float) -> Visits:
        """Return who came when, by the entries of this look. The clock rests while nobody comes."""
        for one in entries:
            self._whole_ms[one.table] = max(self._whole_ms.get(one.table, 0), one.left_ms)
        away: dict[int, float] = {}
        for one in entries:
            away_s = (self._whole_ms[one.table] - one.left_ms) / SECOND
            away[one.bucket] = min(away_s, away.get(one.bucket, away_s))
        if self._looked_s is not None and min(away.values(), default=0.0) < NOBODY / SECOND:
            self._clock_s += max(0.0, now_s - self._looked_s)
        self._looked_s = now_s
        self._last = {bucket: self._came(bucket, self._clock_s - away_s) for bucket, away_s in away.items()}
        self._longest = {bucket: absence for bucket, absence in self._longest.items() if bucket in away}
        return Visits(
            now_s=int(self._clock_s),
            last_s={bucket: int(last) for bucket, last in self._last.items()},
            longest_s={bucket: int(absence) for bucket, absence in self._longest.items() if absence >= 1},
            learned_s=int(self._clock_s),
        )

    def _came(self, bucket: int, last: float) -> float:
        """Return when a bucket was last come from, and note the absence that this ended."""
        before = self._last.get(bucket, last)
        if last - before < NEW_S:
            return max(last, before)
        known = self._longest.get(bucket, 0.0)
        self._longest[bucket] = max(last - before, known - known / FADES)
        return last

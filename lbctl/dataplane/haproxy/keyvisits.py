"""When the users of stick tables came, from what is left of their entries' time: each visit begins that anew.

HAProxy does not say how long an entry lives. Who came last has about all of it, so the longest that was ever seen left
is taken for it: until somebody comes all seem younger than they are, and count as alive.
"""

from collections.abc import Mapping, Sequence

from lbctl.core.absences import Absences
from lbctl.core.crowd import SHORTEST_S, Crowd
from lbctl.core.lately import Lately
from lbctl.core.rollcall import NOBODY, REMEMBERED_S
from lbctl.dataplane.haproxy.sticktables import Bound
from lbctl.model.names import Colour
from lbctl.model.sessions import Coming, Visits
from lbctl.model.units import SECOND, Instant, since

NEW_S = 0.9
"""A smaller step of an entry's time is a rounding, or another request of the same page."""


class KeyVisits:
    """The visits to both pools of one service, from one look at the tables to the next. Times are those of `look`."""

    def __init__(self) -> None:
        self._whole_ms: dict[str, int] = {}
        """By table: how long an entry lives."""
        self._pools = {colour: _Pool() for colour in Colour}
        self._crowd = Crowd()
        self._clock_s = 0.0
        self._looked_at: Instant | None = None
        self._turned_at: Instant | None = None
        self._away_s = 0.0
        """How long before that the last one of all came."""
        self._page = 0

    def look(self, entries: Mapping[Colour, Sequence[Bound]], now: Instant) -> None:
        """Take what the tables hold now. The clock rests while nobody comes, or hardly any of the usual ones."""
        for one in (one for some in entries.values() for one in some):
            self._whole_ms[one.table] = max(self._whole_ms.get(one.table, 0), one.left_ms)
        away = {colour: self._away(some) for colour, some in entries.items()}
        self._away_s = min((away_s for some in away.values() for away_s in some.values()), default=0.0)
        self._count(away, now)
        if self._looked_at is not None and self._away_s < NOBODY / SECOND and not self._crowd.is_away:
            self._clock_s += max(0, now - self._looked_at) / SECOND
        self._looked_at = now
        turns_page, self._page = self._clock_s // REMEMBERED_S != self._page, int(self._clock_s // REMEMBERED_S)
        for colour, pool in self._pools.items():
            pool.look(entries[colour], away[colour], self._clock_s, turns_page=turns_page)
            pool.lost(entries[colour.other], now)

    def visits(self, colour: Colour) -> Visits:
        """Return when the sessions of a pool came."""
        pool, clock_s = self._pools[colour], int(self._clock_s)
        last_s = {bucket: int(last) for bucket, last in pool.last.items()}
        return Visits(now_s=clock_s, last_s=last_s, longest_s=pool.absences.longest_s(), learned_s=clock_s)

    def moved_lately(self, colour: Colour) -> int:
        """Return how many left a pool for the other one within the last ten seconds."""
        return self._pools[colour].moved_lately

    @property
    def heard_at(self) -> Instant | None:
        """When the last one of all came; None: nobody looked yet."""
        return None if self._looked_at is None else Instant(round(self._looked_at - self._away_s * SECOND))

    @property
    def coming(self) -> Coming:
        """How many come now, and usually."""
        return self._crowd.coming

    def _away(self, entries: Sequence[Bound]) -> dict[int, float]:
        away: dict[int, float] = {}
        for one in entries:
            away_s = (self._whole_ms[one.table] - one.left_ms) / SECOND
            away[one.bucket] = min(away_s, away.get(one.bucket, away_s))
        return away

    def _count(self, away: Mapping[Colour, Mapping[int, float]], now: Instant) -> None:
        """Turn the seconds that are over since the last look. An entry tells only its last visit."""
        began = Instant(now - SHORTEST_S * SECOND) if self._turned_at is None else self._turned_at
        over, came = since(began, now) // SECOND, dict[int, list[int]]()
        for some in away.values():
            for bucket, away_s in some.items():
                came.setdefault(int((now - away_s * SECOND - began) // SECOND), []).append(bucket)
        for second in range(max(0, over - REMEMBERED_S), over + 1):
            for bucket in came.get(second, ()):
                self._crowd.arrive(bucket)
            if second < over:
                self._crowd.turn(Instant(began + (second + 1) * SECOND))
        self._turned_at = Instant(began + over * SECOND)


class _Pool:
    """One pool: when each bucket was last come from, and whose entries were of it."""

    def __init__(self) -> None:
        self.last: dict[int, float] = {}
        self.absences = Absences()
        self.moved_lately = 0
        self._keys: set[tuple[str, str]] = set()
        self._keys_before: set[tuple[str, str]] = set()
        """Those of the page before: who comes back after that is not awaited any more."""
        self._moved = 0
        self._lately = Lately()

    def look(self, entries: Sequence[Bound], away: Mapping[int, float], clock_s: float, *, turns_page: bool) -> None:
        """Note who came since the last look."""
        self._keys.update((one.table, one.key) for one in entries)
        self.last = {bucket: self._came(bucket, clock_s - away_s) for bucket, away_s in away.items()}
        if turns_page:
            self.absences.turn_page()
            self._keys, self._keys_before = {(one.table, one.key) for one in entries}, self._keys
        self.absences.keep(away)

    def lost(self, entries: Sequence[Bound], now: Instant) -> None:
        """Note who is in the other pool now: an entry that was cleared, and made anew when its user came back."""
        there = ((one.table, one.key) for one in entries)
        gone = {key for key in there if key in self._keys or key in self._keys_before}
        self._keys -= gone
        self._keys_before -= gone
        self._moved += len(gone)
        self.moved_lately = self._lately.look(self._moved, now)

    def _came(self, bucket: int, last: float) -> float:
        """Return when a bucket was last come from, and note the absence that this ended."""
        before = self.last.get(bucket, last)
        if last - before < NEW_S:
            return max(last, before)
        self.absences.ended(bucket, int(last - before))
        return last

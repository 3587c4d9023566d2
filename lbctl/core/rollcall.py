"""Who came back within the last minute, kept as sets of buckets: adding one costs no clock and no list of sessions."""

from collections import deque

from lbctl.model.names import Colour
from lbctl.model.sessions import Attendance
from lbctl.model.units import BP_FULL, SECOND, Instant, Span, since

SPAN = Span(10 * SECOND)
SPANS = 6
"""So many spans make the minute: a session is forgotten one minute after it was last seen, at most ten seconds more."""
LOOK_EVERY = Span(SECOND // 2)


class RollCall:
    """One service on one instance. `kept`, `moved` and `drew` are told of requests, `look` says what they add up to.

    The source may be anybody: it can only fill buckets that exist, which makes a move slower, never faster.
    """

    def __init__(self, since_: Instant | None = None, grain: int = BP_FULL) -> None:
        self.grain = grain
        self._since = self._turned_at = self._looked_at = since_
        self.heard = False
        """Whether anything was ever told: before that, that nobody came says nothing."""
        self._spans: deque[dict[Colour, set[int]]] = deque([_empty()], maxlen=SPANS + 1)
        self._now = self._spans[-1]
        self._drawn = dict.fromkeys(Colour, 0)
        self._moved = dict.fromkeys(Colour, 0)
        self._last: Attendance | None = None

    def kept(self, colour: Colour, bucket: int) -> None:
        """A session of this colour was served by its own."""
        self.heard = True
        if 0 <= bucket < self.grain:
            self._now[colour].add(bucket)

    def moved(self, origin: Colour, bucket: int, *, keeps_bucket: bool = True) -> None:
        """A session left `origin`; from now on it is one of the other colour, in the same bucket or another."""
        self.heard = True
        self._moved[origin] += 1
        if 0 <= bucket < self.grain:
            for span in self._spans:
                span[origin].discard(bucket)
            if keeps_bucket:
                self._now[origin.other].add(bucket)

    def drew(self, colour: Colour, count: int = 1) -> None:
        """The split alone gave requests to this colour."""
        self.heard = True
        self._drawn[colour] += count

    def doubt(self, now: Instant) -> None:
        """What was told lately was not all: the watch begins anew."""
        self._since, self._last = now, None

    def look(self, now: Instant) -> Attendance:
        """Return what is known now; anew twice a second at most."""
        if self._since is None or self._turned_at is None or self._looked_at is None:
            self._since = self._turned_at = self._looked_at = now
        while since(self._turned_at, now) >= SPAN:
            self._turned_at = Instant(max(self._turned_at + SPAN, now - SPANS * SPAN))
            self._now = _empty()
            self._spans.append(self._now)
        if self._last is None or since(self._looked_at, now) >= LOOK_EVERY:
            self._looked_at = now
            self._last = Attendance(
                taken_at=now,
                since=self._since,
                grain=self.grain,
                buckets={c: tuple(sorted(set().union(*(span[c] for span in self._spans)))) for c in Colour},
                drawn=dict(self._drawn),
                moved=dict(self._moved),
            )
        return self._last


def _empty() -> dict[Colour, set[int]]:
    return {colour: set() for colour in Colour}

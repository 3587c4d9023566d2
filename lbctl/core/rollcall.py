"""Who came back lately: each bucket with its last span of time. Adding one costs no clock, and no list of sessions.

What people are told counts the last minute. How fast sessions may move counts ten: who comes back every few minutes is
moved as well, and moves at the rate only if it was paid for.
"""

from collections import deque
from collections.abc import Mapping

from lbctl.model.names import Colour
from lbctl.model.sessions import Attendance
from lbctl.model.units import BP_FULL, MINUTE, SECOND, Instant, Span, since

SPAN = Span(10 * SECOND)
COUNTED_SPANS = 6
"""So many spans make the minute: a session is counted one minute after it was last seen, at most ten seconds more."""
REMEMBERED = Span(10 * MINUTE)
REMEMBERED_SPANS = REMEMBERED // SPAN
LOOK_EVERY = Span(SECOND // 2)
LATELY = Span(10 * SECOND)
"""Over this time the rate of a move is promised."""


class RollCall:
    """One service on one instance. `kept`, `moved` and `drew` are told of requests, `look` says what they add up to.

    The source may be anybody: it can only fill buckets that exist, which makes a move slower, never faster.
    """

    def __init__(self, since_: Instant | None = None, grain: int = BP_FULL) -> None:
        self.grain = grain
        self._since = self._turned_at = self._looked_at = self._heard_at = since_
        self.heard = False
        """Whether anything was ever told: before that, that nobody came says nothing."""
        self._fresh = False
        self._span = 0
        self._seen: dict[Colour, dict[int, int]] = {colour: {} for colour in Colour}
        """By bucket: the span in which it was last seen."""
        self._drawn = dict.fromkeys(Colour, 0)
        self._drawn_long = dict.fromkeys(Colour, 0)
        self._moved = dict.fromkeys(Colour, 0)
        self._moves: deque[tuple[Instant, Mapping[Colour, int]]] = deque()
        self._last: Attendance | None = None

    def kept(self, colour: Colour, bucket: int) -> None:
        """A session of this colour was served by its own."""
        self.heard = self._fresh = True
        if 0 <= bucket < self.grain:
            self._seen[colour][bucket] = self._span

    def moved(self, origin: Colour, bucket: int, *, keeps_bucket: bool = True) -> None:
        """A session left `origin`; from now on it is one of the other colour, in the same bucket or another."""
        self.heard = self._fresh = True
        self._moved[origin] += 1
        if 0 <= bucket < self.grain:
            self._seen[origin].pop(bucket, None)
            if keeps_bucket:
                self._seen[origin.other][bucket] = self._span

    def drew(self, colour: Colour, count: int = 1) -> None:
        """The split alone gave requests to this colour."""
        self.heard = self._fresh = True
        self._drawn[colour] += count

    def drew_long(self, colour: Colour) -> None:
        """A split gave it a request that took so long that it may have been an earlier one."""
        self.heard = self._fresh = True
        self._drawn_long[colour] += 1

    def doubt(self, now: Instant) -> None:
        """What was told lately was not all: the watch begins anew."""
        self._since, self._last = now, None

    def look(self, now: Instant) -> Attendance:
        """Return what is known now; anew twice a second at most."""
        if self._since is None or self._turned_at is None or self._looked_at is None:
            self._since = self._turned_at = self._looked_at = now
        self._turn(now, self._turned_at)
        if self._last is None or since(self._looked_at, now) >= LOOK_EVERY:
            self._looked_at = now
            self._last = self._attendance(self._since, now)
        return self._last

    def _turn(self, now: Instant, turned_at: Instant) -> None:
        spans = since(turned_at, now) // SPAN
        if spans <= 0:
            return
        self._turned_at = Instant(turned_at + spans * SPAN)
        self._span += spans
        oldest = self._span - REMEMBERED_SPANS
        self._seen = {c: {b: span for b, span in seen.items() if span >= oldest} for c, seen in self._seen.items()}

    def _attendance(self, began: Instant, now: Instant) -> Attendance:
        if self._fresh or self._heard_at is None:
            self._heard_at, self._fresh = now, False
        self._moves.append((now, dict(self._moved)))
        while since(self._moves[0][0], now) > LATELY:
            self._moves.popleft()
        return Attendance(
            taken_at=now,
            since=began,
            grain=self.grain,
            buckets={colour: self._seen_within(colour, COUNTED_SPANS) for colour in Colour},
            remembered={colour: self._seen_within(colour, REMEMBERED_SPANS) for colour in Colour},
            heard_at=self._heard_at,
            drawn=dict(self._drawn),
            drawn_long=dict(self._drawn_long),
            moved=dict(self._moved),
            moved_lately={colour: self._moved[colour] - self._moves[0][1][colour] for colour in Colour},
        )

    def _seen_within(self, colour: Colour, spans: int) -> tuple[int, ...]:
        oldest = self._span - spans
        return tuple(sorted(bucket for bucket, span in self._seen[colour].items() if span >= oldest))

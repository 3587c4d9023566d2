"""Who came back lately: each bucket with the second of its last visit, and how long it used to stay away before.

What people are told counts the last minute. How fast sessions may move counts ten: who comes back every few minutes is
moved as well, and moves at the rate only if it was paid for. The seconds rest while nobody comes, or hardly anybody of
those who usually do, so that an outage of the users' line looks like no departure. Adding one visit reads no clock, and
there is no list of sessions.
"""

from collections import deque
from collections.abc import Hashable

from lbctl.core.absences import Absences
from lbctl.core.crowd import Crowd
from lbctl.core.lately import LATELY, Lately
from lbctl.model.names import Colour
from lbctl.model.sessions import Attendance, Visits
from lbctl.model.units import BP_FULL, MINUTE, SECOND, Instant, Span, since

COUNTED_S = MINUTE // SECOND
REMEMBERED = Span(10 * MINUTE)
REMEMBERED_S = REMEMBERED // SECOND
NOBODY = Span(5 * SECOND)
"""No request of anybody for so long is no end of sessions: their way here is cut off."""
BLIND_S = REMEMBERED_S
"""Who did not look for so long does not know when they came."""
FORGET_EVERY = Span(10 * SECOND)
LOOK_EVERY = Span(SECOND // 2)


class RollCall:
    """One service on one instance. `kept`, `moved` and `drew` are told of requests, `look` says what they add up to.

    The source may be anybody: it can only fill buckets that exist, which makes a move slower, never faster.
    """

    def __init__(self, since_: Instant | None = None, grain: int = BP_FULL) -> None:
        self.grain = grain
        self._since = self._turned_at = self._looked_at = self._heard_at = since_
        self.heard = False
        """Whether anything was ever told."""
        self._served: tuple[Hashable, int] | None = None
        self._unserved = False
        self._fresh = False
        self._tick = self._second = self._page = self._heard_tick = 0
        """Seconds of the watch; and those of them in which people came."""
        self._seconds: deque[int] = deque([0], maxlen=REMEMBERED_S + 1)
        """What the clock said at every second of the last ten minutes: it rests while nobody comes."""
        self._seen: dict[Colour, dict[int, int]] = {colour: {} for colour in Colour}
        """By bucket: the second in which it was last seen."""
        self._absences = {colour: Absences() for colour in Colour}
        self._crowd = Crowd()
        self._unplaced: dict[Colour, int] = {}
        """The second in which a session came that has no bucket."""
        self._drawn = dict.fromkeys(Colour, 0)
        self._drawn_long = dict.fromkeys(Colour, 0)
        self._moved = dict.fromkeys(Colour, 0)
        self._went: dict[Colour, dict[int, int]] = {colour: {} for colour in Colour}
        """By bucket: the second in which somebody last left that colour."""
        self._left = dict.fromkeys(Colour, 0)
        """In how many seconds each bucket was left, all buckets together: what a page asks for at once is one
        session that leaves, and a client that remembers no cookie leaves once a second at most."""
        self._lately = {colour: Lately() for colour in Colour}
        self._last: Attendance | None = None

    def kept(self, colour: Colour, bucket: int) -> None:
        """A session of this colour was served by its own."""
        self.heard = self._fresh = True
        if 0 <= bucket < self.grain:
            self._came(colour, bucket)
        else:
            self._unplaced[colour] = self._second

    def moved(self, origin: Colour, bucket: int, *, keeps_bucket: bool = True) -> None:
        """A session left `origin`; from now on it is one of the other colour, in the same bucket or another."""
        self.heard = self._fresh = True
        self._moved[origin] += 1
        here = bucket if 0 <= bucket < self.grain else -1
        self._crowd.arrive(here)
        self._left[origin] += self._went[origin].get(here) != self._tick
        self._went[origin][here] = self._tick
        if 0 <= bucket < self.grain:
            self._seen[origin].pop(bucket, None)
            longest = self._absences[origin].leave(bucket)
            if keeps_bucket:
                self._seen[origin.other][bucket] = self._second
                self._absences[origin.other].ended(bucket, longest)

    def drew(self, colour: Colour, count: int = 1) -> None:
        """The split alone gave requests to this colour."""
        self.heard = self._fresh = True
        self._drawn[colour] += count

    def drew_long(self, colour: Colour) -> None:
        """A split gave it a request that took so long that it may have been an earlier one."""
        self.heard = self._fresh = True
        self._drawn_long[colour] += 1

    def served(self, life: Hashable, count: int) -> None:
        """The load balancer served so many requests in this life of its."""
        before, self._served = self._served, (life, count)
        # What the first look found was before the watch.
        grown = before is not None and count > (before[1] if before[0] == life else 0)
        self._unserved = before is None or (self._unserved and not grown)

    @property
    def tells(self) -> bool:
        """Whether that nobody came says anything: somebody did before, or there was no request that could be told of,
        as at a load balancer that stands by."""
        return self.heard or self._unserved

    def doubt(self, now: Instant) -> None:
        """What was told lately was not all: the watch begins anew."""
        self._since, self._last = now, None

    def look(self, now: Instant) -> Attendance:
        """Return what is known now; anew twice a second at most."""
        if self._since is None or self._turned_at is None or self._looked_at is None:
            self._since = self._turned_at = self._looked_at = now
            # What waited in a queue until now is no second's crowd.
            self._crowd = Crowd()
        fresh, self._fresh = self._fresh or self._heard_at is None, False
        self._heard_at = now if fresh or self._heard_at is None else self._heard_at
        self._turn(now, self._turned_at, self._heard_at)
        self._heard_tick = self._tick if fresh else self._heard_tick
        if self._last is None or since(self._looked_at, now) >= LOOK_EVERY:
            self._looked_at = now
            self._last = self._attendance(self._since, now)
        return self._last

    def _came(self, colour: Colour, bucket: int) -> None:
        self._crowd.arrive(bucket)
        seen, second = self._seen[colour], self._second
        before = seen.get(bucket, second)
        seen[bucket] = second
        if before != second:
            self._absences[colour].ended(bucket, second - before)

    def _turn(self, now: Instant, turned_at: Instant, heard_at: Instant) -> None:
        passed, before = since(turned_at, now) // SECOND, turned_at // FORGET_EVERY
        self._turned_at = turned_at = Instant(turned_at + passed * SECOND)
        self._tick += passed
        somebody = since(heard_at, now) < NOBODY and passed < BLIND_S
        for ago_s in reversed(range(min(passed, REMEMBERED_S + 1))):
            self._crowd.turn(Instant(turned_at - ago_s * SECOND))
            self._second += somebody and not self._crowd.is_away
            self._seconds.append(self._second)
        if passed >= BLIND_S:
            self._crowd = Crowd()
            self.doubt(now)
        if turned_at // FORGET_EVERY == before:
            return
        oldest = self._oldest(REMEMBERED_S)
        lately = self._tick - LATELY // SECOND
        self._went = {colour: {b: t for b, t in one.items() if t >= lately} for colour, one in self._went.items()}
        turns_page = self._second // REMEMBERED_S != self._page
        self._page = self._second // REMEMBERED_S
        for colour, seen in self._seen.items():
            self._seen[colour] = here = {bucket: second for bucket, second in seen.items() if second >= oldest}
            if turns_page:
                self._absences[colour].turn_page()
            self._absences[colour].keep(here)

    def _oldest(self, ago_s: int) -> int:
        """Return what the clock said so many seconds ago; before it began it said less than anything. Where nobody
        came since, it is over: the clock rests, and would remember who came last for ever."""
        if self._tick - self._heard_tick > ago_s:
            return self._second + 1
        return self._seconds[-1 - ago_s] if len(self._seconds) > ago_s else -1

    def _attendance(self, began: Instant, now: Instant) -> Attendance:
        return Attendance(
            taken_at=now,
            since=began,
            grain=self.grain,
            buckets={colour: self._seen_within(colour, COUNTED_S) for colour in Colour},
            remembered={colour: self._seen_within(colour, REMEMBERED_S) for colour in Colour},
            visits={colour: self._visits(colour) for colour in Colour},
            heard_at=self._heard_at,
            coming=self._crowd.coming,
            unplaced=frozenset(c for c, second in self._unplaced.items() if second >= self._oldest(REMEMBERED_S)),
            drawn=dict(self._drawn),
            drawn_long=dict(self._drawn_long),
            moved=dict(self._moved),
            moved_lately={colour: one.look(self._left[colour], now) for colour, one in self._lately.items()},
        )

    def _seen_within(self, colour: Colour, seconds: int) -> tuple[int, ...]:
        oldest = self._oldest(seconds)
        return tuple(sorted(bucket for bucket, second in self._seen[colour].items() if second >= oldest))

    def _visits(self, colour: Colour) -> Visits:
        last_s, longest_s = dict(self._seen[colour]), self._absences[colour].longest_s()
        return Visits(now_s=self._second, last_s=last_s, longest_s=longest_s, learned_s=self._second)

"""How far a pool's limit comes down next: a pure function of what is recorded, the time, and the buckets seen.

The rate is in sessions, the limit in buckets, and nobody keeps a list of sessions. So the limit is put where as many
buckets of living sessions lie above it as may go now; those of sessions that have left are passed over. Where the
buckets are not known, just after a start, the last count is taken for evenly spread; where sessions were never
countable, equal parts go until the deadline.

Who is passed by the limit moves only when he comes back. So nothing goes on while nobody comes at all, as in an outage
of the users' line: all of them would come back at once. And who comes back seldom is paid for like the others.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import ceil, log

from lbctl.core.living import LEAST, Living, living
from lbctl.core.rollcall import LATELY, NOBODY, REMEMBERED
from lbctl.model.names import Colour
from lbctl.model.record import Pool
from lbctl.model.sessions import Attendance, Leaving, Visits
from lbctl.model.units import BP_FULL, MINUTE, SECOND, Instant, Span, seconds, since

WATCHED_MIN = Span(10 * SECOND)
"""A shorter watch has not seen most of the sessions."""
WATCHED_WELL = Span(30 * SECOND)
"""Before that, what was counted earlier is the better guide."""
MANY = 30
TOO_MANY = 1.2
"""More than this part of the promised rate moved over the time of the promise: then it waits."""
UNCOUNTED = Span(MINUTE)
"""At the deadline of a closing, sessions that nobody can count are moved in equal parts for so long."""
CATCH_UP_MAX = Span(2 * SECOND)
"""The most time that is made good at once: after an outage the rate is not exceeded."""


@dataclass(frozen=True, slots=True)
class Seats:
    """The occupied buckets of one pool on all instances together, ascending: of the last minute, and of the last ten.

    `visits`: when they came. `silence`: since when nobody was heard of. `moved_lately`: how many sessions left within
    the last ten seconds.
    """

    grain: int
    occupied: tuple[int, ...]
    watched: Span
    remembered: tuple[int, ...] = ()
    visits: tuple[Visits, ...] = ()
    silence: Span = Span(0)
    moved_lately: int = 0

    @property
    def known(self) -> bool:
        """Whether the watch has lasted long enough to have seen them."""
        return self.watched >= WATCHED_MIN

    def below(self, keep_bp: int) -> "Seats":
        """Only those that the limit still honours."""
        level = level_of(keep_bp, self.grain)
        occupied, remembered = (
            (tuple(one for one in some if one < level)) for some in (self.occupied, self.remembered)
        )
        return replace(self, occupied=occupied, remembered=remembered)

    @property
    def in_memory(self) -> "Seats":
        """The same, by all that are remembered: those who come back seldom are among them."""
        return replace(self, occupied=tuple(sorted({*self.occupied, *self.remembered})))

    def living(self, keep_bp: int) -> Living:
        """Those that the limit still honours and that are there."""
        if not self.visits:
            return Living(self.below(keep_bp).in_memory.occupied)
        return living(self.visits, level_of(keep_bp, self.grain), self.watched)

    def alive(self, keep_bp: int) -> int:
        """Return about how many sessions that is."""
        return self.sessions(self.living(keep_bp), keep_bp)

    def sessions(self, here: Living, keep_bp: int) -> int:
        """Return about how many sessions those are."""
        return round(replace(self, occupied=here.buckets).count(keep_bp) * here.part)

    def count(self, keep_bp: int = BP_FULL) -> int:
        """Return about how many sessions the occupied buckets are: several may share one."""
        level = max(1, level_of(keep_bp, self.grain))
        used = len(self.occupied)
        if used >= level:
            # Every bucket is taken: the number can only be told from below.
            return ceil(level * log(level + 1))
        return round(-level * log(1 - used / level))


def seats(seen: Iterable[Attendance], colour: Colour, now: Instant) -> Seats | None:
    """Return the occupied buckets by all instances; None: not every one can tell."""
    found = list(seen)
    if not found or len({one.grain for one in found}) > 1:
        return None
    return Seats(
        grain=found[0].grain,
        occupied=_union(one.buckets.get(colour, ()) for one in found),
        watched=min(since(one.since, now) for one in found),
        remembered=_union(one.remembered.get(colour, ()) for one in found),
        visits=tuple(one.visits[colour] for one in found if colour in one.visits),
        silence=min(Span(0) if one.heard_at is None else since(one.heard_at, now) for one in found),
        moved_lately=sum(one.moved_lately.get(colour, 0) for one in found),
    )


def _union(buckets: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(sorted(set().union(*buckets)))


def level_of(keep_bp: int, grain: int) -> int:
    """Return how many of the buckets a limit honours."""
    if keep_bp in {0, BP_FULL}:
        return grain if keep_bp else 0
    return min(max(keep_bp * grain // BP_FULL, 1), grain - 1)


def limit_of(level: int, grain: int) -> int:
    """Return the lowest limit that honours so many buckets."""
    return -(-level * BP_FULL // grain)


def part(keep_bp: int, leaving: Leaving, seen: Seats | None, now: Instant) -> tuple[int, Leaving] | None:
    """Return the next limit and what is recorded with it; None: nothing may move yet. The limit never rises."""
    if leaving.per_second is None or not keep_bp:
        return None
    if seen is not None and seen.watched >= (WATCHED_MIN if leaving.left is None else WATCHED_WELL):
        return _by_seats(keep_bp, leaving, leaving.per_second, seen, now)
    if leaving.left is not None:
        return _evenly(keep_bp, leaving, leaving.left / leaving.per_second * SECOND, now, leaving.left)
    if (seen is None or leaving.closing) and since(leaving.began_at, now) >= WATCHED_MIN:
        # At the deadline of a closing a watch that begins anew again and again is waited for no longer.
        until = leaving.deadline + (UNCOUNTED if leaving.closing else 0)
        return _evenly(keep_bp, leaving, max(1, until - leaving.paced_at), now, None)
    return None


def closing_per_second(pool: Pool) -> int | None:
    """Return how many connections to this pool may be closed in a second; None: none may. First its sessions go
    elsewhere, so that nobody who is cut off comes back to it."""
    closing = pool.leaving is not None and pool.leaving.closing and not pool.keep_bp
    return pool.leaving.per_second if closing and pool.leaving is not None else None


def _by_seats(keep_bp: int, leaving: Leaving, per_second: int, seen: Seats, now: Instant) -> tuple[int, Leaving] | None:
    if since(leaving.paced_at, now) * per_second < LEAST * SECOND or _waits(
        leaving, per_second, seen.below(keep_bp).in_memory
    ):
        return None
    here = seen.living(keep_bp)
    used, count = len(here.buckets), seen.sessions(here, keep_bp)
    if seen.watched < min(REMEMBERED, since(leaving.began_at, now) + 1):
        # The watch began anew on the way: who comes back seldom was not seen since, but was counted before.
        count = max(count, leaving.left or 0)
    if not used and not count:
        return 0, replace(leaving, paced_at=now, left=0)
    if not used:
        return _evenly(keep_bp, leaving, count / per_second * SECOND, now, count)
    needed = max(1, count) / used / per_second * SECOND
    spent, paced_at = _spent(leaving, needed, now)
    going = min(used, int(spent / needed))
    if not going:
        return None
    left = count * (used - going) // used
    after = replace(leaving, paced_at=Instant(paced_at + round(going * needed)), left=left)
    level = here.buckets[used - going] if going < used else 0
    return min(keep_bp, limit_of(level, seen.grain)), after


def waits_for(keep_bp: int, leaving: Leaving, seen: Seats | None) -> str:
    """Return why the next part does not go yet, for people; empty if only the rate is waited for."""
    if leaving.per_second is None or seen is None or not keep_bp or leaving.closing:
        return ""
    if leaving.left is None and not seen.known:
        why = "it began anew at a start, or when lines of the request log were missing"
        return f"who comes was watched for {seconds(seen.watched)} of {seconds(WATCHED_MIN)}: {why}"
    known = seen.watched >= (WATCHED_MIN if leaving.left is None else WATCHED_WELL)
    return _waits(leaving, leaving.per_second, seen.below(keep_bp).in_memory) if known else ""


def _waits(leaving: Leaving, per_second: int, seen: Seats) -> str:
    """Return why no more may go now. At the deadline of a closing nobody is waited for."""
    if leaving.closing:
        return ""
    if seen.moved_lately > TOO_MANY * per_second * (LATELY // SECOND):
        return f"{seen.moved_lately} moved within {seconds(LATELY)}, which is more than the rate"
    few = len(seen.occupied) < MANY and (seen.occupied or seen.watched >= REMEMBERED)
    if seen.silence >= NOBODY and not few:
        return f"nobody at all has come for {seconds(seen.silence)}: all who are passed would move at once"
    return ""


def _evenly(keep_bp: int, leaving: Leaving, lasts: float, now: Instant, left: int | None) -> tuple[int, Leaving] | None:
    """Return the next of equal parts that reach 0 after `lasts` milliseconds."""
    needed = max(1.0, lasts) / keep_bp
    spent, paced_at = _spent(leaving, needed, now)
    going = min(keep_bp, int(spent / needed))
    if not going:
        return None
    rest = None if left is None else left * (keep_bp - going) // keep_bp
    return keep_bp - going, replace(leaving, paced_at=Instant(paced_at + round(going * needed)), left=rest)


def _spent(leaving: Leaving, needed: float, now: Instant) -> tuple[int, Instant]:
    """Return the time that may be made good now, and since when."""
    spent = min(since(leaving.paced_at, now), max(CATCH_UP_MAX, ceil(needed)))
    return spent, Instant(now - spent)

"""How far a pool's limit comes down next: a pure function of what is recorded, the time, and the buckets seen.

The rate is in sessions, the limit in buckets, and nobody keeps a list of sessions. So the limit is put where as many
buckets of living sessions lie above it as may go now; those of sessions that have left are passed over. Where the
buckets are not known, just after a start, the last count is taken for evenly spread; where sessions were never
countable, equal parts go until the deadline.

Who is passed by the limit moves only when he comes back. So nothing goes on while nobody comes, or hardly anybody of
those who usually do, as in an outage of the users' line: all of them would come back at once. And who comes back seldom
is paid for like the others.
"""

from dataclasses import replace
from math import ceil

from lbctl.core.lately import LATELY
from lbctl.core.living import LEAST
from lbctl.core.rollcall import REMEMBERED
from lbctl.core.seating import WATCHED_MIN, Seats, limit_of
from lbctl.model.record import Pool
from lbctl.model.sessions import Leaving
from lbctl.model.units import MINUTE, SECOND, Instant, Span, seconds, since

WATCHED_WELL = Span(30 * SECOND)
"""Before that, what was counted earlier is the better guide."""
MANY = 30
TOO_MANY = 1.05
"""More than this part of the promised rate moved over the time of the promise: then it waits. Who was passed just
before still comes on top."""
HELD = Span(30 * SECOND)
"""For no longer: who forges sessions that move makes a move slower, and cannot stop it."""
THIN, SEEN_ALL = 1 / 3, Span(100 * SECOND)
"""After a start so many of those counted before must have come by so long a watch, and fewer until then."""
UNCOUNTED = Span(MINUTE)
"""At the deadline of a closing, sessions that nobody can count are moved in equal parts for so long."""
CATCH_UP_MAX = Span(2 * SECOND)
"""The most time that is made good at once: after an outage the rate is not exceeded."""


def part(keep_bp: int, leaving: Leaving, seen: Seats | None, now: Instant) -> tuple[int, Leaving] | None:
    """Return the next limit and what is recorded with it; None: nothing may move yet. The limit never rises."""
    if leaving.per_second is None or not keep_bp:
        return None
    if seen is not None and _waits(keep_bp, leaving, leaving.per_second, seen, now):
        return None
    if seen is not None and seen.watched >= (WATCHED_MIN if leaving.left is None else WATCHED_WELL):
        return _by_seats(keep_bp, leaving, leaving.per_second, seen, now)
    if leaving.left is not None:
        return _evenly(keep_bp, leaving, leaving.left / leaving.per_second * SECOND, now, leaving.left)
    until = parts_until(leaving, seen)
    if until is not None and since(leaving.began_at, now) >= WATCHED_MIN:
        return _evenly(keep_bp, leaving, max(1, until - leaving.paced_at), now, None)
    return None


def parts_until(leaving: Leaving, seen: Seats | None) -> Instant | None:
    """Return until when sessions that were never counted go in equal parts; None: they go by the rate, or wait."""
    counted = leaving.left is not None or (seen is not None and (seen.known or not leaving.closing))
    if leaving.per_second is None or counted:
        return None
    # At the deadline of a closing a watch that begins anew again and again is waited for no longer.
    return Instant(leaving.deadline + (UNCOUNTED if leaving.closing else 0))


def closing_per_second(pool: Pool) -> int | None:
    """Return how many connections to this pool may be closed in a second; None: none may. First its sessions go
    elsewhere, so that nobody who is cut off comes back to it."""
    closing = pool.leaving is not None and pool.leaving.closing and not pool.keep_bp
    return pool.leaving.per_second if closing and pool.leaving is not None else None


def _by_seats(keep_bp: int, leaving: Leaving, per_second: int, seen: Seats, now: Instant) -> tuple[int, Leaving] | None:
    if since(leaving.paced_at, now) * per_second < LEAST * SECOND:
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


def waits_for(keep_bp: int, leaving: Leaving, seen: Seats | None, now: Instant) -> str:
    """Return why the next part does not go yet, for people; empty if only the rate is waited for."""
    if leaving.per_second is None or seen is None or not keep_bp or leaving.closing:
        return ""
    if leaving.left is None and not seen.known:
        why = "it began anew at a start, or when lines of the request log were missing"
        return f"who comes was watched for {seconds(seen.watched)} of {seconds(WATCHED_MIN)}: {why}"
    return _waits(keep_bp, leaving, leaving.per_second, seen, now)


def _waits(keep_bp: int, leaving: Leaving, per_second: int, seen: Seats, now: Instant) -> str:
    """Return why no more may go now. At the deadline of a closing nobody is waited for."""
    if leaving.closing:
        return ""
    if seen.moved_lately > TOO_MANY * per_second * (LATELY // SECOND) and since(leaving.paced_at, now) < HELD:
        return f"{seen.moved_lately} moved within {seconds(LATELY)}, which is more than the rate"
    came = seen.below(keep_bp).in_memory.count(keep_bp)
    counted = 0 if leaving.left is None or seen.watched >= REMEMBERED else leaving.left
    if seen.silence and not (max(came, counted) < MANY and (came or seen.watched >= REMEMBERED)):
        few = f"only {100 * seen.lately / (seen.usual or 1):.0f} % of the usual sessions have come"
        who = few if seen.lately else "nobody at all has come"
        return f"{who} for {seconds(seen.silence)}: all who are passed would move at once"
    if counted >= MANY and came < counted * min(THIN, seen.watched / SEEN_ALL):
        who = f"of about {counted} sessions counted before, {came} came since the watch began"
        return f"{who} {seconds(seen.watched)} ago: all who are passed would move at once"
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

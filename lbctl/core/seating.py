"""Who came back to a pool lately, by all of its load balancers together: in which buckets, how many, and whether the
usual crowd still comes. Pure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import ceil, log

from lbctl.core.crowd import PART
from lbctl.core.living import Living, living
from lbctl.core.rollcall import NOBODY
from lbctl.core.state import State
from lbctl.model.names import Colour, ServiceName
from lbctl.model.sessions import Attendance, Visits
from lbctl.model.units import BP_FULL, SECOND, Instant, Span, since

WATCHED_MIN = Span(10 * SECOND)
"""A shorter watch has not seen most of the sessions."""


@dataclass(frozen=True, slots=True)
class Seats:
    """The occupied buckets of one pool on all instances together, ascending: of the last minute, and of the last ten.

    `visits`: when they came. `silence`: for how long nobody has come, or `lately` so few of the `usual` sessions a
    second that the others must be cut off. `unplaced`: there are some without a bucket. `moved_lately`: how many
    sessions left within the last ten seconds.
    """

    grain: int
    occupied: tuple[int, ...]
    watched: Span
    remembered: tuple[int, ...] = ()
    visits: tuple[Visits, ...] = ()
    silence: Span = Span(0)
    lately: float = 0.0
    usual: float = 0.0
    unplaced: bool = False
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
        level = level_of(keep_bp, self.grain)
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
    silence = _silence(found, now)
    return Seats(
        grain=found[0].grain,
        occupied=_union(one.buckets.get(colour, ()) for one in found),
        watched=min(since(one.since, now) for one in found),
        remembered=_union(one.remembered.get(colour, ()) for one in found),
        visits=tuple(_aged(one, colour, now, crowd_is_here=not silence) for one in found if colour in one.visits),
        silence=silence,
        lately=sum(one.coming.lately for one in found),
        usual=sum(one.coming.usual for one in found),
        unplaced=any(colour in one.unplaced for one in found),
        moved_lately=sum(one.moved_lately.get(colour, 0) for one in found),
    )


def _silence(found: Sequence[Attendance], now: Instant) -> Span:
    """Return for how long the usual crowd is away from all instances together; where there is none, for how long nobody
    was heard of at all."""
    if not any(one.coming.usual for one in found):
        nobody = min(Span(0) if one.heard_at is None else since(one.heard_at, now) for one in found)
        return nobody if nobody >= NOBODY else Span(0)
    away = [one.coming.away_since for one in found if one.coming.away_since is not None]
    here = sum(one.coming.lately for one in found) * PART >= sum(one.coming.usual for one in found)
    # The last of them to lose its crowd: one that stands by since a fail-over says nothing about now.
    return Span(0) if here or not away else Span(max(1, since(max(away), now)))


def _aged(seen: Attendance, colour: Colour, now: Instant, *, crowd_is_here: bool) -> Visits:
    """Return who came when. A crowd that is away from one instance and comes by another is not cut off: who did not
    come along grows older."""
    away_since = seen.coming.away_since if crowd_is_here else None
    return replace(seen.visits[colour], rested_s=0 if away_since is None else since(away_since, now) // SECOND)


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


def seats_of(state: State, name: ServiceName, colour: Colour, now: Instant) -> Seats | None:
    """Return the occupied buckets of a pool; None: an instance cannot tell."""
    instances = state.topology.instances_of(name)
    seen = [state.observed.sessions[i, name] for i in instances if (i, name) in state.observed.sessions]
    return seats(seen, colour, now) if len(seen) == len(instances) else None

"""Sticky sessions: how a pool's leave it, and which came back lately.

A session belongs to a bucket for as long as it lives, whatever its colour: one of `grain` numbers in a cookie of the
load balancer's. A pool honours the sessions whose bucket is below its limit. Lowering the limit moves those between,
each with its next request, and none of them twice: the other pool honours all of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from lbctl.model.names import Colour
from lbctl.model.units import BP_FULL, MINUTE, Instant, Span


class AtDeadline(StrEnum):
    """What happens to sessions that are still there at the deadline: they stay, or their connections are closed."""

    KEEP = "keep"
    CLOSE = "close"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPolicy:
    """How the sessions of a pool that drains leave it. `per_second` None: they wait for their own end."""

    per_second: int | None = None
    deadline: Span = Span(30 * MINUTE)
    at_deadline: AtDeadline = AtDeadline.KEEP


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """A pool whose sessions leave it, as recorded: enough to go on after a crash without moving one twice.

    `paced_at`: up to then the rate is used up. `left`: how many sessions there were after the last part was moved;
    None: never counted. `closing`: the deadline is over, and what is still connected is closed.
    """

    per_second: int | None
    began_at: Instant
    paced_at: Instant
    deadline: Instant
    at_deadline: AtDeadline = AtDeadline.KEEP
    left: int | None = None
    closing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Visits:
    """When the sessions of one pool came to one instance, by bucket, in seconds of a clock that rests while nobody
    comes, or hardly anybody of those who usually do: an outage of the users' line makes nobody older.

    `last_s`: the last visit. `longest_s`: the longest of a session's absences in ten to twenty minutes, where it came
    back.
    `learned_s`: for how long absences were watched. `rested_s`: for how long the clock has rested although the others
    came elsewhere; who came meanwhile is none of those.
    """

    now_s: int
    last_s: Mapping[int, int]
    longest_s: Mapping[int, int]
    learned_s: int
    rested_s: int = 0

    def away_s(self, last_s: int) -> int:
        """Return for how long somebody stays away who came last then."""
        return self.now_s - last_s + (self.rested_s if last_s < self.now_s else 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Coming:
    """How many sessions of both pools came in a second, lately and as usual. `away_since`: since when hardly any of the
    usual ones comes; None: they do."""

    lately: float
    usual: float
    away_since: Instant | None = None


NOBODY_YET = Coming(lately=0.0, usual=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attendance:
    """Which sessions of a service came back lately on one instance, and what new traffic was drawn.

    `buckets` has the occupied ones, ascending, of sessions that were seen within the last minute; it is watched since
    `since`; `remembered` those of the last ten minutes, and `visits` when those came. `heard_at`: when any request was
    last heard of, `coming` how many sessions are. `unplaced` are the pools to which sessions without a bucket came
    within ten minutes. `drawn` counts requests that neither a pin nor a session decided, `drawn_long` those of them
    that are known only since they ended and took so long that an earlier split may have drawn them, `moved` requests of
    sessions that just left that colour; they rise for as long as `since` is the same. `moved_lately`: how many left
    within the last ten seconds.
    """

    taken_at: Instant
    since: Instant
    grain: int = BP_FULL
    buckets: Mapping[Colour, tuple[int, ...]] = field(default_factory=dict)
    remembered: Mapping[Colour, tuple[int, ...]] = field(default_factory=dict)
    visits: Mapping[Colour, Visits] = field(default_factory=dict)
    heard_at: Instant | None = None
    coming: Coming = NOBODY_YET
    unplaced: frozenset[Colour] = frozenset()
    drawn: Mapping[Colour, int] = field(default_factory=dict)
    drawn_long: Mapping[Colour, int] = field(default_factory=dict)
    moved: Mapping[Colour, int] = field(default_factory=dict)
    moved_lately: Mapping[Colour, int] = field(default_factory=dict)

"""Who is alive, and how far a limit comes down for them, whatever was seen."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from lbctl.core.living import FLOOR_S, LEAST, living
from lbctl.core.parting import CATCH_UP_MAX, part
from lbctl.core.rollcall import REMEMBERED_S
from lbctl.core.seating import Seats, level_of
from lbctl.model.sessions import Leaving, Visits
from lbctl.model.units import BP_FULL, MINUTE, SECOND, Instant, Span

NOW = Instant(10_000_000)
NOW_S = 10_000
BUCKETS = st.integers(0, BP_FULL - 1)


@st.composite
def seen(draw: st.DrawFn) -> Visits:
    """What one instance saw of a pool."""
    away = draw(st.dictionaries(BUCKETS, st.integers(0, REMEMBERED_S), max_size=60))
    longest = draw(st.dictionaries(st.sampled_from(sorted(away) or [0]), st.integers(1, REMEMBERED_S), max_size=60))
    last = {bucket: NOW_S - away_s for bucket, away_s in away.items()}
    longest = {bucket: absence for bucket, absence in longest.items() if bucket in away}
    return Visits(now_s=NOW_S, last_s=last, longest_s=longest, learned_s=draw(st.integers(0, 2 * REMEMBERED_S)))


MANY = st.lists(seen(), min_size=1, max_size=3)
LEVELS = st.integers(1, BP_FULL)
WATCHED = st.integers(0, 30 * MINUTE).map(Span)


@given(MANY, LEVELS, WATCHED)
def test_only_who_came_and_is_still_honoured_is_alive_and_whoever_came_within_half_a_minute_is(
    visits: list[Visits], level: int, watched: Span
) -> None:
    found = living(visits, level, watched)
    came = {bucket for one in visits for bucket in one.last_s if bucket < level}
    lately = {b for one in visits for b, last_s in one.last_s.items() if b < level and NOW_S - last_s <= FLOOR_S}
    assert lately <= {*found.buckets} <= came
    assert bool(found.buckets) == bool(came), "a crowd that is gone altogether is paid for"
    assert list(found.buckets) == sorted(found.buckets)
    assert LEAST <= found.part <= 1


@given(MANY, LEVELS, WATCHED)
def test_who_is_alive_by_one_instance_is_so_by_all_of_them_together(
    visits: list[Visits], level: int, watched: Span
) -> None:
    calm = [replace(one, longest_s={}) for one in visits]
    alone = {bucket for one in calm for bucket in one.last_s if NOW_S - one.last_s[bucket] <= FLOOR_S}
    assert {one for one in alone if one < level} <= {*living(calm, level, watched).buckets}


@given(MANY, st.integers(1, BP_FULL), st.integers(1, 200), st.integers(0, 10 * MINUTE), WATCHED)
def test_a_limit_never_rises_and_passes_no_more_of_the_living_than_two_seconds_are_worth(
    visits: list[Visits], keep_bp: int, per_second: int, ago: int, watched: Span
) -> None:
    came = tuple(sorted({bucket for one in visits for bucket in one.last_s}))
    here = Seats(BP_FULL, came, watched, came, tuple(visits))
    paced = Instant(NOW - ago)
    leaving = Leaving(per_second=per_second, began_at=paced, paced_at=paced, deadline=Instant(NOW + MINUTE))
    found = part(keep_bp, leaving, here, NOW)
    if found is None:
        return
    assert found[0] <= keep_bp
    assert paced <= found[1].paced_at <= NOW
    level = level_of(found[0], BP_FULL)
    passed = sum(one >= level for one in here.living(keep_bp).buckets)
    assert passed <= max(1, per_second * CATCH_UP_MAX / SECOND / LEAST)

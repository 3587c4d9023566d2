"""How far a pool's limit comes down: the rate in sessions, whatever buckets they are in."""

from dataclasses import replace
from random import Random

import pytest

from lbctl.core.parting import CATCH_UP_MAX, part, waits_for
from lbctl.core.rollcall import RollCall
from lbctl.core.seating import WATCHED_MIN, Seats, level_of, limit_of, seats
from lbctl.model.names import Colour
from lbctl.model.sessions import Leaving
from lbctl.model.units import BP_FULL, MINUTE, SECOND, Instant, Span
from tests.unit.comings import Comings, regular

NOW = Instant(1_000_000)
PACED = Leaving(per_second=50, began_at=NOW, paced_at=NOW, deadline=Instant(NOW + 30 * MINUTE))
LONG = Span(MINUTE)


def crowd(count: int, grain: int = BP_FULL, seed: int = 1) -> list[int]:
    chance = Random(seed)
    return [chance.randrange(grain) for _ in range(count)]


def seen(buckets: list[int], grain: int = BP_FULL, watched: Span = LONG) -> Seats:
    return Seats(grain, tuple(sorted(set(buckets))), watched)


def moved_each_half_second(buckets: list[int], leaving: Leaving, grain: int, *, known: bool = True) -> list[int]:
    """Let time pass until the limit is 0; return how many sessions each half second took away."""
    keep_bp, moved, now = BP_FULL, [], NOW
    while keep_bp and len(moved) < 10_000:
        now = Instant(now + 500)
        here = [one for one in buckets if one < level_of(keep_bp, grain)]
        found = part(keep_bp, leaving, seen(here, grain, LONG if known else Span(1_000)), now)
        if found is not None:
            assert found[0] < keep_bp
            keep_bp, leaving = found
        moved.append(len(here) - sum(one < level_of(keep_bp, grain) for one in buckets))
    return moved


@pytest.mark.parametrize("grain", [BP_FULL, 4096])
@pytest.mark.parametrize(("count", "per_second"), [(1_000, 50), (1_000, 20), (300, 3), (5_000, 200), (20_000, 500)])
def test_the_rate_in_sessions_is_kept_within_a_fifth_over_ten_seconds(count: int, per_second: int, grain: int) -> None:
    moved = moved_each_half_second(crowd(count, grain), replace(PACED, per_second=per_second), grain)
    assert sum(moved) == count
    for start in range(0, len(moved) - 20, 5):
        assert sum(moved[start : start + 20]) == pytest.approx(10 * per_second, rel=0.2)


def test_all_sessions_in_a_few_buckets_are_paced_as_well() -> None:
    moved = moved_each_half_second([7, 8, 9, 9_990, 9_991, 9_999], replace(PACED, per_second=1), BP_FULL)
    assert [one for one in moved if one] == [1] * 6
    assert len(moved) in range(11, 15)


def test_after_a_start_the_recorded_count_paces_until_the_buckets_are_known() -> None:
    moved = moved_each_half_second(crowd(1_000), replace(PACED, left=1_000), BP_FULL, known=False)
    for start in range(0, len(moved) - 21, 5):
        assert sum(moved[start : start + 20]) == pytest.approx(500, rel=0.2)


def test_without_any_count_nobody_moves_until_the_watch_was_long_enough() -> None:
    assert part(BP_FULL, PACED, seen(crowd(10), watched=Span(1_000)), Instant(NOW + SECOND)) is None


def test_sessions_that_nobody_can_count_go_in_equal_parts_until_the_deadline() -> None:
    keep_bp, leaving, now = BP_FULL, PACED, NOW
    while keep_bp:
        now = Instant(now + SECOND)
        found = part(keep_bp, leaving, None, now)
        if found is not None:
            keep_bp, leaving = found
    assert now == pytest.approx(PACED.deadline, abs=40 * SECOND)


def test_sessions_that_nobody_can_count_do_not_all_go_at_once_at_the_deadline_of_a_closing() -> None:
    over = Instant(PACED.deadline + SECOND)
    leaving, keep_bp = replace(PACED, paced_at=over, closing=True), BP_FULL
    parts = []
    for half in range(1, 125):
        found = part(keep_bp, leaving, None, Instant(over + half * 500))
        if found is not None:
            parts.append(keep_bp - found[0])
            keep_bp, leaving = found
    assert keep_bp == 0
    assert len(parts) > 100
    assert max(parts) < 200


def test_an_outage_is_not_made_good_by_a_rush() -> None:
    found = part(BP_FULL, PACED, seen(crowd(1_000)), Instant(NOW + 10 * MINUTE))
    assert found is not None
    moved = sum(one >= found[0] for one in crowd(1_000))
    assert moved <= 1.3 * 50 * CATCH_UP_MAX / SECOND


def test_equal_facts_give_equal_parts_and_a_part_is_never_taken_twice() -> None:
    here, at = seen(crowd(1_000)), Instant(NOW + SECOND)
    first = part(BP_FULL, PACED, here, at)
    assert first == part(BP_FULL, PACED, here, at)
    assert first is not None
    assert part(first[0], first[1], here, at) is None


def test_where_a_watch_that_knows_nobody_yet_can_count_nothing_goes_by_the_deadline() -> None:
    fresh, late = seen(crowd(10), watched=Span(1_000)), Instant(NOW + MINUTE)
    assert part(BP_FULL, PACED, fresh, late) is None
    assert part(BP_FULL, PACED, None, late) is not None
    assert part(BP_FULL, PACED, None, Instant(NOW + WATCHED_MIN - 1)) is None
    assert part(BP_FULL, replace(PACED, closing=True), fresh, late) is not None


def test_who_waits_is_never_moved() -> None:
    waiting, late = replace(PACED, per_second=None), Instant(NOW + 20 * MINUTE)
    assert part(BP_FULL, waiting, seen([17], watched=Span(20 * MINUTE)), late) is None
    assert part(BP_FULL, waiting, None, late) is None


@pytest.mark.parametrize("count", [1, 60, 585, 3_000, 20_000])
def test_sessions_are_estimated_from_the_buckets_they_share(count: int) -> None:
    assert seen(crowd(count)).count() == pytest.approx(count, rel=0.05, abs=1)


@pytest.mark.parametrize("grain", [BP_FULL, 4096, 100])
def test_a_limit_honours_exactly_the_buckets_below_its_level(grain: int) -> None:
    for level in {0, 1, 2, grain // 3, grain - 1, grain}:
        assert level_of(limit_of(level, grain), grain) == level


def test_a_session_is_known_for_a_minute_and_counted_once_on_all_instances() -> None:
    calls = [RollCall(NOW), RollCall(NOW)]
    for one in calls:
        one.kept(Colour.BLUE, 5)
        one.kept(Colour.BLUE, 20_000)
    calls[1].kept(Colour.BLUE, 7)
    found = seats([one.look(Instant(NOW + 40 * SECOND)) for one in calls], Colour.BLUE, Instant(NOW + 40 * SECOND))
    assert found is not None
    expected = Seats(BP_FULL, (5, 7), Span(40 * SECOND), remembered=(5, 7), unplaced=True)
    assert replace(found, visits=(), lately=0.0, usual=0.0) == expected
    assert found.living(BP_FULL).buckets == (5, 7)
    later = calls[0].look(Instant(NOW + 80 * SECOND))
    assert (later.buckets[Colour.BLUE], later.remembered[Colour.BLUE]) == ((), (5,))
    assert calls[0].look(Instant(NOW + 11 * MINUTE)).remembered[Colour.BLUE] == ()


def test_a_session_that_moved_is_one_of_the_other_colour() -> None:
    call = RollCall(NOW)
    call.kept(Colour.BLUE, 5)
    call.moved(Colour.BLUE, 5)
    seen_now = call.look(NOW)
    assert (seen_now.buckets[Colour.BLUE], seen_now.buckets[Colour.GREEN]) == ((), (5,))
    assert seen_now.moved[Colour.BLUE] == 1


def test_a_page_of_many_requests_is_one_session_that_leaves_and_nobody_leaves_twice_in_a_second() -> None:
    call = RollCall(NOW)
    call.look(NOW)
    for second in range(1, 6):
        for _ in range(30):
            call.moved(Colour.BLUE, 7)
        call.moved(Colour.BLUE, 100 + second)
        call.look(Instant(NOW + second * SECOND))
    seen_now = call.look(Instant(NOW + 6 * SECOND))
    assert seen_now.moved_lately[Colour.BLUE] == 5 + 5
    assert seen_now.moved[Colour.BLUE] == 155


@pytest.mark.parametrize(
    "seated", [None, Seats(BP_FULL, (5, 9), Span(0)), Seats(BP_FULL, (5,), LONG, moved_lately=10**6)]
)
def test_at_the_deadline_of_a_closing_no_watch_and_no_crowd_is_waited_for(seated: Seats | None) -> None:
    ends = Instant(NOW + MINUTE)
    keep_bp, leaving = BP_FULL, replace(PACED, deadline=ends, closing=True, paced_at=ends)
    assert waits_for(keep_bp, leaving, seated, ends) == ""
    for second in range(1, 70):
        keep_bp, leaving = part(keep_bp, leaving, seated, Instant(ends + second * SECOND)) or (keep_bp, leaving)
    assert keep_bp == 0


def test_users_who_come_back_every_five_minutes_move_at_the_rate_as_well() -> None:
    windows = Comings(regular(4_000, 300, 900), 10, 300, until_s=420).run()
    assert max(windows) <= 120, windows
    assert sum(windows[-10:]) > 600, windows


def test_a_count_of_nobody_ends_it_only_while_others_come_or_after_a_long_watch() -> None:
    nobody, late = Seats(BP_FULL, (), LONG), Instant(NOW + MINUTE)
    assert part(BP_FULL, PACED, nobody, late) == (0, replace(PACED, paced_at=late, left=0))
    assert part(BP_FULL, PACED, replace(nobody, silence=Span(6 * SECOND)), late) is None
    long_since = replace(nobody, silence=Span(9 * MINUTE), watched=Span(11 * MINUTE))
    assert part(BP_FULL, PACED, long_since, late) == (0, replace(PACED, paced_at=late, left=0))
    counted = replace(PACED, left=1_000)
    assert part(BP_FULL, counted, nobody, late) is None, "those of the last count must be cut off"
    some = part(BP_FULL, counted, seen(crowd(400)), late)
    assert some is not None
    assert some[0] >= 8_900, "the others come back seldom, or have not come yet"
    assert part(BP_FULL, counted, replace(nobody, watched=Span(11 * MINUTE)), late) is not None
    closing = replace(PACED, closing=True)
    assert part(BP_FULL, closing, replace(nobody, silence=Span(6 * SECOND)), late) is not None


def test_why_nobody_moves_is_said() -> None:
    """Where only the rate is waited for there is nothing to say."""
    some = crowd(1_000)
    assert waits_for(BP_FULL, PACED, seen(some), NOW) == ""
    assert "watched for 4s of 10s" in waits_for(BP_FULL, PACED, seen(some, watched=Span(4 * SECOND)), NOW)
    few = replace(seen(some), silence=Span(8 * SECOND), lately=1.24, usual=10.0)
    assert "only 12 % of the usual sessions have come for 8s" in waits_for(BP_FULL, PACED, few, NOW)
    assert "of about 9000 sessions counted before, 1004 came since the watch began 1m ago" in waits_for(
        BP_FULL, replace(PACED, left=9_000), seen(some), NOW
    )
    away = replace(seen(some), silence=Span(8 * SECOND))
    assert "nobody at all has come for 8s" in waits_for(BP_FULL, PACED, away, NOW)
    assert part(BP_FULL, PACED, away, Instant(NOW + SECOND)) is None
    assert "700 moved within 10s" in waits_for(BP_FULL, PACED, replace(seen(some), moved_lately=700), NOW)
    assert waits_for(BP_FULL, PACED, None, NOW) == waits_for(0, PACED, seen(some), NOW) == ""


def test_who_forges_sessions_that_move_makes_a_move_slower_and_cannot_stop_it() -> None:
    forged, keep_bp, leaving, now = replace(seen(crowd(1_000)), moved_lately=10**6), BP_FULL, PACED, NOW
    for _ in range(240):
        now = Instant(now + 500)
        keep_bp, leaving = part(keep_bp, leaving, forged.below(keep_bp), now) or (keep_bp, leaving)
    assert leaving.left == pytest.approx(1_000 - 4 * CATCH_UP_MAX // SECOND * 50, abs=20)

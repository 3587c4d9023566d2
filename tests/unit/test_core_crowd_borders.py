"""Who comes, who stayed away and who is left, at the borders: one figure changed at a time."""

from dataclasses import replace

import pytest

from lbctl.core.absences import Absences
from lbctl.core.crowd import BELIEVED, ENOUGH, FEW, LONGEST_S, SHORTEST_S, Crowd, _window_s
from lbctl.core.lately import Lately
from lbctl.core.living import FLOOR_S, _left, _together, _usual_s, living
from lbctl.core.parting import HELD, TOO_MANY, part, waits_for
from lbctl.core.rollcall import BLIND_S, NOBODY, REMEMBERED_S, RollCall
from lbctl.core.seating import Seats, _aged, _silence, level_of, limit_of, seats
from lbctl.model.names import Colour
from lbctl.model.sessions import Attendance, Coming, Leaving, Visits
from lbctl.model.units import BP_FULL, MINUTE, SECOND, Instant, Span

BLUE, GREEN = Colour.BLUE, Colour.GREEN
NOW = Instant(1_000_000)
PACED = Leaving(per_second=50, began_at=NOW, paced_at=NOW, deadline=Instant(NOW + 30 * MINUTE))


# ---- absences


def test_the_longest_absence_of_two_pages_counts_and_only_of_those_who_are_kept() -> None:
    known = Absences()
    for bucket, away_s in ((1, 50), (2, 60), (4, 9)):
        known.ended(bucket, away_s)
    known.turn_page()
    for bucket, away_s in ((1, 10), (3, 30), (3, 20), (4, 9), (5, 7)):
        known.ended(bucket, away_s)
    assert known.longest_s() == {1: 50, 2: 60, 3: 30, 4: 9, 5: 7}
    known.keep({1, 3})
    assert known.longest_s() == {1: 50, 3: 30}
    assert (known.leave(1), known.leave(3), known.leave(2)) == (50, 30, 0)
    assert known.longest_s() == {}


def test_an_absence_of_no_second_is_none() -> None:
    known = Absences()
    known.ended(1, 0)
    assert known.longest_s() == {}
    known.turn_page()
    known.turn_page()
    known.ended(1, 1)
    assert known.longest_s() == {1: 1}


# ---- parting


def moved(**changes: object) -> int | None:
    """The limit two seconds later, with a hundred sessions seen for long; None: nobody may go."""
    at = tuple(range(0, BP_FULL, 100))
    seen = replace(Seats(BP_FULL, at, Span(11 * MINUTE), remembered=at), **changes)  # type: ignore[arg-type]
    found = part(BP_FULL, PACED, seen, Instant(NOW + 2 * SECOND))
    return None if found is None else found[0]


def test_more_than_the_rate_holds_a_move_for_half_a_minute_and_the_rate_itself_does_not() -> None:
    most = int(TOO_MANY * 50 * 10)
    assert moved(moved_lately=most) == moved() is not None
    assert moved(moved_lately=most + 1) is None
    crowded = Seats(BP_FULL, tuple(range(100)), Span(11 * MINUTE), moved_lately=most + 1)
    assert part(BP_FULL, PACED, crowded, Instant(NOW + HELD - 1)) is None
    assert part(BP_FULL, PACED, crowded, Instant(NOW + HELD)) is not None


def test_where_nothing_is_left_to_move_nothing_is_waited_for() -> None:
    away = Seats(BP_FULL, tuple(range(100)), Span(MINUTE), silence=Span(8 * SECOND))
    assert waits_for(BP_FULL, PACED, away, NOW) != ""
    assert waits_for(0, PACED, replace(away, watched=Span(0)), NOW) == ""
    assert waits_for(BP_FULL, replace(PACED, per_second=None), away, NOW) == ""


@pytest.mark.parametrize(
    ("came", "watched_s", "moves"), [(29, 60, True), (30, 600, False), (0, 599, False), (0, 600, True)]
)
def test_in_a_silence_a_few_may_go_and_nobody_of_a_crowd(came: int, watched_s: int, moves: bool) -> None:
    at = tuple(range(came))
    seen = Seats(BP_FULL, at, Span(watched_s * SECOND), remembered=at, silence=Span(8 * SECOND), lately=1.0, usual=9.0)
    assert (part(BP_FULL, PACED, seen, Instant(NOW + MINUTE)) is not None) is moves


def test_who_was_counted_before_a_start_must_come_by_thirds_of_them() -> None:
    def moves(came: int, watched_s: int, left: int) -> bool:
        at = tuple(range(came))
        seen = Seats(BP_FULL, at, Span(watched_s * SECOND), remembered=at)
        return part(BP_FULL, replace(PACED, left=left), seen, Instant(NOW + MINUTE)) is not None

    assert not moves(9, 100, 30)
    assert moves(10, 100, 30)
    assert moves(0, 100, 29), "so few say nothing"
    assert not moves(290, 300, 900), "a third is enough however long the watch"
    assert moves(301, 300, 900)
    assert not moves(80, 10, 900)
    assert moves(91, 10, 900)
    assert moves(0, 600, 900), "after ten minutes nobody is waited for"


# ---- seats


def attendance(**changes: object) -> Attendance:
    return replace(Attendance(taken_at=NOW, since=Instant(0)), **changes)  # type: ignore[arg-type]


def coming(lately: float, usual: float, away_since: int | None = None) -> Coming:
    return Coming(lately=lately, usual=usual, away_since=None if away_since is None else Instant(away_since))


def test_a_limit_between_none_and_all_honours_one_bucket_at_least_and_not_the_last() -> None:
    assert [level_of(one, 100) for one in (0, 1, 199, 200, 9_950, 9_999, BP_FULL)] == [0, 1, 1, 2, 99, 99, 100]
    assert [limit_of(one, 4_096) for one in (0, 1, 4_096)] == [0, 3, BP_FULL]


def test_where_every_bucket_is_taken_the_least_number_is_told() -> None:
    assert Seats(100, tuple(range(100)), Span(MINUTE)).count() == 462
    assert Seats(100, tuple(range(99)), Span(MINUTE)).count() == 461
    assert Seats(100, (), Span(MINUTE)).count() == Seats(100, (), Span(MINUTE)).count(0) == 0
    assert Seats(100, (0,), Span(MINUTE)).count(100) == 1


def test_a_watch_of_ten_seconds_knows_and_the_shortest_of_all_counts() -> None:
    found = seats([attendance(since=NOW - 9_999), attendance()], BLUE, NOW)
    assert found is not None
    assert (found.watched, found.known) == (9_999, False)
    assert replace(found, watched=Span(10_000)).known


def test_nobody_is_away_where_anybody_was_heard_of_within_five_seconds() -> None:
    quiet = attendance(heard_at=Instant(NOW - NOBODY))
    assert _silence([quiet], NOW) == NOBODY
    assert _silence([attendance(heard_at=Instant(NOW - NOBODY + 1))], NOW) == 0
    assert _silence([quiet, attendance(heard_at=NOW)], NOW) == 0
    assert _silence([quiet, attendance()], NOW) == 0, "one that was never heard of says nothing"


def test_a_crowd_is_away_when_all_load_balancers_together_miss_two_thirds_of_it() -> None:
    away = attendance(coming=coming(1.0, 10.0, NOW - 8_000))
    assert _silence([away], NOW) == 8_000
    assert _silence([away, attendance(coming=coming(3.0, 2.0))], NOW) == 0, "they come by the other one"
    assert _silence([away, attendance(coming=coming(2.0, 3.0, NOW - 3_000))], NOW) == 3_000
    assert _silence([attendance(coming=coming(1.0, 3.0, NOW - 8_000))], NOW) == 0, "a third of them comes"
    assert _silence([attendance(coming=coming(1.0, 10.0))], NOW) == 0, "not one of them misses it"
    assert _silence([attendance(coming=coming(1.0, 10.0, NOW))], NOW) == 1


def test_who_did_not_come_along_to_another_load_balancer_is_older_by_the_time_since() -> None:
    visits = {BLUE: Visits(now_s=100, last_s={1: 90, 2: 100}, longest_s={}, learned_s=100)}
    here = attendance(visits=visits, coming=coming(0.0, 10.0, NOW - 8_000))
    assert _aged(here, BLUE, NOW, crowd_is_here=True).rested_s == 8
    assert _aged(here, BLUE, NOW, crowd_is_here=False).rested_s == 0
    assert _aged(attendance(visits=visits), BLUE, NOW, crowd_is_here=True).rested_s == 0
    aged = _aged(here, BLUE, NOW, crowd_is_here=True)
    assert (aged.away_s(90), aged.away_s(100)) == (18, 0)


# ---- who is alive


def test_a_session_by_several_instances_was_away_for_the_least_and_reads_for_the_longest() -> None:
    one = Visits(now_s=100, last_s={1: 90, 2: 50, 9: 99}, longest_s={1: 5, 9: 1}, learned_s=60)
    other = Visits(now_s=500, last_s={1: 497, 3: 400}, longest_s={1: 4, 3: 8}, learned_s=60)
    assert _together([one, other], 9) == ({1: 3, 2: 50, 3: 100}, {1: 5, 3: 8})


def test_nearly_all_absences_are_those_below_the_longest_twentieth() -> None:
    assert _usual_s({}, 0.0, 60) == 0
    assert _usual_s(dict(enumerate([*[2] * 95, *[9] * 5])), 0.0, 60) == 2
    assert _usual_s(dict(enumerate([*[2] * 94, *[9] * 6])), 0.0, 60) == 9
    assert _usual_s(dict(enumerate([*[2] * 94, *[9] * 6])), 0.5, 60) == 2
    assert _usual_s(dict(enumerate([*[2] * 99, 90])), 0.0, 10) == 90, "longer than the watch: it stands for nine"


def test_who_left_is_counted_by_half_minutes_before() -> None:
    assert list(_left([0, 1, FLOOR_S, FLOOR_S + 1, 3 * FLOOR_S, 3 * FLOOR_S + 1, -5], 8)) == [2 / 10, 1 / 11, 1 / 12]


# ---- crowd


def test_the_seldomer_they_come_the_longer_they_are_looked_for() -> None:
    assert [_window_s(one) for one in (0.0, 0.1, 1.0, 4.0, 10.0, 100.0)] == [20, LONGEST_S, ENOUGH, 5, SHORTEST_S, 3]


def steady(crowd: Crowd, each_s: int, seconds: range) -> None:
    for second in seconds:
        for one in range(each_s):
            crowd.arrive(second * 1_000 + one)
        crowd.turn(Instant(second * SECOND))


def test_a_crowd_is_away_while_less_than_a_third_of_it_comes_and_what_is_usual_rests() -> None:
    crowd = Crowd()
    steady(crowd, 30, range(100))
    assert (crowd.is_away, round(crowd.coming.usual)) == (False, 30)
    steady(crowd, 9, range(100, 110))
    assert crowd.is_away
    assert crowd.coming.away_since == Instant(102 * SECOND), "when the window held too few"
    assert round(crowd.coming.usual) == 30
    steady(crowd, 11, range(110, 120))
    assert (crowd.is_away, crowd.coming.away_since) == (False, None)


def test_a_third_is_there() -> None:
    crowd = Crowd()
    steady(crowd, 30, range(100))
    steady(crowd, 10, range(100, 104))
    assert not crowd.is_away


def test_of_fewer_than_five_a_minute_nobody_can_say_that_they_are_away() -> None:
    for usual, is_away in ((FEW - 1, False), (2 * FEW, True)):
        crowd = Crowd()
        for second in range(1_800):
            if second < 1_200 and second % (LONGEST_S // usual) == 0:
                crowd.arrive(second)
            crowd.turn(Instant(second * SECOND))
            if second == 1_300:
                assert crowd.is_away is is_away


def test_who_is_away_for_ten_minutes_has_left() -> None:
    crowd = Crowd()
    steady(crowd, 30, range(100))
    gone = range(100, 103 + BELIEVED // SECOND)
    steady(crowd, 0, gone[:-1])
    assert crowd.is_away
    steady(crowd, 0, gone[-1:])
    assert (crowd.is_away, crowd.coming.usual) == (False, 0.0)


def test_a_crowd_that_is_back_for_a_minute_or_nearly_whole_for_a_moment_begins_the_ten_minutes_anew() -> None:
    for back, seconds, anew in ((20, 3, True), (11, LONGEST_S + 4, True), (11, LONGEST_S - 10, False)):
        crowd = Crowd()
        steady(crowd, 30, range(100))
        steady(crowd, 1, range(100, 500))
        steady(crowd, back, range(500, 500 + seconds))
        steady(crowd, 1, range(500 + seconds, 710))
        assert crowd.is_away is anew, (back, seconds)


def test_until_the_window_is_full_what_is_usual_is_what_comes_and_then_its_mean() -> None:
    crowd, usual = Crowd(), []
    for second in range(4):
        steady(crowd, 40 if second == 3 else 10, range(second, second + 1))
        usual.append(crowd.coming.usual)
    assert usual == [10, 10, 10, 15], "three seconds of it were enough; the fourth counts half"


def test_the_same_few_who_come_every_second_are_so_many_in_a_whole_minute() -> None:
    crowd = Crowd()
    for second in range(LONGEST_S):
        for one in range(10):
            crowd.arrive(one)
        crowd.turn(Instant(second * SECOND))
    assert crowd.coming.usual == pytest.approx(10 / LONGEST_S)


def test_a_crowd_that_just_came_here_is_not_measured_by_who_came_before() -> None:
    crowd = Crowd()
    steady(crowd, 1, range(100))
    steady(crowd, 100, range(100, 103))
    assert crowd.coming.lately == 100


@pytest.mark.parametrize(("back_s", "anew"), [(LONGEST_S - 1, False), (LONGEST_S, True)])
def test_a_crowd_is_back_when_it_was_there_for_a_minute(back_s: int, anew: bool) -> None:
    crowd, here, second = Crowd(), 0, 500
    steady(crowd, 30, range(100))
    steady(crowd, 1, range(100, second))
    while here < back_s or not crowd.is_away:
        # The window holds them for one second more.
        steady(crowd, 11 if here < back_s - 1 else 1, range(second, second + 1))
        here, second = here + (not crowd.is_away), second + 1
    assert here == back_s
    steady(crowd, 1, range(second, 710))
    assert crowd.is_away is anew


def test_of_what_grew_between_two_looks_only_the_part_within_ten_seconds_counts() -> None:
    def grown(**looks: int) -> int:
        lately = Lately()
        return [lately.look(total, Instant(int(at[1:]) * SECOND)) for at, total in looks.items()][-1]

    assert grown(s0=0, s20=1_000) == 500
    assert grown(s0=0, s6=600, s12=600) == 400
    assert grown(s0=100, s6=100, s12=700) == 600
    assert grown(s0=0, s2=300, s12=900) == 600
    assert grown(s0=7, s1=8, s30=8) == 0


def test_the_more_buckets_are_remembered_the_more_of_the_longest_absences_are_left_out() -> None:
    longest = dict(enumerate([*[31] * 10, *[50] * 84, *[90] * 6]))
    seen = Visits(now_s=1_000, last_s={**dict.fromkeys(longest, 1_000), 150: 955}, longest_s=longest, learned_s=1_000)
    assert 150 in living([seen], 202, Span(11 * MINUTE)).buckets, "all are given fifty seconds"
    away = replace(seen, last_s={**seen.last_s, 150: 949})
    assert 150 not in living([away], 202, Span(11 * MINUTE)).buckets
    assert 150 in living([away], BP_FULL, Span(11 * MINUTE)).buckets, "ninety: hardly any bucket is shared"


def test_who_once_stayed_away_for_longer_than_all_are_given_has_twice_that() -> None:
    def alive(away_s: int) -> bool:
        last_s = {1: 1_000, 2: 1_000, 7: 1_000 - away_s}
        seen = Visits(now_s=1_000, last_s=last_s, longest_s={1: 2, 2: 2, 7: 16}, learned_s=1_000)
        return 7 in living([seen], BP_FULL, Span(11 * MINUTE)).buckets

    assert alive(32)
    assert not alive(33)


def test_nothing_is_grown_before_a_second_look() -> None:
    lately = Lately()
    assert lately.look(70, NOW) == 0
    assert lately.look(75, NOW) == 5, "two looks at the same time"


# ---- the roll


def looked(call: RollCall, at_s: int) -> Attendance:
    return call.look(Instant(at_s * SECOND))


def test_a_bucket_that_does_not_exist_is_a_session_without_one() -> None:
    call = RollCall(Instant(0), grain=100)
    for bucket in (0, 99, 100, -1):
        call.kept(BLUE, bucket)
    seen = looked(call, 1)
    assert (seen.buckets[BLUE], seen.unplaced) == ((0, 99), {BLUE})
    call.moved(BLUE, 99)
    call.moved(BLUE, 100)
    call.moved(BLUE, 0, keeps_bucket=False)
    seen = looked(call, 2)
    assert (seen.buckets[BLUE], seen.buckets[GREEN], seen.moved[BLUE]) == ((), (99,), 3)


def test_who_left_several_times_within_a_second_left_once() -> None:
    call = RollCall(Instant(0), grain=100)
    looked(call, 0)
    for at_s, buckets in ((1, (5, 5, 7, 200, 300)), (2, (5,)), (3, ())):
        for bucket in buckets:
            call.moved(BLUE, bucket)
        seen = looked(call, at_s)
    assert seen.moved_lately == {BLUE: 4, GREEN: 0}


def test_what_was_drawn_is_counted_by_how_long_it_took() -> None:
    call = RollCall(Instant(0))
    assert (call.heard, call.tells) == (False, False)
    call.drew(BLUE)
    call.drew(BLUE, 3)
    call.drew_long(GREEN)
    call.drew_long(GREEN)
    seen = looked(call, 1)
    assert (seen.drawn, seen.drawn_long) == ({BLUE: 4, GREEN: 0}, {BLUE: 0, GREEN: 2})
    only_long = RollCall(Instant(0))
    only_long.drew_long(BLUE)
    assert (only_long.heard, only_long.tells) == (True, True)


def test_a_load_balancer_that_served_nobody_says_that_nobody_came() -> None:
    call = RollCall(Instant(0))
    call.served("life", 7)
    assert call.tells, "what it served before the watch is no matter"
    call.served("life", 7)
    assert call.tells
    call.served("life", 8)
    assert not call.tells, "somebody came of whom nothing was told"
    call.served("life", 8)
    assert not call.tells
    call.kept(BLUE, 1)
    assert call.tells


def test_a_new_life_that_served_nothing_yet_served_nobody() -> None:
    call = RollCall(Instant(0))
    call.served("life", 7)
    call.served("next", 0)
    assert call.tells
    call.served("third", 1)
    assert not call.tells


def test_a_doubt_before_the_first_look_begins_with_that() -> None:
    call = RollCall()
    call.doubt(Instant(5))
    assert looked(call, 1).since == SECOND


def test_it_adds_up_twice_a_second_and_anew_after_a_doubt() -> None:
    call = RollCall(Instant(0))
    first = looked(call, 0)
    assert call.look(Instant(499)) is first
    assert call.look(Instant(500)) is not first
    call.doubt(Instant(600))
    assert call.look(Instant(700)).since == 600


def test_a_visit_is_seen_for_a_minute_and_remembered_for_ten() -> None:
    call = RollCall(Instant(0))
    looked(call, 0)
    call.kept(BLUE, 5)
    call.kept(BLUE, 20_000)
    seen = {}
    for second in range(1, 615):
        call.drew(GREEN)
        found = looked(call, second)
        seen[second] = (5 in found.buckets[BLUE], 5 in found.remembered[BLUE], BLUE in found.unplaced)
    assert (seen[60], seen[61]) == ((True, True, True), (False, True, True))
    assert (seen[REMEMBERED_S], seen[REMEMBERED_S + 1]) == ((False, True, True), (False, False, False))


def test_the_clock_rests_from_the_fifth_second_without_anybody() -> None:
    call = RollCall(Instant(0))
    call.kept(BLUE, 5)
    ages = []
    for second in range(12):
        visits = looked(call, second).visits[BLUE]
        ages.append(visits.now_s - visits.last_s[5])
    assert ages == [0, 1, 2, 3, 4, *[4] * 7]


def test_a_look_after_less_than_ten_minutes_does_not_begin_anew() -> None:
    for pause_s, begins in ((BLIND_S - 1, 0), (BLIND_S, BLIND_S * SECOND)):
        call = RollCall(Instant(0))
        looked(call, 0)
        assert looked(call, pause_s).since == begins

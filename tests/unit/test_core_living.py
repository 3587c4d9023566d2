"""Who is still there: a move is paid for the living, and never goes faster than promised for them."""

import pytest

from lbctl.core.living import FLOOR_S, LEAST, living
from lbctl.core.rollcall import REMEMBERED, RollCall
from lbctl.model.names import Colour
from lbctl.model.sessions import Visits
from lbctl.model.units import BP_FULL, MINUTE, SECOND, Instant, Span
from tests.unit.comings import Comings, bursts, regular, short

LONG = Span(20 * MINUTE)


def visits(away: dict[int, int], longest: dict[int, int], learned_s: int = 1_200) -> Visits:
    last = {bucket: 10_000 - seconds for bucket, seconds in away.items()}
    return Visits(now_s=10_000, last_s=last, longest_s=longest, learned_s=learned_s)


def alive(away: dict[int, int], longest: dict[int, int], watched: Span = LONG) -> tuple[int, ...]:
    return living([visits(away, longest)], BP_FULL, watched).buckets


def test_who_was_away_for_twice_as_long_as_ever_is_gone_but_nobody_within_half_a_minute() -> None:
    fast = dict.fromkeys(range(50), 2)
    away = {**dict.fromkeys(range(50), 1), 48: FLOOR_S, 49: FLOOR_S + 1}
    assert alive(away, fast) == tuple(range(49))
    assert 49 in alive(away, {**fast, 49: 16}), "this one often reads for so long"


def test_all_are_given_the_time_that_nearly_all_need() -> None:
    away, longest = dict.fromkeys(range(100), 60), dict.fromkeys(range(100), 25)
    assert alive({**away, 0: 1}, longest) == (0,)
    assert len(alive({**away, 0: 1}, {**longest, **dict.fromkeys(range(50, 60), 90)})) == 100


def test_who_came_only_once_may_come_back_as_late_as_is_remembered_until_ten_minutes_were_watched() -> None:
    away, longest = {1: 1, 2: 1, 7: 300}, {1: 2, 2: 2}
    assert 7 in alive(away, longest, Span(5 * MINUTE))
    assert 7 not in alive(away, longest, REMEMBERED)


def test_of_absences_longer_than_the_watch_each_stands_for_those_that_were_not_seen() -> None:
    longest = {**dict.fromkeys(range(1_000), 2), **dict.fromkeys(range(1_000, 1_040), 300)}
    away = {**dict.fromkeys(range(1_040), 1), 5_000: 200}
    short = living([visits(away, longest, learned_s=10)], BP_FULL, REMEMBERED).buckets
    assert 5_000 in short
    begun = [visits(away, longest, learned_s=10), visits({1: 1}, {})]
    assert 5_000 in living(begun, BP_FULL, REMEMBERED).buckets, "one of them has not watched for long"
    assert 5_000 not in living([visits(away, longest)], BP_FULL, REMEMBERED).buckets


def test_a_crowd_that_seems_to_be_gone_altogether_is_there() -> None:
    assert alive(dict.fromkeys(range(40), 500), dict.fromkeys(range(40), 2)) == tuple(range(40))


def test_a_session_is_where_it_came_last_by_any_instance() -> None:
    one, other = visits({1: 100, 2: 1}, {1: 2, 2: 2}), visits({1: 3}, {1: 5})
    assert living([one, other], BP_FULL, LONG).buckets == (1, 2)
    assert living([one, other], 2, LONG).buckets == (1,)


def test_where_sessions_leave_steadily_some_of_those_within_the_bound_have_left_too() -> None:
    steadily = {bucket: bucket for bucket in range(200)}
    longest = dict.fromkeys(range(200), 2)
    here = living([visits(steadily, longest)], BP_FULL, LONG)
    assert len(here.buckets) == FLOOR_S + 1
    assert here.part == pytest.approx(max(LEAST, 0.75), abs=0.02)
    at_once = {**{bucket: bucket % 3 for bucket in range(100)}, **dict.fromkeys(range(100, 200), 45)}
    assert living([visits(at_once, longest)], BP_FULL, LONG).part == 1.0
    assert living([visits(steadily, longest)], BP_FULL, Span(MINUTE)).part == 1.0


def test_nobody_grows_older_while_nobody_comes_at_all() -> None:
    call = RollCall(Instant(0))
    call.kept(Colour.BLUE, 5)
    for half in range(240):
        if not 40 <= half < 200:
            call.drew(Colour.GREEN)
        seen = call.look(Instant(half * 500)).visits[Colour.BLUE]
    assert seen.now_s - seen.last_s[5] == pytest.approx(120 - 80 + 5, abs=2)


def test_a_long_absence_is_known_for_ten_to_twenty_minutes_however_often_somebody_comes_meanwhile() -> None:
    call, known = RollCall(Instant(0)), []
    for second in range(1_800):
        call.drew(Colour.GREEN)
        if second == 0 or (second >= 100 and not second % 2):
            call.kept(Colour.BLUE, 5)
        known.append(call.look(Instant(second * SECOND)).visits[Colour.BLUE].longest_s.get(5, 0))
    assert (known[99], set(known[101:1_190]), known[1_210]) == (0, {99}, 2)


def test_the_other_pool_knows_how_long_a_session_stays_away() -> None:
    call = RollCall(Instant(0))
    for second in range(0, 40, 10):
        for tick in range(second, second + 10):
            call.drew(Colour.GREEN)
            call.look(Instant(tick * SECOND))
        call.kept(Colour.BLUE, 5)
    call.moved(Colour.BLUE, 5)
    seen = call.look(Instant(40 * SECOND)).visits
    assert (dict(seen[Colour.BLUE].last_s), dict(seen[Colour.BLUE].longest_s)) == ({}, {})
    assert seen[Colour.GREEN].longest_s[5] == 10


# ---- whole moves

HALF_LEFT = [*regular(400, 2, 1_000), *regular(400, 2, 267)]
SEVERAL = {
    "half of them ended half a minute before": (HALF_LEFT, 10, 300),
    "the same, and lbctl had watched for only a minute": ([*regular(400, 2, 1_000), *regular(400, 2, 27)], 10, 60),
    "a few who come only every 25 s among many": ([*regular(380, 2, 1_000), *regular(20, 25, 1_000, 0, 0.2)], 10, 200),
    "short visits among long ones": ([*regular(400, 5, 1_300), *short(2, 180, 5, 700)], 10, 700),
    "only visits of three minutes": ([*short(5, 180, 8, 700)], 10, 700),
}


@pytest.mark.parametrize("name", SEVERAL)
def test_the_living_move_at_the_rate_that_is_promised(name: str) -> None:
    sessions, per_second, begins_s = SEVERAL[name]
    first, *rest = Comings(sessions, per_second, begins_s).run()
    assert 5 * per_second <= first <= 12 * per_second, "who is passed moves with the next request"
    assert rest
    assert all(7.5 * per_second <= one <= 12 * per_second for one in rest), (first, *rest)
    assert 9 * per_second <= sum(rest) / len(rest), "of a hundred by chance some windows have ten fewer"


def test_after_a_kill_it_goes_on_with_the_living() -> None:
    windows = Comings(HALF_LEFT, 10, 300, killed_s=[310]).run()
    assert len(windows) in {3, 4}
    assert all(80 <= one <= 120 for one in windows), windows


def test_short_visits_that_share_buckets_are_slower_and_never_faster() -> None:
    windows = Comings([*short(20, 60, 5, 400)], 20, 400).run()
    assert all(one <= 240 for one in windows), windows
    assert max(windows) > 100, windows


@pytest.mark.parametrize(("watched_s", "most"), [(60, 57), (300, 48), (700, 48)])
def test_who_clicks_for_a_minute_and_reads_for_four_is_not_gone(watched_s: int, most: int) -> None:
    """Before a reading time was seen to its end nobody can know it: then the last windows are up to 14 % above."""
    users = bursts(750, click_s=3, busy_s=60, idle_s=240, until_s=watched_s + 400)
    move = Comings(users, 4, watched_s, until_s=400)
    move.run()
    assert move.ended_s
    assert max(move.within(start) for start in range(390)) <= most


@pytest.mark.parametrize("think_s", [3, 20])
def test_users_who_come_often_and_those_who_come_seldom_move_at_the_rate(think_s: int) -> None:
    move = Comings(regular(600, think_s, 400), 10, 120)
    windows = move.run()
    assert all(one <= 120 for one in windows), windows
    assert sum(windows[-5:]) > 400, windows


OUT = range(155, 230)
"""Five seconds after the beginning of a move."""
OUTAGES = {
    "nobody comes at all": {"drawn": lambda second: second not in OUT},
    "one still comes, and others without a session": {"through": (0,)},
    "only somebody without a session comes every four seconds": {"drawn": lambda s: s not in OUT or s % 4 == 0},
    "a tenth still comes": {"through": range(50)},
}


@pytest.mark.parametrize("name", OUTAGES)
def test_in_an_outage_of_the_users_nobody_is_passed_who_would_move_at_once_after_it(name: str) -> None:
    move = Comings(regular(500, 3, 500), 10, 150, away_s=OUT, **OUTAGES[name])
    move.run()
    assert max(move.within(start) for start in range(60, 290)) <= 145, "those passed before it, and the rate"
    assert len(move.moves) == 500, "and it goes on"


@pytest.mark.parametrize("through", [(), (0,)])
def test_a_kill_in_an_outage_moves_nobody_by_what_was_counted_before(through: tuple[int, ...]) -> None:
    move = Comings(regular(500, 3, 500), 10, 150, away_s=OUT, through=through, killed_s=[170, 200])
    move.run()
    assert max(move.within(start) for start in range(60, 290)) <= 145
    assert len(move.moves) == 500


def test_a_crowd_that_stays_away_for_ten_minutes_is_gone() -> None:
    move = Comings([*regular(50, 3, 1_000), *regular(450, 3, 145)], 10, 150, until_s=700)
    move.run()
    assert 590 <= move.ended_s <= 640
    assert len(move.moves) == 50


def test_half_of_the_users_are_not_told_from_those_who_left() -> None:
    """As told in the limits: they come back at once, and not faster than twice the rate is passed meanwhile."""
    move = Comings(regular(500, 3, 500), 5, 150, away_s=OUT, through=range(250))
    move.run()
    assert move.ended_s >= 40

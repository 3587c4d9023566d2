"""Who is still there: a move is paid for the living, and never goes faster than promised for them."""

from collections.abc import Iterator
from random import Random

import pytest

from lbctl.core.living import FLOOR_S, LEAST, living
from lbctl.core.parting import level_of, part, seats
from lbctl.core.rollcall import REMEMBERED, RollCall
from lbctl.model.names import Colour
from lbctl.model.sessions import Leaving, Visits
from lbctl.model.units import BP_FULL, MINUTE, SECOND, Instant, Span

LONG = Span(20 * MINUTE)
Session = list[float]
"""The seconds in which somebody comes."""


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


def test_a_long_absence_counts_less_with_each_visit() -> None:
    call, longest = RollCall(Instant(0)), []
    for second in range(113):
        call.drew(Colour.GREEN)
        call.look(Instant(second * SECOND))
        if second == 0 or (second >= 100 and not second % 2):
            call.kept(Colour.BLUE, 5)
            longest.append(call.look(Instant(second * SECOND + 500)).visits[Colour.BLUE].longest_s.get(5, 0))
    assert longest == [0, 100, 75, 57, 43, 33, 25, 19]


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


def regular(count: int, think_s: float, until_s: float, begin_s: float = 0, spread: float = 0.5) -> list[Session]:
    """Users who come every so often."""
    chance = Random(count)
    found = []
    for _ in range(count):
        at, session = begin_s + chance.random() * think_s, []
        while at < until_s:
            session.append(at)
            at += think_s * chance.uniform(1 - spread, 1 + spread)
        found.append(session)
    return found


def short(per_second: float, stay_s: float, think_s: float, until_s: float) -> Iterator[Session]:
    """Users who come, stay for a while and leave, one after another; no new one after `until_s`."""
    chance, at = Random(7), 0.0
    while at < until_s:
        at += chance.expovariate(per_second)
        ends = at + chance.expovariate(1 / stay_s)
        yield regular(1, think_s, ends, at)[0]


def moved(sessions: list[Session], per_second: int, begins_s: int, killed_s: int | None = None) -> list[int]:
    """Return how many moved in every ten seconds until the limit was 0, by the users. A tick is half a second."""
    chance, call, keep_bp, leaving = Random(5), RollCall(Instant(0)), BP_FULL, None
    coming: dict[int, list[list[int]]] = {}
    for session in sessions:
        user = [chance.randrange(BP_FULL), 0]
        for at in session:
            coming.setdefault(int(at * 2), []).append(user)
    moves = []
    for tick in range(2 * begins_s + 600):
        if not keep_bp:
            break
        now = Instant(tick * 500)
        call = RollCall(now) if killed_s is not None and tick == 2 * killed_s else call
        for user in coming.get(tick, ()):
            if user[1]:
                continue
            if user[0] < level_of(keep_bp, BP_FULL):
                call.kept(Colour.BLUE, user[0])
                continue
            user[1] = 1
            call.moved(Colour.BLUE, user[0])
            moves.append(tick // 2 - begins_s)
        call.drew(Colour.GREEN)
        if tick % 4 and tick < 2 * begins_s:
            continue
        seen = seats([call.look(now)], Colour.BLUE, now)
        if tick >= 2 * begins_s:
            began = Leaving(per_second=per_second, began_at=now, paced_at=now, deadline=Instant(10**9))
            leaving = leaving or began
            found = part(keep_bp, leaving, seen, now)
            assert found is None or found[0] <= keep_bp
            keep_bp, leaving = found or (keep_bp, leaving)
    return [moves_in(moves, start) for start in range(0, tick // 2 - begins_s - 9, 10)]


def moves_in(moves: list[int], start: int) -> int:
    return sum(start <= one < start + 10 for one in moves)


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
    first, *rest = moved(sessions, per_second, begins_s)
    assert 5 * per_second <= first <= 12 * per_second, "who is passed moves with the next request"
    assert rest
    assert all(7.5 * per_second <= one <= 12 * per_second for one in rest), (first, *rest)
    assert 9 * per_second <= sum(rest) / len(rest), "of a hundred by chance some windows have ten fewer"


def test_after_a_kill_it_goes_on_with_the_living() -> None:
    windows = moved(HALF_LEFT, 10, 300, killed_s=310)
    assert all(one <= 120 for one in windows), windows
    assert len(windows) in {3, 4}
    assert all(one >= 80 for one in windows), windows


def test_short_visits_that_share_buckets_are_slower_and_never_faster() -> None:
    windows = moved([*short(20, 60, 5, 400)], 20, 400)
    assert all(one <= 240 for one in windows), windows
    assert max(windows) > 100, windows

"""Whether the usual crowd still comes, whoever else does, and by whichever load balancer."""

from collections.abc import Callable, Collection
from random import Random

from lbctl.core.crowd import BELIEVED, LONGEST_S, Crowd
from lbctl.core.lately import Lately
from lbctl.core.rollcall import BLIND_S, REMEMBERED_S, RollCall
from lbctl.core.seating import seats
from lbctl.model.names import Colour
from lbctl.model.units import BP_FULL, SECOND, Instant

CHANCE = Random(3)


def away(crowd: Crowd, who: Callable[[int], Collection[int]], seconds: range) -> list[int]:
    """Let sessions come by the second; return the seconds in which the crowd was away."""
    found = []
    for second in seconds:
        for one in who(second):
            crowd.arrive(one)
        crowd.turn(Instant(second * SECOND))
        if crowd.is_away:
            found.append(second)
    return found


def seldom(second: int) -> Collection[int]:
    """One of 300 users in a second, and one who polls."""
    return (1_000 + second % 300, 7)


def test_one_that_polls_every_second_stands_for_no_crowd_that_comes_seldom() -> None:
    crowd = Crowd()
    assert away(crowd, seldom, range(600)) == []
    assert away(crowd, lambda _: (7,), range(600, 700))[0] < 625


def test_a_crowd_of_which_a_tenth_is_left_is_believed_to_be_gone_after_ten_minutes_whatever_chance_does() -> None:
    crowd, tenth = Crowd(), Random(3)
    away(crowd, lambda _: range(CHANCE.randrange(500), 500, 100), range(300))
    gone = away(crowd, lambda s: [s] * (tenth.random() < 0.5) + [-s] * (s % 97 < 3), range(300, 1_500))
    assert gone[0] < 330
    assert gone[-1] <= gone[0] + BELIEVED // SECOND


def test_a_crowd_that_comes_all_at_once_every_minute_is_there() -> None:
    crowd = Crowd()
    away(crowd, lambda second: range(1_000) if second % 60 < 2 else (), range(2_000))
    assert crowd.coming.usual > 100, "nobody took it for gone after ten minutes"


def test_what_waited_in_a_queue_before_the_first_look_is_no_usual_crowd() -> None:
    call = RollCall()
    for bucket in range(2_000):
        call.kept(Colour.BLUE, bucket)
    for second in range(100):
        seen = call.look(Instant(second * SECOND))
        assert seen.coming.away_since is None, second
        for bucket in range(20):
            call.kept(Colour.BLUE, second * 20 + bucket)


def test_who_came_last_while_the_crowd_was_away_is_not_remembered_for_ever() -> None:
    call = RollCall(Instant(0))
    for second in range(200 + REMEMBERED_S):
        for bucket in range(100 if second < 100 else 0):
            call.kept(Colour.BLUE, bucket)
        if 100 <= second < 120:
            call.kept(Colour.BLUE, 5_000)
        seen = call.look(Instant(second * SECOND))
        if second == 130:
            assert 5_000 in seen.remembered[Colour.BLUE]
    assert seen.coming.away_since is None
    assert seen.remembered[Colour.BLUE] == ()
    assert seen.buckets[Colour.BLUE] == ()


def test_who_did_not_look_for_ten_minutes_does_not_take_everybody_for_gone() -> None:
    call = RollCall(Instant(0))
    for second in (*range(700), 700 + BLIND_S):
        call.kept(Colour.BLUE, second % 300)
        seen = call.look(Instant(second * SECOND))
        assert seen.since == Instant(0 if second < 700 else second * SECOND)
    assert seen.coming.away_since is None


def test_who_did_not_come_along_to_another_load_balancer_grows_older_and_who_stayed_does_not() -> None:
    calls = [RollCall(Instant(0)), RollCall(Instant(0))]
    for second in range(240):
        here = calls[second >= 120]
        for bucket in range(200 if second < 120 else 100):
            here.kept(Colour.BLUE, bucket)
        calls[0].kept(Colour.BLUE, 7_000)
        now = Instant(second * SECOND)
        seen = seats([call.look(now) for call in calls], Colour.BLUE, now)
    assert seen is not None
    assert not seen.silence
    assert seen.living(BP_FULL).buckets == (*range(100), 7_000)


def test_a_crowd_that_comes_by_another_load_balancer_is_not_away_for_a_moment() -> None:
    calls = [RollCall(Instant(0)), RollCall(Instant(0))]
    for second in range(200):
        for bucket in range(100):
            calls[second >= 120].kept(Colour.BLUE, (second % 4) * 100 + bucket)
        now = Instant(second * SECOND)
        seen = seats([call.look(now) for call in calls], Colour.BLUE, now)
        assert seen is not None
        assert not seen.silence, second
    assert seen.usual * LONGEST_S > 100


def test_what_grew_while_nobody_looked_grew_evenly() -> None:
    lately = Lately()
    looks = {0: 0, 50: 1_000, 100: 2_000, 105: 2_300, 110: 2_300, 116: 2_300}
    assert [lately.look(total, Instant(second * SECOND)) for second, total in looks.items()] == [
        0, 200, 200, 400, 300, 0,
    ]  # fmt: skip

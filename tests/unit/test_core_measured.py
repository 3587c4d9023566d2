"""The measured share beside the set one: chance contradicts nothing, a load balancer that does otherwise is named."""

from random import Random

import pytest

from lbctl.core.measured import Draws, Measured, agrees, between, contradiction, drawn, explained, measure
from lbctl.model.names import Colour, InstanceName
from lbctl.model.sessions import Attendance
from lbctl.model.units import SECOND, Instant

LB = InstanceName("edge/lb1")
START = Instant(100_000)


def came(blue: int, green: int, green_long: int = 0) -> dict[InstanceName, Attendance]:
    drawn = {Colour.BLUE: blue, Colour.GREEN: green}
    return {LB: Attendance(taken_at=START, since=START, drawn=drawn, drawn_long={Colour.GREEN: green_long})}


def at(seconds: float) -> Instant:
    return Instant(START + int(seconds * SECOND))


def watched(per_second: int, part: float, seconds: int) -> tuple[Measured, dict[InstanceName, Attendance]]:
    """A split that is read back since `START`, and gives green this part of every second's requests."""
    known, seen = Measured(), came(0, 0)
    for second in range(seconds):
        green = round(per_second * second * part)
        seen = came(per_second * second - green, green)
        known = measure(known, seen, START, at(second))
    return known, seen


@pytest.mark.parametrize("share_bp", [100, 500, 2_500, 5_000, 9_900])
def test_chance_alone_contradicts_nothing(share_bp: int) -> None:
    chance = Random(share_bp)
    for total in (1, 5, 50, 500, 20_000):
        for _ in range(200):
            count = sum(chance.random() < share_bp / 10_000 for _ in range(min(total, 2_000)))
            assert agrees(count, min(total, 2_000), share_bp)


@pytest.mark.parametrize(
    ("count", "total", "share_bp"), [(300, 1_000, 500), (0, 1_000, 2_500), (30, 100, 0), (900, 1_000, 10_000)]
)
def test_what_chance_cannot_explain_contradicts(count: int, total: int, share_bp: int) -> None:
    assert not agrees(count, total, share_bp)


def test_no_traffic_and_little_traffic_never_wait() -> None:
    for per_second in (0, 1):
        known, seen = watched(per_second, 0.0, 60)
        assert contradiction(known, seen, Colour.GREEN, 500) == ""


def test_an_instance_that_gives_another_share_is_named_after_two_windows() -> None:
    early, seen = watched(100, 0.3, 12)
    assert contradiction(early, seen, Colour.GREEN, 500) == ""
    late, seen = watched(100, 0.3, 40)
    assert contradiction(late, seen, Colour.GREEN, 500).startswith("edge/lb1 gave green 30 % of ")
    assert contradiction(late, seen, Colour.GREEN, 3_000) == ""


def test_it_begins_anew_with_every_target_and_with_every_new_count() -> None:
    known, _ = watched(100, 0.3, 40)
    assert measure(known, came(1, 1), None, at(41)) == Measured()
    assert between(known.since_reached, drawn(came(1, 1)), LB) == {Colour.BLUE: Draws(), Colour.GREEN: Draws()}


def verdicts(parts: dict[int, float], seconds: int) -> list[bool]:
    """Whether the share is contradicted, ten times a second, of a load balancer at 10 % that gives green this part of
    200 requests a second from these seconds on."""
    known, blue, green, part, found = Measured(), 0.0, 0.0, 0.1, []
    for tenth in range(seconds * 10):
        part = parts.get(tenth // 10, part)
        blue, green = blue + 20 * (1 - part), green + 20 * part
        seen = came(round(blue), round(green))
        known = measure(known, seen, START, at(tenth / 10))
        found.append(bool(contradiction(known, seen, Colour.GREEN, 1_000)))
    return found


def test_once_contradicted_it_stays_so_over_every_turn_of_the_window() -> None:
    found = verdicts({0: 0.5}, 90)
    first = found.index(True)
    assert 150 <= first <= 160
    assert all(found[first:])


def test_it_ends_within_two_windows_once_the_share_is_given() -> None:
    found = verdicts({0: 0.5, 40: 0.1}, 90)
    assert all(found[160:400])
    assert not any(found[600:])


@pytest.mark.parametrize("of_green_long", [0.0, 0.17, 0.5, 1.0])
def test_a_slow_pool_does_not_pass_for_one_that_is_given_too_little(of_green_long: float) -> None:
    known, seen = Measured(), came(0, 0)
    for second in range(60):
        green = 100 * second
        long = round(green * of_green_long)
        seen = came(900 * second, green - long, long)
        known = measure(known, seen, START, at(second))
    assert contradiction(known, seen, Colour.GREEN, 1_000) == ""
    assert "gave green" in contradiction(known, seen, Colour.GREEN, 2_500)


@pytest.mark.parametrize(
    ("blue", "green", "share_bp", "fits"),
    [
        (Draws(900), Draws(0, 100), 1_000, True),
        (Draws(900), Draws(0, 20), 1_000, False),
        (Draws(0, 900), Draws(100), 1_000, True),
        (Draws(100, 10), Draws(100), 1_000, False),
        (Draws(0, 50), Draws(1_000), 10_000, True),
        (Draws(900), Draws(100, 5_000), 1_000, True),
        (Draws(500), Draws(500, 5_000), 10_000, False),
        (Draws(500, 5_000), Draws(500), 0, False),
    ],
)
def test_long_requests_count_in_favour_of_who_gave_them_and_explain_no_more(
    blue: Draws, green: Draws, share_bp: int, fits: bool
) -> None:
    draws = {Colour.BLUE: blue, Colour.GREEN: green}
    assert explained(draws, Colour.GREEN, share_bp) is fits
    assert explained({Colour.BLUE: green, Colour.GREEN: blue}, Colour.BLUE, share_bp) is fits

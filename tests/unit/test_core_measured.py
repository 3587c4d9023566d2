"""The measured share beside the set one: chance contradicts nothing, a load balancer that does otherwise is named."""

from random import Random

import pytest

from lbctl.core.measured import Measured, agrees, between, contradiction, measure
from lbctl.model.names import Colour, InstanceName
from lbctl.model.sessions import Attendance
from lbctl.model.units import SECOND, Instant

LB = InstanceName("edge/lb1")
START = Instant(100_000)


def drawn(blue: int, green: int) -> dict[InstanceName, Attendance]:
    return {LB: Attendance(taken_at=START, since=START, drawn={Colour.BLUE: blue, Colour.GREEN: green})}


def at(seconds: float) -> Instant:
    return Instant(START + int(seconds * SECOND))


def watched(per_second: int, part: float, seconds: int) -> tuple[Measured, dict[InstanceName, Attendance]]:
    """A split that is read back since `START`, and gives green this part of every second's requests."""
    known, seen = Measured(), drawn(0, 0)
    for second in range(seconds):
        green = round(per_second * second * part)
        seen = drawn(per_second * second - green, green)
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
    assert measure(known, drawn(1, 1), None, at(41)) == Measured()
    assert between(known.since_reached, {LB: drawn(1, 1)[LB].drawn}, LB) == {Colour.BLUE: 0, Colour.GREEN: 0}


def verdicts(parts: dict[int, float], seconds: int) -> list[bool]:
    """Whether the share is contradicted, ten times a second, of a load balancer at 10 % that gives green this part of
    200 requests a second from these seconds on."""
    known, blue, green, part, found = Measured(), 0.0, 0.0, 0.1, []
    for tenth in range(seconds * 10):
        part = parts.get(tenth // 10, part)
        blue, green = blue + 20 * (1 - part), green + 20 * part
        seen = drawn(round(blue), round(green))
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

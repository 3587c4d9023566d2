"""A server's health at its borders: just not stale, just not flapping, just half of a pool."""

from dataclasses import replace

import pytest

from lbctl.core.health import REFUSED, HealthSettings, HealthState, observe, panic, refresh
from lbctl.model.units import Instant, Span

SETTINGS = HealthSettings(rise=2, fall=3, interval=Span(1_000), timeout=Span(500))
NOW = Instant(100_000)
UP = HealthState(up=True, since=Instant(0), detail="", seen_up=True, good=2, heard_at=Instant(NOW - 1_000))
DOWN = HealthState(up=False, since=Instant(0), seen_up=False, bad=3, heard_at=Instant(NOW - 1_000))


def refused(state: HealthState, detail: str = REFUSED, *, ok: bool = False) -> Instant | None:
    return observe(state, ok, NOW, SETTINGS, detail).refused_since


def test_a_refusal_counts_from_the_first_of_an_unbroken_row() -> None:
    known = replace(DOWN, refused_since=Instant(50_000))
    assert refused(known) == 50_000
    assert refused(replace(known, heard_at=Instant(NOW - 3_500))) == 50_000
    assert refused(replace(known, heard_at=Instant(NOW - 3_501))) == NOW
    assert refused(replace(known, heard_at=None)) == NOW
    assert refused(DOWN) == NOW
    assert refused(known, "timed out") is None
    assert refused(known, REFUSED, ok=True) is None


def test_one_more_good_probe_changes_only_when_it_was_heard() -> None:
    assert observe(UP, True, NOW, SETTINGS) == replace(UP, heard_at=NOW)
    assert observe(UP, True, NOW, SETTINGS, "200 OK").detail == "200 OK"
    rising = replace(UP, good=1, bad=0)
    assert observe(rising, True, NOW, SETTINGS).good == 2
    risen = replace(DOWN, good=2, bad=0, seen_up=False)
    assert observe(risen, True, NOW, SETTINGS).up is True


def flapping(*seconds_ago: float, detail: str = "", up: bool = True) -> HealthState:
    flips = tuple(Instant(NOW - int(1_000 * ago)) for ago in seconds_ago)
    state = replace(UP, up=up, flips=flips, detail=detail)
    return observe(state, True, NOW, SETTINGS, "200 OK")


HELD = "answers, but held down for flapping: it changed 6 times"


def test_six_changes_in_a_minute_are_flapping_and_five_are_not() -> None:
    assert flapping(60, 50, 40, 30, 20, 10).up is False
    assert flapping(60.001, 50, 40, 30, 20, 10).up is True
    assert flapping(50, 40, 30, 20, 10).up is True


def test_who_was_held_down_stays_so_until_it_is_calm() -> None:
    assert flapping(75, 60.5, 50, 40, 30, 20, detail=HELD, up=False).up is False
    assert flapping(75, 60.5, 50, 40, 30, 20, detail="", up=False).up is True
    assert flapping(60, 50, 45, 40, 35, 30, detail=HELD, up=False).up is True
    assert flapping(60, 50, 45, 40, 35, 29.999, detail=HELD, up=False).up is False
    state = flapping(60, 50, 40, 30, 20, 10)
    assert state.detail == f"{HELD}, still for 10s of 30s"


def test_only_the_last_changes_are_kept() -> None:
    state = UP
    for second in range(12):
        probes = (False,) * 3 if second % 2 == 0 else (True,) * 2
        for number, ok in enumerate(probes):
            state = observe(state, ok, Instant(NOW + 10_000 * second + number * 1_000), SETTINGS, "x")
    assert len(state.flips) == SETTINGS.flips_max + 1
    assert state.flips[-1] == NOW + 110_000 + 1_000


def test_what_rises_says_how_far_and_what_fails_says_why() -> None:
    assert observe(replace(DOWN, good=0), True, NOW, SETTINGS, "200 OK").detail == "1 of 2 good checks in a row"
    assert observe(replace(DOWN, good=1, bad=0), True, NOW, SETTINGS, "200 OK").detail == "200 OK"
    assert observe(UP, False, NOW, SETTINGS, "timed out").detail == "timed out"
    assert observe(replace(UP, bad=2, good=0), False, NOW, SETTINGS, "timed out").since == NOW
    assert observe(UP, False, NOW, SETTINGS, "timed out").since == 0


def test_a_silence_keeps_since_when_nothing_is_known() -> None:
    silent = refresh(replace(UP, heard_at=Instant(NOW - 3_501), refused_since=NOW), NOW, SETTINGS)
    assert (silent.up, silent.seen_up, silent.since, silent.good, silent.bad) == (None, None, NOW, 0, 0)
    assert (silent.refused_since, silent.detail) == (None, "no result for 3.5s")
    assert refresh(replace(UP, heard_at=Instant(NOW - 3_500)), NOW, SETTINGS).up is True
    assert observe(replace(UP, up=None), None, NOW, SETTINGS).detail == "the checker could not tell"
    assert observe(UP, None, NOW, SETTINGS, "late").detail == ""


FLIPPED = replace(UP, flips=(Instant(NOW - 2_000),))
STILL = replace(UP, flips=(Instant(NOW - 2_001),))


@pytest.mark.parametrize(
    ("blue", "green", "suspect"),
    [
        ([DOWN, DOWN], [DOWN, UP], None),
        ([DOWN, UP], [DOWN, DOWN], None),
        ([DOWN, DOWN, UP], [DOWN], "2 of 3 blue and 1 of 1 green servers look dead at once"),
        ([FLIPPED, FLIPPED], [FLIPPED, UP], "3 of 4 servers of both pools changed within 2s"),
        ([STILL, FLIPPED], [FLIPPED, UP], None),
        ([FLIPPED, FLIPPED, FLIPPED], [UP], None),
        ([FLIPPED, FLIPPED] + [UP] * 6, [FLIPPED] + [UP] * 6, None),
        ([FLIPPED, FLIPPED] + [UP] * 5, [FLIPPED] + [UP] * 6, "3 of 14 servers of both pools changed within 2s"),
        ([FLIPPED], [FLIPPED], None),
        ([], [DOWN], None),
        ([DOWN], [], None),
        ([], [], None),
    ],
)
def test_the_checker_is_suspect_beyond_half_of_both_or_a_fifth_of_all(
    blue: list[HealthState], green: list[HealthState], suspect: str | None
) -> None:
    assert panic(blue, green, NOW, SETTINGS) == suspect


def test_a_server_that_has_risen_is_up_whatever_was_said_of_it_before() -> None:
    risen = replace(DOWN, good=2, bad=0, detail="200 OK")
    assert observe(risen, True, NOW, SETTINGS, "200 OK").up is True

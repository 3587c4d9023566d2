"""Rise and fall, unknown, flap damping, the panic rule."""

import pytest

from lbctl.core.health import REFUSED, HealthSettings, HealthState, observe, panic, refresh
from lbctl.model.reading import Health
from lbctl.model.topology import HealthCheck, Probe
from lbctl.model.units import Instant, Span

SETTINGS = HealthSettings(rise=2, fall=3, interval=Span(1_000), timeout=Span(500))


def after(probes: str, *, start: int = 0, state: HealthState | None = None) -> HealthState:
    """The state after one probe a second: `+` good, `-` bad, `?` could not tell."""
    state = state or HealthState.unknown(Instant(start))
    for second, probe in enumerate(probes, start=1):
        ok = {"+": True, "-": False, "?": None}[probe]
        state = observe(state, ok, Instant(start + 1_000 * second), SETTINGS, f"probe {second}")
    return state


@pytest.mark.parametrize(
    ("probes", "up"),
    [
        ("", None),
        ("+", None),
        ("++", True),
        ("--", None),
        ("---", False),
        ("+-+-+-", None),
        ("++--", True),
        ("++---", False),
        ("++--+--", True),
        ("++---+", False),
        ("++---++", True),
        ("++??", True),
        ("++-?-?-", False),
        ("+?+", True),
        ("---??", False),
        ("????", None),
    ],
)
def test_rise_good_probes_make_a_server_up_and_fall_bad_ones_down(probes: str, up: bool | None) -> None:
    assert after(probes).up is up


def test_since_is_when_the_state_changed_and_detail_is_the_last_probes() -> None:
    state = after("++++----")
    assert state.health == Health(up=False, since=Instant(7_000), detail="probe 8")


@pytest.mark.parametrize("probes", ["+", "++---+", "?+"])
def test_a_server_that_answers_but_not_often_enough_says_how_often_it_did(probes: str) -> None:
    assert after(probes).detail == "1 of 2 good checks in a row"
    assert after(probes + "-").detail == f"probe {len(probes) + 1}"
    assert after(probes + "+").detail == f"probe {len(probes) + 1}"


def test_silence_of_three_intervals_and_a_timeout_is_unknown_not_down() -> None:
    up = after("++")
    assert refresh(up, Instant(2_000 + 3_500), SETTINGS) == up
    silent = refresh(up, Instant(2_000 + 3_501), SETTINGS)
    assert (silent.up, silent.since) == (None, Instant(5_501))
    assert silent.detail == "no result for 3.5s"
    assert refresh(silent, Instant(60_000), SETTINGS).since == Instant(5_501)


def test_probes_that_cannot_tell_are_silence_too_and_rise_starts_anew_afterwards() -> None:
    state = after("++????")
    assert state.up is None
    state = after("+", start=6_000, state=state)
    assert state.up is None
    assert after("+", start=7_000, state=state).up is True


def test_a_server_never_probed_stays_unknown_since_the_beginning() -> None:
    state = HealthState.unknown(Instant(5))
    assert refresh(state, Instant(1_000_000), SETTINGS) == state
    assert observe(state, None, Instant(9), SETTINGS, "the checker was late").detail == "the checker was late"


def test_a_flapping_server_is_held_down_until_it_is_calm_and_says_so() -> None:
    settled = after("++")
    flapping = after("---++" * 3, start=2_000, state=settled)
    assert flapping.seen_up is True
    assert flapping.up is False
    assert "held down for flapping" in flapping.detail
    last_flip = flapping.flips[-1]
    still = after("+" * 29, start=17_000, state=flapping)
    assert still.up is False
    calm = after("+" * 2, start=46_000, state=still)
    assert calm.up is True
    assert calm.since - last_flip >= SETTINGS.calm


def test_a_few_changes_are_not_flapping() -> None:
    assert after("++---++---++").up is True


def test_a_held_down_server_that_fails_is_plainly_down() -> None:
    flapping = after("---++" * 3 + "---", start=2_000, state=after("++"))
    assert (flapping.up, flapping.detail) == (False, "probe 18")


def test_settings_come_from_the_configured_check() -> None:
    check = HealthCheck(kind=Probe.TCP, interval=Span(250), timeout=Span(100), rise=5, fall=7)
    settings = HealthSettings.of(check)
    assert (settings.rise, settings.fall, settings.stale_after) == (5, 7, 850)


UP, DOWN, FELL, ROSE, UNKNOWN = (
    after("++"),
    after("---"),
    after("++---"),
    after("---++"),
    HealthState.unknown(Instant(0)),
)


@pytest.mark.parametrize(
    ("blue", "green", "suspect"),
    [
        ([UP] * 3, [UP] * 3, ""),
        ([UP] * 3, [DOWN] * 3, ""),
        ([DOWN] * 3, [UP] * 3, ""),
        ([DOWN] * 2 + [UP], [DOWN] * 2 + [UP], "look dead at once"),
        ([DOWN, UP], [DOWN, UP], ""),
        ([UNKNOWN] * 3, [UNKNOWN] * 3, ""),
        ([DOWN] * 3, [UNKNOWN] * 3, ""),
        ([UP] * 3, [FELL] * 3, ""),
        ([FELL] * 7, [UP] * 7, ""),
        ([FELL] + [UP] * 4, [FELL] * 2 + [UP] * 3, "changed within 2s"),
        ([FELL] + [UP] * 4, [ROSE] * 2 + [UP] * 3, "changed within 2s"),
        ([FELL] + [UP] * 6, [FELL] + [UP] * 1, ""),
        ([FELL] + [UP] * 7, [FELL] * 2 + [UP] * 5, ""),
        ([DOWN], [], ""),
    ],
)
def test_the_checker_is_suspect_when_both_pools_fail_alike(
    blue: list[HealthState], green: list[HealthState], suspect: str
) -> None:
    for pools in ((blue, green), (green, blue)):
        reason = panic(*pools, Instant(6_000), SETTINGS)
        assert (reason or "").endswith(suspect) if suspect else reason is None


def test_changes_of_long_ago_are_no_panic() -> None:
    assert panic([FELL] + [UP] * 4, [FELL] * 2 + [UP] * 3, Instant(60_000), SETTINGS) is None


def test_a_refusal_before_a_silence_says_nothing_of_the_silence() -> None:
    """The host slept for an hour: the server may have been up in between, and counts as stopped only from now on."""
    state = HealthState.unknown(Instant(0))
    for at in (1_000, 2_000, 3_000):
        state = observe(state, False, Instant(at), SETTINGS, REFUSED)
    assert state.refused_since == 1_000
    state = observe(state, False, Instant(3_600_000), SETTINGS, REFUSED)
    assert state.refused_since == 3_600_000

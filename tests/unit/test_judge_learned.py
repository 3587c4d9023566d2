"""What is learned of active while nothing is released."""

from random import Random

import pytest

from lbctl.core.judge import Counts, Learned, Stream, Terms
from lbctl.core.judge.learned import Bursts

HOUR_S = 3_600


def watched(learned: Learned, counts: Counts, spans: int, span_s: float = 10.0) -> Learned:
    for _ in range(spans):
        learned = learned.after(counts, span_s)
    return learned


def dispersion_of(bursts: int, spans: int = 5_000, mean: float = 20.0) -> float:
    """Errors that come in groups of `bursts`, by a seeded coin per possible group."""
    dice, found = Random(7), Bursts()
    groups = round(mean / bursts * 10)
    for _ in range(spans):
        bad = bursts * sum(dice.random() < 0.1 for _ in range(groups))
        found = found.after(Counts(20_000, bad), 10.0)
    return found.dispersion


def test_independent_errors_have_a_dispersion_of_one() -> None:
    assert dispersion_of(1) == pytest.approx(1.0, abs=0.15)


def test_bursts_are_seen_and_taken_half_as_large_again() -> None:
    assert dispersion_of(20) == pytest.approx(1 + 1.5 * (20 * 0.9 - 1), rel=0.15)


def test_an_outage_or_a_ratio_that_drifts_over_the_day_is_no_burst() -> None:
    dice = Random(7)

    def bad(ratio: float) -> int:
        return round(dice.gauss(10_000 * ratio, (10_000 * ratio * (1 - ratio)) ** 0.5))

    outage, drifting = Bursts(), Bursts()
    for span in range(24 * 360):
        ratio = 0.2 if 1_000 <= span < 1_030 else 0.001
        outage = outage.after(Counts(10_000, max(0, bad(ratio))), 10.0)
        drifting = drifting.after(Counts(10_000, max(0, bad(0.001 + 0.009 * span / 8_640))), 10.0)
    assert outage.dispersion < 3.0
    assert drifting.dispersion < 1.3


def test_a_tenth_of_a_burst_in_a_tick_is_still_one_span() -> None:
    whole, parts = Bursts(), Bursts()
    for _ in range(50):
        whole = whole.after(Counts(1_000, 10), 10.0)
        for _ in range(10):
            parts = parts.after(Counts(100, 1), 1.0)
    assert parts.dispersion == pytest.approx(whole.dispersion)


def test_two_is_assumed_until_ten_minutes_and_a_thousand_requests_are_known() -> None:
    learned = watched(Learned(), Counts(1_000, 0), 59)
    assert (learned.enough, learned.dispersion()) == (False, 2.0)
    assert learned.terms(None) == Terms(
        slow_dispersion=dict.fromkeys([Stream.SLOW50, Stream.SLOW95, Stream.SLOW99], 2.0)
    )
    few = watched(Learned(), Counts(1, 0), 900)
    assert not few.enough


def test_a_dispersion_below_two_is_believed_only_after_four_hours() -> None:
    early = watched(Learned(), Counts(10_000, 10), 360)
    late = watched(early, Counts(10_000, 10), 4 * 360)
    assert early.dispersion() == 2.0
    assert late.dispersion() == pytest.approx(1.0, abs=0.1)


def test_what_people_say_replaces_what_was_learned() -> None:
    assert watched(Learned(), Counts(10_000, 10), 2_000).terms(20.0).dispersion == 20.0


def test_the_baseline_is_of_the_last_hours_and_the_rate_of_the_last_minutes() -> None:
    learned = watched(Learned(), Counts(1_000, 0), 6 * 360)
    learned = watched(learned, Counts(5_000, 50), 360)
    assert learned.rate == pytest.approx(500.0, rel=0.01)
    assert 0.005 < learned.terms(None).baseline.ratio < 0.01


def test_latency_is_judged_only_where_times_are_known() -> None:
    untimed = watched(Learned(), Counts(100, 0), 100)
    assert not untimed.terms(None).latency
    timed = untimed.after(Counts(300, 0), 1.0, {100: 300})
    assert timed.terms(None).latency


def test_times_that_follow_a_release_teach_speed_and_nothing_else() -> None:
    learned = watched(Learned(), Counts(100, 1), 100)
    faster = learned.faster({100: 500}, 1.0)
    assert faster.speed.buckets == {100: 500}
    assert (faster.known_s, faster.error, faster.baseline) == (learned.known_s, learned.error, learned.baseline)


def test_what_was_learned_survives_a_restart_and_damage_is_refused() -> None:
    learned = Learned()
    for _ in range(30):
        learned = learned.after(Counts(500, 2), 1.0, {50: 400, 90: 100})
    assert learned.slow, "how its slow requests come in bursts"
    assert Learned.from_json(learned.to_json()) == learned
    damaged = learned.to_json() | {"known_s": -1.0}
    with pytest.raises(ValueError, match=r"learned\.known_s"):
        Learned.from_json(damaged)
    for buckets in ({"x": 1.0}, {"5": "many"}, {"5": float("nan")}, [1]):
        with pytest.raises(ValueError, match="learned"):
            Learned.from_json(learned.to_json() | {"speed": {"buckets": buckets}})


def test_an_outage_is_no_burst_and_neither_are_its_edges() -> None:
    calm = watched(Learned(), Counts(10_000, 5), 5 * 360)
    after = watched(watched(calm, Counts(10_000, 9_000), 6), Counts(10_000, 5), 360)
    assert after.dispersion() == pytest.approx(calm.dispersion(), abs=0.1)


def test_a_kept_bucket_that_no_time_belongs_to_is_refused() -> None:
    with pytest.raises(ValueError, match="buckets"):
        Learned.from_json(Learned().to_json() | {"speed": {"buckets": {"999999999": 1000.0}}})

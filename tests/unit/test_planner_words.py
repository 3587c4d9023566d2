"""Better plans as a table, and how the planner's numbers read."""

from dataclasses import replace
from math import log, sqrt

import pytest

from lbctl.core.judge.bets import Border
from lbctl.core.planner import Aim, Source, Traffic, forecast
from lbctl.core.planner.better import Better, better
from lbctl.core.planner.cut import objection, way_out
from lbctl.core.planner.power import POWER_Z, Payoff, count_in, count_to_see, seconds_for
from lbctl.core.planner.wording import better_words, options_words, rate_words, ratio_words, span_words, step_words
from lbctl.model.topology import JudgeSettings, Plan, PlanMode
from lbctl.model.units import DAY, MINUTE, SECOND, Span

AIM = Aim.of(JudgeSettings())
STEPS = (100, 500, 1_000, 2_500, 5_000, 10_000)


def calm(rps: float, **more: object) -> Traffic:
    return replace(Traffic(rps, 0.001, 1.0, Source.LEARNED, 1e5, True), **more)  # type: ignore[arg-type]


def plan(hold_max_min: int, *steps: int, hold_min_s: int = 60) -> Plan:
    return Plan(steps_bp=steps or STEPS, hold_min=Span(hold_min_s * SECOND), hold_max=Span(hold_max_min * MINUTE))


@pytest.mark.parametrize(
    ("rps", "hold_max_min", "mode", "steps", "hold_s", "until_s"),
    [
        (5, 10, PlanMode.WARN, (5_000, 10_000), 960, 960),
        (5, 30, PlanMode.WARN, (2_500, 5_000, 10_000), 1_080, 2_160),
        (5, 30, PlanMode.AUTO, (2_500, 5_000, 10_000), 60, 1_972.8),
        (20, 10, PlanMode.WARN, (2_500, 5_000, 10_000), 270, 540),
        (20, 30, PlanMode.AUTO, (500, 1_000, 2_500, 5_000, 10_000), 60, 1_952.8),
        (50, 30, PlanMode.WARN, (500, 1_000, 2_500, 5_000, 10_000), 390, 1_560),
        (200, 10, PlanMode.WARN, (500, 1_000, 2_500, 5_000, 10_000), 120, 480),
        (500, 10, PlanMode.WARN, STEPS, 180, 900),
    ],
)
def test_small_steps_stay_where_each_sees_in_time_and_all_together_within_twice_that(
    rps: float, hold_max_min: int, mode: PlanMode, steps: tuple[int, ...], hold_s: float, until_s: float
) -> None:
    found = better(plan(hold_max_min), mode, AIM, calm(rps))
    assert found is not None
    assert (found.steps_bp, found.hold, found.until_full) == (steps, hold_s * SECOND, until_s * SECOND)
    assert found.sees_ratio <= AIM.target_rate


def test_a_plan_that_sees_enough_has_no_better_one() -> None:
    for rps in (50, 100, 500):
        assert better(plan(60), PlanMode.AUTO, AIM, calm(rps)) is None
    assert better(plan(60, 2_500, 10_000, hold_min_s=1_080), PlanMode.WARN, AIM, calm(5)) is None


def test_a_step_that_cannot_see_within_its_longest_hold_gives_way_to_half_of_the_traffic() -> None:
    found = better(plan(10, 2_500, 10_000), PlanMode.WARN, AIM, calm(5))
    assert found is not None
    assert (found.steps_bp, found.hold) == ((5_000, 10_000), 960 * SECOND)


def test_where_no_plan_sees_it_within_a_day_the_one_that_sees_most_is_told() -> None:
    found = better(plan(120), PlanMode.WARN, AIM, calm(0.04))
    assert found is not None
    assert (found.steps_bp, found.hold, found.until_full) == ((5_000, 10_000), 120 * MINUTE, 120 * MINUTE)
    assert found.sees_ratio > AIM.target_rate
    assert better(plan(10), PlanMode.WARN, AIM, calm(0.0)) is None, "half of nothing sees nothing"


def test_strict_names_the_steps_that_are_short_and_no_others() -> None:
    short = plan(60, 500, 5_000, 10_000, hold_min_s=100)
    ahead = forecast(short, JudgeSettings(plan=PlanMode.STRICT), calm(50))
    refused = objection(ahead)
    assert refused is not None
    assert refused.why is not None
    assert "step 5 % for" in refused.why
    assert "step 50 %" not in refused.why
    assert objection(forecast(short, JudgeSettings(plan=PlanMode.WARN), calm(50))) is None


def test_strict_refuses_what_compares_nothing() -> None:
    refused = objection(forecast(plan(60, 10_000), JudgeSettings(plan=PlanMode.STRICT), calm(50)))
    assert refused is not None
    assert refused.why == "no step below 100 % compares the candidate with active"


def test_the_way_out_is_a_plan_that_sees_it_and_else_a_larger_target() -> None:
    ahead = forecast(plan(10), JudgeSettings(plan=PlanMode.STRICT), calm(5))
    assert ahead.better is not None
    just = replace(ahead, better=replace(ahead.better, sees_ratio=AIM.target_rate))
    assert way_out(just).endswith(f"({options_words(ahead.better)})")
    above = replace(ahead, better=replace(ahead.better, sees_ratio=2 * AIM.target_rate))
    assert "within a day; raise judge.target_rate, or set judge.plan: warn" in way_out(above)
    none = way_out(replace(ahead, better=None))
    assert none.startswith("no plan shows ")
    assert none.endswith("within a day at this traffic; raise judge.target_rate, or set judge.plan: warn")
    assert way_out(replace(ahead, better=None, mode=PlanMode.WARN)).endswith("; raise judge.target_rate")


# ---- arithmetic


def counted(fault_ratio: float, dispersion: float) -> float:
    """How many requests show that, without those that are added because they are whole and few."""
    bets, border = (Payoff(-0.001, 3.0, -0.5, 1.0), Payoff(-0.1, 1.0, 0.0, 1.0)), Border(0.01, 1.0, 0.001)
    found = count_to_see(fault_ratio, bets, border, dispersion=dispersion, false_rollback=0.001)
    return found - 2 - POWER_Z * sqrt(30)


def test_bursts_make_every_request_worth_less_by_as_much() -> None:
    assert counted(0.05, 4.0) == pytest.approx(4 * counted(0.05, 1.0))
    assert counted(0.011, 1.0) == float("inf"), "what is tolerated is never seen"
    assert counted(0.02, 1.0) > counted(0.05, 1.0) > 0


def test_what_the_best_bet_shows_with_nine_tenths_of_power() -> None:
    bet, count = Payoff(-0.001, 3.0, -0.5, 1.0), counted(0.05, 1.0)
    gain, sigma = bet.mean(0.05, 0.001), sqrt(bet.variance(0.05, 0.001))
    assert gain == pytest.approx(-0.001 + 0.15 - 0.0005)
    assert sigma**2 == pytest.approx(0.05 * 0.95 * 9 + 0.001 * 0.999 * 0.25)
    assert gain * count - POWER_Z * sigma * sqrt(count) == pytest.approx(log(1_000) + 5)


def test_without_traffic_nothing_comes() -> None:
    assert seconds_for(100, 0.0) == float("inf")
    assert seconds_for(100, 10.0) == pytest.approx(10.6)
    assert count_in(10.6, 10.0) == pytest.approx(100)
    assert count_in(0.5, 10.0) == 0.0


# ---- words


def test_a_ratio_and_a_rate_have_two_places_that_count() -> None:
    assert [ratio_words(one) for one in (0.0994, 0.0995, 0.41, 0.0034)] == ["9.9 %", "10 %", "41 %", "0.34 %"]
    assert [rate_words(one) for one in (9.94, 9.95, 10.2, 0.25)] == ["9.9 rps", "10 rps", "10 rps", "0.25 rps"]


def test_a_length_of_time_says_no_more_than_it_knows() -> None:
    day = DAY // SECOND
    assert span_words(365 * day) == "365 days"
    assert span_words(365 * day + 1) == "more than a year"
    assert (span_words(2 * day), span_words(2 * day + 1)) == ("48h", "2 days")
    assert [span_words(one) for one in (0.25, 9.94, 9.96, 10.4, 59.7)] == ["200ms", "9.9s", "10s", "10s", "1m"]


def test_a_better_plan_in_words_says_if_it_falls_short() -> None:
    found = Better((1_000, 10_000), Span(2 * MINUTE), AIM.target_rate, Span(2 * MINUTE))
    target = ratio_words(AIM.target_rate)
    whole = f"by 10 %, 100 %, each held 2m at least, every step shows {target}, and 100 % comes after 2m"
    assert better_words(found, AIM) == whole
    assert better_words(replace(found, sees_ratio=0.5), AIM).endswith(f"after 2m; no plan shows {target} within a day")


def test_the_last_step_compares_with_what_active_used_to_be_if_that_is_known() -> None:
    def last(traffic: Traffic) -> str:
        steps = forecast(plan(60), JudgeSettings(), traffic).steps
        return step_words(steps[-1], plan(60), AIM, traffic)

    assert last(calm(50, baseline=False)).endswith(": active has no requests left to compare with")
    assert "worse than active used to be goes down" in last(calm(50, baseline=True))

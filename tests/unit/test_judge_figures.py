"""The figures the judge must reach, with fixed seeds. The larger counts are printed by tests/bench/judge_quick.py."""

import time

import pytest

from lbctl.core.judge import Counts, Sample, Settings, judge
from tests.bench.judge_quick import Dice, Outcome, World, convict, opened, steady

LEVELS = {"A": (0.001, 0.001), "B": (0.00225, 0.001), "C": (0.01, 0.01)}


def delays_s(outcomes: list[Outcome], tick_s: float) -> list[float]:
    assert all(outcome.rollback_tick is not None for outcome in outcomes), "a fault was missed"
    return [outcome.rollback_tick * tick_s for outcome in outcomes if outcome.rollback_tick is not None]


@pytest.mark.parametrize("phi", [1.0, 2.0])
def test_a_dead_candidate_is_convicted_in_two_ticks_at_a_step_and_in_three_later(phi: float) -> None:
    told, world = Settings(dispersion=phi), World()
    for seed in range(5):
        at_step = convict(world, told, seed, 1.0, 0.001, healthy_s=0.0, limit_s=5.0)
        later = convict(world, told, seed, 1.0, 0.001, healthy_s=20.0, limit_s=5.0)
        assert at_step.rollback_tick == 2
        assert later.rollback_tick == 3


@pytest.mark.parametrize(("phi", "most_at_step_s", "most_later_s"), [(1.0, 2.0, 3.0), (2.0, 4.0, 6.0)])
def test_five_per_cent_of_errors_are_convicted_in_seconds(
    phi: float, most_at_step_s: float, most_later_s: float
) -> None:
    told, world = Settings(dispersion=phi), World(tick_s=0.2)
    at_step = [convict(world, told, seed, 0.05, 0.001, healthy_s=0.0, limit_s=60.0) for seed in range(15)]
    later = [convict(world, told, seed, 0.05, 0.001, healthy_s=20.0, limit_s=60.0) for seed in range(10)]
    assert sum(delays_s(at_step, 0.2)) / 15 <= most_at_step_s
    assert sum(delays_s(later, 0.2)) / 10 <= most_later_s


def test_with_two_requests_a_second_a_dead_candidate_harms_seven_users_at_most_on_average() -> None:
    world = World(rate=2.0, tick_s=1.0)
    outcomes = [
        convict(world, Settings(dispersion=1.0), seed, 1.0, 0.005, healthy_s=60.0, limit_s=600.0) for seed in range(30)
    ]
    delays_s(outcomes, 1.0)
    assert sum(outcome.harmed for outcome in outcomes) / 30 <= 7.0


@pytest.mark.parametrize("name", sorted(LEVELS))
def test_a_candidate_within_the_margin_is_never_rolled_back(name: str) -> None:
    told, world = Settings(dispersion=1.0), World(tick_s=1.0)
    for seed in range(25):
        _, outcome = world.run(opened(told, 1000), told, Dice(seed), steady(*LEVELS[name]), 300)
        assert outcome.rollback_tick is None, f"seed {seed}"
        assert outcome.highest_odds < 500


def test_an_outage_of_both_in_the_middle_is_held_within_a_second_and_never_rolled_back() -> None:
    told, world = Settings(), World(tick_s=0.2)
    for seed in range(25):
        level = 0.2 if seed % 2 else 1.0
        account, _ = world.run(opened(told, 1000), told, Dice(seed), steady(0.001, 0.001), 50)
        _, outcome = world.run(account, told, Dice(seed + 100), steady(level, level), 100)
        assert outcome.rollback_tick is None, f"seed {seed}"
        assert min(outcome.held.values()) <= 5


def test_quiet_releases_see_no_hold() -> None:
    told, world = Settings(), World(tick_s=1.0)
    held = 0
    for seed in range(25):
        _, outcome = world.run(opened(told, 1000), told, Dice(seed), steady(0.001, 0.001), 300)
        held += bool(outcome.held)
    assert held == 0


def test_a_tick_costs_less_than_a_millisecond_of_processor_time() -> None:
    told = Settings()
    account = opened(told, 1000)
    best = float("inf")
    for _ in range(5):
        started = time.process_time()
        for index in range(40):
            account, _ = judge(account, Sample(0.1, 1000, Counts(10, 0), Counts(90, index % 7 == 0)), told)
        best = min(best, (time.process_time() - started) / 40)
    assert best <= 0.001

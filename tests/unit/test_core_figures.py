"""The figures of an account, tick by tick: what a step, a look and a minute are worth, to four places."""

from math import exp, log

import pytest

from lbctl.core.judge import Account, Counts, Sample, Settings, Window, bets, judge, new_step
from lbctl.core.judge.capital import NEW, STEP_PART, Capital, limit_log, log_odds, settled, staked
from lbctl.core.judge.learned import Bursts, Fading
from lbctl.core.judge.streams import UNKNOWN, Recent
from lbctl.core.judge.terms import Terms

TOLD = Settings()


def test_half_of_the_capital_is_staked_at_first_and_a_tenth_of_the_rest_with_a_step() -> None:
    assert exp(NEW.log_reserve) == pytest.approx(0.5)
    assert exp(log_odds(NEW)) == pytest.approx(1.0)
    step = staked(NEW, STEP_PART)
    assert exp(step.log_reserve) == pytest.approx(0.45)
    assert [exp(stake) for stake in step.log_stakes] == pytest.approx([0.55 / 8] * 8)


def test_time_stakes_a_part_and_no_gap_stakes_all() -> None:
    none, block = (0.0,) * bets.EXPERTS, Window(Counts(1, 0), Counts(1, 0), TOLD.horizon_s)
    once = settled(NEW, none, block, TOLD, 1.0)
    assert exp(once.log_reserve) == pytest.approx(0.25)
    assert once.staked_s == TOLD.horizon_s
    long = settled(NEW, none, Window(Counts(1, 0), Counts(1, 0), 100 * TOLD.horizon_s), TOLD, 1.0)
    assert exp(long.log_reserve) == pytest.approx(0.05)


def test_a_tick_proves_nine_tenths_at_most_and_a_burst_counts_by_its_dispersion() -> None:
    block = Window(Counts(10, 10), Counts(10, 0), 1e-7)
    sure = settled(NEW, (100.0,) * 8, block, TOLD, 1.0)
    assert sure.log_stakes[0] - NEW.log_stakes[0] == pytest.approx(0.9 * limit_log(TOLD))
    burst = settled(NEW, (3.0,) * 8, block, TOLD, 2.0)
    assert burst.log_stakes[0] - NEW.log_stakes[0] == pytest.approx(1.5)
    assert (burst.rise, burst.window) == (pytest.approx(1.5), block)
    fallen = settled(burst, (-6.0,) * 8, block, TOLD, 2.0)
    assert (fallen.rise, fallen.window.candidate.total) == (0.0, 0)


def test_actives_ratio_is_guessed_with_the_weight_of_fifty_requests() -> None:
    assert UNKNOWN.ratio(0.001) == pytest.approx(0.001)
    assert UNKNOWN.ratio(0.0) == pytest.approx(1e-4)
    assert Recent(50.0, 10.0).ratio(0.001) == pytest.approx(10.05 / 100)
    assert Recent(1e12, 0.0).ratio(0.001) == 1e-6
    assert Recent(1e12, 2e12).ratio(0.001) == 1.0 - 1e-6
    faded = Recent(100.0, 10.0).after(Counts(10, 1), 300.0)
    assert (faded.total, faded.bad) == (pytest.approx(60.0), pytest.approx(6.0))


def test_what_active_did_before_a_release_has_not_faded_when_it_begins() -> None:
    assert Account.fresh(TOLD, active=Counts(1_000, 7)).errors.recent == Recent(1_000.0, 7.0)


def test_bursts_are_squared_differences_of_neighbours() -> None:
    one = Bursts().after(Counts(100, 10), 10.0)
    assert (one.last, one.residual, one.variance) == (Counts(100, 10), 0.0, 0.0)
    two = one.after(Counts(200, 40), 10.0)
    ratio = 50 / 300
    variance = 200 * ratio * (1 - ratio) * (1 + 200 / 100)
    assert (two.residual, two.variance) == (pytest.approx(400.0), pytest.approx(variance))
    assert two.dispersion == pytest.approx(1 + 1.5 * ((400 + 30) / (variance + 10) - 1))
    later = two.after(Counts(0, 0), 8 * 3_600.0)
    assert (later.residual, later.variance) == (pytest.approx(200.0), pytest.approx(variance / 2))
    assert Bursts(residual=1e9).dispersion == 100.0
    assert Bursts(variance=1e9).dispersion == 1.0


def test_no_pair_of_spans_says_more_than_the_largest_dispersion() -> None:
    wild = Bursts(last=Counts(1_000_000, 0)).after(Counts(1_000_000, 100_000), 10.0)
    assert wild.residual == pytest.approx(100 * wild.variance)


def test_a_span_is_closed_after_ten_seconds() -> None:
    half = Bursts().after(Counts(5, 1), 4.0)
    assert (half.open, half.open_s, half.last.total) == (Counts(5, 1), 4.0, 0)
    assert half.after(Counts(5, 9), 6.0).last == Counts(10, 10)


def test_counts_fade_by_half_in_their_half_life() -> None:
    after = Fading(100.0, 10.0, 20.0).after(Counts(4, 9), 60.0, 60.0)
    assert (after.total, after.bad, after.span_s) == (54.0, 9.0, 70.0)


def test_requests_are_evidence_once_both_colours_have_some_and_at_full_at_once() -> None:
    account = new_step(Account.fresh(TOLD), TOLD, share_bp=1_000)
    waiting, _ = judge(account, Sample(0.1, 1_000, Counts(3, 0), Counts(0, 0)), TOLD)
    assert (waiting.evidence_count, waiting.evidence_waiting) == (0, 3)
    both, _ = judge(waiting, Sample(0.1, 1_000, Counts(2, 0), Counts(9, 0)), TOLD)
    assert (both.evidence_count, both.evidence_waiting) == (5, 0)
    full, _ = judge(account, Sample(0.1, 10_000, Counts(3, 0), Counts(0, 0)), TOLD)
    assert (full.evidence_count, full.evidence_waiting) == (3, 0)
    unread, _ = judge(account, Sample(0.1, 1_000, Counts(3, 0), None), TOLD)
    assert (unread.evidence_count, unread.evidence_waiting, unread.blind_s) == (0, 0, 0.1)


def test_the_candidates_own_limit_is_what_is_tolerated_of_active_before() -> None:
    known = Account.fresh(TOLD, terms=Terms(baseline=Counts(10_000, 97)))
    usual = TOLD.margin_abs + TOLD.margin_rel * 100 / 10_003
    assert known.candidate_limit(TOLD) == pytest.approx(min(usual, TOLD.candidate_limit))
    assert Account.fresh(TOLD).candidate_limit(TOLD) == TOLD.candidate_limit
    outage = Account.fresh(TOLD, terms=Terms(baseline=Counts(10_000, 5_000)))
    assert outage.candidate_limit(TOLD) == TOLD.candidate_limit


def test_the_odds_of_several_streams_are_their_weighted_mean() -> None:
    account = Account.fresh(TOLD, terms=Terms(latency=True))
    assert account.log_odds() == pytest.approx(0.0, abs=1e-9)
    assert [(stream.value, part) for stream, part, _ in account.streams()] == [
        ("error", 0.7),
        ("slow50", 0.1),
        ("slow95", 0.1),
        ("slow99", 0.1),
    ]
    assert log_odds(Capital(log_reserve=log(3.0), log_stakes=(log(1 / 8),) * 8)) == pytest.approx(log(4.0))

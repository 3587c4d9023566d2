"""What the judge remembers, and that damaged memory is refused."""

import json
from math import isfinite

import pytest

from lbctl.core.judge import Account, Counts, Sample, Settings, judge, new_step
from lbctl.core.judge.capital import Capital, log_odds, settled, staked
from lbctl.core.judge.terms import Pair, Window

TOLD = Settings()


def test_a_fresh_account_owns_a_capital_of_one() -> None:
    assert log_odds(Account.fresh(TOLD).errors.capital) == pytest.approx(0.0, abs=1e-12)


def test_staking_moves_capital_and_makes_none() -> None:
    capital = Capital()
    for _ in range(50):
        capital = staked(capital, 0.1)
    assert log_odds(capital) == pytest.approx(0.0, abs=1e-9)


def test_a_new_step_keeps_the_evidence_and_restarts_the_count() -> None:
    account, _ = judge(Account.fresh(TOLD), Sample(0.1, 1000, Counts(10, 10), Counts(90, 0)), TOLD)
    stepped = new_step(account, TOLD, share_bp=2500)
    assert account.evidence_count == 10
    assert stepped.evidence_count == 0
    assert stepped.step.candidate == Counts(0, 0)
    assert log_odds(stepped.errors.capital) == pytest.approx(log_odds(account.errors.capital))


def test_requests_wait_until_both_colours_have_one_and_count_only_then() -> None:
    account = new_step(Account.fresh(TOLD), TOLD, share_bp=5000)
    account, verdict = judge(account, Sample(0.1, 5000, Counts(6, 0), Counts(0, 0)), TOLD)
    assert (verdict.code, verdict.evidence_count) == ("not_enough_evidence", 0)
    assert "6 more wait for a request of active" in verdict.reason
    account, verdict = judge(account, Sample(0.1, 5000, Counts(0, 0), Counts(1, 0)), TOLD)
    assert (verdict.code, verdict.evidence_count) == ("ok", 6)


def test_requests_left_waiting_by_the_step_before_do_not_count_for_the_next() -> None:
    account, _ = judge(Account.fresh(TOLD), Sample(0.1, 5000, Counts(6, 0), Counts(0, 0)), TOLD)
    account = new_step(account, TOLD, share_bp=6000)
    _, verdict = judge(account, Sample(0.1, 6000, Counts(1, 0), Counts(1, 0)), TOLD)
    assert verdict.evidence_count == 1


def test_what_active_did_before_is_a_guess_and_no_evidence() -> None:
    known = Account.fresh(TOLD, active=Counts(10_000, 200))
    assert known.errors.recent.ratio(TOLD.margin_abs) == pytest.approx(0.02, rel=0.02)
    assert known.errors.capital == Account.fresh(TOLD).errors.capital


def test_a_million_requests_in_a_tick_after_ten_million_ticks_stay_finite() -> None:
    capital = Capital(staked_s=1e6, log_reserve=-6.3)
    account = new_step(Account.fresh(TOLD), TOLD, share_bp=5000)
    for bad in (0, 10**6, 500_000, 1):
        block = Window(Counts(10**6, bad), Counts(10**6, 10**6 - bad), 0.1)
        capital = settled(capital, (-1e7, 1e7, 0.0, 1.0, -1.0, 2.0, 3.0, 4.0), block, TOLD, 2.0)
        account, verdict = judge(account, Sample(0.1, 5000, block.candidate, block.active), TOLD)
        assert isfinite(log_odds(capital))
        assert isfinite(verdict.odds)
    for totals in ((1, 10**6), (10**6, 1)):
        counts = [Counts(total, total) for total in totals]
        account, verdict = judge(account, Sample(0.1, 5000, counts[0], counts[1]), TOLD)
        assert isfinite(verdict.odds)
    assert json.dumps(account.to_json(), allow_nan=False)


def test_a_release_that_waited_for_days_still_convicts_a_dead_candidate_within_four_ticks() -> None:
    capital = Account.fresh(TOLD).errors.capital
    quiet = Window(Counts(10, 0), Counts(90, 0), 86_400.0)
    for _ in range(12):
        capital = settled(capital, (-3.0,) * 8, quiet, TOLD, 2.0)
    ticks = Window(Counts(10, 10), Counts(90, 0), 0.1)
    for _ in range(4):
        capital = settled(capital, (50.0,) * 8, ticks, TOLD, 2.0)
    assert log_odds(capital) > 6.9


@pytest.mark.parametrize("junk", [None, [], "account", 7, {}, {"version": 2}, {"version": True}, {"version": 3}])
def test_what_is_no_account_is_refused(junk: object) -> None:
    with pytest.raises(ValueError, match="account"):
        Account.from_json(junk)


@pytest.mark.parametrize(
    ("place", "junk"),
    [
        ("blind_s", float("nan")),
        ("blind_s", float("inf")),
        ("blind_s", -1.0),
        ("blind_s", 10**400),
        ("blind_s", True),
        ("evidence_count", -1),
        ("evidence_count", 1.5),
        ("evidence_count", 10**30),
        ("step", []),
        ("step", {"candidate": {"total": 1, "bad": 0}}),
        ("errors", None),
        ("surprise", 1),
    ],
)
def test_a_damaged_field_is_refused_with_its_place(place: str, junk: object) -> None:
    document = {**Account.fresh(TOLD).to_json(), place: junk}
    with pytest.raises(ValueError, match=place):
        Account.from_json(document)


def test_what_is_no_number_is_named_by_its_kind_and_shown_only_if_it_is_small() -> None:
    def said(junk: object) -> str:
        with pytest.raises(ValueError, match="expected") as caught:
            Account.from_json(Account.fresh(TOLD).to_json() | {"blind_s": junk})
        return str(caught.value)

    assert said([1, 2]).endswith("found list")
    assert said("a" * 40).endswith(f"found '{'a' * 36}...")
    assert said("a" * 38).endswith(f"found '{'a' * 38}'")


def test_a_missing_field_is_named() -> None:
    document = Account.fresh(TOLD).to_json()
    del document["blind_s"]
    with pytest.raises(ValueError, match="blind_s"):
        Account.from_json(document)


def test_a_counter_that_ran_backwards_is_refused_before_it_can_be_judged() -> None:
    with pytest.raises(ValueError, match="reset counter"):
        Counts(-5, 0)
    with pytest.raises(ValueError, match="reset counter"):
        Counts(5, -1)


def test_failures_of_requests_that_are_not_over_are_counted_as_such() -> None:
    late = Pair(Counts(12, 5), Counts(90, 0))
    account, _ = judge(Account.fresh(TOLD), Sample(0.1, 1_000, Counts(10, 2), Counts(90, 0), late=late), TOLD)
    assert account.late_count == 3
    account, _ = judge(account, Sample(0.1, 1_000, Counts(10, 2), Counts(90, 0), late=late), TOLD)
    assert account.late_count == 6


def test_more_failures_than_requests_in_a_tick_count_as_all_failed() -> None:
    account, _ = judge(Account.fresh(TOLD), Sample(0.1, 1000, Counts(3, 7), Counts(90, 0)), TOLD)
    assert account.step.candidate == Counts(7, 7)

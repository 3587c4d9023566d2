"""What the judge says, case by case, and how it reads at night."""

import pytest

from lbctl.core.judge import Account, Counts, Sample, Settings, Verdict, Word, judge, new_step

TOLD = Settings()
GOOD = Sample(0.1, 1000, Counts(10, 0), Counts(90, 0))


def played(
    sample: Sample, ticks: int, *, told: Settings = TOLD, account: Account | None = None
) -> tuple[Account, list[Verdict]]:
    """Play the same sample for some ticks, in a step of its share unless an account is given."""
    account = account or new_step(Account.fresh(told), told, share_bp=sample.share_bp)
    verdicts = []
    for _ in range(ticks):
        account, verdict = judge(account, sample, told)
        verdicts.append(verdict)
    return account, verdicts


def blind_for(span_s: float, told: Settings, *, healthy: bool | None, account: Account | None = None) -> Verdict:
    sample = Sample(0.1, 1000, None, None, active_probed_healthy=healthy)
    return played(sample, round(span_s / 0.1), told=told, account=account)[1][-1]


def test_a_healthy_candidate_may_advance_once_five_requests_were_judged() -> None:
    _, (verdict,) = played(GOOD, 1)
    assert (verdict.word, verdict.code, verdict.alert) == (Word.ADVANCE, "ok", False)
    assert verdict.reason.startswith("candidate 0/10 (0.00 %) against active 0/90 (0.00 %) in this step")


def test_four_requests_are_not_enough_to_advance() -> None:
    _, (verdict,) = played(Sample(0.1, 1000, Counts(4, 0), Counts(36, 0)), 1)
    assert (verdict.word, verdict.code) == (Word.HOLD, "not_enough_evidence")
    assert verdict.reason == "the candidate got 4 of the 5 requests this step needs at 10 %"


def test_counters_that_answer_but_show_no_traffic_are_not_blindness() -> None:
    _, verdicts = played(Sample(10.0, 1000, Counts(0, 0), Counts(0, 0), active_probed_healthy=True), 200)
    assert {(verdict.word, verdict.code) for verdict in verdicts} == {(Word.HOLD, "not_enough_evidence")}
    assert verdicts[-1].reason == "the candidate got 0 of the 5 requests this step needs at 10 %"
    assert verdicts[-1].overridable_by_promote


def test_a_share_that_brings_no_traffic_is_pointed_out() -> None:
    _, verdicts = played(Sample(0.1, 1000, Counts(0, 0), Counts(90, 0)), 2)
    assert "about 20 would be due if no request of active were one of a session" in verdicts[-1].reason


def test_a_failing_candidate_is_rolled_back_with_its_numbers_since_the_onset() -> None:
    account, _ = played(Sample(0.1, 1000, Counts(100, 0), Counts(900, 1)), 100)
    _, verdicts = played(Sample(0.1, 1000, Counts(100, 30), Counts(900, 1)), 5, account=account)
    last = next(verdict for verdict in verdicts if verdict.word is Word.ROLLBACK)
    assert last.code == "errors"
    assert last.candidate == Counts(300, 90)
    assert last.active == Counts(2700, 3)
    assert last.reason.startswith(
        "errors: candidate 90/300 (30.00 %) against active 3/2700 (0.11 %), tolerated 0.24 %, odds "
    )
    assert last.reason.endswith(":1 (limit 1000:1), since 0.3 s")
    assert not last.overridable_by_promote


def test_no_single_tick_convicts() -> None:
    _, verdicts = played(Sample(0.1, 5000, Counts(10_000, 10_000), Counts(10_000, 0)), 2)
    assert [verdict.word for verdict in verdicts] == [Word.HOLD, Word.ROLLBACK]
    assert verdicts[0].code == "suspicious"


def test_every_candidate_server_dead_while_active_lives_goes_back_at_once() -> None:
    _, (verdict,) = played(Sample(0.1, 1000, None, None, candidate_down=True), 1)
    assert (verdict.word, verdict.code) == (Word.ROLLBACK, "candidate_dead")


def test_both_dead_is_held_and_paged_however_long() -> None:
    dead = Sample(60.0, 1000, None, None, candidate_down=True, active_down=True)
    _, verdicts = played(dead, 100)
    assert {(verdict.word, verdict.code, verdict.alert) for verdict in verdicts} == {(Word.HOLD, "both_dead", True)}
    assert not verdicts[-1].overridable_by_promote


def test_a_panic_of_the_health_check_does_not_condemn_the_candidate() -> None:
    _, (verdict,) = played(Sample(0.1, 1000, Counts(10, 0), Counts(90, 0), candidate_down=True, panic=True), 1)
    assert (verdict.word, verdict.code, verdict.alert) == (Word.HOLD, "panic", True)


def test_active_dead_while_the_candidate_lives_is_a_matter_for_people() -> None:
    _, verdicts = played(Sample(60.0, 1000, Counts(10, 0), Counts(0, 0), active_down=True), 100)
    assert {(verdict.word, verdict.code, verdict.alert) for verdict in verdicts} == {(Word.HOLD, "active_fault", True)}
    assert verdicts[-1].overridable_by_promote
    assert "lbctl promote" in verdicts[-1].reason


def test_an_outage_of_both_is_held_with_numbers_and_never_moves_traffic() -> None:
    account, _ = played(GOOD, 50)
    _, verdicts = played(Sample(0.1, 1000, Counts(10, 10), Counts(90, 90)), 3000, account=account)
    assert all(verdict.word is not Word.ROLLBACK for verdict in verdicts)
    assert verdicts[4].word is Word.HOLD
    assert {verdict.code for verdict in verdicts[5:]} == {"shared_fault"}
    assert verdicts[-1].alert
    assert verdicts[-1].overridable_by_promote
    assert "active 270000/270000 (100.00 %) is over its own limit 1.00 %" in verdicts[-1].reason


def test_the_hold_of_an_outage_lifts_thirty_seconds_after_it_ended() -> None:
    account, _ = played(Sample(0.1, 1000, Counts(10, 5), Counts(90, 45)), 100)
    _, verdicts = played(GOOD, 320, account=account)
    assert verdicts[280].code == "shared_fault"
    assert verdicts[-1].code == "ok"


def test_an_ill_active_beside_a_well_candidate_holds_and_offers_promote() -> None:
    _, verdicts = played(Sample(0.1, 1000, Counts(10, 0), Counts(90, 20)), 600)
    assert {verdict.code for verdict in verdicts[5:]} == {"active_fault"}
    assert all(verdict.word is Word.HOLD and verdict.alert for verdict in verdicts[5:])
    assert "`lbctl promote` goes on" in verdicts[-1].reason


def test_blindness_is_held_at_three_seconds_paged_at_sixty_and_goes_back_at_the_limit() -> None:
    account, _ = played(GOOD, 10)
    sample = Sample(0.1, 1000, None, None, active_probed_healthy=True)
    _, verdicts = played(sample, 6000, account=account)
    assert {verdict.code for verdict in verdicts[:29]} == {"ok"}
    assert {(verdict.code, verdict.alert) for verdict in verdicts[29:599]} == {("counters_stale", False)}
    assert {(verdict.code, verdict.alert) for verdict in verdicts[599:5999]} == {("blind", True)}
    assert {verdict.word for verdict in verdicts[29:5999]} == {Word.HOLD}
    assert (verdicts[5999].word, verdicts[5999].code) == (Word.ROLLBACK, "blind")


@pytest.mark.parametrize("healthy", [None, False])
def test_blindness_never_goes_back_to_an_active_that_is_not_probed_healthy(healthy: bool | None) -> None:
    verdict = blind_for(700, TOLD, healthy=healthy)
    assert (verdict.word, verdict.code, verdict.alert) == (Word.HOLD, "blind", True)
    assert "active is not probed healthy" in verdict.reason


def test_blindness_without_a_limit_is_held_for_ever() -> None:
    verdict = blind_for(700, Settings(blind_limit_s=None), healthy=True)
    assert (verdict.word, verdict.code) == (Word.HOLD, "blind")
    assert not verdict.overridable_by_promote


def test_a_blind_limit_below_the_page_still_counts() -> None:
    assert blind_for(10, Settings(blind_limit_s=10.0), healthy=True).word is Word.ROLLBACK


def test_one_answer_ends_blindness() -> None:
    account, _ = played(Sample(0.1, 1000, None, None), 100)
    account, (verdict,) = played(GOOD, 1, account=account)
    assert verdict.code == "ok"
    assert account.blind_s == 0.0


def test_one_colour_unread_is_blindness_too_and_never_success() -> None:
    _, verdicts = played(Sample(0.1, 1000, Counts(10, 0), None), 100)
    assert all(verdict.word is Word.HOLD for verdict in verdicts)
    assert verdicts[-1].code == "counters_stale"
    assert verdicts[-1].evidence_count == 0


def test_evidence_against_the_candidate_stands_while_blind() -> None:
    account, _ = played(Sample(0.1, 1000, Counts(10, 10), Counts(90, 0)), 3)
    assert blind_for(5, TOLD, healthy=None, account=account).code == "errors"


def test_a_reset_of_the_counters_in_one_tick_changes_nothing() -> None:
    account, _ = played(GOOD, 20)
    _, (verdict,) = played(Sample(0.1, 1000, None, None), 1, account=account)
    assert verdict.word is Word.ADVANCE


def test_at_full_share_a_healthy_candidate_is_judged_alone_and_may_advance() -> None:
    _, verdicts = played(Sample(0.1, 10_000, Counts(100, 0), Counts(0, 0)), 50)
    assert verdicts[-1].code == "ok"
    assert verdicts[-1].evidence_count == 5000


def test_at_full_share_a_failing_candidate_is_held_within_three_ticks_and_paged() -> None:
    account, _ = played(Sample(0.1, 10_000, Counts(100, 0), Counts(0, 0)), 50)
    _, verdicts = played(Sample(0.1, 10_000, Counts(100, 100), Counts(0, 0)), 300, account=account)
    assert all(verdict.code == "errors_uncompared" and verdict.alert for verdict in verdicts[3:])
    assert verdicts[-1].word is Word.HOLD
    assert not verdicts[-1].overridable_by_promote
    assert "is over 1.35 %" in verdicts[-1].reason
    assert "lbctl rollback" in verdicts[-1].reason


def test_a_candidate_over_its_own_limit_beside_a_good_active_never_advances() -> None:
    _, verdicts = played(Sample(0.1, 9_900, Counts(990, 30), Counts(10, 0)), 40)
    assert verdicts[-1].word is not Word.ADVANCE


def test_the_judge_is_colour_free_and_pure() -> None:
    account = new_step(Account.fresh(TOLD), TOLD, share_bp=1000)
    assert judge(account, GOOD, TOLD) == judge(account, GOOD, TOLD)
    assert "blue" not in judge(account, GOOD, TOLD)[1].reason

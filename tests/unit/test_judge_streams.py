"""Latency, single servers, the learned baseline: what is judged beside the errors of both pools."""

from dataclasses import replace

import pytest

from lbctl.core.judge import Account, Counts, Pair, Sample, Settings, Stream, Terms, Verdict, Word, judge, new_step
from lbctl.core.judge.latency import Speed, slow_pairs
from lbctl.core.judge.servers import ServerWatch, worst

TOLD = Settings()
NONE = Counts(0, 0)
BASELINE = Terms(dispersion=1.0, baseline=Counts(1_000_000, 1_000))
TIMED = Terms(dispersion=1.0, slow_dispersion=dict.fromkeys(Stream, 1.0), latency=True)
SEVEN = [f"g{number}" for number in range(1, 8)]


def opened(terms: Terms, share_bp: int = 1000, told: Settings = TOLD) -> Account:
    return new_step(Account.fresh(told, terms=terms), told, share_bp=share_bp)


def played(account: Account, sample: Sample, ticks: int) -> tuple[Account, list[Verdict]]:
    verdicts = []
    for _ in range(ticks):
        account, verdict = judge(account, sample, TOLD)
        verdicts.append(verdict)
    return account, verdicts


def slow(candidate: tuple[int, int], active: tuple[int, int], stream: Stream = Stream.SLOW50) -> Sample:
    pairs = {stream: Pair(Counts(*candidate), Counts(*active), 68.0)}
    return Sample(0.1, 1000, Counts(candidate[0], 0), Counts(active[0], 0), slow=pairs)


class TestLatency:
    def test_a_slow_candidate_goes_back_and_says_how_slow(self) -> None:
        _, verdicts = played(opened(TIMED), slow((20, 19), (180, 60)), 40)
        last = next(verdict for verdict in verdicts if verdict.word is Word.ROLLBACK)
        assert last.code == "latency"
        assert last.reason.startswith("latency: candidate ")
        assert "slower than 68 ms (active's p50 and the margin)" in last.reason

    def test_no_time_is_named_where_none_was_given(self) -> None:
        sample = replace(slow((20, 19), (180, 60)), slow={Stream.SLOW50: Pair(Counts(20, 19), Counts(180, 60))})
        _, verdicts = played(opened(TIMED), sample, 40)
        last = next(verdict for verdict in verdicts if verdict.word is Word.ROLLBACK)
        assert " slower than active's p50 allows, " in last.reason

    def test_odds_beside_counts_of_errors_name_latency_where_they_come_from_it(self) -> None:
        _, verdicts = played(opened(TIMED), slow((20, 15), (180, 60)), 40)
        grown = next(verdict for verdict in verdicts if verdict.code == "ok" and verdict.odds > 5)
        assert "(limit 1000:1), most of them from latency slow50: candidate " in grown.reason
        assert "slow50" not in verdicts[0].reason

    def test_a_slow_down_of_both_is_no_evidence(self) -> None:
        account, verdicts = played(opened(TIMED), slow((20, 19), (180, 171)), 600)
        assert {verdict.word for verdict in verdicts} == {Word.ADVANCE}
        assert account.log_odds() < 1.0

    def test_latency_has_no_part_of_the_capital_where_it_is_not_known(self) -> None:
        account, verdicts = played(opened(Terms(dispersion=1.0)), slow((20, 20), (180, 0)), 100)
        assert {verdict.word for verdict in verdicts} == {Word.ADVANCE}
        assert [seen.stream for seen in verdicts[-1].streams] == [Stream.ERROR]
        assert account.slow == Account.fresh(TOLD).slow

    def test_errors_are_convicted_beside_good_latency(self) -> None:
        sample = Sample(
            0.1, 1000, Counts(10, 10), Counts(90, 0), slow={Stream.SLOW95: Pair(Counts(10, 0), Counts(90, 2))}
        )
        _, verdicts = played(opened(TIMED), sample, 3)
        assert [verdict.word for verdict in verdicts][-1] is Word.ROLLBACK
        assert verdicts[-1].code == "errors"
        assert [seen.stream for seen in verdicts[-1].streams] == list(Stream)

    def test_slow_is_what_active_was_not_up_to_the_tick_before(self) -> None:
        speed = Speed().after({100: 500, 120: 450, 140: 50}, 1.0)
        limits = speed.limits_ms()
        assert limits[Stream.SLOW50] == pytest.approx(1.25 * 1.04**100 + 5.0)
        assert limits[Stream.SLOW95] == pytest.approx(1.25 * 1.04**120 + 5.0)
        assert limits[Stream.SLOW99] == pytest.approx(1.25 * 1.04**140 + 5.0)
        pairs = slow_pairs(limits, {100: 10, 160: 5}, {100: 90})
        assert pairs[Stream.SLOW50].candidate == Counts(15, 5)
        assert pairs[Stream.SLOW99].active == Counts(90, 0)

    def test_a_warming_candidate_may_be_four_times_slower(self) -> None:
        speed = Speed().after({100: 1_000}, 1.0)
        assert speed.limits_ms(warming=True)[Stream.SLOW50] == pytest.approx(4 * speed.limits_ms()[Stream.SLOW50])

    def test_nothing_is_slow_before_enough_of_active_was_timed(self) -> None:
        assert Speed().after({100: 199}, 1.0).limits_ms() == {}

    def test_old_times_fade_and_vanish(self) -> None:
        speed = Speed().after({100: 1_000}, 1.0)
        assert speed.after({}, 300.0).buckets[100] == pytest.approx(500.0)
        assert speed.after({}, 1e6).buckets == {}


class TestSingleServers:
    @staticmethod
    def sample(bad: int, of: int = 10, active_bad: int = 0) -> Sample:
        servers = {name: Counts(of, bad if name == "g3" else 0) for name in SEVEN}
        return Sample(1.0, 1000, Counts(7 * of, bad), Counts(63 * of, active_bad), servers=servers)

    def test_one_bad_server_in_a_pool_that_is_within_the_limit_holds_and_is_named(self) -> None:
        settings = Settings(margin_abs=0.05)
        account = new_step(Account.fresh(settings, terms=Terms(dispersion=1.0)), settings, share_bp=1000)
        words = []
        for _ in range(60):
            account, verdict = judge(account, self.sample(3), settings)
            words.append((verdict.word, verdict.code))
        assert (Word.ROLLBACK, "errors") not in words
        assert words[-1] == (Word.HOLD, "server_fault")
        assert "g3" in verdict.reason
        assert "g1" not in verdict.reason
        assert verdict.alert
        assert not verdict.overridable_by_promote

    def test_a_rollback_names_the_server_that_sent_most_of_it(self) -> None:
        _, verdicts = played(opened(Terms(dispersion=1.0)), self.sample(10), 5)
        last = next(verdict for verdict in verdicts if verdict.word is Word.ROLLBACK)
        assert "; g3 alone sent " in last.reason

    def test_no_server_is_named_when_all_fail_alike(self) -> None:
        servers = dict.fromkeys(SEVEN, Counts(10, 5))
        _, verdicts = played(opened(Terms()), Sample(1.0, 1000, Counts(70, 35), Counts(630, 0), servers=servers), 5)
        last = next(verdict for verdict in verdicts if verdict.word is Word.ROLLBACK)
        assert "alone sent" not in last.reason

    @pytest.mark.parametrize(
        ("bad", "named"),
        [
            ((3, 0, 3), ""),  # As seen: two of three fail alike, and by chance the first was called alone.
            ((2, 1, 0), ""),
            ((3, 0, 0), ""),
            ((5, 0, 0), "g1"),
            ((14, 6, 2), "g1"),
            ((4, 1), ""),
            ((8, 0), "g1"),
        ],
    )
    def test_a_server_is_named_only_where_chance_does_not_explain_its_part(
        self, bad: tuple[int, ...], named: str
    ) -> None:
        seen = {f"g{number}": ServerWatch(step=Counts(20, one)) for number, one in enumerate(bad, 1)}
        found = worst(seen)
        assert ("" if found is None else found[0]) == named

    def test_who_got_most_requests_may_have_most_of_the_bad_ones(self) -> None:
        busy, idle = ServerWatch(step=Counts(900, 90)), ServerWatch(step=Counts(50, 5))
        assert worst({"g1": busy, "g2": idle, "g3": idle}) is None

    def test_a_server_fault_is_over_thirty_seconds_after_the_last_proof(self) -> None:
        settings = Settings(margin_abs=0.05)
        account = new_step(Account.fresh(settings, terms=Terms(dispersion=1.0)), settings, share_bp=1000)
        for bad, ticks in ((3, 60), (0, 40)):
            for _ in range(ticks):
                account, verdict = judge(account, self.sample(bad), settings)
        assert verdict.word is Word.ADVANCE

    def test_servers_without_requests_do_not_keep_a_bad_one_from_being_judged(self) -> None:
        idle = {f"idle-{number}": NONE for number in range(6)}
        sample = Sample(
            1.0, 1000, Counts(100, 1), Counts(900, 1), servers={**idle, "bad": Counts(50, 1), "good": Counts(50, 0)}
        )
        account, _ = played(opened(Terms(dispersion=1.0), 1000), sample, 300)
        assert [name for name, watch in account.servers.items() if watch.faulty] == ["bad"]

    def test_five_hundred_servers_are_judged_a_few_at_a_time(self) -> None:
        servers = {f"s{number}": Counts(1, 0) for number in range(500)}
        account, _ = played(opened(Terms()), Sample(1.0, 5000, Counts(500, 0), Counts(500, 0), servers=servers), 1)
        judged = [name for name, watch in account.servers.items() if watch.errors.recent.total]
        assert len(judged) == 4


class TestBaseline:
    def test_worse_than_before_at_a_high_share_retreats(self) -> None:
        _, verdicts = played(opened(BASELINE, 9900), Sample(0.2, 9900, Counts(198, 4), Counts(2, 0)), 15)
        first = next(verdict for verdict in verdicts if verdict.word is not Word.ADVANCE)
        assert (first.word, first.code) == (Word.RETREAT, "baseline")
        assert "what is tolerated of active's 1000/1000000 (0.10 %) before the release" in first.reason

    def test_the_same_at_a_low_share_holds_until_it_is_proved_or_calm(self) -> None:
        account, verdicts = played(opened(BASELINE, 500), Sample(1.0, 500, Counts(50, 1), NONE), 60)
        assert verdicts[-1].word is Word.HOLD
        assert verdicts[-1].code == "baseline"
        _, verdicts = played(account, Sample(1.0, 500, Counts(50, 0), Counts(950, 1)), 40)
        assert verdicts[-1].word is Word.ADVANCE

    def test_both_worse_than_before_is_shared_and_retreats_nowhere(self) -> None:
        _, verdicts = played(opened(BASELINE, 7500), Sample(0.2, 7500, Counts(150, 30), Counts(50, 10)), 100)
        assert Word.RETREAT not in {verdict.word for verdict in verdicts}
        assert Word.ROLLBACK not in {verdict.word for verdict in verdicts}
        assert verdicts[-1].code == "shared_fault"

    def test_a_single_bad_request_of_active_stops_no_retreat(self) -> None:
        account, first = judge(opened(BASELINE, 9900), Sample(0.2, 9900, Counts(198, 4), Counts(2, 1)), Settings())
        _, verdicts = played(account, Sample(0.2, 9900, Counts(198, 4), Counts(2, 0)), 15)
        assert Word.RETREAT in {first.word, *(verdict.word for verdict in verdicts)}

    def test_nothing_retreats_while_too_little_of_active_is_known(self) -> None:
        terms = Terms(dispersion=1.0, baseline=Counts(999, 1))
        _, verdicts = played(opened(terms, 9900), Sample(0.2, 9900, Counts(198, 4), Counts(2, 0)), 15)
        assert Word.RETREAT not in {verdict.word for verdict in verdicts}

    def test_a_retreat_can_be_switched_off(self) -> None:
        told = Settings(retreat_above_bp=10_000)
        account = opened(BASELINE, 10_000, told)
        words = set()
        for _ in range(30):
            account, verdict = judge(account, Sample(0.2, 10_000, Counts(200, 40), NONE), told)
            words.add(verdict.word)
        assert Word.RETREAT not in words

    def test_requests_that_wait_too_long_convict_a_candidate_that_hangs(self) -> None:
        sample = Sample(0.1, 1000, NONE, Counts(90, 0), late=Pair(Counts(10, 10), Counts(90, 0)))
        _, verdicts = played(opened(Terms(dispersion=1.0)), sample, 3)
        assert verdicts[-1].word is Word.ROLLBACK
        assert "of them still without an answer when they were counted" in verdicts[-1].reason


def test_an_account_with_everything_in_it_is_kept_over_a_restart() -> None:
    servers = dict.fromkeys(SEVEN, Counts(10, 5))
    pairs = {stream: Pair(Counts(70, 3), Counts(630, 20), 50.0) for stream in (Stream.SLOW50, Stream.SLOW99)}
    terms = Terms(3.0, {Stream.SLOW50: 1.5}, latency=True, baseline=Counts(5_000, 5))
    account, _ = played(opened(terms), Sample(1.0, 1000, Counts(70, 1), Counts(630, 0), slow=pairs, servers=servers), 7)
    again = Account.from_json(account.to_json())
    assert again == account
    assert judge(again, slow((20, 1), (180, 1)), TOLD)[1] == judge(account, slow((20, 1), (180, 1)), TOLD)[1]


def test_a_candidate_that_hangs_at_100_percent_is_no_success() -> None:
    late = Pair(Counts(200, 200), NONE)
    _, verdicts = played(opened(BASELINE, 10_000), Sample(0.2, 10_000, NONE, NONE, late=late), 20)
    assert verdicts[-1].word is Word.RETREAT


def test_an_outage_in_the_hour_before_does_not_make_every_fault_look_usual() -> None:
    poisoned = Terms(dispersion=1.0, baseline=Counts(5_178_396, 286_085))
    _, verdicts = played(opened(poisoned, 10_000), Sample(0.2, 10_000, Counts(200, 10), NONE), 60)
    assert Word.RETREAT in {verdict.word for verdict in verdicts}


@pytest.mark.parametrize("dispersion", [0.0, 0.001, 1e9])
def test_a_kept_account_that_would_convict_by_itself_is_refused(dispersion: float) -> None:
    document = opened(Terms(dispersion=dispersion)).to_json()
    with pytest.raises(ValueError, match="dispersion"):
        Account.from_json(document)


class TestRetreated:
    """A retreat gave active half of the users. The same bet, the other way round, asks whether it may have them."""

    def test_an_ill_active_is_called_the_worse_one_after_a_few_of_its_requests(self) -> None:
        account = opened(Terms(dispersion=1.0), 5_000)
        ill = Sample(0.1, 5_000, Counts(5, 1), Counts(5, 5), retreated=True)
        account, verdicts = played(account, ill, 6)
        first = next(index for index, verdict in enumerate(verdicts) if verdict.code == "active_worse")
        assert first <= 4
        assert (verdicts[first].word, verdicts[first].alert) == (Word.HOLD, True)
        assert verdicts[first].overridable_by_promote
        assert "active is the worse one since the retreat: 25/25 (100.00 %)" in verdicts[first].reason

    def test_without_a_retreat_nothing_asks_that(self) -> None:
        _, verdicts = played(opened(Terms(dispersion=1.0), 5_000), Sample(0.1, 5_000, Counts(5, 1), Counts(5, 5)), 50)
        assert "active_worse" not in {verdict.code for verdict in verdicts}

    def test_a_fault_of_both_makes_neither_the_worse_one(self) -> None:
        both = Sample(0.1, 5_000, Counts(50, 15), Counts(50, 15), retreated=True)
        _, verdicts = played(opened(BASELINE, 5_000), both, 3_000)
        assert {verdict.code for verdict in verdicts[5:]} == {"shared_fault"}

    def test_a_bad_candidate_beside_a_well_active_goes_back_as_ever(self) -> None:
        bad = Sample(0.1, 5_000, Counts(50, 3), Counts(50, 0), retreated=True)
        _, verdicts = played(opened(BASELINE, 5_000), bad, 40)
        assert Word.ROLLBACK in {verdict.word for verdict in verdicts}
        assert "active_worse" not in {verdict.code for verdict in verdicts}

    def test_the_next_target_asks_anew(self) -> None:
        told = Settings()
        ill = Sample(0.1, 5_000, Counts(50, 3), Counts(50, 50), retreated=True)
        account, _ = played(opened(BASELINE, 5_000), ill, 10)
        _, verdict = judge(new_step(account, told, share_bp=9_000), ill, told)
        assert verdict.code != "active_worse"

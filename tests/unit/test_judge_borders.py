"""Judge and planner at their borders: what is just enough, just too much, or was never known."""

from dataclasses import replace
from math import exp, inf
from typing import Any

import pytest

from lbctl.core.judge import Account, Counts, Learned, Sample, Settings, Word, bets, judge, new_step, servers
from lbctl.core.judge.account import BASELINE_MIN, learned
from lbctl.core.judge.capital import NEW, Capital, log_odds, settled
from lbctl.core.judge.codec import _NAMES_MAX
from lbctl.core.judge.decision import _active_faulty, _active_worse, _Case, _not_enough, _worse_than_before
from lbctl.core.judge.latency import KNOWN_MIN, Speed
from lbctl.core.judge.learned import Bursts, Fading
from lbctl.core.judge.servers import ServerWatch
from lbctl.core.judge.streams import Comparison, Watch, watched
from lbctl.core.judge.terms import EMPTY, Pair, Stream, Terms, Window
from lbctl.core.judge.wording import interval
from lbctl.core.planner import Aim, Source, Traffic, forecast, traffic
from lbctl.core.planner.better import Better, _hold, better
from lbctl.core.planner.cut import Forecast, way_out
from lbctl.core.planner.outlook import Outlook, _Step, needed_s, outlooks, sees_in
from lbctl.core.planner.power import _count, count_in, seconds_for
from lbctl.core.planner.wording import better_words, options_words
from lbctl.model import sketch
from lbctl.model.topology import JudgeSettings, Plan, PlanMode
from lbctl.model.units import BP_FULL, HOUR, MINUTE, SECOND, Span

TOLD = Settings()
FULL = Capital(log_reserve=100.0)
"""A capital that is decisive whatever comes."""


# ---- the account


def test_a_baseline_is_used_from_a_thousand_requests_on() -> None:
    def known(total: int) -> bool:
        return Account.fresh(TOLD, terms=Terms(baseline=Counts(total, 1))).has_baseline

    assert (known(BASELINE_MIN - 1), known(BASELINE_MIN)) == (False, True)


@pytest.mark.parametrize(("reserve", "kept"), [(0.0, True), (0.5, False), (1.5, False), (-1.0, True)])
def test_a_reserve_of_more_than_a_release_begins_with_is_no_account(reserve: float, kept: bool) -> None:
    document: Any = Account.fresh(TOLD, terms=Terms(latency=True)).to_json()
    document["errors"]["capital"]["log_reserve"] = reserve
    if kept:
        assert Account.from_json(document).errors.capital.log_reserve == reserve
    else:
        with pytest.raises(ValueError, match="a reserve is never more"):
            Account.from_json(document)


def test_a_tick_that_did_not_read_one_colour_takes_no_late_requests_and_asks_nothing_of_a_retreat() -> None:
    account = new_step(Account.fresh(TOLD), TOLD, share_bp=5_000)
    late = Pair(Counts(10, 10), Counts(10, 10))
    half = Sample(0.1, 5_000, None, Counts(10, 0), late=late, retreated=True)
    seen = learned(account, half, TOLD)
    assert seen.turned == account.turned
    assert seen.active == learned(account, replace(half, late=None), TOLD).active
    both = replace(half, candidate=Counts(10, 0))
    assert learned(account, both, TOLD).turned != account.turned
    assert learned(account, replace(both, retreated=False), TOLD).turned == account.turned


def test_a_version_that_only_equals_it_is_none() -> None:
    document = Account.fresh(TOLD).to_json()
    for version in (3.0, True, "3", None):
        with pytest.raises(ValueError, match=r"account\.version: expected 3"):
            Account.from_json({**document, "version": version})
    assert Account.from_json(document) == Account.fresh(TOLD)


# ---- names in what is read


def buckets(names: dict[Any, Any]) -> Learned:
    document: Any = Learned().to_json()
    document["speed"] = {"buckets": names}
    return Learned.from_json(document)


def test_a_bucket_is_named_by_a_short_number() -> None:
    last = sketch.LAST_BUCKET
    assert buckets({str(last): 1.0}).speed.buckets == {last: 1.0}
    for name in (5, "٣", "-1", "1.0", "", "1234567890", None):
        with pytest.raises(ValueError, match="is no name here"):
            buckets({name: 1.0})
    for name in (str(last + 1), "123456789"):
        with pytest.raises(ValueError, match="there is none above"):
            buckets({"1": 1.0, name: 1.0})


def test_a_stream_is_named_by_its_name_and_a_server_by_a_text() -> None:
    document: Any = Learned().to_json()
    bursts = {**document["error"]}
    assert Learned.from_json({**document, "slow": {"slow95": bursts}}).slow == {Stream.SLOW95: Bursts()}
    for name in ("slow42", "5", 5):
        with pytest.raises(ValueError, match="is no name here"):
            Learned.from_json({**document, "slow": {name: bursts}})


def test_as_many_names_as_there_can_be_and_no_more() -> None:
    first = sketch.LAST_BUCKET + 1
    with pytest.raises(ValueError, match="there is none above"):
        buckets({str(first + number): 1.0 for number in range(_NAMES_MAX)})
    with pytest.raises(ValueError, match="10001 names are too many"):
        buckets({str(first + number): 1.0 for number in range(_NAMES_MAX + 1)})


@pytest.mark.parametrize(("length", "shown"), [(38, "x" * 38), (39, "x" * 36)])
def test_what_is_quoted_of_damage_is_forty_characters_at_most(length: int, shown: str) -> None:
    document = {**Account.fresh(TOLD).to_json(), "blind_s": "x" * length}
    with pytest.raises(ValueError, match="found '") as caught:
        Account.from_json(document)
    quoted = str(caught.value).partition("found ")[2]
    assert quoted == (f"'{shown}'" if length == 38 else f"'{shown}...")
    assert len(quoted) == 40


# ---- bets, capital, streams


def test_nothing_is_bet_on_a_fault_that_would_be_tolerated() -> None:
    assert bets.alone(Counts(10, 5), 0.99) == (0.0,) * bets.EXPERTS
    border = bets.Border(absolute=0.985, relative=1.0, active_ratio=0.001)
    assert bets.compared(Counts(10, 10), Counts(10, 0), border) == (0.0,) * bets.EXPERTS


def test_what_one_request_is_worth() -> None:
    """The expert of the worst fault, against a limit of a hundredth: log(q / limit) for a bad one."""
    worst = bets.alone(Counts(1, 1), 0.01)[-1]
    assert worst == pytest.approx(4.5850, abs=1e-4)
    assert bets.alone(Counts(1, 0), 0.01)[-1] == pytest.approx(-3.9020, abs=1e-4)
    assert bets.alternatives(0.01) == pytest.approx(
        (0.014, 0.02569, 0.04713, 0.08647, 0.15866, 0.29110, 0.53412, 0.98), abs=1e-5
    )


BORDER = bets.Border(absolute=0.001, relative=1.25, active_ratio=0.001)


@pytest.mark.parametrize(
    ("candidate", "active", "worth"),
    [
        (Counts(100, 0), Counts(900, 0), (-0.0361, -0.1725, -0.3718, -0.5892, -0.9449, -2.4690, -12.5761, -251.5462)),
        (Counts(100, 10), Counts(900, 1), (2.9968, 9.5682, 14.3558, 16.8199, 17.5882, 16.9537, 9.4463, -200.6728)),
        (
            Counts(100, 10),
            Counts(900, 90),
            (-1.5810, -14.6187, -48.0082, -103.7176, -171.9875, -245.5190, -328.2490, -557.8605),
        ),
        (Counts(900, 9), Counts(100, 0), (0.2751, 0.5431, 0.6294, 0.6435, 0.5036, -0.4928, -8.3588, -267.6083)),
    ],
)
def test_the_worth_of_a_block(candidate: Counts, active: Counts, worth: tuple[float, ...]) -> None:
    found = bets.compared(candidate, active, BORDER)
    assert found == pytest.approx(worth, abs=1e-3)


def test_a_tick_of_no_time_stakes_nothing() -> None:
    block, none = Window(Counts(1, 0), Counts(1, 0), 1e-6), (0.0,) * bets.EXPERTS
    assert settled(NEW, none, replace(block, span_s=0.99e-6), TOLD, 1.0).staked_s == 0.0
    assert settled(NEW, none, block, TOLD, 1.0).staked_s == 1e-6


def test_only_requests_of_a_colour_prove_it_over_its_limit() -> None:
    tick = Window(Counts(10, 0), EMPTY.active, 0.1)
    full = Watch(capital=FULL)
    assert not watched(full, Counts(0, 0), tick, 0.01, TOLD, 1.0).faulty
    assert watched(full, Counts(10, 0), tick, 0.01, TOLD, 1.0).faulty


def test_a_fault_is_over_after_half_a_minute_without_a_sign_of_it() -> None:
    tick = Window(Counts(10, 0), Counts(10, 0), 10.0)
    ill = Watch(quiet_s=0.0, episode=tick)
    for quiet_s in (10.0, 20.0):
        ill = watched(ill, Counts(10, 0), tick, 0.5, TOLD, 1.0)
        assert (ill.faulty, ill.quiet_s) == (True, quiet_s)
    assert ill.episode.candidate == Counts(30, 0)
    well = watched(ill, Counts(10, 0), tick, 0.5, TOLD, 1.0)
    assert (well.faulty, well.quiet_s, well.episode) == (False, 30.0, EMPTY)


def test_times_count_from_two_hundred_on_and_are_forgotten_below_a_thousandth() -> None:
    assert Speed({5: KNOWN_MIN - 1}).limits_ms() == {}
    assert Speed({5: KNOWN_MIN}).limits_ms().keys() == {Stream.SLOW50, Stream.SLOW95, Stream.SLOW99}
    assert Speed({5: 1e-3, 6: 1.1e-3}).after({}, 0.0).buckets == {6: 1.1e-3}


def test_more_bad_ones_than_requests_are_all_of_them() -> None:
    assert interval(Counts(5, 8)) == interval(Counts(5, 5))
    assert interval(Counts(0, 0)) == (0.0, 1.0)
    assert servers._waiting(ServerWatch(), Counts(3, 5), Counts(9, 0), 0.1).step == Counts(5, 5)


# ---- single servers


def seen(**counts: tuple[int, int]) -> dict[str, ServerWatch]:
    return {name: ServerWatch(step=Counts(total, bad)) for name, (total, bad) in counts.items()}


@pytest.mark.parametrize(
    ("watches", "worst"),
    [
        (seen(a=(10, 5)), None),
        (seen(a=(10, 0), b=(10, 0)), None),
        (seen(a=(100, 80), b=(100, 20)), "a"),
        (seen(a=(100, 79), b=(100, 20)), None),
        (seen(a=(100, 8), b=(100, 2)), None),
        (seen(a=(400, 80), b=(100, 20)), None),
        (seen(a=(100, 100), b=(100, 0)), "a"),
        (seen(a=(100, 50), b=(100, 30), c=(100, 20)), "a"),
        (seen(a=(100, 49), b=(100, 30), c=(100, 20)), None),
        (seen(a=(100, 80), b=(100, 20), c=(0, 0)), "a"),
        (seen(a=(10, 5), b=(10, 5), c=(0, 0)), None),
    ],
)
def test_the_worst_server_sent_half_of_all_bad_answers_or_nearly_all_of_two_and_not_by_chance(
    watches: dict[str, ServerWatch], worst: str | None
) -> None:
    found = servers.worst(watches)
    assert (None if found is None else found[0]) == worst
    if found is not None:
        assert found[1:] == (watches[found[0]].step, sum(one.step.bad for one in watches.values()))


def test_a_server_is_due_after_a_second_with_requests_of_both() -> None:
    def due(candidate: int, active: int, span_s: float) -> bool:
        return servers._is_due(Window(Counts(candidate, 0), Counts(active, 0), span_s))

    assert due(1, 1, sum([0.1] * 10))
    assert due(1, 1, 1.0 - 1e-6)
    assert not due(1, 1, 0.99)
    assert not due(0, 1, 2.0)
    assert not due(1, 0, 2.0)


# ---- what was learned


@pytest.mark.parametrize(("known_s", "total", "enough"), [(600, 1_000, True), (599, 1_000, False), (600, 999, False)])
def test_what_is_learned_counts_after_ten_minutes_and_a_thousand_requests(
    known_s: float, total: float, enough: bool
) -> None:
    assert Learned(known_s=known_s, baseline=Fading(total=total)).enough is enough


def test_a_rate_is_nothing_where_nothing_is_known() -> None:
    assert Learned().rate == 0.0
    assert Learned(traffic=Fading(total=30.0, span_s=10.0)).rate == 3.0


def test_a_low_dispersion_is_believed_from_four_hours_on() -> None:
    calm = Learned(known_s=4 * 3_600.0, baseline=Fading(total=1e6), error=Bursts(variance=1e6, residual=1e6))
    assert calm.dispersion() == pytest.approx(1.0, abs=0.01)
    assert replace(calm, known_s=4 * 3_600.0 - 1).dispersion() == 2.0


@pytest.mark.parametrize(("total", "bad", "is_outage"), [(100, 21, True), (100, 20, False), (99, 99, False)])
def test_an_outage_is_a_span_of_many_requests_of_which_a_fifth_fails(total: int, bad: int, is_outage: bool) -> None:
    after = Bursts(last=Counts(50, 1)).after(Counts(total, bad), 10.0)
    assert (after.last == Counts(0, 0)) is is_outage


# ---- the rules of the decision


def case(account: Account, **sample: Any) -> _Case:
    return _Case(
        account,
        Sample(**{"dt_s": 0.1, "share_bp": 5_000, "candidate": Counts(9, 0), "active": Counts(9, 0)} | sample),
        TOLD,
        1.0,
        1_000.0,
    )


def test_active_is_called_worse_only_after_a_retreat() -> None:
    account = replace(Account.fresh(TOLD), turned=Comparison(capital=FULL))
    found = _active_worse(case(account, retreated=True))
    assert found is not None
    assert (found.word, found.code, found.alert) == (Word.HOLD, "active_worse", True)
    assert _active_worse(case(account)) is None
    assert _active_worse(case(Account.fresh(TOLD), retreated=True)) is None


@pytest.mark.parametrize(("bad", "code"), [(10, "active_fault"), (11, "shared_fault")])
def test_a_fault_is_shared_where_the_candidate_is_over_its_own_limit(bad: int, code: str) -> None:
    limits = replace(TOLD, margin_abs=0.1, margin_rel=0.0)
    ill = Watch(quiet_s=0.0, episode=Window(Counts(100, bad), Counts(100, 50), 3.0))
    found = _active_faulty(replace(case(replace(Account.fresh(limits), active=ill)), settings=limits))
    assert found is not None
    assert (found.code, found.alert) == (code, True)
    assert found.reason.endswith("it ends by itself 30 s after the last sign of it")


def worse(active: Counts, share_bp: int) -> str:
    baseline = Terms(baseline=Counts(100_000, 97))
    ill = Watch(quiet_s=0.0, episode=Window(Counts(100, 50), active, 3.0))
    found = _worse_than_before(case(replace(Account.fresh(TOLD, terms=baseline), candidate=ill), share_bp=share_bp))
    assert found is not None
    return found.code if found.word is Word.HOLD else "retreat"


def test_worse_than_before_goes_down_where_little_of_active_is_seen() -> None:
    most = TOLD.retreat_above_bp
    assert worse(Counts(10, 0), most + 1) == "retreat"
    assert worse(Counts(10, 0), most) == "baseline"
    assert worse(Counts(10, 1), most + 1) == "retreat"
    assert worse(Counts(10, 2), most + 1) == "shared_fault"
    assert worse(Counts(10_000, 2), most + 1) == "retreat"
    assert _worse_than_before(case(Account.fresh(TOLD, terms=Terms(baseline=Counts(100_000, 97))))) is None


@pytest.mark.parametrize(("total", "told"), [(7, False), (8, True)])
def test_seven_requests_that_were_due_and_did_not_come_are_chance(total: int, told: bool) -> None:
    account = replace(Account.fresh(TOLD), step=Window(Counts(0, 0), Counts(total, 0), 1.0))
    found = _not_enough(case(account))
    assert found is not None
    assert (f"about {total} would be due" in found.reason) is told


def test_the_judge_says_that_it_was_blind_and_for_how_long_it_stays() -> None:
    blind = Sample(1.0, 5_000, None, None, active_probed_healthy=False)

    def after(seconds: float, **changes: Any) -> str:
        settings = replace(TOLD, **changes)
        account = replace(Account.fresh(settings), blind_s=seconds - 1.0)
        return judge(account, blind, settings)[1].reason

    assert "the share stays until they answer; check" in after(3.0)
    assert after(60.0).endswith("after 10 min traffic goes back if active is probed healthy")
    assert after(600.0).endswith("past 10 min, but active is not probed healthy, so the share stays")
    assert after(60.0, blind_limit_s=None).endswith("the share stays until they answer (blind_limit is never)")


# ---- the planner


CALM_TRAFFIC = Traffic(50.0, 0.001, 1.0, Source.LEARNED, 1e5, True)
AIM = Aim.of(JudgeSettings())
PLAN = Plan(steps_bp=(100, 1_000, 5_000, 10_000), hold_min=2 * MINUTE, hold_max=30 * MINUTE)


def test_everything_is_compared_with_nothing() -> None:
    assert needed_s(BP_FULL, AIM, CALM_TRAFFIC) == inf
    assert sees_in(BP_FULL, 3_600.0, AIM, CALM_TRAFFIC) is None


def test_a_step_sees_total_failure_in_just_the_time_that_it_needs() -> None:
    step = _Step.of(1_000, AIM, CALM_TRAFFIC)
    needed = step.seconds(1.0)
    assert step.sees(needed) == pytest.approx(1.0)
    assert step.sees(needed - 0.01) is None
    assert _Step.of(1_000, replace(AIM, margin_abs=1.0), CALM_TRAFFIC).sees(1e9) is None


@pytest.mark.parametrize(("sees", "short"), [(0.02, False), (0.021, True), (None, True)])
def test_a_step_is_short_of_what_it_shows_only_worse(sees: float | None, short: bool) -> None:
    one = Outlook(1_000, 1.0, 1.0, sees, 0, MINUTE)
    assert one.short(0.02) is short
    assert not replace(one, share_bp=BP_FULL).short(0.02)


def test_counts_and_their_time_are_each_others_inverse() -> None:
    assert _count(0.0, 1.0, 1.0) == inf
    assert seconds_for(10.0, 0.0) == inf
    assert seconds_for(10.0, 2.0) == pytest.approx(5.6)
    assert count_in(5.6, 2.0) == pytest.approx(10.0)
    assert count_in(0.5, 2.0) == 0.0


def test_a_rate_is_believed_after_a_minute() -> None:
    assert not isinstance(traffic(Learned(known_s=60.0), JudgeSettings()), str)
    assert str(traffic(Learned(known_s=59.0), JudgeSettings())).startswith("active was watched for 59s while nothing")


def test_a_plan_of_which_nothing_is_known_is_not_called_blind() -> None:
    assert not forecast(PLAN, JudgeSettings(), "nobody knows").blind
    blind = forecast(PLAN, JudgeSettings(), replace(CALM_TRAFFIC, rps=0.1))
    assert blind.blind


FOUND = Better(steps_bp=(5_000, 10_000), hold=5 * MINUTE, sees_ratio=0.02, until_full=5 * MINUTE)


def ahead(found: Better | None, mode: PlanMode = PlanMode.WARN) -> Forecast:
    return Forecast(PLAN, mode, AIM, CALM_TRAFFIC, outlooks(PLAN, mode, AIM, CALM_TRAFFIC), found)


def test_the_way_out_of_a_plan_that_sees_too_little() -> None:
    assert way_out(ahead(FOUND)) == (
        "by 50 %, 100 %, each held 5m at least, every step shows 2 %, and 100 % comes after 5m "
        "(--steps 50%,100% --hold 5m)"
    )
    less = replace(FOUND, sees_ratio=0.03)
    assert way_out(ahead(less)) == (
        "by 50 %, 100 %, each held 5m at least, every step shows 3 %, and 100 % comes after 5m; no plan shows 2 % "
        "within a day; raise judge.target_rate"
    )
    assert way_out(ahead(None)) == "no plan shows 2 % within a day at this traffic; raise judge.target_rate"
    assert way_out(ahead(None, PlanMode.STRICT)).endswith("raise judge.target_rate, or set judge.plan: warn")
    assert better_words(FOUND, AIM).endswith("comes after 5m")
    assert options_words(FOUND) == "--steps 50%,100% --hold 5m"


def test_a_better_plan_keeps_the_small_steps_that_can_see_and_else_has_one_of_half() -> None:
    def plan(rps: float, mode: PlanMode = PlanMode.WARN) -> Better | None:
        return better(PLAN, mode, AIM, replace(CALM_TRAFFIC, rps=rps))

    assert plan(10_000.0) is None
    some = plan(20.0)
    assert some is not None
    assert (some.steps_bp, some.hold, some.until_full) == ((1_000, 5_000, 10_000), 9 * MINUTE, 18 * MINUTE)
    assert some.sees_ratio <= AIM.target_rate
    by_itself = plan(20.0, PlanMode.AUTO)
    assert by_itself is not None
    assert (by_itself.hold, by_itself.until_full) == (PLAN.hold_min, 739 * SECOND)
    many = plan(100.0)
    assert many is not None
    assert (many.steps_bp, many.hold) == (PLAN.steps_bp, 15 * MINUTE)
    few = plan(2.0, PlanMode.AUTO)
    assert few is not None
    assert (few.steps_bp, few.hold) == ((5_000, 10_000), 38 * MINUTE)
    slowest = plan(0.05)
    assert slowest is not None
    assert slowest.steps_bp == (5_000, 10_000)
    assert (slowest.hold, slowest.sees_ratio > AIM.target_rate) == (PLAN.hold_max, True)
    assert plan(0.0) is None


@pytest.mark.parametrize(
    ("needed_s", "mode", "hold"),
    [
        (30.0, PlanMode.WARN, 2 * MINUTE),
        (121.0, PlanMode.WARN, 150 * SECOND),
        (601.0, PlanMode.WARN, 11 * MINUTE),
        (7_201.0, PlanMode.WARN, 135 * MINUTE),
        (90_000.0, PlanMode.WARN, 25 * HOUR),
        (1_000.0, PlanMode.AUTO, 2 * MINUTE),
        (1_500.0, PlanMode.AUTO, 25 * MINUTE),
    ],
)
def test_a_hold_is_named_in_times_that_people_like(needed_s: float, mode: PlanMode, hold: Span) -> None:
    assert _hold(needed_s, PLAN, mode) == hold


# ---- what a verdict shows


def test_a_verdict_shows_errors_of_the_step_until_they_are_suspected_and_then_since_their_onset() -> None:
    account = new_step(Account.fresh(TOLD, terms=Terms(latency=True)), TOLD, share_bp=1_000)
    good = Sample(0.1, 1_000, Counts(100, 0), Counts(900, 0))
    account, verdict = judge(account, good, TOLD)
    assert [one.candidate for one in verdict.streams] == [Counts(100, 0), *[Counts(0, 0)] * 3]
    assert verdict.streams[0].stream is Stream.ERROR
    account, verdict = judge(account, replace(good, candidate=Counts(100, 5)), TOLD)
    first = verdict.streams[0]
    assert (first.candidate, first.span_s) == (Counts(100, 5), 0.1)
    assert first.odds == pytest.approx(exp(log_odds(account.errors.capital)))
    assert verdict.candidate.total in {100, 200}


def test_odds_beyond_all_numbers_are_shown_as_far_as_numbers_go() -> None:
    account = replace(Account.fresh(TOLD), errors=Comparison(capital=Capital(log_reserve=5_000.0)))
    _, verdict = judge(account, Sample(0.1, 1_000, None, None), TOLD)
    assert verdict.odds == verdict.streams[0].odds == exp(700.0)


def test_a_time_that_was_counted_less_than_never_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a number of at least 0"):
        buckets({"5": -1.0})
    assert buckets({"5": 0.0}).speed.buckets == {5: 0.0}


def test_a_candidates_limit_is_never_nearly_all() -> None:
    assert replace(TOLD, margin_abs=0.5, margin_rel=9.0, active_limit=0.5).candidate_limit == 0.9
    small = replace(TOLD, margin_abs=0.001, margin_rel=1.25, active_limit=0.01)
    assert small.candidate_limit == pytest.approx(0.0135)


@pytest.mark.parametrize(("active", "alert"), [(Counts(10, 2), True), (Counts(10, 1), False)])
def test_a_shared_fault_calls_a_person_and_a_retreat_does_not(active: Counts, alert: bool) -> None:
    baseline = Terms(baseline=Counts(100_000, 97))
    ill = Watch(quiet_s=0.0, episode=Window(Counts(100, 50), active, 3.0))
    account = replace(Account.fresh(TOLD, terms=baseline), candidate=ill)
    found = _worse_than_before(case(account, share_bp=TOLD.retreat_above_bp + 1))
    assert found is not None
    assert found.alert is alert


def test_small_steps_are_left_out_where_all_together_take_too_long() -> None:
    found = better(PLAN, PlanMode.WARN, AIM, replace(CALM_TRAFFIC, rps=60.0))
    assert found is not None
    assert needed_s(100, AIM, replace(CALM_TRAFFIC, rps=60.0)) <= PLAN.hold_max / SECOND
    assert found.steps_bp == (1_000, 5_000, 10_000)
    assert found.until_full <= 2 * PLAN.hold_max


def test_each_stream_has_the_dispersion_that_was_learned_of_it() -> None:
    known = Learned(known_s=4 * 3_600.0, baseline=Fading(total=1e6), error=Bursts(residual=1e6, variance=1e6))
    known = replace(known, slow={Stream.SLOW95: Bursts(residual=3e6, variance=1e6)})
    found = [known.dispersion(stream) for stream in (Stream.ERROR, Stream.SLOW95, Stream.SLOW99)]
    assert found == pytest.approx([1.0, 4.0, 4.0], abs=0.01)


def test_a_step_that_needs_longer_than_it_may_last_is_left_out() -> None:
    plan = replace(PLAN, steps_bp=(4_000, 10_000))
    slow = replace(CALM_TRAFFIC, rps=2.0)
    assert 1.0 < needed_s(4_000, AIM, slow) / (plan.hold_max / SECOND) < 2.0
    found = better(plan, PlanMode.WARN, AIM, slow)
    assert found is not None
    assert found.steps_bp == (5_000, 10_000)

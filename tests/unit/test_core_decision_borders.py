"""What holds, asks, waits and is told at its borders: when a reading is old, a journal late, a hook due."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from lbctl.core import (
    commit,
    evidence,
    holds,
    hooks,
    judge,
    lanes,
    machine,
    matrix,
    noreturn,
    notes,
    requests,
    retiring,
    told,
    witnesses,
)
from lbctl.core.calm import _closing, is_leaving
from lbctl.core.change import entry
from lbctl.core.counting import Counted, PoolCounts
from lbctl.core.invariants import InvariantViolatedError, check
from lbctl.core.judge import Counts, Word
from lbctl.core.judge.learned import Fading
from lbctl.core.matching import unpinned
from lbctl.core.matrix import Look, Proved, Tally
from lbctl.core.reasons import OUTCOME_MAX, said_later
from lbctl.core.requests import admit
from lbctl.core.situation import Situation, situation, situations
from lbctl.core.state import Applied, Calm, Lane, Offered, Recorded, Reply, State
from lbctl.core.targets import pin, target
from lbctl.model.certificate import Certificate
from lbctl.model.entry import Entry, Kind
from lbctl.model.errors import Refused
from lbctl.model.hook import Heard, Hook, HookKey, NoAnswer, Point
from lbctl.model.hook import Word as Said
from lbctl.model.names import Colour, Generation, ServiceName
from lbctl.model.operation import Place, Result, SetRoute, Status
from lbctl.model.reading import Health, InstanceReading, ServiceReading, Token, Unreadable
from lbctl.model.record import By, Phase, PoolState, Record
from lbctl.model.request import Answer, Promote, Resume, Rollback
from lbctl.model.route import Caller, Cell, Pin, Route
from lbctl.model.sessions import Leaving
from lbctl.model.topology import Address
from lbctl.model.units import MINUTE, SECOND, Instant, Span, after
from tests.shop import LB1, LB2, SHOP, A, B
from tests.situations import (
    HOLD,
    going_on,
    here,
    judged,
    planned,
    reading_of,
    released,
    running,
    said,
    state_of,
    with_traffic,
)

BLUE, GREEN = Colour.BLUE, Colour.GREEN
NOW = Instant(1_000_000)


def recorded(state: State, record: Record) -> State:
    return replace(state, record=record, durable=record)


def with_release(state: State, **changes: Any) -> State:
    return recorded(state, state.record.with_release(replace(running(state), **changes)))


# ---- holds


def held(now: Situation, question: holds.Question) -> str:
    found = question(now)
    return "" if found is None else found.reason


def aged(now: Situation, age: int) -> Situation:
    readings = {
        name: replace(one, taken_at=Instant(now.at - age)) if isinstance(one, InstanceReading) else one
        for name, one in now.readings.items()
    }
    return replace(now, readings=readings)


def test_a_reading_of_three_seconds_is_no_ground_any_more() -> None:
    now = here("shifting")
    assert held(aged(now, 3_000), holds._instances) == ""
    assert held(aged(now, 3_001), holds._instances).startswith("the last answer of edge/lb1 is 3")
    assert held(replace(now, readings={LB1: None}), holds._instances) == "edge/lb1 was not read yet"
    gone = Unreadable(now.at, "refused")
    assert held(replace(now, readings={LB1: gone}), holds._instances) == "edge/lb1 cannot be read: refused"


def test_a_raise_needs_a_reading_taken_after_its_decision_was_durable() -> None:
    now = aged(here("shifting"), 100)
    assert held(replace(now, durable_at=Instant(now.at - 101)), holds._fresh) == ""
    assert (
        held(replace(now, durable_at=Instant(now.at - 100)), holds._fresh) == "edge/lb1 was not read since the decision"
    )
    gone = Unreadable(now.at, "refused")
    assert held(replace(now, readings={LB1: gone, LB2: None}), holds._fresh) == ""
    assert held(replace(now, durable=False), holds._durable) == "the decision is being written"
    assert held(replace(now, durable=True), holds._durable) == ""


def test_only_an_obstacle_of_a_load_balancer_of_that_service_holds() -> None:
    now = here("shifting")
    reading = reading_of(now, LB2)
    services = {one: replace(seen, obstacles=("NO_MAP: gone",)) for one, seen in reading.services.items()}
    now = replace(now, readings={**now.readings, LB2: replace(reading, services=services)})
    assert held(now, holds._obstacle) == "edge/lb2: NO_MAP: gone"
    assert held(replace(now, instances=dict.fromkeys(now.instances, (LB1,))), holds._obstacle) == ""


def test_evidence_that_was_planned_is_waited_for_where_there_is_traffic() -> None:
    now = planned(here("shifting"), evidence=(50, 0, 0))
    assert held(now, holds._evidence).endswith("of the 50 requests planned for 10 % are judged")
    assert held(replace(now, progress=None), holds._evidence) == "0 of the 50 requests planned for 10 % are judged"
    assert held(released(now, share_bp=0), holds._evidence) == ""
    assert held(released(now, phase=Phase.BAKING), holds._evidence) == ""
    assert now.progress is not None
    done = replace(now.progress.account, evidence_count=50)
    assert held(going_on(now, account=done), holds._evidence) == ""
    assert held(going_on(now, account=replace(done, evidence_count=49)), holds._evidence).startswith("49 of the 50")


def test_maintenance_and_freeze_say_whose_and_how_they_end() -> None:
    now = here("shifting")

    def maintained(now: Situation) -> tuple[str, str]:
        services = {**now.record.services, B: replace(now.record.services[B], maintenance=True)}
        found = holds._maintenance(replace(now, record=replace(now.record, services=services)))
        assert found is not None
        return found.reason, found.needs

    assert maintained(now) == (
        "maintenance is on for storefront: nothing is written",
        "lbctl maintenance off storefront",
    )
    assert maintained(here("shifting", "storefront"))[0] == "maintenance is on: nothing is written"
    found = holds._frozen(replace(now, frozen="frozen until 18:00", frozen_for=MINUTE))
    assert found is not None
    assert found.needs == "the end of the window; lbctl rollback 1 works all the time"
    early = replace(here("preflight"), frozen="frozen", frozen_for=None)
    found = holds._frozen(early)
    assert found is not None
    assert found.needs.startswith("`deadlines.preflight` cancels it unless the window is removed before")
    left = Span(early.release.plan.preflight - (early.at - early.release.phase_since))
    for lasts, words in ((left, "the end of the window"), (Span(left + 1), "`deadlines.preflight` comes before")):
        found = holds._frozen(replace(early, frozen_for=lasts))
        assert found is not None
        assert found.needs.startswith(words)


@pytest.mark.parametrize(
    ("token", "trouble", "reason", "pages"),
    [
        (Token.GO, "", "", False),
        (Token.HOLD, "", "a lowering is not yet safe in the journal", False),
        (Token.BACK, "", "the way back was taken", False),
        (Token.NONE, "EACCES", "the go-token cannot be read: EACCES", True),
        (
            Token.NONE,
            "",
            "no go-token (the runtime directory was emptied, as by a reboot): a rollback may be forgotten",
            True,
        ),
    ],
)
def test_what_a_token_says(token: Token, trouble: str, reason: str, pages: bool) -> None:
    now = replace(here("shifting"), token=token, token_trouble=trouble)
    assert held(now, holds._token) == reason
    found = holds._token(now)
    assert (found is not None and found.pages) is pages


def test_a_word_of_the_judge_is_a_hold_with_what_it_needs() -> None:
    now = here("shifting")
    found = holds._verdict(judged(now, Word.HOLD, "active_fault", alert=True))
    assert found is not None
    assert (found.code, found.pages, found.overridable) == ("active_fault", True, True)
    assert found.needs == "active repaired, or lbctl promote 1"
    found = holds._verdict(judged(now, Word.HOLD, "suspicious"))
    assert found is not None
    assert (found.needs, found.overridable) == ("nothing of you: it ends when the counters are calm", False)
    assert holds._verdict(judged(now, Word.ADVANCE)) is None
    assert holds._verdict(judged(now, Word.HOLD, "not_enough_evidence")) is None
    assert holds._verdict(going_on(now, verdict=None)) is None


def test_what_an_advance_still_lacks() -> None:
    now = here("shifting")
    least = now.release.plan.hold_min

    def lacking(now: Situation) -> list[str]:
        return [one.code for one in holds.waits(now)]

    well = judged(going_on(now, reached_since=Instant(now.at - least)), Word.ADVANCE)
    assert lacking(well) == []
    assert lacking(going_on(well, reached_since=Instant(now.at - least + 1))) == ["time"]
    assert lacking(going_on(well, reached_since=None)) == ["reaching"]
    assert lacking(going_on(well, verdict=None)) == ["traffic"]
    assert lacking(judged(well, Word.HOLD, "not_enough_evidence")) == ["traffic"]
    assert lacking(judged(well, Word.HOLD, "suspicious")) == []
    assert lacking(released(going_on(well, verdict=None), share_bp=0)) == []
    baking = planned(released(well, phase=Phase.BAKING), bake=Span(least + 1))
    assert lacking(baking) == ["time"]
    refused = holds.waits(replace(going_on(well, reached_since=None), refusals={LB2: "no such map"}))
    assert refused[0].reason == "edge/lb2 refuses the change, which is tried again: no such map"


# ---- evidence


def test_the_judge_has_a_part_of_the_chance_for_each_service_and_the_plans_length() -> None:
    state = state_of("shifting")
    release, configured = running(state), state.topology.services[B].judge
    release = replace(release, plan=replace(release.plan, hold_min=Span(30_000), bake=Span(60_000)))
    found = evidence.settings(configured, release)
    assert found.horizon_s == len(release.plan.steps_bp) * 30 + 60
    assert found.false_rollback == configured.false_rollback / 2
    assert evidence.settings(configured, replace(release, followers={})).false_rollback == configured.false_rollback
    short = replace(release, plan=replace(release.plan, hold_min=Span(1), bake=Span(1)))
    assert evidence.settings(configured, short).horizon_s == 60.0
    assert evidence.settings(replace(configured, blind_limit=None), release).blind_limit_s is None
    assert evidence.settings(replace(configured, blind_limit=Span(5_000)), release).blind_limit_s == 5.0


@pytest.mark.parametrize(
    ("reached_bp", "share_bp", "warm_s"), [(0, 100, 30), (100, 200, 0), (100, 201, 15), (5_000, 10_000, 0)]
)
def test_a_candidate_may_be_slower_after_its_first_traffic_and_after_a_step_that_more_than_doubles(
    reached_bp: int, share_bp: int, warm_s: int
) -> None:
    release = replace(running(state_of("shifting")), reached_bp=reached_bp, share_bp=share_bp)
    assert evidence._warm_up(release) == warm_s * SECOND


def test_how_long_yet_it_may_be_slower() -> None:
    now = here("shifting")
    now = going_on(now, warm_until=Instant(now.at + 500))
    assert now.progress is not None
    assert evidence.cold_left(replace(now, candidate_up_since=Instant(-100_000)), now.progress) == 500
    back = replace(now, candidate_up_since=Instant(now.at - 10_000))
    assert evidence.cold_left(back, now.progress) == 20_000


def gravest(**verdicts: judge.Verdict) -> judge.Verdict:
    names = {"a": A, "b": B, "c": ServiceName("other")}
    found = evidence.gravest(B, {names[word]: one for word, one in verdicts.items()})
    assert found is not None
    return found


def test_the_gravest_word_wins_and_a_provider_is_blamed_before_its_consumer() -> None:
    ok, hold, back = said(Word.ADVANCE), said(Word.HOLD, "suspicious"), said(Word.ROLLBACK, "errors")
    assert gravest(b=ok, a=ok).blamed == ""
    assert gravest(b=hold).reason == "the judge says suspicious"
    assert (gravest(b=ok, a=back).blamed, gravest(b=ok, a=back).word) == (A, Word.ROLLBACK)
    assert gravest(b=back, a=back).blamed == A
    assert gravest(b=back, a=ok).blamed == B
    both = gravest(b=back, a=hold)
    assert (both.blamed, both.reason) == (A, "accounts: the judge says suspicious; storefront: the judge says errors")
    worse = gravest(b=back, a=said(Word.HOLD, "server_fault"))
    assert (worse.blamed, worse.reason) == (B, "storefront: the judge says errors")
    assert gravest(b=hold, a=hold).reason == "accounts: the judge says suspicious"
    few = said(Word.HOLD, "not_enough_evidence")
    assert gravest(b=ok, a=few).word is Word.ADVANCE
    assert gravest(b=few, a=ok).code == "not_enough_evidence"
    assert evidence.gravest(B, {A: few}) is None


def counted(**pools: PoolCounts | None) -> Counted:
    return Counted(0.1, {BLUE: pools.get("blue"), GREEN: pools.get("green")})


def test_a_tick_as_the_judge_sees_it() -> None:
    now = here("shifting")
    assert now.progress is not None
    one = PoolCounts(Counts(10, 1), Counts(12, 3))

    def sample(seen: Counted, now: Situation = now) -> judge.Sample:
        assert now.progress is not None
        return evidence.sample(now, B, now.progress, seen, judge.Learned())

    both = sample(counted(blue=one, green=one))
    assert both.late == judge.Pair(Counts(12, 3), Counts(12, 3))
    assert sample(counted(blue=one)).late is None
    assert sample(counted(green=one)).late is None
    assert (sample(counted(blue=one)).candidate, sample(counted(blue=one)).active) == (None, Counts(10, 1))
    assert not both.retreated
    assert sample(counted(blue=one), released(now, retreated_from_bp=1)).retreated
    assert both.active_probed_healthy
    none = replace(now, pairs={**now.pairs, B: replace(now.pairs[B], active=_wellness(now, down=7))})
    assert not sample(counted(), none).active_probed_healthy
    some = replace(now, pairs={**now.pairs, B: replace(now.pairs[B], active=_wellness(now, down=4))})
    assert not sample(counted(), some).active_probed_healthy
    unknown = replace(now, pairs={**now.pairs, B: replace(now.pairs[B], active=_wellness(now, unknown=7))})
    assert not sample(counted(), unknown).active_probed_healthy


def _wellness(now: Situation, *, down: int = 0, unknown: int = 0) -> Any:
    names = [one.name for one in now.services[B].blue.servers]
    well = now.pairs[B].active
    return replace(well, down=dict.fromkeys(names[:down], "down"), unknown=dict.fromkeys(names[:unknown], "?"))


def test_what_is_learned_of_active_at_rest_and_while_a_release_moves() -> None:
    one = PoolCounts(Counts(10, 1), Counts(10, 1))
    timed = replace(counted(blue=one), times={BLUE: {5: 3}, GREEN: {}})
    rest = evidence.learn(judge.Learned(), timed, BLUE, moving=False)
    assert (rest.traffic.total, rest.known_s, rest.speed.buckets) == (10.0, 0.1, {5: 3})
    moving = evidence.learn(judge.Learned(), timed, BLUE, moving=True)
    assert (moving.traffic, moving.known_s, moving.speed.buckets) == (Fading(), 0.0, {5: 3})
    assert evidence.learn(judge.Learned(), counted(blue=one), BLUE, moving=True) == judge.Learned()
    assert evidence.learn(judge.Learned(), counted(), BLUE, moving=False) == judge.Learned()


# ---- hooks


HOOK = Hook(at=Point.BEFORE_STEP, argv=("/ask",), timeout=Span(5_000))


def heard(word: Said | None, *, asked: int = 0, answered: int = 0, hook: Hook = HOOK, text: str = "") -> Heard:
    return Heard(hook=hook, asked_at=Instant(NOW - asked), word=word, at=Instant(NOW - answered), text=text)


def test_a_hook_is_asked_again_when_its_answer_is_lost_old_or_no() -> None:
    def due(one: Heard | None) -> bool:
        return hooks._due(one, HOOK, NOW)

    assert due(None)
    assert not due(heard(None, asked=15_000))
    assert due(heard(None, asked=15_001))
    assert due(heard(Said.YES))
    assert not due(heard(Said.NO, answered=29_999))
    assert due(heard(Said.NO, answered=30_000))
    assert due(heard(Said.NO, hook=replace(HOOK, argv=("/other",))))


def lacking(point: Point, one: Heard | None) -> bool:
    hook = replace(HOOK, at=point)
    now = here("shifting", configured_hooks=(hook,))
    key = HookKey(now.release.id, point, now.release.epoch, 0)
    answers = {} if one is None else {key: replace(one, hook=hook, at=Instant(one.at - NOW + now.at))}
    return bool([*hooks._lacking(replace(now, hooks=answers), point)])


def test_a_yes_to_a_step_is_good_for_a_minute_and_any_other_for_ever() -> None:
    assert not lacking(Point.BEFORE_STEP, heard(Said.YES, answered=60_000))
    assert lacking(Point.BEFORE_STEP, heard(Said.YES, answered=60_001))
    assert not lacking(Point.AFTER_STEP, heard(Said.YES, answered=60_001))
    assert lacking(Point.AFTER_STEP, heard(Said.NO))
    assert lacking(Point.AFTER_STEP, None)


def test_what_a_hook_that_holds_has_said() -> None:
    now = replace(here("shifting"), at=NOW)
    key = HookKey(now.release.id, Point.BEFORE_STEP, 1, 0)

    def reason(one: Heard | None) -> str:
        return hooks._hold(key, HOOK, one, now).reason.removeprefix("hook /ask at before_step ")

    assert reason(None) == "is asked since 0s"
    assert reason(heard(None, asked=2_000)) == "is asked since 2s"
    assert reason(heard(Said.YES, asked=61_000)) == "is asked since 1m01s"
    assert reason(heard(Said.NO, text="not now")) == "says no: not now"
    assert reason(heard(Said.NO)) == "says no"
    assert reason(heard(Said.NONE, text="timed out")) == "gives no answer: timed out"


def test_only_a_hook_that_is_waited_for_takes_a_release_back() -> None:
    now = here("shifting")

    def back(point: Point, one: Heard) -> str:
        return hooks.says_back(replace(now, hooks={HookKey(now.release.id, point, 1, 0): one}))

    assert back(Point.BEFORE_STEP, heard(Said.BACK, text="it smells")) == "hook /ask at before_step: it smells"
    assert back(Point.BEFORE_STEP, heard(Said.BACK)) == "hook /ask at before_step: roll back"
    assert back(Point.ROLLED_BACK, heard(Said.BACK)) == ""
    assert back(Point.BEFORE_STEP, heard(Said.NO)) == ""
    none = replace(HOOK, no_answer=NoAnswer.ROLLBACK)
    assert back(Point.AFTER_STEP, heard(Said.NONE, hook=none)) == "hook /ask at after_step: roll back"


def told_hooks(state: State, age: int = 0) -> list[str]:
    at = after(running(state).phase_since, Span(age))
    return [str(ask.key.point) for ask in hooks._tellings(state, at)]


def with_hooks(state: State, *points: Point) -> State:
    unit = replace(state.topology.units[SHOP], hooks=tuple(Hook(at=point, argv=("/tell",)) for point in points))
    return replace(state, topology=replace(state.topology, units={SHOP: unit}))


def test_who_is_to_be_told_is_told_once_within_ten_minutes() -> None:
    state = with_hooks(state_of("finished"), Point.RELEASED, Point.PREFLIGHT)
    assert told_hooks(state) == ["released"]
    assert told_hooks(state, 10 * MINUTE) == ["released"]
    assert told_hooks(state, 10 * MINUTE + 1) == []
    key = HookKey(running(state).id, Point.RELEASED, running(state).epoch, 0)
    assert told_hooks(replace(state, hooks={key: heard(Said.YES)})) == []
    other = replace(key, release=type(key.release)("99"))
    assert told_hooks(replace(state, hooks={other: heard(Said.YES)})) == ["released"]
    left = replace(state.topology, services={A: state.topology.services[A]})
    assert told_hooks(replace(state, topology=left)) == []


def test_hooks_of_a_release_that_is_gone_are_forgotten() -> None:
    state = with_hooks(state_of("finished"), Point.RELEASED)
    gone = HookKey(type(running(state).id)("99"), Point.RELEASED, 1, 0)
    after_it, asks = hooks.asked(replace(state, hooks={gone: heard(Said.YES)}), {}, running(state).phase_since)
    assert [ask.key for ask in asks] == [*after_it.hooks]
    assert gone not in after_it.hooks


def test_before_first_traffic_nothing_was_judged_whatever_was_judged_before() -> None:
    state, known = state_of("shifting"), going_on(judged(here("shifting"), Word.ADVANCE)).progress
    assert known is not None
    for phase in (Phase.PREFLIGHT, Phase.AWAITING_APPROVAL, Phase.SHIFTING):
        release = replace(running(state), phase=phase)
        verdict = told._judged(replace(state, progress={release.id: known}), release)
        assert (verdict is not None) is (phase is Phase.SHIFTING)
        assert told._judged(replace(state, progress={}), release) is None


def test_who_was_paged_for_is_paged_for_again_after_nothing_held() -> None:
    now = going_on(here("shifting"), holds=(), told=frozenset({"any"}), paged=frozenset({"any"}))
    assert now.progress is not None
    after_it, entries = notes._holds(now, now.progress)
    assert (after_it.told, after_it.paged) == (frozenset(), frozenset())
    assert [one.kind for one in entries] == [Kind.HOLD_ENDED]


def test_a_caller_of_any_follower_that_is_nobodys_pool_is_found() -> None:
    now = here("shifting")
    member = now.release.members[A]
    both = replace(now, release=replace(now.release, service=B, followers={B: member, A: member}))
    assert unpinned(both) is None
    found = unpinned(replace(both, matrix={A: Tally(unknown=((now.at, 2),))}))
    assert found is not None
    assert "accounts was called 2 times" in found[0]
    listens = replace(now.services[A], listen=Address("192.0.2.9", 80))
    said = unpinned(replace(both, services={**both.services, A: listens}, matrix={A: Tally(unknown=((now.at, 1),))}))
    assert said is not None
    assert "by 192.0.2.9:80, the ordinary listener of accounts" in said[1]
    assert "by the ordinary listener of accounts" in found[1]


def test_what_a_hook_is_told() -> None:
    state = state_of("shifting")
    release = running(state)

    def facts(point: Point, **changes: Any) -> Mapping[str, object]:
        key = HookKey(release.id, point, release.epoch, 0)
        return hooks._facts(state.record, replace(release, **changes), key, state.topology)

    assert facts(Point.BEFORE_STEP)["share_bp"] == 5_000
    assert facts(Point.AFTER_STEP)["share_bp"] == 1_000
    assert facts(Point.AFTER_STEP, outcome="it ended", reason="because")["reason"] == "it ended"
    assert facts(Point.AFTER_STEP, outcome="", reason="because")["reason"] == "because"


def points(now: Situation, *others: holds.Hold) -> list[str]:
    return [str(one) for one in hooks._points(now, others)]


def test_a_step_is_asked_for_when_nothing_but_a_persons_word_could_hold_it() -> None:
    now = here("shifting")
    over = released(judged(going_on(now, reached_since=Instant(0)), Word.ADVANCE), reached_bp=now.release.share_bp)
    assert points(over) == ["after_step", "before_step"]
    assert points(over, HOLD) == ["after_step"]
    assert points(over, replace(HOLD, overridable=True)) == ["after_step", "before_step"]
    assert points(going_on(over, reached_since=over.at)) == ["after_step"]
    assert points(released(over, reached_bp=0)) == ["before_step"]
    assert points(released(over, share_bp=0, reached_bp=0)) == ["before_step"]
    assert points(released(over, phase=Phase.BAKING)) == ["after_step"]
    assert points(released(over, share_bp=10_000, reached_bp=10_000)) == ["after_step"]
    assert points(released(over, phase=Phase.DRAINING)) == []
    ready = going_on(here("preflight"), reached_since=Instant(0))
    assert points(ready) == ["preflight", "smoke", "before_step"]
    assert points(ready, HOLD) == points(going_on(ready, reached_since=None)) == []
    approvals = replace(ready.release.plan.approvals, count=1)
    assert points(planned(ready, approvals=approvals)) == ["preflight", "smoke"]
    waits = going_on(here("awaiting_approval"), reached_since=Instant(0))
    assert points(waits) == ["before_step"]
    assert points(waits, HOLD) == []


# ---- the journal


def offered(state: State, *revs: int) -> tuple[Offered, ...]:
    return tuple(Offered(replace(state.record, rev=rev), ()) for rev in revs)


def ask_answer(rev: int, *, back: bool = False, at: Instant | None = NOW) -> Answer:
    body = {"phase": Phase.ROLLING_BACK.value} if back else {}
    return Answer(rev, accepted=True, body=body, after_rev=rev, goes_back=back, at=at)


def test_a_write_that_ends_settles_what_waited_for_it_and_nothing_else() -> None:
    state = state_of("finished")
    state = replace(state, record=replace(state.record, rev=50), last_rev=50)
    state = replace(state, offered=offered(state, 48, 49, 50), answers=(ask_answer(49), ask_answer(50)))
    after_49, effects = commit.recorded(state, Recorded(NOW, 49))
    assert after_49.durable.rev == 49
    assert [one.record.rev for one in after_49.offered] == [48, 50]
    assert [one.after_rev for one in after_49.answers] == [50]
    assert len(effects) == 1
    assert commit.recorded(state, Recorded(NOW, 47)) == (state, ())


def test_a_token_that_was_held_is_free_again_only_for_a_release_that_goes_on() -> None:
    state = state_of("shifting")
    rev, release = state.record.rev, running(state)
    state = replace(state, offered=offered(state, rev), held_tokens=frozenset({release.id}), durable=Record())
    assert any(type(one).__name__ == "Free" for one in commit.recorded(state, Recorded(NOW, rev))[1])
    other = replace(state, held_tokens=frozenset())
    assert commit.recorded(other, Recorded(NOW, rev))[1] == ()
    ended = replace(state, record=state.record.with_release(replace(release, phase=Phase.ROLLED_BACK)))
    ended = replace(ended, offered=offered(ended, rev))
    assert commit.recorded(ended, Recorded(NOW, rev))[1] == ()


def test_what_was_not_told_is_told_when_the_journal_works_again() -> None:
    state = state_of("finished")
    rev = state.record.rev
    untold = (Entry(kind=Kind.STEP_STARTED, at=NOW, text="one"),)
    state = replace(state, offered=offered(state, rev), untold=untold, journal_error="full")
    found, effects = commit.recorded(state, Recorded(NOW, rev))
    assert [one.text for note in effects for one in note.entries] == ["one", "the journal is written again"]  # type: ignore[union-attr]
    assert (found.journal_error, found.untold) == ("", ())
    assert commit.recorded(replace(state, untold=(), journal_error=""), Recorded(NOW, rev))[1] == ()


def test_what_was_given_up_for_lost_and_is_written_stands_and_voids_nothing() -> None:
    state = state_of("finished")
    void = Entry(kind=Kind.CERTIFICATE_VOID, at=NOW, text="void")
    other = Entry(kind=Kind.STEP_STARTED, at=NOW, text="one")
    late = replace(state.record, rev=state.record.rev + 1)
    state = replace(state, offered=(Offered(late, ()),), untold=(void, other))
    found, effects = commit.recorded(state, Recorded(NOW, late.rev))
    assert found.record == late
    assert [one.text for note in effects for one in note.entries] == ["one"]  # type: ignore[union-attr]


def test_a_way_back_waits_for_a_silent_journal_no_longer_than_its_patience() -> None:
    state = replace(state_of("shifting"), answers=(ask_answer(99, back=True), ask_answer(98)))
    at = Instant(NOW + 50)
    assert commit.told_in_time(state, Instant(at - 1)) == (state, ())
    found, effects = commit.told_in_time(state, at)
    assert [one.after_rev for one in found.answers] == [98]
    assert len(effects) == 1
    never = replace(state, answers=(ask_answer(99, back=True, at=None),))
    assert commit.told_in_time(never, Instant(1 << 40)) == (never, ())
    broken = replace(never, journal_error="full")
    assert len(commit.told_in_time(broken, NOW)[1]) == 1


def test_a_cancellation_that_is_not_recorded_goes_on_and_any_other_answer_is_taken_back() -> None:
    cancelled = commit._not_recorded(replace(ask_answer(1), goes_back=True), "full")
    assert (cancelled.accepted, cancelled.body["did"]) == (True, "to be cancelled")
    other = commit._not_recorded(ask_answer(1), "full")
    assert (other.accepted, other.body["code"], other.body["exit_code"]) == (False, "journal", 5)


def test_a_failed_journal_is_tried_again_every_second() -> None:
    state = replace(state_of("finished"), journal_error="full", retry_at=NOW, offered=())
    assert commit.retried(state, Instant(NOW - 1)) == (state, ())
    found, effects = commit.retried(state, NOW)
    assert (len(effects), found.retry_at) == (1, NOW + 1_000)
    assert commit.retried(replace(state, offered=offered(state, 1)), NOW)[1] == ()
    assert commit.retried(replace(state, journal_error=""), NOW)[1] == ()


def first_certificate() -> State:
    """The first certificate was handed to the journal just now."""
    state = state_of("retiring")
    before = state.record.with_release(replace(running(state), phase=Phase.DRAINING))
    record = state.record.with_release(replace(running(state), phase_since=NOW))
    return replace(state, record=record, durable=replace(before, rev=record.rev - 1), journal_error="")


def test_a_first_certificate_is_withdrawn_when_it_was_not_written_within_a_second() -> None:
    state = first_certificate()
    assert noreturn.in_window(state) == {SHOP}
    assert noreturn.withdrawn(state, Instant(NOW + 999)) == (state, ())
    found, _ = noreturn.withdrawn(state, Instant(NOW + 1_000))
    assert running(found).phase is Phase.DRAINING
    broken, _ = noreturn.withdrawn(replace(state, journal_error="full"), NOW)
    assert running(broken).phase is Phase.DRAINING
    assert "is void: blue stays" in broken.offered[-1].entries[-1].text
    other = replace(state.durable.releases[SHOP], id=type(running(state).id)("99"))
    assert noreturn.in_window(replace(state, durable=state.durable.with_release(other))) == frozenset()
    assert noreturn.in_window(replace(state, durable=replace(state.durable, releases={}))) == frozenset()
    assert noreturn.in_window(state_of("retiring")) == frozenset()


# ---- lanes


def landed(*statuses: Status, lane: Lane | None = None, sent_at: int = 0, detail: str = "") -> Lane:
    route = Route(0)
    operations = tuple(SetRoute(service=B, place=Place.RUNTIME, route=route, fence=1) for _ in statuses)
    results = tuple(Result(one, detail) for one in statuses)
    state = replace(state_of("finished"), lanes={LB1: lane or Lane(busy=True)})
    event = Applied(NOW, LB1, operations, results, Instant(sent_at))
    return lanes.applied(state, event).lanes[LB1]


def test_an_unknown_outcome_is_resolved_by_an_operation_sent_after_its_time_out() -> None:
    unknown = landed(Status.DONE, Status.UNKNOWN)
    assert (unknown.unresolved, unknown.resolvable_at) == ("no answer", NOW + 1_000)
    assert landed(Status.UNKNOWN, detail="timed out").unresolved == "timed out"
    assert landed(Status.DONE, lane=unknown, sent_at=unknown.resolvable_at).unresolved == ""
    assert landed(Status.DONE, lane=unknown, sent_at=unknown.resolvable_at - 1).unresolved == "no answer"
    assert landed(Status.DONE, Status.REFUSED, lane=unknown, sent_at=1 << 40).unresolved == "no answer"
    refused = landed(Status.REFUSED, detail="no map")
    assert (refused.refusal, refused.refused_at, refused.busy) == ((B, "no map"), NOW, False)


def test_three_stale_answers_in_a_row_mean_that_a_higher_fence_was_seen() -> None:
    lane = Lane()
    for count in (1, 2):
        lane = landed(Status.STALE, lane=lane)
        assert lane.stale_count == count
    assert landed(Status.DONE, lane=lane).stale_count == 0
    state = replace(state_of("finished"), lanes={LB1: lane})
    operation = SetRoute(service=B, place=Place.RUNTIME, route=Route(0), fence=1)
    found = lanes.applied(state, Applied(NOW, LB1, (operation,), (Result(Status.STALE, ""),), NOW))
    assert (found.overtaken, found.last_rev, found.lanes[LB1].stale_count) == (True, state.last_rev + 100, 0)


def test_in_maintenance_only_a_persons_way_back_still_writes() -> None:
    state = state_of("rolling_back")
    off = recorded(state, replace(state.record, maintenance=True))

    def untouchable(state: State, **changes: Any) -> bool:
        now = released(here("rolling_back"), **changes)
        return lanes._untouchable(state, B, now)

    assert not untouchable(state)
    assert not untouchable(off, back_by=By.PERSON)
    assert untouchable(off, back_by=By.ITSELF)
    assert untouchable(off, back_by=By.PERSON, phase=Phase.SHIFTING)
    assert lanes._untouchable(off, B, None)
    durable = replace(state, durable=replace(state.durable, maintenance=True))
    assert untouchable(durable, back_by=By.ITSELF)
    only_a = {**state.record.services, A: replace(state.record.services[A], maintenance=True)}
    assert untouchable(recorded(state, replace(state.record, services=only_a)), back_by=By.ITSELF)
    assert not lanes._untouchable(recorded(state, replace(state.record, services=only_a)), B, None)


@pytest.mark.parametrize(
    ("phase", "token", "forgotten"),
    [("draining", Token.NONE, True), ("draining", Token.GO, False), ("shifting", Token.NONE, False)],
)
def test_a_way_back_may_be_forgotten_while_the_old_pool_drains_without_a_token(
    phase: str, token: Token, forgotten: bool
) -> None:
    assert lanes._may_be_forgotten(here(phase, token=token)) is forgotten
    assert not lanes._may_be_forgotten(None)


def sent(state: State, *, at: int, taken: int, ended: int, sent: int = 0) -> dict[str, bool]:
    """Which load balancers are sent something for storefront, if all readings and lanes are of these times."""
    instances = {
        name: replace(one, taken_at=Instant(taken)) if isinstance(one, InstanceReading) else one
        for name, one in state.observed.instances.items()
    }
    lane = Lane(sent_at=Instant(sent), ended_at=Instant(ended))
    state = replace(state, observed=replace(state.observed, instances=instances), lanes=dict.fromkeys((LB1, LB2), lane))
    now = situation(state, B, Instant(at))
    return {str(name): bool(lanes._operations(state, B, now, name, Instant(at))) for name in (LB1, LB2)}


def test_a_rollback_is_answered_without_a_journal_and_nothing_else_is() -> None:
    state = replace(state_of("shifting"), journal_error="full")

    def goes_back(request: Any) -> list[bool]:
        after, effects = machine.ask(state, request, NOW)
        told = [one.answer for one in effects if isinstance(one, Reply)]
        return [one.goes_back for one in (*told, *after.answers)]

    release = running(state).id
    assert goes_back(Rollback(id=9, actor="ann", release=release, nonce="again")) == [True]


def test_the_calls_of_a_unit_in_a_release_follow_their_partners() -> None:
    record = state_of("shifting").record
    member = running(state_of("shifting")).members[B]
    for colour in Colour:
        partner = record.services[B].pool(colour).paired[A]
        assert pin(record, A, Caller(B, colour)) is Pin(partner.value)
    alone = record.with_release(replace(running(state_of("shifting")), followers={}))
    assert pin(alone, A, Caller(B, member.to)) is Pin(alone.services[B].pool(member.to).paired[A].value)
    assert pin(alone, A, Caller(B, member.origin)) is Pin.SPLIT


def test_a_pool_that_is_proved_unused_is_told_with_what_nobody_can_see() -> None:
    found = Certificate(at=NOW, since=Instant(NOW - MINUTE), counted={LB1: {Generation("1@0"): 7}})
    said = retiring._said(B, BLUE, found, NOW)
    assert said == (
        "blue of storefront is proved unused: no request for 1m, none in flight, no session honoured, "
        "on edge/lb1 (1@0); confidence full"
    )
    unseen = retiring._said(B, BLUE, replace(found, unseen=("who", "when")), NOW)
    assert unseen == f"{said.removesuffix('full')}partial: who; when"


def test_a_way_back_is_sent_at_once_and_then_by_readings() -> None:
    state = with_release(state_of("shifting"), phase=Phase.ROLLING_BACK, share_bp=0, phase_since=NOW)
    both, none = {"edge/lb1": True, "edge/lb2": True}, {"edge/lb1": False, "edge/lb2": False}
    assert sent(state, at=NOW, taken=NOW, ended=NOW - 1) == both
    assert sent(state, at=NOW, taken=NOW, ended=NOW, sent=NOW) == none
    assert sent(state, at=NOW, taken=NOW, ended=NOW, sent=NOW - 1) == both
    gone = Unreadable(NOW, "away")
    away = replace(state, observed=replace(state.observed, instances={LB1: gone, LB2: gone}))
    assert sent(away, at=NOW, taken=0, ended=0, sent=NOW - 1) == both
    assert sent(away, at=NOW + 999, taken=0, ended=0, sent=NOW) == none
    assert sent(away, at=NOW + 1_000, taken=0, ended=0, sent=NOW) == both
    shifting = replace(state_of("shifting"), observed=away.observed)
    assert sent(shifting, at=NOW, taken=0, ended=0) == none


# ---- what is told


def paged(now: Situation, hold: holds.Hold, age: int = 0) -> str:
    assert now.progress is not None
    since = {hold.code: Instant(now.at - age)}
    now = going_on(now, held_since=since)
    assert now.progress is not None
    return notes._pages(now, now.progress, hold)


def test_a_person_is_called_for_what_needs_one_and_for_what_stands_too_long_with_traffic() -> None:
    now = with_traffic(planned(here("shifting"), hold_max=Span(10 * MINUTE)), 1)
    now = going_on(now, target_since=now.at)
    assert paged(now, replace(HOLD, pages=True)) == "it needs a person"
    assert paged(now, HOLD, 15 * MINUTE - 1) == ""
    assert paged(now, HOLD, 15 * MINUTE) == "held with traffic for 15m"
    assert paged(with_traffic(now, 0), HOLD, 15 * MINUTE) == ""
    assert paged(released(now, phase=Phase.DRAINING), HOLD, 15 * MINUTE) == ""
    long = going_on(now, target_since=Instant(now.at - 10 * MINUTE))
    assert paged(long, HOLD) == "this step takes longer than 10m"
    assert paged(going_on(long, target_since=Instant(now.at - 10 * MINUTE + 1)), HOLD) == ""
    assert paged(released(long, phase=Phase.BAKING), HOLD) == ""


def test_a_trouble_that_ends_is_told_of_load_balancers_that_are_there() -> None:
    state = state_of("finished")
    at = Instant(state.observed.instances[LB1].taken_at + 5)  # type: ignore[union-attr]

    def over(*told: str) -> list[str]:
        _, effects = notes.noted(replace(state, told=frozenset(told)), {}, at)
        return [one.text for note in effects for one in note.entries]  # type: ignore[union-attr]

    assert over("lost edge/lb1") == ["edge/lb1 answers again"]
    assert over("refused edge/lb2") == ["edge/lb2 has refused nothing for 1m"]
    assert over("lost edge/lb9", "blocked storefront", "checker accounts") == []


# ---- the end of an old pool


def ending(now: Situation, spent: int, **changes: Any) -> str:
    """What comes of a release that drains for so long: the word of what it becomes."""
    now = released(now, phase_since=Instant(now.at - spent), **changes)
    change = retiring.from_draining(now) if now.release.phase is Phase.DRAINING else retiring.from_retiring(now)
    if change is None:
        return ""
    return change.record.releases[now.release.unit_name].phase.value


def idle(phase: str) -> Situation:
    """Everything is read back and nothing holds; no old pool is proved unused."""
    now = here(phase)
    readings = {}
    for name in (LB1, LB2):
        reading = reading_of(now, name)
        seen = {
            one: replace(part, runtime={reading.generation: now.wants[one]}, boot=now.wants[one], skewed={})
            for one, part in reading.services.items()
        }
        readings[name] = replace(reading, services=seen)
    empties = {name: replace(one, certificate=None, silent=False) for name, one in now.empties.items()}
    now = replace(now, readings=readings, under_way=frozenset(), unresolved={}, empties=empties)
    return going_on(now, holds=())


def test_a_release_ends_unproven_at_the_later_of_retain_and_limit() -> None:
    now = planned(idle("draining"), retain=Span(500))
    now = replace(now, service=replace(now.service, drain=replace(now.service.drain, limit=Span(900))))
    flipped = {name: replace(one, flipped=True) for name, one in now.release.followers.items()}
    assert ending(now, 899, followers=flipped) == ""
    assert ending(now, 900, followers=flipped) == "finished"
    later = planned(now, retain=Span(1_200))
    assert ending(later, 1_199, followers=flipped) == ""
    assert ending(later, 1_200, followers=flipped) == "finished"
    assert ending(going_on(now, holds=(HOLD,)), 900, followers=flipped) == ""
    assert (
        ending(going_on(now, holds=(replace(HOLD, code=holds.UNKNOWN_CALLER),)), 900, followers=flipped) == "finished"
    )
    assert ending(replace(now, progress=None), 900, followers=flipped) == ""
    assert ending(replace(now, unresolved={LB1: "x"}), 900, followers=flipped) == ""


def test_what_retires_ends_at_the_longest_limit_of_its_services_or_when_it_is_cut_short() -> None:
    now = idle("retiring")
    limits = {A: Span(2_000), B: Span(1_000)}
    services = {name: replace(one, drain=replace(one.drain, limit=limits[name])) for name, one in now.services.items()}
    now = replace(now, services=services)
    flipped = {name: replace(one, flipped=True) for name, one in now.release.followers.items()}
    assert ending(now, 1_999, followers=flipped) == ""
    assert ending(now, 2_000, followers=flipped) == "finished"
    assert ending(now, 1, followers=flipped, cut_short=True) == "finished"
    silent = {name: replace(one, silent=True) for name, one in now.empties.items()}
    assert ending(replace(now, empties=silent), 1, followers=flipped, cut_short=True) == "finished"


def test_why_a_release_is_unproven_in_words() -> None:
    now = idle("draining")
    waits = {name: replace(one, waits="somebody is there") for name, one in now.empties.items()}
    words = retiring._unproven
    assert words(replace(now, empties=waits), (B,)) == (
        "unproven: blue of storefront is kept as draining; somebody is there"
    )
    none = {name: replace(one, waits="") for name, one in now.empties.items()}
    assert words(replace(now, empties=none), (B, A)) == (
        "unproven: blue of storefront, blue of accounts are kept as draining"
    )


def test_a_pool_becomes_unused_if_it_is_not_active_and_not_certified() -> None:
    record = state_of("finished").record
    assert not is_leaving(record, B, GREEN)
    old = record.services[B].blue

    def leaving(**changes: Any) -> bool:
        adopted = record.services[B].with_pool(BLUE, replace(old, **changes))
        return is_leaving(record.with_service(B, adopted), B, BLUE)

    proof = state_of("retiring").record.services[B].blue.certificate
    assert leaving(state=PoolState.DRAINING, certificate=None)
    assert leaving(state=PoolState.DRAINING, certificate=proof)
    assert leaving(state=PoolState.IDLE, certificate=None)
    assert not leaving(state=PoolState.IDLE, certificate=proof)
    assert not leaving(state=PoolState.CANDIDATE, certificate=None)
    assert not is_leaving(replace(record, services={}), B, BLUE)


def test_a_pool_is_closed_since_nothing_new_and_no_session_goes_there_everywhere() -> None:
    state = idle_state()
    calm = Calm(idle_since=Instant(1))
    assert _closing(state, B, BLUE, calm, NOW).closed_since == NOW
    assert _closing(state, B, BLUE, replace(calm, closed_since=Instant(5)), NOW).closed_since == 5
    adopted = state.record.services[B]
    kept = recorded(state, state.record.with_service(B, adopted.with_pool(BLUE, replace(adopted.blue, keep_bp=1))))
    assert _closing(kept, B, BLUE, replace(calm, closed_since=Instant(5)), NOW).closed_since is None
    assert _closing(state, B, GREEN, calm, NOW).closed_since is None
    unread = replace(state, observed=replace(state.observed, instances={LB1: state.observed.instances[LB1]}))
    assert _closing(unread, B, BLUE, calm, NOW).closed_since is None


def idle_state() -> State:
    """At rest on green; blue honours no session, read back everywhere."""
    state = state_of("finished")
    adopted = state.record.services[B]
    record = state.record.with_service(B, adopted.with_pool(BLUE, replace(adopted.blue, keep_bp=0)))
    state = replace(recorded(state, record), lanes=dict.fromkeys((LB1, LB2), Lane()))
    want = target(state.topology, record, B)
    assert want is not None
    instances: dict[Any, Any] = {}
    for name in (LB1, LB2):
        reading = state.observed.instances[name]
        assert isinstance(reading, InstanceReading)
        part = replace(reading.services[B], runtime={reading.generation: want}, boot=want)
        instances[name] = replace(reading, services={**reading.services, B: part})
    return replace(state, observed=replace(state.observed, instances=instances))


# ---- requests


def promoted(now: Situation, state: State | None = None, **about: Any) -> str:
    request = Promote(**{"id": 1, "actor": "ann", "release": now.release.id, **about})
    try:
        change = requests._promote(state or state_of("shifting"), now, request)
    except Refused as refused:
        return refused.code
    return "" if change is None else str(change.record.releases[now.release.unit_name].share_bp)


def proved(now: Situation) -> Situation:
    readings = {}
    for name in (LB1, LB2):
        reading = reading_of(now, name)
        seen = {
            one: replace(part, runtime={reading.generation: now.wants[one]}, boot=now.wants[one])
            for one, part in reading.services.items()
        }
        readings[name] = replace(reading, services=seen)
    return replace(now, readings=readings, under_way=frozenset(), unresolved={}, durable=True)


def test_a_person_goes_on_where_nothing_holds_that_no_person_goes_over() -> None:
    now = going_on(proved(here("shifting")), holds=())
    assert promoted(now) == "5000"
    assert promoted(now, full=True) == "10000"
    assert promoted(going_on(now, holds=(HOLD,))) == "held"
    assert promoted(going_on(now, holds=(replace(HOLD, overridable=True),))) == "5000"
    assert promoted(replace(now, progress=None)) == "5000"
    assert promoted(replace(now, durable=False)) == "not_reached"
    assert promoted(replace(now, unresolved={LB1: "x"})) == "not_reached"
    hook = Hook(at=Point.BEFORE_STEP, argv=("/ask",))
    assert promoted(replace(now, configured_hooks=(hook,))) == "hook_open"
    baking = released(replace(now, configured_hooks=(hook,)), phase=Phase.BAKING, share_bp=10_000)
    assert promoted(proved_at(baking, 10_000)) == "10000"
    assert promoted(released(now, phase=Phase.DRAINING)) == "nothing_to_promote"
    assert promoted(here("preflight")) == "nothing_to_promote"
    assert promoted(released(now, share_bp=10_000)) in {"not_reached", ""}


def proved_at(now: Situation, share_bp: int) -> Situation:
    want = now.want.with_share(now.release.to, share_bp)
    return proved(replace(now, wants={**now.wants, now.service.name: want}, want=want))


def resumed(**changes: Any) -> list[str]:
    now = released(here("shifting", token=changes.pop("token", Token.GO)), **changes)
    state = replace(state_of("shifting"), held_tokens=frozenset({now.release.id} if changes == {} else ()))
    change = requests._resume(state, now, Resume(id=1, actor="ann", release=now.release.id, nonce="new"))
    if change is None:
        return []
    return [change.entries[0].text, *(str(mark.token) for mark in change.marks)]


def test_a_resume_makes_a_new_token_only_where_there_is_none() -> None:
    assert resumed() == []
    assert resumed(paused_by="bob") == ["resumed"]
    assert resumed(latched={"retreat": "twice"}) == ["resumed"]
    assert resumed(token=Token.NONE, paused_by=None) == ["resumed with a new go-token", "go"]
    assert resumed(token=Token.HOLD, paused_by=None) == ["resumed with a new go-token", "go"]
    assert resumed(token=Token.HOLD) == []
    assert resumed(token=Token.BACK) == []


def test_who_comes_too_late_is_told_the_next_command() -> None:
    def then(phase: Phase) -> str:
        state = with_release(state_of("finished"), phase=phase)
        with pytest.raises(Refused) as refused:
            admit(state, Rollback(id=1, actor="ann", release=running(state).id), NOW)
        return refused.value.then

    assert then(Phase.FINISHED) == "lbctl undo shop"
    assert then(Phase.CANCELLED) == "lbctl explain 1"
    state = state_of("finished")
    with pytest.raises(Refused, match="has ended: finished") as refused:
        admit(state, Promote(id=1, actor="ann", release=running(state).id), NOW)
    assert refused.value.then == "lbctl explain 1"


def test_a_reason_that_comes_later_is_added_while_there_is_room() -> None:
    state = with_release(state_of("rolled_back"), outcome="x" * (OUTCOME_MAX - 1))
    request = Rollback(id=1, actor="ann", release=running(state).id, reason="it was slow")

    def outcome(state: State) -> str | None:
        change = said_later(state.record, running(state), request, NOW, journal_error="")
        return None if change is None else running(replace(state, record=change.record)).outcome

    added = outcome(state)
    assert added is not None
    assert added.endswith("it was slow")
    full = with_release(state, outcome="x" * OUTCOME_MAX)
    assert outcome(full) in {None, "x" * OUTCOME_MAX}


# ---- situations


def test_a_situation_is_of_a_release_whose_services_are_all_configured() -> None:
    state = state_of("shifting")
    assert situation(state, B, NOW) is not None
    assert situation(with_release(state, phase=Phase.FINISHED), B, NOW) is None
    assert situations(with_release(state, phase=Phase.FINISHED), NOW) == {}
    for name in (A, B):
        left = {one: service for one, service in state.topology.services.items() if one != name}
        assert situation(replace(state, topology=replace(state.topology, services=left)), B, NOW) is None
    assert replace(here("shifting"), progress=None).reached_since is None
    assert replace(here("shifting"), progress=None).verdict is None


def test_a_refusal_counts_for_a_minute_if_it_is_of_a_service_of_the_release() -> None:
    state = state_of("shifting")

    def refusals(at: int, service: ServiceName = B) -> Mapping[Any, str]:
        lane = Lane(refusal=(service, "no map"), refused_at=NOW)
        found = situation(replace(state, lanes={LB1: lane, LB2: Lane()}), B, Instant(at))
        assert found is not None
        return found.refusals

    assert refusals(NOW + 59_999) == {LB1: "no map"}
    assert refusals(NOW + 60_000) == {}
    assert refusals(NOW, ServiceName("other")) == {}


def test_the_candidate_is_up_since_its_last_server_came() -> None:
    state = state_of("shifting")
    servers = [one.name for one in state.topology.services[B].green.servers]
    ups = {(B, one): Health(True, Instant(100 + number)) for number, one in enumerate(servers)}
    ups[B, servers[-1]] = Health(False, Instant(900))

    def since(health: Any) -> int:
        found = situation(replace(state, observed=replace(state.observed, health=health)), B, NOW)
        assert found is not None
        return found.candidate_up_since

    assert since(ups) == 105
    assert since({}) < 0


def test_an_entry_tells_only_what_is_a_number_or_a_text() -> None:
    told = entry(
        Kind.STEP_STARTED, running(state_of("shifting")), NOW, "x", odd=[1], stop="lbctl rollback 1", actor="ann"
    )
    assert "odd" not in told.data
    assert (told.data["stop"], told.actor) == ("lbctl rollback 1", "ann")


# ---- the matrix


CALLER = Caller(B, BLUE)
CELL = Cell(CALLER, BLUE)


def test_a_call_against_a_pin_counts_if_the_pin_was_proved_at_the_reading_before() -> None:
    tally = Tally(pins={CALLER: Proved(Pin.GREEN, Instant(100))})

    def wrong(*taken_at: int, cell: Cell = CELL) -> int:
        seen = replace(tally, looks={LB1: Look(tuple(map(Instant, taken_at)), {})})
        return sum(matrix._wrong(seen, LB1, Counter({cell: 2})).values())

    assert wrong(100, 200) == 2
    assert wrong(99, 200) == 0
    assert wrong(200) == 0
    assert wrong(100, 200, cell=Cell(None, BLUE)) == 0
    assert wrong(100, 200, cell=Cell(CALLER, GREEN)) == 0
    assert wrong(100, 200, cell=Cell(Caller(B, GREEN), BLUE)) == 0


def test_counts_of_a_life_grow_and_begin_anew() -> None:
    one, two = Generation("1"), Generation("2")
    grown = matrix._grown
    assert grown({one: {CELL: 3}}, {one: {CELL: 5}}) == {CELL: 2}
    assert grown({one: {CELL: 3}}, {one: {CELL: 3}}) == {}
    assert grown({one: {CELL: 3}}, {one: {CELL: 2}}) == {}
    assert grown({one: {CELL: 3}}, {two: {CELL: 9}}) == {}
    assert grown({one: {}}, {one: {CELL: 1}}) == {CELL: 1}


def test_a_pin_is_proved_from_the_last_reading_that_shows_it_everywhere() -> None:
    want = Route(0, pins=((CALLER, Pin.GREEN),))

    def reading(at: int, pin: Pin) -> InstanceReading:
        life = Generation("1")
        route = Route(0, pins=((CALLER, pin),))
        return InstanceReading(Instant(at), life, {A: ServiceReading({life: route}, route, {})})

    def proved(before: Proved | None, **pins: Pin) -> Proved | None:
        readings = {LB1: reading(10, pins["one"]), LB2: reading(20, pins["two"])}
        return matrix._proved({CALLER: before}, readings, A, want)[CALLER]

    assert proved(None, one=Pin.GREEN, two=Pin.GREEN) == Proved(Pin.GREEN, Instant(20))
    known = Proved(Pin.GREEN, Instant(5))
    assert proved(known, one=Pin.GREEN, two=Pin.GREEN) == known
    assert proved(Proved(Pin.BLUE, Instant(5)), one=Pin.GREEN, two=Pin.GREEN) == Proved(Pin.GREEN, Instant(20))
    assert proved(known, one=Pin.GREEN, two=Pin.BLUE) is None
    assert matrix._proved({}, {}, A, want)[CALLER] is None
    gone = {LB1: Unreadable(Instant(0), "away")}
    assert matrix._proved({CALLER: known}, gone, A, want)[CALLER] is None


# ---- what must always hold


def broken(before: Record, after: Record) -> str:
    try:
        check(before, replace(after, rev=before.rev + 1))
    except InvariantViolatedError as error:
        return str(error)
    return ""


def pool(record: Record, colour: Colour, name: ServiceName = B, /, **changes: Any) -> Record:
    adopted = record.services[name]
    return record.with_service(name, adopted.with_pool(colour, replace(adopted.pool(colour), **changes)))


def test_a_record_that_breaks_a_rule_is_none() -> None:
    record = state_of("finished").record
    assert broken(record, record) == ""
    with pytest.raises(InvariantViolatedError, match="the revision rises"):
        check(record, record)
    assert "release numbers are never reused" in broken(record, replace(record, next_release=1))
    assert "the active pool is never idle" in broken(record, pool(record, GREEN, state=PoolState.IDLE))
    assert "one pool is active, not two" in broken(record, pool(record, BLUE, state=PoolState.ACTIVE))
    proof = state_of("retiring").record.services[B].blue.certificate
    assert broken(record, pool(record, BLUE, state=PoolState.IDLE, certificate=proof, keep_bp=0, leaving=None)) == ""
    assert "a certified pool is idle" in broken(
        record, pool(record, BLUE, state=PoolState.IDLE, certificate=proof, keep_bp=1, leaving=None)
    )
    assert "a certified pool is idle" in broken(
        record, pool(record, BLUE, state=PoolState.DRAINING, certificate=proof, keep_bp=0, leaving=None)
    )
    assert "active honours its sessions" in broken(record, pool(pool(record, BLUE, leaving=None), GREEN, keep_bp=9_999))


LEAVES = Leaving(per_second=5, began_at=Instant(1), paced_at=Instant(1), deadline=NOW)


def test_sessions_go_one_way_only() -> None:
    record = state_of("finished").record
    draining = pool(record, BLUE, state=PoolState.DRAINING, certificate=None, keep_bp=5_000, leaving=LEAVES)
    assert broken(record, draining) == ""

    def moved(keep_bp: int, paced: int, began: int = 1) -> str:
        leaving = replace(LEAVES, paced_at=Instant(paced), began_at=Instant(began))
        return broken(draining, pool(draining, BLUE, keep_bp=keep_bp, leaving=leaving))

    assert moved(4_000, 2) == ""
    assert moved(5_000, 1) == ""
    assert "no time is used twice" in moved(4_000, 1)
    assert "who was moved is not called back" in moved(5_001, 2)
    assert moved(10_000, 2, began=2) == ""
    assert broken(pool(draining, BLUE, leaving=None), draining) == ""
    without = {name: one for name, one in draining.services.items() if name != B}
    assert broken(replace(draining, services=without), draining) == ""
    assert "no session leaves the active pool" in broken(record, pool(record, GREEN, leaving=LEAVES))


def test_a_release_keeps_what_was_fixed_when_it_began() -> None:
    record = state_of("shifting").record
    release = record.releases[SHOP]

    def changed(**changes: Any) -> str:
        return broken(record, record.with_release(replace(release, **changes)))

    assert changed() == ""
    assert "a new target is a new epoch" in changed(share_bp=5_000)
    assert changed(share_bp=5_000, epoch=release.epoch + 1) == ""
    assert "the epoch never falls" in changed(epoch=release.epoch - 1)
    assert "from and to are fixed" in changed(origin=GREEN, to=BLUE)
    assert "no edge" in changed(phase=Phase.RETIRING)
    follower = release.followers[A]
    assert "accounts is fixed" in changed(followers={A: replace(follower, origin=GREEN, to=BLUE)})
    assert "other is fixed" in changed(followers={**release.followers, ServiceName("other"): follower})
    assert "flips only at the end" in changed(followers={A: replace(follower, flipped=True)})
    unpaired = pool(record, GREEN, paired={})
    assert "both pools stay with their partner" in broken(record, unpaired)


@pytest.mark.parametrize(("error", "why"), [("", "its disk has not answered within 50ms"), ("full", "full")])
def test_whoever_cancels_without_a_journal_is_told_why_it_waits(error: str, why: str) -> None:
    state = replace(state_of("preflight"), answers=(replace(ask_answer(99), goes_back=True),), journal_error=error)
    _, (reply,) = commit.told_in_time(state, Instant(NOW + 50))
    assert reply.answer.body["note"] == (  # type: ignore[union-attr]
        f"cancelled as soon as the journal can be written; until then nothing goes forward: {why}"
    )


def test_a_fence_that_was_overtaken_is_passed_by_the_same_decision_once_more() -> None:
    state = replace(state_of("finished"), overtaken=True)
    state = recorded(state, state.record)
    again = machine._chosen(state, {}, Instant(state.record.clock + 1))
    assert again is not None
    assert (again.record, again.lowering) == (state.record, True)
    assert machine._chosen(replace(state, overtaken=False), {}, Instant(state.record.clock + 1)) is None
    later = replace(state, record=replace(state.record, rev=state.record.rev + 1))
    assert machine._chosen(later, {}, Instant(state.record.clock + 1)) is None


def test_what_active_does_is_learned_of_the_pool_that_is_active() -> None:
    state = replace(state_of("draining"), learned={})
    seen = counted(blue=PoolCounts(Counts(10, 0), Counts(10, 0)), green=PoolCounts(Counts(20, 0), Counts(20, 0)))
    assert machine._learned(state, B, here("draining"), seen).traffic.total == 20.0
    assert machine._learned(replace(state_of("finished"), learned={}), B, None, seen).traffic.total == 20.0
    assert machine._learned(state, B, here("rolling_back"), seen) == judge.Learned()
    timed = replace(seen, times={BLUE: {5: 3}, GREEN: {7: 1}})
    moving = machine._learned(replace(state_of("shifting"), learned={}), B, here("shifting"), timed)
    assert moving.speed.buckets == {5: 3}


def test_a_load_balancer_that_was_never_read_was_never_looked_at() -> None:
    state = replace(state_of("finished"), sights={})
    only = {LB1: state.observed.instances[LB1]}
    found = witnesses.sights(replace(state, observed=replace(state.observed, instances=only)))
    assert found.keys() == {LB1}

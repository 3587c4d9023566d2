"""The rules of a tick, each asked by itself with one fact changed: what makes it speak, and what keeps it silent."""

from dataclasses import replace

import pytest

from lbctl.core import rules
from lbctl.core.drift import handmade, rebased
from lbctl.core.judge import Word
from lbctl.core.retreat import mistaken
from lbctl.core.situation import Situation
from lbctl.core.wellness import Pair, Wellness
from lbctl.model.hook import Heard, Hook, HookKey
from lbctl.model.hook import Point as HookPoint
from lbctl.model.hook import Word as Said
from lbctl.model.names import Generation, ServerName
from lbctl.model.reading import InstanceReading, Token, Unreadable
from lbctl.model.record import By, Phase
from lbctl.model.topology import DriftPolicy, HoldLimit
from lbctl.model.units import MINUTE, Instant, Span, after
from tests.shop import LB1, LB2, A, B
from tests.situations import HOLD, going_on, here, judged, planned, reading_of, released, with_traffic

WELL = Wellness(2, {}, {})
DEAD = Wellness(2, {ServerName("one"): "down", ServerName("two"): "down"}, {})


def back_by(now: Situation, rule: rules.Rule) -> By | None:
    """Who goes back by this rule; None: it says nothing."""
    change = rule(now)
    if change is None:
        return None
    release = change.record.releases[now.release.unit_name]
    assert release.phase in {Phase.ROLLING_BACK, Phase.CANCELLED}
    return release.back_by


# ---- the way back


def test_a_way_back_by_its_token_is_a_persons_in_maintenance_and_else_its_own() -> None:
    now = here("shifting", token=Token.BACK)
    assert back_by(now, rules._back_token) is By.ITSELF
    assert back_by(replace(now, record=replace(now.record, maintenance=True)), rules._back_token) is By.PERSON
    for phase in ("rolling_back", "retiring"):
        assert rules._back_token(here(phase, token=Token.BACK)) is None
    assert rules._back_token(here("shifting")) is None


def back_again(**changes: object) -> Situation:
    """A rollback that is read back everywhere, by readings taken since it was decided."""
    now = here("rolling_back")
    readings = {}
    for name in (LB1, LB2):
        reading = reading_of(now, name)
        services = {
            one: replace(seen, runtime=dict.fromkeys(seen.runtime, now.wants[one]), boot=now.wants[one])
            for one, seen in reading.services.items()
        }
        readings[name] = replace(reading, services=services, taken_at=after(now.release.phase_since, Span(1)))
    facts = {"readings": readings, "durable": True, "under_way": frozenset(), "unresolved": {}, "journal_error": ""}
    return replace(now, **{**facts, **changes})  # type: ignore[arg-type]


def test_a_rollback_ends_by_readings_taken_after_it_was_decided_and_recorded() -> None:
    now = back_again()
    change = rules._rolled_back(now)
    assert change is not None
    ended = change.record.releases[now.release.unit_name]
    assert ended.phase is Phase.ROLLED_BACK
    assert {change.record.services[one].active for one in (A, B)} == {now.release.origin}
    assert rules._rolled_back(replace(now, durable=False)) is None
    assert rules._rolled_back(replace(now, journal_error="full")) is None
    assert rules._rolled_back(replace(now, unresolved={LB1: "no answer"})) is None
    assert rules._rolled_back(replace(now, under_way=frozenset({LB2}))) is None
    assert rules._rolled_back(released(now, phase=Phase.SHIFTING)) is None
    early = {name: replace(reading_of(now, name), taken_at=now.release.phase_since) for name in (LB1, LB2)}
    assert rules._rolled_back(replace(now, readings={**now.readings, LB1: early[LB1]})) is None
    assert rules._rolled_back(replace(now, readings={**now.readings, LB2: early[LB2]})) is None


def test_only_a_word_of_the_judge_about_a_release_that_moves_takes_it_back() -> None:
    shifting = here("shifting")
    assert back_by(judged(shifting, Word.ROLLBACK, "errors"), rules._judged_bad) is By.ITSELF
    assert rules._judged_bad(judged(shifting, Word.HOLD, "suspicious")) is None
    assert rules._judged_bad(going_on(shifting, verdict=None)) is None
    assert rules._judged_bad(judged(released(shifting, phase=Phase.DRAINING), Word.ROLLBACK, "errors")) is None


def draining(candidate: Wellness, active: Wellness, going: str = "both") -> Situation:
    now = here("draining", going)
    return replace(now, pairs={**now.pairs, now.service.name: Pair(candidate=candidate, active=active)})


def test_a_dead_candidate_goes_back_while_the_old_pool_drains_if_that_one_lives() -> None:
    now = draining(DEAD, WELL)
    assert back_by(now, rules._candidate_dead) is By.ITSELF
    change = rules._candidate_dead(now)
    assert change is not None
    assert change.entries[0].text.endswith(
        "every server of green of storefront is down while blue lives: one: down; two: down"
    )
    alone = rules._candidate_dead(draining(DEAD, WELL, "storefront"))
    assert alone is not None
    assert "every server of green is down while blue lives" in alone.entries[0].text
    assert rules._candidate_dead(draining(DEAD, DEAD)) is None
    assert rules._candidate_dead(draining(WELL, WELL)) is None
    assert rules._candidate_dead(replace(now, checker_suspect="late")) is None
    assert rules._candidate_dead(released(now, phase=Phase.SHIFTING)) is None


def test_a_hook_takes_a_release_back_only_where_there_is_something_to_take_back() -> None:
    hook = Hook(at=HookPoint.AFTER_STEP, argv=("/bin/false",))

    def asked(now: Situation) -> Situation:
        key = HookKey(now.release.id, HookPoint.AFTER_STEP, now.release.epoch, 0)
        no = Heard(hook=hook, asked_at=now.at, word=Said.BACK, at=now.at, text="no")
        return replace(now, hooks={key: no}, configured_hooks=(hook,))

    assert back_by(asked(here("shifting")), rules._hook_says_back) is By.ITSELF
    assert rules._hook_says_back(asked(here("preflight"))) is not None
    assert rules._hook_says_back(asked(here("draining"))) is None
    assert rules._hook_says_back(here("shifting")) is None


# ---- deadlines


def test_a_release_that_did_not_move_is_cancelled_when_its_time_is_over_and_not_before() -> None:
    now = here("preflight")
    over = after(now.release.phase_since, now.release.plan.preflight)
    assert rules._unmoved_deadline(replace(now, at=Instant(over - 1))) is None
    change = rules._unmoved_deadline(replace(now, at=over))
    assert change is not None
    assert "preflight took longer than 15m: candidate not healthy" in change.entries[0].text
    for silent in (replace(now, at=over, progress=None), going_on(replace(now, at=over), holds=())):
        change = rules._unmoved_deadline(silent)
        assert change is not None
        assert "preflight took longer than 15m: the split is not read back" in change.entries[0].text
    assert rules._unmoved_deadline(replace(here("shifting"), at=Instant(over + 1))) is None


def held_up(**changes: object) -> Situation:
    """A step with traffic that was held to its maximum, by a plan that goes back then."""
    now = with_traffic(planned(here("shifting"), hold_then=HoldLimit.ROLLBACK, hold_max=MINUTE), 1)
    assert now.progress is not None
    now = replace(going_on(now, holds=()), at=after(now.progress.target_since, MINUTE))
    return replace(now, **changes)  # type: ignore[arg-type]


def test_a_step_that_is_held_to_its_maximum_goes_back_if_the_plan_says_so_and_it_has_traffic() -> None:
    now = held_up()
    change = rules._hold_deadline(now)
    assert change is not None
    assert "held at 10 % for 1m: the step was not done" in change.entries[0].text
    change = rules._hold_deadline(going_on(now, holds=(HOLD,)))
    assert change is not None
    assert "held at 10 % for 1m: something holds" in change.entries[0].text
    assert rules._hold_deadline(replace(now, at=Instant(now.at - 1))) is None
    assert rules._hold_deadline(with_traffic(now, 0)) is None
    assert rules._hold_deadline(held_up(progress=None)) is None
    assert rules._hold_deadline(released(now, phase=Phase.BAKING)) is None
    assert rules._hold_deadline(planned(now, hold_then=HoldLimit.ASK)) is None


# ---- forward


def test_a_release_whose_progress_is_of_another_target_does_not_go_forward() -> None:
    now = here("preflight")
    ready = going_on(now, holds=(), reached_since=now.at)
    assert rules._advance(replace(ready, durable=True)) is not None
    assert rules._advance(replace(ready, durable=False)) is None
    assert rules._advance(replace(ready, durable=True, progress=None)) is None
    assert rules._advance(going_on(replace(ready, durable=True), epoch=now.release.epoch + 1)) is None
    assert rules._advance(released(replace(ready, durable=True), phase=Phase.ROLLING_BACK)) is None


def test_first_traffic_waits_for_everything_and_for_approvals() -> None:
    now = here("preflight")
    ready = going_on(now, holds=(), reached_since=now.at)
    change = rules._from_preflight(ready)
    assert change is not None
    assert change.record.releases[now.release.unit_name].share_bp == now.release.plan.steps_bp[0]
    assert rules._from_preflight(going_on(ready, holds=(HOLD,))) is None
    assert rules._from_preflight(going_on(ready, reached_since=None)) is None
    assert rules._from_preflight(replace(ready, progress=None)) is None


def all_of_it(**changes: object) -> Situation:
    now = released(here("shifting"), share_bp=10_000, reached_bp=10_000)
    return released(going_on(now, reached_since=now.at, holds=(HOLD,)), **changes)


def test_the_bake_begins_when_everything_is_read_back_at_full() -> None:
    change = rules._from_shifting(all_of_it())
    assert change is not None
    assert change.record.releases[all_of_it().release.unit_name].phase is Phase.BAKING
    assert rules._from_shifting(all_of_it(reached_bp=5_000)) is None
    assert rules._from_shifting(all_of_it(share_bp=5_000)) is None
    assert rules._from_shifting(going_on(all_of_it(), reached_since=None)) is None


def stood(**changes: object) -> Situation:
    """A step that is done: held long enough, judged well."""
    now = here("shifting")
    now = replace(now, at=after(now.at, Span(60_000)))
    return judged(going_on(now, holds=(), reached_since=Instant(now.at - 60_000), **changes), Word.ADVANCE)


def test_a_step_stands_when_it_was_judged_well_for_long_enough() -> None:
    now = stood()
    assert rules._stands(now)
    assert not rules._stands(replace(now, progress=None))
    assert not rules._stands(going_on(now, holds=(HOLD,)))
    assert not rules._stands(going_on(now, reached_since=now.at))
    assert not rules._stands(judged(now, Word.HOLD, "suspicious"))
    assert not rules._advances(going_on(now, verdict=None))
    assert not rules._advances(judged(now, Word.HOLD, "suspicious"))
    assert rules._advances(released(going_on(now, verdict=None), share_bp=0))


def test_a_bake_ends_when_it_is_over_and_judged_well() -> None:
    now = released(stood(), phase=Phase.BAKING, share_bp=10_000, reached_bp=10_000)
    since = Instant(now.at - now.release.plan.bake)
    assert rules._from_baking(released(now, phase_since=since)) is not None
    assert rules._from_baking(released(now, phase_since=Instant(since + 1))) is None
    assert rules._from_baking(going_on(released(now, phase_since=since), holds=(HOLD,))) is None


def test_a_step_is_told_as_reached_once() -> None:
    now = released(here("shifting"), reached_bp=0)
    reached = going_on(now, reached_since=now.at)
    change = rules._reached(reached)
    assert change is not None
    assert change.record.releases[now.release.unit_name].reached_bp == now.release.share_bp
    assert rules._reached(released(reached, reached_bp=now.release.share_bp)) is None
    assert rules._reached(going_on(now, reached_since=None)) is None
    assert rules._reached(released(reached, phase=Phase.BAKING)) is None


def test_a_retreat_was_mistaken_only_where_nothing_else_holds_and_active_is_the_worse_one() -> None:
    now = released(here("shifting"), retreated_from_bp=10_000)
    wrong = judged(
        going_on(now, reached_since=now.at, holds=(replace(HOLD, code="active_worse"),)), Word.HOLD, "active_worse"
    )
    assert mistaken(wrong)
    assert not mistaken(released(wrong, retreated_from_bp=0))
    assert not mistaken(replace(wrong, progress=None))
    assert not mistaken(going_on(wrong, verdict=None))
    assert not mistaken(going_on(wrong, reached_since=None))
    assert not mistaken(going_on(wrong, holds=(HOLD,)))
    assert not mistaken(judged(wrong, Word.HOLD, "suspicious"))


# ---- drift


def routing(now: Situation, shares: dict[str, int], *, new: bool) -> Situation:
    """Each load balancer gives the candidate so much, in its life of before or a new one."""
    readings: dict[object, InstanceReading | Unreadable | None] = dict(now.readings)
    for name, share_bp in zip((LB1, LB2), (shares["lb1"], shares["lb2"]), strict=True):
        reading = reading_of(now, name)
        life = Generation("another@9") if new else reading.generation
        seen = reading.services[now.service.name]
        route = now.want.with_share(now.release.to, share_bp)
        services = {**reading.services, now.service.name: replace(seen, runtime={life: route})}
        readings[name] = replace(reading, generation=life, services=services)
    return replace(now, readings=readings)  # type: ignore[arg-type]


def at_half() -> Situation:
    now = released(here("shifting"), share_bp=5_000, reached_bp=5_000)
    lives = {name: reading_of(now, name).generation for name in (LB1, LB2)}
    return replace(released(now, generations=lives), unresolved={}, under_way=frozenset())


def test_a_reload_that_brought_back_less_is_taken_as_the_step_of_the_lowest() -> None:
    change = rebased(routing(at_half(), {"lb1": 1_500, "lb2": 4_000}, new=True))
    assert change is not None
    assert change.record.releases[at_half().release.unit_name].share_bp == 1_000
    assert "routes 15 % instead of 50 %: going on from 10 %" in change.entries[0].text
    assert rebased(routing(at_half(), {"lb1": 5_000, "lb2": 6_000}, new=True)) is None
    assert rebased(routing(at_half(), {"lb1": 1_500, "lb2": 4_000}, new=False)) is None
    assert rebased(released(routing(at_half(), {"lb1": 0, "lb2": 0}, new=True), phase=Phase.DRAINING)) is None


def test_a_share_that_somebody_lowered_is_taken_as_it_is_where_it_is_lowest() -> None:
    now = routing(at_half(), {"lb1": 4_000, "lb2": 2_000}, new=False)
    change = handmade(now)
    assert change is not None
    release = change.record.releases[now.release.unit_name]
    assert release.share_bp == 2_000
    assert release.latched["drift"].startswith("edge/lb2 was changed by hand from 50 % to 20 %")
    assert handmade(replace(now, unresolved={LB1: "no answer"})) is None
    assert handmade(replace(now, under_way=frozenset({LB1}))) is None
    assert handmade(planned(now, drift=DriftPolicy.REASSERT)) is None
    assert handmade(released(now, phase=Phase.DRAINING)) is None
    assert handmade(routing(at_half(), {"lb1": 5_000, "lb2": 6_000}, new=False)) is None
    assert handmade(routing(at_half(), {"lb1": 4_000, "lb2": 2_000}, new=True)) is None


def test_a_load_balancer_that_does_not_tell_its_share_is_no_drift() -> None:
    now = routing(at_half(), {"lb1": 4_000, "lb2": 2_000}, new=False)
    without = replace(reading_of(now, LB2), services={A: reading_of(now, LB2).services[A]})
    change = handmade(replace(now, readings={**now.readings, LB2: without}))
    assert change is not None
    assert change.record.releases[now.release.unit_name].share_bp == 4_000
    gone = Unreadable(now.at, "it went away")
    assert handmade(replace(now, readings=dict.fromkeys(now.readings, gone))) is None


@pytest.mark.parametrize("phase", ["preflight", "awaiting_approval"])
def test_without_traffic_nothing_is_drift_of_a_release(phase: str) -> None:
    assert handmade(here(phase)) is None
    assert rebased(here(phase)) is None
    assert B in here(phase).services


def test_a_retreat_is_mistaken_only_by_that_word_of_the_judge() -> None:
    now = going_on(released(here("shifting"), retreated_from_bp=10_000), reached_since=Instant(1), holds=())
    assert mistaken(judged(now, Word.HOLD, "active_worse"))
    assert not mistaken(judged(now, Word.HOLD, "suspicious"))

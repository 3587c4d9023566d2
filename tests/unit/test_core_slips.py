"""What a slip of the pen would change and no scenario stands on: each rule asked by itself."""

from dataclasses import fields, replace
from typing import Any

import pytest

from lbctl.core import cutting, health, hooks, judge, latecomers, leaving, notes, oldworkers
from lbctl.core.afterwards import undo
from lbctl.core.change import go_back
from lbctl.core.closing import closing_news
from lbctl.core.ebb import Ebb, ends_in
from lbctl.core.health import HealthState
from lbctl.core.invariants import InvariantViolatedError, check
from lbctl.core.judge import Counts
from lbctl.core.judge.account import _sane
from lbctl.core.judge.terms import Stream, Terms
from lbctl.core.judge.wording import interval
from lbctl.core.lastseen import over_after
from lbctl.core.leaving import leaving_services
from lbctl.core.matrix import Tally
from lbctl.core.matrix_kept import ENTRIES_MAX, plain, recalled
from lbctl.core.parting import WATCHED_WELL, part
from lbctl.core.rest import at_rest, remembered
from lbctl.core.retreat import retreat
from lbctl.core.seating import WATCHED_MIN, Seats, limit_of, seats
from lbctl.core.situation import Situation, situation
from lbctl.core.state import State
from lbctl.core.waning import ebbs
from lbctl.model.entry import Kind
from lbctl.model.hook import Heard, Hook, Word
from lbctl.model.hook import Point as HookPoint
from lbctl.model.names import Colour, Generation
from lbctl.model.reading import InstanceReading, Unreadable
from lbctl.model.record import By, Phase, Record, Release
from lbctl.model.request import Undo
from lbctl.model.sessions import Attendance, Leaving, SessionPolicy
from lbctl.model.topology import SessionsBack, Topology
from lbctl.model.units import BP_FULL, MINUTE, SECOND, Instant, Span
from lbctl.sim.site import SERVICE
from tests.scenarios.stage import Stage
from tests.shop import LB1, PLAN, SHOP, A, B, Shop

NOW = Instant(1_000_000)
WAITING = Leaving(per_second=None, began_at=NOW, paced_at=NOW, deadline=Instant(NOW + 30 * MINUTE))
PACED = replace(WAITING, per_second=50)


def shifting() -> State:
    """A release at 25 % whose judge has said something."""
    stage = Stage()
    for line in ("world 1", "run 100ms", "adopt blue", "run 2s", "switch steps 25%,100% hold 60s", "run 5s"):
        stage.do(line)
    assert stage.world.process is not None
    return stage.world.process.state


def hooked(state: State, hook: Hook) -> Topology:
    """The same site with one hook."""
    service = replace(state.topology.services[SERVICE], hooks=(hook,))
    return replace(state.topology, services={**state.topology.services, SERVICE: service})


def read(shop: Shop) -> InstanceReading:
    """What was read last of the first load balancer."""
    shop.run(2)
    reading = shop.state.observed.instances[LB1]
    assert isinstance(reading, InstanceReading)
    return reading


def with_reading(state: State, reading: InstanceReading) -> State:
    return replace(state, observed=replace(state.observed, instances={**state.observed.instances, LB1: reading}))


# ---- numbers for people


@pytest.mark.parametrize(
    ("total", "bad", "low", "high"),
    [(100, 10, 0.0552, 0.1744), (100, 0, 0.0, 0.0370), (10, 10, 0.7225, 1.0), (1_000, 30, 0.0211, 0.0425)],
)
def test_an_interval_is_wilsons(total: int, bad: int, low: float, high: float) -> None:
    assert interval(Counts(total, bad)) == pytest.approx((low, high), abs=5e-5)


def test_the_half_life_of_sessions_says_when_none_is_left() -> None:
    ebb = Ebb(((NOW, 40), (Instant(NOW + 30 * SECOND), 25), (Instant(NOW + MINUTE), 20)))
    assert ebb.now == 20
    assert ebb.half_life == MINUTE
    assert ends_in(WAITING, 0, ebb) == MINUTE
    assert ends_in(WAITING, 3, ebb) == 2 * MINUTE
    assert ends_in(PACED, 120, ebb) == 2_400
    assert ends_in(PACED, None, ebb) is None
    assert ends_in(WAITING, 3, None) is None


def test_a_service_alone_is_no_unit() -> None:
    release = shifting().record.releases[SERVICE]
    assert (release.unit, release.unit_name) == (None, SERVICE)


# ---- sessions


def test_load_balancers_with_buckets_of_another_size_say_nothing_together() -> None:
    one = Attendance(taken_at=NOW, since=Instant(0), grain=4_096, buckets={Colour.BLUE: (1, 2)})
    found = seats([one, replace(one, buckets={Colour.BLUE: (2, 3)})], Colour.BLUE, NOW)
    assert found is not None
    assert found.occupied == (1, 2, 3)
    assert seats([one, replace(one, grain=BP_FULL)], Colour.BLUE, NOW) is None
    assert seats([], Colour.BLUE, NOW) is None


def test_who_was_counted_before_a_start_is_not_forgotten_for_who_is_seen_just_after_it() -> None:
    came = tuple(range(9_600, 10_000))
    seen = Seats(grain=BP_FULL, occupied=came, watched=Span(WATCHED_WELL - 1), remembered=came)
    counted = replace(PACED, left=1_000)
    moved = part(BP_FULL, counted, seen, Instant(NOW + 2 * SECOND))
    assert moved is not None
    assert moved[0] == limit_of(9_000, BP_FULL), "a tenth of the thousand who were counted, wherever they are"
    alone = replace(seen, occupied=(9_990,), remembered=(9_990,))
    assert part(BP_FULL, counted, alone, Instant(NOW + 2 * SECOND)) is None, "the others must be cut off"
    fresh = part(BP_FULL, PACED, replace(alone, watched=WATCHED_MIN), Instant(NOW + 2 * SECOND))
    assert fresh is not None
    assert fresh[0] == 0, "the only one there is"


def test_the_services_whose_sessions_are_moved_are_those_with_a_rate_and_an_open_way() -> None:
    state = shifting()
    adopted = state.record.services[SERVICE]

    def moving(leaving: Leaving | None, keep_bp: int) -> bool:
        pool = replace(adopted.green, leaving=leaving, keep_bp=keep_bp)
        return bool(leaving_services(state.record.with_service(SERVICE, replace(adopted, green=pool))))

    assert moving(PACED, 5_000)
    assert not moving(PACED, 0)
    assert not moving(WAITING, 5_000)
    assert not moving(None, BP_FULL)


def test_nobody_who_watched_well_saw_a_session_so_quiet_is_enough_unless_one_without_a_bucket_came() -> None:
    state, now = shifting(), Instant(30 * MINUTE)
    service = state.topology.services[SERVICE]
    drain = replace(service.drain, idle=Span(10 * MINUTE))
    topology = replace(state.topology, services={SERVICE: replace(service, drain=drain)})

    def after(**seen: Any) -> Span:
        names = state.topology.instances_of(SERVICE)
        told = {(name, SERVICE): Attendance(taken_at=now, since=Instant(0), **seen) for name in names}
        seen = replace(state, topology=topology, observed=replace(state.observed, sessions=told))
        return over_after(seen, SERVICE, Colour.BLUE, now)

    assert after() == drain.quiet
    assert after(remembered={Colour.BLUE: (7,)}) == drain.idle
    assert after(unplaced=frozenset({Colour.BLUE})) == drain.idle, "its client keeps no cookie of lbctl's"
    assert after(unplaced=frozenset({Colour.GREEN})) == drain.quiet


def test_a_closing_of_a_service_that_left_the_config_is_no_news() -> None:
    state = shifting()
    adopted = state.record.services[SERVICE]
    closing = replace(adopted.green, leaving=replace(PACED, closing=True), keep_bp=0)
    record = state.record.with_service(SERVICE, replace(adopted, green=closing))
    gone = replace(state.topology, services={})
    assert not list(closing_news(replace(state, record=record, durable=record, topology=gone)))


# ---- what was read


def test_only_the_warning_of_unseen_workers_is_one() -> None:
    reading = replace(read(Shop()), warnings=("LOG_LOSS: lines are missing", "OLD_WORKERS_UNSEEN: for another 3 s"))
    assert list(oldworkers.unseen_workers(Record(), LB1, reading)) == ["OLD_WORKERS_UNSEEN: for another 3 s"]


@pytest.mark.parametrize(("known", "noted"), [("another@1", True), (None, False), ("the same", False)])
def test_a_new_life_that_hides_the_old_one_is_remembered_and_no_other(known: str | None, noted: bool) -> None:
    shop = Shop()
    reading = replace(read(shop), blind=True)
    life = reading.generation if known == "the same" else None if known is None else Generation(known)
    lives = {} if life is None else {LB1: life}
    state = with_reading(replace(shop.state, record=replace(shop.state.record, generations=lives)), reading)
    assert [change.record.unseen for change in remembered(state)] == ([{LB1: reading.generation}] if noted else [])


def test_a_kept_matrix_with_more_rows_than_there_can_be_is_refused() -> None:
    kept = plain(Tally())
    assert recalled(kept, NOW) == Tally()
    for rows in ({"not": "a list"}, [[0, 0]] * (ENTRIES_MAX + 1)):
        with pytest.raises(ValueError, match="where a list should be, or too large"):
            recalled({**kept, "unknown": rows}, NOW)


# ---- decisions


def asked_to_retreat(state: State, **changes: object) -> Situation:
    here = situation(state, SERVICE, NOW)
    assert here is not None
    assert here.progress is not None
    assert here.verdict is not None
    told = replace(here.verdict, word=judge.Word.RETREAT)
    release = replace(here.release, share_bp=here.service.judge.retreat_to_bp + 1_000, **changes)
    return replace(here, release=release, progress=replace(here.progress, verdict=told), way_open=True)


def test_a_second_retreat_is_a_persons_and_is_told_once() -> None:
    state = shifting()
    first = retreat(asked_to_retreat(state))
    assert first is not None
    assert first.lowering
    assert first.record.releases[SERVICE].retreats == 1
    second = retreat(asked_to_retreat(state, retreats=1))
    assert second is not None
    assert not second.lowering
    assert "lbctl resume" in second.record.releases[SERVICE].latched["retreat"]
    assert retreat(asked_to_retreat(state, retreats=1, latched={"retreat": "as told"})) is None


def test_an_undo_while_pools_retire_ends_the_proofs_and_a_second_one_changes_nothing() -> None:
    shop = Shop(users=3)
    shop.drain(60_000, 600_000)
    assert shop.switch(B, A, version=2).accepted
    shop.until("retiring", ticks=2_000)
    request = Undo(id=90, actor="ann", unit=SHOP, plan=PLAN, nonce="undo")
    change, facts = undo(shop.state, request, situation(shop.state, B, shop.now), shop.now)
    assert change is not None
    assert change.record.releases[SHOP].cut_short
    assert [(told.kind, told.actor) for told in change.entries] == [(Kind.RELEASE_CUT_SHORT, "ann")]
    assert facts["again"]
    cut = replace(shop.state, record=change.record)
    again, facts = undo(cut, request, situation(cut, B, shop.now), shop.now)
    assert again is None
    assert facts["did"] == "it ends without further certificates; then a new release goes back"


def test_nothing_retreats_onto_a_pool_that_is_not_fit_nor_where_nothing_moves_nor_without_a_verdict() -> None:
    asked = asked_to_retreat(shifting())
    assert retreat(asked) is not None
    assert retreat(replace(asked, way_open=False)) is None
    assert retreat(replace(asked, release=replace(asked.release, phase=Phase.DRAINING))) is None
    assert retreat(replace(asked, progress=None)) is None
    assert retreat(replace(asked, release=replace(asked.release, share_bp=asked.service.judge.retreat_to_bp))) is None


@pytest.mark.parametrize(
    ("wanted", "per_second", "code", "goes"),
    [
        (SessionsBack.AUTO, 50, "errors", SessionsBack.MOVE),
        (SessionsBack.AUTO, 50, "latency", SessionsBack.DRAIN),
        (SessionsBack.AUTO, None, "latency", SessionsBack.KEEP),
        (SessionsBack.AUTO, 50, "person", SessionsBack.KEEP),
        (SessionsBack.KEEP, 50, "errors", SessionsBack.KEEP),
        (SessionsBack.DRAIN, 50, "person", SessionsBack.DRAIN),
    ],
)
def test_what_becomes_of_the_candidates_sessions_on_a_way_back(
    wanted: SessionsBack, per_second: int | None, code: str, goes: SessionsBack
) -> None:
    state = shifting()
    release = state.record.releases[SERVICE]
    plan = replace(release.plan, sessions_back=wanted, sessions=SessionPolicy(per_second=per_second))
    change = go_back(state.record, replace(release, plan=plan), NOW, code, "because", By.ITSELF)
    after = change.record.services[SERVICE].pool(release.to)
    moved, drains = after.keep_bp == 0, after.leaving is not None and after.leaving.per_second is not None
    assert change.record.releases[SERVICE].moves_sessions == (goes is SessionsBack.MOVE)
    assert (moved, drains) == (goes is SessionsBack.MOVE, goes is SessionsBack.DRAIN)


def test_a_hook_that_was_changed_since_it_said_yes_has_not_said_it() -> None:
    hook = Hook(at=HookPoint.BEFORE_STEP, argv=("/bin/true",))
    state = shifting()
    here = situation(replace(state, topology=hooked(state, hook)), SERVICE, NOW)
    assert here is not None
    (key, _), *_ = hooks._keyed(here.configured_hooks, here.release, HookPoint.BEFORE_STEP)
    yes = Heard(hook=hook, asked_at=NOW, word=Word.YES, at=NOW)
    assert not list(hooks._lacking(replace(here, hooks={key: yes}), HookPoint.BEFORE_STEP))
    other = replace(yes, hook=replace(hook, argv=("/bin/false",)))
    assert list(hooks._lacking(replace(here, hooks={key: other}), HookPoint.BEFORE_STEP)) == [(key, hook)]


def test_a_release_takes_up_its_own_board_records_and_claims_and_no_others() -> None:
    shop = Shop(users=2)
    assert shop.claim(A).accepted
    shop.run(30)
    assert shop.ready(A, 2).accepted
    record = replace(shop.state.record, claims={**shop.state.record.claims})
    release = replace(shifting().record.releases[SERVICE], service=B)
    assert cutting._without(record, release).board == record.board
    assert cutting._without(record, replace(release, service=A)).board == {}
    assert A not in cutting._without(record, replace(release, service=A)).claims
    assert cutting._without(record, release).claims == record.claims


def test_sessions_are_counted_only_of_pools_that_are_left_and_honoured() -> None:
    state = shifting()
    adopted = state.record.services[SERVICE]
    known = Attendance(taken_at=NOW, since=Instant(0), buckets={Colour.GREEN: (7,)}, remembered={Colour.GREEN: (7,)})
    seen = replace(state.observed, sessions={(one, SERVICE): known for one in state.observed.instances})

    def counted(leaving: Leaving | None, keep_bp: int) -> bool:
        pool = replace(adopted.green, leaving=leaving, keep_bp=keep_bp)
        record = state.record.with_service(SERVICE, replace(adopted, green=pool))
        return bool(ebbs(replace(state, record=record, observed=seen), NOW))

    assert counted(WAITING, BP_FULL)
    assert not counted(None, BP_FULL)
    assert not counted(WAITING, 0)


def test_a_reload_at_rest_is_told_once_and_a_first_sight_is_none() -> None:
    stage = Stage()
    for line in ("world 1", "run 100ms", "adopt blue", "run 2s"):
        stage.do(line)
    assert stage.world.process is not None
    state = stage.world.process.state
    (name,) = state.observed.instances

    def told(known: str) -> list[str]:
        lives = {name: Generation(known)} if known else {}
        change = at_rest(replace(state, record=replace(state.record, generations=lives)), SERVICE, NOW)
        return [] if change is None else [one.text for one in change.entries]

    assert told("other@1") == [f"{name} was reloaded or restarted"]
    assert told("") == []


def test_a_trouble_of_a_service_in_a_release_is_the_releases_only_where_it_blocks_its_way_back() -> None:
    state = shifting()
    blocked = notes._begun(state, f"blocked {SERVICE}", (Kind.ROLLBACK_BLOCKED, "not fit", SERVICE), NOW)
    assert blocked.release == state.record.releases[SERVICE].id
    suspect = notes._begun(state, f"checker {SERVICE}", (Kind.CHECKER_SUSPECTED, "late", SERVICE), NOW)
    assert suspect.release is None
    assert suspect.service == SERVICE


def test_withdrawing_what_is_already_on_its_way_names_the_release() -> None:
    shop = Shop(users=2)
    assert shop.switch(B, A, version=2).accepted
    answer = shop.withdraw(A)
    assert answer.accepted
    assert shop.release is not None
    assert answer.body["release"] == shop.release.id
    shop.until("finished")
    assert shop.withdraw(A).body["release"] is None


def test_every_stream_has_its_own_dispersion() -> None:
    terms = Terms(dispersion=3.0, slow_dispersion={Stream.SLOW95: 5.0})
    assert [terms.dispersion_of(stream) for stream in Stream] == [3.0, 2.0, 5.0, 2.0]


@pytest.mark.parametrize("changes", [{"share_bp": 100}, {"phase": Phase.SHIFTING}, {"to": Colour.BLUE}])
def test_a_release_that_begins_with_traffic_or_goes_nowhere_is_no_record(changes: dict[str, object]) -> None:
    state = shifting()
    release = replace(state.record.releases[SERVICE], phase=Phase.PREFLIGHT, share_bp=0, reached_bp=0)
    before = replace(state.record, releases={})

    def after(one: Release) -> Record:
        return replace(before.with_release(one), rev=before.rev + 1)

    check(before, after(release))
    with pytest.raises(InvariantViolatedError):
        check(before, after(replace(release, **changes)))


def test_a_load_balancer_that_cannot_be_read_names_nobody_and_makes_the_sum_unknown() -> None:
    state = shifting()
    assert leaving._in_flight(state, SERVICE, Colour.BLUE) == 0
    (name,) = state.observed.instances
    gone = replace(state, observed=replace(state.observed, instances={name: Unreadable(NOW, "it went away")}))
    assert leaving._in_flight(gone, SERVICE, Colour.BLUE) is None
    assert list(latecomers._in_flight(gone, SERVICE, Colour.BLUE)) == []
    assert list(latecomers._in_flight(state, SERVICE, Colour.BLUE)) == []


def test_counts_with_more_bad_ones_than_requests_are_taken_as_that_many() -> None:
    assert _sane(None) == Counts(0, 0)
    assert _sane(Counts(5, 5)) == Counts(5, 5)
    assert _sane(Counts(3, 5)) == Counts(5, 5)


def test_one_more_good_probe_changes_nothing_but_when_it_was() -> None:
    every = {field.name: object() for field in fields(HealthState)}
    state = HealthState(**every)  # type: ignore[arg-type]
    assert health._heard(state, NOW) == replace(state, heard_at=NOW)

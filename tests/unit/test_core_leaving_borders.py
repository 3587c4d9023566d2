"""Sessions that leave, draws that are compared, and late requests at their borders."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from lbctl.core import late, leaving, measured
from lbctl.core.change import with_states
from lbctl.core.countedsince import late_request
from lbctl.core.ebb import EVERY, KEPT, Ebb, ends_in
from lbctl.core.late import Came
from lbctl.core.latecomers import latecomers
from lbctl.core.measured import Draws, Measured
from lbctl.core.state import Lane, State
from lbctl.core.targets import target
from lbctl.core.waning import ebbs
from lbctl.core.wellness import Wellness
from lbctl.model.names import Colour, ServerName
from lbctl.model.reading import Holder, InstanceReading, Unreadable
from lbctl.model.record import Phase, PoolState
from lbctl.model.route import Caller, Cell
from lbctl.model.sessions import AtDeadline, Attendance, Leaving
from lbctl.model.units import MINUTE, Instant, Span
from tests.shop import LB1, LB2, A, B
from tests.situations import running, state_of

BLUE, GREEN = Colour.BLUE, Colour.GREEN
NOW = Instant(1_000_000)
WAITS = Leaving(per_second=None, began_at=Instant(NOW - 1_000), paced_at=NOW, deadline=Instant(NOW + MINUTE))


def recorded(state: State, /, **changes: Any) -> State:
    """The old pool of storefront, blue, with these facts instead; everything is read back."""
    adopted = state.record.services[B]
    pool = replace(adopted.blue, **{"state": PoolState.DRAINING, "certificate": None, "leaving": WAITS, **changes})
    record = state.record.with_service(B, adopted.with_pool(BLUE, pool))
    want = target(state.topology, record, B)
    assert want is not None
    instances: dict[Any, Any] = {}
    for name in (LB1, LB2):
        reading = state.observed.instances[name]
        assert isinstance(reading, InstanceReading)
        seen = replace(reading.services[B], runtime={reading.generation: want}, boot=want)
        instances[name] = replace(reading, taken_at=NOW, services={**reading.services, B: seen})
    state = replace(state, record=record, durable=record, durable_at=Instant(0), journal_error="")
    state = replace(state, observed=replace(state.observed, instances=instances))
    return replace(state, lanes=dict.fromkeys((LB1, LB2), Lane()))


def at_rest(**changes: Any) -> State:
    return recorded(state_of("finished"), **changes)


def reading(state: State, name: Any, **changes: Any) -> State:
    seen = state.observed.instances[name]
    assert isinstance(seen, InstanceReading)
    return replace(
        state, observed=replace(state.observed, instances={**state.observed.instances, name: replace(seen, **changes)})
    )


# ---- what is in the way


def test_sessions_move_only_by_fresh_readings_that_show_the_last_part() -> None:
    def unread(state: State, at: int = NOW) -> str:
        return leaving._unread(state, B, Instant(at))

    state = at_rest()
    assert unread(state) == ""
    assert unread(state, NOW + 3_000) == ""
    assert unread(state, NOW + 3_001) == "edge/lb1 cannot be read"
    gone = {**state.observed.instances, LB2: Unreadable(NOW, "away")}
    assert unread(replace(state, observed=replace(state.observed, instances=gone))) == "edge/lb2 cannot be read"
    for lane in (Lane(busy=True), Lane(unresolved="no answer"), Lane(ended_at=NOW)):
        assert (
            unread(replace(state, lanes={**state.lanes, LB2: lane})) == "edge/lb2 has not read back the last part yet"
        )
    assert unread(replace(state, lanes={**state.lanes, LB2: Lane(ended_at=Instant(NOW - 1))})) == ""
    assert unread(replace(state, durable_at=NOW)).endswith("has not read back the last part yet")
    assert unread(replace(state, durable_at=Instant(NOW - 1))) == ""
    other = replace(state, record=at_rest(keep_bp=1).record)
    assert unread(other).endswith("has not read back the last part yet")


def test_nobody_is_made_to_leave_for_a_pool_that_is_not_fit_or_while_a_person_says_no() -> None:
    state = at_rest()

    def why(state: State) -> str:
        return leaving.unwelcome(state, B, BLUE)

    assert why(state) == ""
    assert (
        why(replace(state, record=replace(state.record, maintenance=True))) == "maintenance is on: nothing is written"
    )
    assert why(replace(state, journal_error="full")) == "the journal cannot be written: full"
    suspect = replace(state.observed, checker_suspect={B: "it is late"})
    assert why(replace(state, observed=suspect)) == "the health checker is suspect: it is late"
    servers = [one.name for one in state.topology.services[B].green.servers]
    few = Wellness(7, dict.fromkeys(servers[:5], "down"), {})
    assert why(replace(state, wells={**state.wells, (B, GREEN): few})).startswith(
        "green is not fit to take them: s-green-0"
    )
    dead = Wellness(7, dict.fromkeys(servers, "down"), {})
    assert why(replace(state, wells={**state.wells, (B, GREEN): dead})).startswith("green is not fit")
    paused = replace(running(state), phase=Phase.DRAINING, paused_by="ann")
    assert why(replace(state, record=state.record.with_release(paused))) == "release 1 is paused by ann"
    going = replace(paused, paused_by=None)
    assert why(replace(state, record=state.record.with_release(going))) == ""


def test_sessions_leave_a_pool_that_drains_or_is_on_its_way_back() -> None:
    state = at_rest()
    assert leaving.gone_from(state.record, B, BLUE)
    assert not leaving.gone_from(state.record, B, GREEN)
    assert not leaving.gone_from(at_rest(state=PoolState.IDLE).record, B, BLUE)
    back = replace(running(state), phase=Phase.ROLLING_BACK)
    record = at_rest(state=PoolState.ACTIVE).record.with_release(back)
    assert leaving.gone_from(record, B, back.to)
    assert not leaving.gone_from(record, B, back.origin)
    assert not leaving.gone_from(record.with_release(replace(back, phase=Phase.SHIFTING)), B, back.to)


def test_pools_of_a_service_that_left_the_config_are_left_alone() -> None:
    state = at_rest(leaving=replace(WAITS, deadline=NOW))
    assert [*leaving.leave_on(state, NOW)]
    gone = replace(state.topology, services={A: state.topology.services[A]})
    assert not [*leaving.leave_on(replace(state, topology=gone), NOW)]
    assert not [*leaving.leave_on(at_rest(leaving=None), NOW)]
    assert not [*leaving.leave_on(at_rest(leaving=replace(WAITS, deadline=NOW), state=PoolState.IDLE), NOW)]


# ---- the deadline


def over(state: State, now: int = NOW, **changes: Any) -> tuple[str, Leaving | None]:
    one = replace(WAITS, **{"deadline": NOW, **changes})
    change = leaving._over(state, B, BLUE, one, Instant(now))
    if change is None:
        return "", one
    told = change.entries[0].text if change.entries else "untold"
    return told, change.record.services[B].blue.leaving


def with_in_flight(state: State, count: int) -> State:
    for name in (LB1,):
        seen = state.observed.instances[name]
        assert isinstance(seen, InstanceReading)
        part = seen.services[B]
        pools = {colour: replace(pool, in_flight=count * (colour is BLUE)) for colour, pool in part.pools.items()}
        state = reading(state, name, services={**seen.services, B: replace(part, pools=pools)})
    return state


def test_what_the_policy_says_when_the_deadline_is_over() -> None:
    state = with_in_flight(at_rest(), 2)
    assert over(state, NOW - 1)[0] == ""
    assert over(state, closing=True)[0] == ""
    kept, after = over(state, left=12)
    assert kept == (
        "about 12 sessions of blue of storefront are kept: they were not moved within 1 s, and stay as they are"
    )
    assert after is None
    close = {"at_deadline": AtDeadline.CLOSE}
    told, after = over(state, left=12, **close)
    assert told == (
        "about 12 sessions of blue of storefront move with their next request and 2 open connections of blue of "
        "storefront are closed: they were still there after 1 s"
    )
    assert after is not None
    assert (after.closing, after.per_second) == (True, leaving.CLOSE_PER_SECOND)
    assert over(state, left=12, per_second=7, **close)[1] == replace(
        WAITS, deadline=NOW, left=12, per_second=7, closing=True, at_deadline=AtDeadline.CLOSE
    )
    assert over(state, **close)[0].startswith(
        "sessions that nobody counted of blue of storefront move with their next request and 2 open"
    )
    assert over(state, left=0, **close)[0].startswith("2 open connections of blue")
    assert over(with_in_flight(state, 1), left=0, **close)[0].startswith("1 open connection of blue")
    assert over(with_in_flight(state, 0), left=0, **close)[0] == "untold"
    assert over(with_in_flight(state, 0), left=3, **close)[0].startswith("about 3 sessions of blue")
    gone = {**state.observed.instances, LB2: Unreadable(NOW, "away")}
    away = replace(state, observed=replace(state.observed, instances=gone))
    assert over(away, left=0, **close)[0].startswith("connections that nobody counted of blue")


# ---- draws


def drawn(**counts: int) -> Mapping[Any, Attendance]:
    return {LB1: Attendance(taken_at=NOW, since=Instant(0), drawn={BLUE: counts["blue"], GREEN: counts["green"]})}


def test_what_a_load_balancer_draws_is_counted_from_when_the_split_is_read_back() -> None:
    seen = drawn(blue=10, green=5)
    assert measured.drawn(seen)[LB1] == {BLUE: Draws(10, 0), GREEN: Draws(5, 0)}
    assert measured.drawn({LB1: Attendance(taken_at=NOW, since=Instant(0))})[LB1] == {
        BLUE: Draws(0, 0),
        GREEN: Draws(0, 0),
    }
    assert measured.measure(Measured(), seen, None, NOW) == Measured()
    early = measured.measure(Measured(), seen, Instant(NOW - measured.SETTLES + 1), NOW)
    assert early == Measured()
    first = measured.measure(Measured(), seen, Instant(NOW - measured.SETTLES), NOW)
    assert (first.began_at, len(first.bases)) == (NOW, 1)
    later = drawn(blue=20, green=9)
    same = measured.measure(first, later, Instant(0), Instant(NOW + measured.WINDOW - 1))
    assert same == first
    second = measured.measure(first, later, Instant(0), Instant(NOW + measured.WINDOW))
    assert (second.began_at, len(second.bases)) == (NOW + measured.WINDOW, 2)
    assert second.since_reached == first.since_reached


def test_a_load_balancer_that_began_to_count_anew_drew_nothing() -> None:
    before, after = measured.drawn(drawn(blue=10, green=5)), measured.drawn(drawn(blue=12, green=6))
    none = dict.fromkeys(Colour, measured.NO_DRAWS)
    assert measured.between(before, after, LB1) == {BLUE: Draws(2, 0), GREEN: Draws(1, 0)}
    assert measured.between(after, before, LB1) == none
    assert measured.between(before, measured.drawn(drawn(blue=12, green=4)), LB1) == none
    assert measured.between({}, after, LB1) == none
    assert measured.between(before, before, LB1) == none


@pytest.mark.parametrize(
    ("long", "short_by", "part_bp", "more"), [(100, 5, 5_000, 10), (8, 5, 5_000, 8), (9, 5, 0, 9), (9, 0, 5_000, 0)]
)
def test_long_requests_make_up_for_what_is_short(long: int, short_by: int, part_bp: int, more: int) -> None:
    assert measured._at_most(long, short_by, part_bp) == more


def test_chance_explains_a_little_and_not_much() -> None:
    slack = measured.DEVIATIONS**2 / 3
    assert measured.agrees(int(slack), 1_000, 0)
    assert not measured.agrees(int(slack) + 1, 1_000, 0)
    assert measured.agrees(500, 1_000, 5_000)
    assert not measured.agrees(700, 1_000, 5_000)
    assert measured.agrees(1_000, 1_000, 10_000)
    assert not measured.agrees(900, 1_000, 10_000)


def test_a_load_balancer_that_gives_another_share_in_two_windows_is_named() -> None:
    def bases(*shares: tuple[int, int]) -> Measured:
        counts = [measured.drawn(drawn(blue=blue, green=green)) for blue, green in shares]
        return Measured(NOW, tuple(counts), counts[0])

    wrong = bases((0, 0), (1_000, 0), (2_000, 0))
    assert measured.contradiction(wrong, drawn(blue=3_000, green=0), GREEN, 5_000) == (
        "edge/lb1 gave green 0 % of 2000 new requests, and 50 % is set and read back"
    )
    assert measured.contradiction(bases((0, 0)), drawn(blue=3_000, green=0), GREEN, 5_000) == ""
    right = bases((0, 0), (500, 500), (1_000, 1_000))
    assert measured.contradiction(right, drawn(blue=1_500, green=1_500), GREEN, 5_000) == ""
    now = bases((0, 0), (500, 500), (1_000, 1_000))
    assert measured.contradiction(now, drawn(blue=2_000, green=1_000), GREEN, 5_000) == ""
    earlier = bases((0, 0), (1_000, 0), (2_000, 0))
    assert measured.contradiction(earlier, drawn(blue=2_500, green=500), GREEN, 5_000) != ""
    once = bases((0, 0), (500, 500), (1_500, 500))
    assert measured.contradiction(once, drawn(blue=2_000, green=1_000), GREEN, 5_000) == ""
    assert measured.contradiction(wrong, {}, GREEN, 5_000) == ""


# ---- late requests


CAME = Came("a late request", "got a late request", "1 came through edge/lb1", "find who still uses it")


def certified() -> State:
    """Both old pools are certified, in a release that retires."""
    state = state_of("retiring")
    proof = state.record.services[B].blue.certificate
    assert proof is not None
    record = state.record
    for name in (A, B):
        adopted = record.services[name]
        pool = replace(adopted.blue, state=PoolState.IDLE, certificate=proof, keep_bp=0)
        record = record.with_service(name, adopted.with_pool(BLUE, pool))
    return replace(state, record=record, durable=record, offered=(), journal_error="")


def test_a_late_request_voids_the_proof_of_the_pool_and_of_those_it_may_call() -> None:
    state = certified()
    change = late._voided(state, B, BLUE, CAME, NOW)
    assert "It may call blue of accounts: that certificate is void, too" in change.entries[0].text
    for name in (A, B):
        pool = change.record.services[name].blue
        assert (pool.certificate, pool.state) == (None, PoolState.DRAINING)
    voided = change.record.services[B].blue.voided
    assert voided is not None
    assert (voided.times, voided.at) == (1, NOW)
    quiet = state.topology.services[B].drain.quiet
    assert voided.quiet == max(late.LONGER * quiet, late.AGAIN * voided.unused)
    assert change.record.services[A].blue.voided is None
    rest = state.record.with_release(replace(running(state), phase=Phase.FINISHED))
    apart = late._voided(replace(state, record=rest), B, BLUE, CAME, NOW)
    assert "It may call" not in apart.entries[0].text
    assert apart.record.services[B].blue.state is PoolState.IDLE
    assert apart.record.services[A].blue.certificate is not None


def test_each_late_request_in_a_row_needs_twice_the_quiet_time() -> None:
    state = certified()
    before = late._voided(state, B, BLUE, CAME, NOW).record.services[B].blue.voided
    assert before is not None
    adopted = state.record.services[B]
    again = replace(adopted.blue, voided=replace(before, quiet=Span(10 * MINUTE), times=2))
    record = state.record.with_service(B, adopted.with_pool(BLUE, again))
    assert again.certificate is not None
    soon = Instant(again.certificate.since + 1)
    found = late._voided(replace(state, record=record), B, BLUE, CAME, soon).record.services[B].blue.voided
    assert found is not None
    assert (found.quiet, found.times, found.unused) == (20 * MINUTE, 3, 1)


def test_a_void_takes_effect_without_a_journal_only_where_nothing_else_would_be_kept_with_it() -> None:
    state = certified()
    assert late._is_alone(state, B, BLUE)
    assert not late._is_alone(replace(state, durable=state_of("draining").record), B, BLUE)
    assert not late._is_alone(replace(state, durable=replace(state.durable, services={})), B, BLUE)
    other = replace(state.record, rev=state.record.rev + 1)
    assert not late._is_alone(replace(state, record=other), B, BLUE)


def counted_late(arrived: int, served: int | None, *, was_served: int | None = 4) -> str:
    """What is said of a pool that had counted ten arrivals and now counts so many; `served`: requests among them."""
    state = certified()
    adopted = state.record.services[B]
    proof = adopted.blue.certificate
    assert proof is not None
    for name in (LB1, LB2):
        seen = state.observed.instances[name]
        assert isinstance(seen, InstanceReading)
        part, life = seen.services[B], seen.generation
        count = arrived if name == LB1 else 10
        mine = {} if served is None else {life: served if name == LB1 else 4}
        pools = {**part.pools, BLUE: replace(part.pools[BLUE], arrived={life: count}, served=mine)}
        state = reading(state, name, services={**seen.services, B: replace(part, pools=pools)})
        known = {} if was_served is None else {life: was_served}
        proof = replace(proof, counted={**proof.counted, name: {life: 10}}, served={**proof.served, name: known})
    proof = replace(proof, served={}) if was_served is None else proof
    record = state.record.with_service(B, adopted.with_pool(BLUE, replace(adopted.blue, certificate=proof)))
    state = replace(state, record=record)
    return late_request(state, B, BLUE, record.services[B].blue)


def test_how_many_requests_came_late() -> None:
    assert counted_late(10, 4) == ""
    assert counted_late(13, None, was_served=None).startswith("3 came through edge/lb1 (")
    assert counted_late(14, 6).startswith("2 came through edge/lb1")
    assert counted_late(14, 4).startswith("1 came through edge/lb1"), "it is still in flight"
    assert counted_late(3, 2).startswith("2 came through edge/lb1"), "its counters were cleared"
    assert counted_late(3, None, was_served=None).startswith("3 came through edge/lb1")


def test_a_pool_that_becomes_active_forgets_what_made_it_void() -> None:
    state = certified()
    before = late._voided(state, B, BLUE, CAME, NOW).record.services[B].blue.voided
    adopted = state.record.services[B]
    record = state.record.with_service(B, adopted.with_pool(BLUE, replace(adopted.blue, voided=before)))
    release = running(state)
    kept = with_states(record, release, origin=PoolState.DRAINING, to=PoolState.ACTIVE)
    assert kept.services[B].blue.voided == before
    back = with_states(record, release, origin=PoolState.ACTIVE, to=PoolState.CANDIDATE)
    assert back.services[B].blue.voided == before
    turned = replace(release, origin=release.to, to=release.origin)
    assert with_states(record, turned, origin=PoolState.DRAINING, to=PoolState.ACTIVE).services[B].blue.voided is None
    assert (
        with_states(record, turned, origin=PoolState.ACTIVE, to=PoolState.CANDIDATE).services[B].blue.voided == before
    )


# ---- who came, and how many are left


def test_who_is_in_flight_or_called_since_is_named() -> None:
    state = at_rest()
    holders = tuple(
        Holder(server=ServerName("s-blue-0"), age=Span(9_000), client=client)
        for client in ("10.0.0.1:5", "", "10.0.0.3:5")
    )
    seen = state.observed.instances[LB1]
    assert isinstance(seen, InstanceReading)
    pools = {**seen.services[B].pools, BLUE: replace(seen.services[B].pools[BLUE], holders=holders)}
    state = reading(state, LB1, services={**seen.services, B: replace(seen.services[B], pools=pools)})
    named = ("10.0.0.1:5 is in flight at s-blue-0 for 9s", "10.0.0.3:5 is in flight at s-blue-0 for 9s")
    assert latecomers(state, B, BLUE, NOW) == named
    assert latecomers(state, B, GREEN, NOW) == ()
    assert latecomers(reading(state, LB2, services={}), B, BLUE, NOW) == named
    away = {**state.observed.instances, LB2: Unreadable(NOW, "away")}
    assert latecomers(replace(state, observed=replace(state.observed, instances=away)), B, BLUE, NOW) == named
    many = replace(pools[BLUE], holders=(replace(holders[0], server=ServerName("")),) * 4)
    crowd = reading(state, LB1, services={**seen.services, B: replace(seen.services[B], pools={**pools, BLUE: many})})
    assert latecomers(crowd, B, BLUE, NOW) == ("10.0.0.1:5 is in flight at blue for 9s",) * 3


def test_who_called_at_that_instant_called_before() -> None:
    state = at_rest()
    last = {Cell(None, BLUE): NOW, Cell(Caller(B, GREEN), BLUE): NOW, Cell(Caller(B, BLUE), GREEN): NOW}
    state = replace(state, matrix={A: replace(state.matrix[A], last=last)})
    assert latecomers(state, A, BLUE, NOW) == ()
    assert latecomers(state, A, BLUE, Instant(NOW - 1)) == (
        "storefront-green called it",
        "a caller that is no pool of the unit called it",
    )
    assert latecomers(replace(state, matrix={}), A, BLUE, Instant(0)) == ()


def test_sessions_are_counted_every_ten_seconds_once_the_watch_knows_them() -> None:
    known = Attendance(taken_at=NOW, since=Instant(0), buckets={BLUE: (7,)}, remembered={BLUE: (7,)})
    state = at_rest()

    def counts(*before: int, since: int = 0, names: Any = (LB1, LB2)) -> list[int]:
        sessions = {(name, B): replace(known, since=Instant(since)) for name in names}
        ebb = {(B, BLUE): Ebb(tuple((Instant(at), 1) for at in before))} if before else {}
        found = ebbs(replace(state, ebbs=ebb, observed=replace(state.observed, sessions=sessions)), NOW)
        assert set(found) <= {(B, BLUE)}
        return [at for one in found.values() for at, _ in one.counts]

    assert counts() == [NOW]
    assert counts(NOW - EVERY) == [NOW - EVERY, NOW]
    assert counts(NOW - EVERY + 1) == [NOW - EVERY + 1]
    assert counts(since=NOW - 9_999) == []
    assert counts(names=(LB1,)) == []
    long = range(NOW - KEPT * EVERY, NOW, EVERY)
    assert counts(*long) == [*long[1:], NOW]
    gone = replace(state.topology, services={A: state.topology.services[A]})
    assert ebbs(replace(state, topology=gone), NOW) == {}


def test_sessions_that_become_fewer_have_a_half_life_after_a_minute() -> None:
    def half_life(first: int, last: int, took: int) -> Span | None:
        return Ebb(((NOW, first), (Instant(NOW + took), last))).half_life

    assert half_life(40, 20, MINUTE) == MINUTE
    assert half_life(40, 20, MINUTE - 1) is None
    assert half_life(40, 40, MINUTE) is half_life(40, 0, MINUTE) is half_life(20, 40, MINUTE) is None
    assert half_life(40, 39, MINUTE) is not None
    assert half_life(40, 1, MINUTE) is not None
    assert ends_in(WAITS, 0, Ebb(((NOW, 40), (Instant(NOW + MINUTE), 20)))) == MINUTE
    assert ends_in(WAITS, 7, Ebb(((NOW, 40),))) is None
    assert ends_in(replace(WAITS, per_second=4), 10, None) == 2_500

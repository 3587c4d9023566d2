"""Claims, the board and a person's word at their borders: whose a pool is, from when on, and what is told of it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from lbctl.core import board, claims, coupling, cutting, ready, standing, switching
from lbctl.core.adopting import _adoptable, _declared, _overtaken, _with_partners
from lbctl.core.afterwards import undo
from lbctl.core.change import Change
from lbctl.core.contracts import Misfit
from lbctl.core.emptiness import emptiness
from lbctl.core.state import State
from lbctl.model.attested import UNKNOWN
from lbctl.model.errors import Refused
from lbctl.model.names import Colour, Generation, ServiceName
from lbctl.model.reading import InstanceReading
from lbctl.model.record import Adopted, Claimed, Contract, Phase, Pool, PoolState, Ready, Record
from lbctl.model.request import Adopt, Claim, SayReady, Switch, Undo, Withdraw
from lbctl.model.route import Caller, Pin
from lbctl.model.sessions import Attendance
from lbctl.model.topology import Protocol, Rendezvous
from lbctl.model.units import DAY, Instant
from tests.shop import FIRST, LB1, LB2, PLAN, SHOP, A, B
from tests.situations import here, in_phase, running, state_of

BLUE, GREEN = Colour.BLUE, Colour.GREEN
NOW = Instant(1_000_000)
HELD = Claimed(colour=BLUE, by="ci", since=Instant(NOW - 1_000), build="b/1", granted=True, tainted=False)
CLAIM = Claim(id=1, actor="ci", service=B, build="b/1")


def adopted(state: State, name: ServiceName = B, /, **changes: Any) -> State:
    return recorded(state, state.record.with_service(name, replace(state.record.services[name], **changes)))


def recorded(state: State, record: Record) -> State:
    return replace(state, record=record, durable=record)


def pool(state: State, colour: Colour, name: ServiceName = B, /, **changes: Any) -> State:
    one = state.record.services[name]
    return recorded(state, state.record.with_service(name, one.with_pool(colour, replace(one.pool(colour), **changes))))


def held(state: State, one: Claimed | None, name: ServiceName = B) -> State:
    return recorded(state, replace(state.record, claims={} if one is None else {name: one}))


def on_board(state: State, **records: Ready) -> State:
    names = {"accounts": A, "storefront": B}
    return recorded(state, replace(state.record, board={names[word]: one for word, one in records.items()}))


def a_version(version: str = "2", build: str = "b/2", contract: Contract | None = None, at: Instant = NOW) -> Ready:
    return Ready(version=version, build=build, contract=contract or Contract(), by="ci", at=at, nonce="n", wall="")


def at_rest() -> State:
    """Green serves; blue is certified and free."""
    return state_of("finished")


def claimed(state: State, request: Claim = CLAIM) -> Claimed:
    change, facts = claims.claim(state, request, NOW)
    assert change is not None
    assert facts["already"] is False
    return change.record.claims[request.service]


# ---- claims


def certified(state: State, **changes: Any) -> State:
    """As if blue of storefront had been certified."""
    proof = emptiness(state, B, BLUE, NOW).certificate or state_of("retiring").record.services[B].blue.certificate
    assert proof is not None
    return pool(state, BLUE, state=PoolState.IDLE, certificate=proof, keep_bp=0, paired={}, **changes)


def test_a_pool_that_was_certified_is_proved_and_one_that_was_handed_out_is_tainted() -> None:
    free = certified(at_rest())
    assert claimed(free).proved
    assert not claimed(free).tainted
    assert claimed(certified(at_rest(), handed_out=True)).tainted
    assert not claimed(pool(free, BLUE, certificate=None)).proved


def test_who_holds_a_pool_already_is_told_so_and_who_takes_it_over_gets_it_anew() -> None:
    state = held(certified(at_rest()), HELD)
    change, facts = claims.claim(state, CLAIM, NOW)
    assert change is None
    assert (facts["already"], facts["granted"], facts["proved"]) == (True, True, HELD.proved)
    with pytest.raises(Refused, match="has been claimed by build b/1 for 1s"):
        claims.claim(state, replace(CLAIM, build="b/2"), NOW)
    over = claimed(state, replace(CLAIM, build="b/2", take_over=True))
    assert (over.build, over.granted, over.despite, over.tainted) == ("b/2", False, True, True)
    waiting = held(state, replace(HELD, granted=False))
    assert not claimed(waiting, replace(CLAIM, build="b/2", take_over=True)).tainted
    assert claimed(
        held(state, replace(HELD, granted=False, tainted=True)), replace(CLAIM, build="b/2", take_over=True)
    ).tainted
    accepted = claimed(waiting, replace(CLAIM, take_over=True))
    assert accepted.despite
    assert claims.claim(state, replace(CLAIM, take_over=True), NOW)[0] is None
    despite = held(state, replace(HELD, granted=False, despite=True))
    assert claims.claim(despite, replace(CLAIM, take_over=True), NOW)[0] is None


def test_a_claim_of_the_other_pool_is_none() -> None:
    state = held(certified(at_rest()), replace(HELD, colour=GREEN, build="other", proved=False))
    assert claimed(state).proved


def test_a_version_on_the_board_is_superseded_by_the_next_claim_of_whoever() -> None:
    state = held(on_board(certified(at_rest()), storefront=a_version()), HELD)
    state = recorded(state, replace(state.record, board={B: a_version()}))
    change, _ = claims.claim(state, replace(CLAIM, build="b/9"), NOW)
    assert change is not None
    assert change.record.board == {}
    assert change.entries[-1].data["superseded"] == "b/2"
    assert "and 2, which was ready, does not go any more" in change.entries[-1].text
    assert change.record.claims[B].tainted


def test_a_claim_ends_at_its_limit_and_not_before() -> None:
    state = held(certified(at_rest()), replace(HELD, granted=False))
    limit = state.topology.unit_of(B).deadlines.claim

    def over(since: int) -> Change | None:
        one = replace(HELD, since=Instant(NOW - since))
        return standing._claim_over(state, B, one, state.topology.unit_of(B), NOW)

    assert over(limit - 1) is None
    change = over(limit)
    assert change is not None
    assert change.record.claims == {}
    with pytest.raises(Refused, match="claimed by") as refused:
        claims.claim(held(state, replace(HELD, since=Instant(NOW - 2 * limit))), replace(CLAIM, build="b/2"), NOW)
    assert "the claim ends in 0s" in refused.value.why


@pytest.mark.parametrize(("granted", "tainted", "out"), [(0, 0, False), (1, 0, True), (0, 1, True)])
def test_a_pool_that_nobody_could_deploy_to_is_what_it_was(granted: bool, tainted: bool, out: bool) -> None:
    state = held(certified(at_rest()), replace(HELD, granted=bool(granted), tainted=bool(tainted)))
    assert claims.unclaimed(state.record, B).services[B].blue.handed_out is out


def test_a_grant_stands_when_it_is_durable() -> None:
    state = held(certified(at_rest()), HELD)
    assert claims.claim_granted(state, B)
    assert not claims.claim_granted(held(state, replace(HELD, granted=False)), B)
    assert not claims.claim_granted(held(state, None), B)
    assert not claims.claim_granted(replace(state, durable=replace(state.durable, claims={})), B)
    assert claims.grant(held(state, None), B, NOW) is None
    assert claims.grant(state, B, NOW) is None


def pinned_off(state: State) -> bool:
    return claims._pinned_off(state, A, Caller(B, BLUE), Instant(0))


def routes(state: State, *, runtime: Pin, boot: Pin | None, told: bool = True, lb: Any = LB2) -> State:
    """What a load balancer reads back of blue storefront's calls to accounts."""
    caller = Caller(B, BLUE)
    for name in (LB1, LB2):
        reading = state.observed.instances[name]
        assert isinstance(reading, InstanceReading)
        seen = reading.services[A]
        mine = name == lb
        want = next(iter(seen.runtime.values()))
        now = replace(want, pins=((caller, runtime if mine else Pin.NONE),))
        after = None if mine and boot is None else replace(want, pins=((caller, boot if mine and boot else Pin.NONE),))
        life = reading.generation if told or not mine else Generation("8@8")
        seen = replace(seen, runtime={life: now}, boot=after)
        reading = replace(reading, services={**reading.services, A: seen})
        state = replace(state, observed=replace(state.observed, instances={**state.observed.instances, name: reading}))
    return state


def test_the_calls_of_a_pool_are_refused_when_every_load_balancer_reads_so_now_and_after_a_reload() -> None:
    state = at_rest()
    assert pinned_off(routes(state, runtime=Pin.NONE, boot=Pin.NONE))
    assert not pinned_off(routes(state, runtime=Pin.BLUE, boot=Pin.NONE))
    assert not pinned_off(routes(state, runtime=Pin.NONE, boot=Pin.BLUE))
    assert not pinned_off(routes(state, runtime=Pin.NONE, boot=None))
    assert not pinned_off(routes(state, runtime=Pin.NONE, boot=Pin.NONE, told=False))
    only = routes(state, runtime=Pin.BLUE, boot=Pin.BLUE)
    without = {name: one for name, one in only.record.services.items() if name != A}
    assert claims._pinned_off(recorded(only, replace(only.record, services=without)), A, Caller(B, BLUE), Instant(0))


def rolled_back(**changes: Any) -> State:
    """Green was left draining by a rollback, with its sessions."""
    state = pool(state_of("rolled_back"), GREEN, state=PoolState.DRAINING, keep_bp=10_000)
    release = replace(running(state), phase=Phase.ROLLED_BACK, peak_bp=1, service=B)
    return pool(recorded(state, state.record.with_release(release)), GREEN, **changes)


def there(state: State) -> str:
    return claims.sessions_there(state, B, GREEN, NOW)


def test_sessions_are_waited_for_where_users_have_been_and_are_honoured() -> None:
    assert there(rolled_back()) != ""
    assert there(rolled_back(keep_bp=0)) == ""
    assert there(rolled_back(state=PoolState.IDLE)) == ""
    unmoved = rolled_back()
    assert there(recorded(unmoved, unmoved.record.with_release(replace(running(unmoved), peak_bp=0)))) == ""
    other = recorded(unmoved, unmoved.record.with_release(replace(running(unmoved), service=A)))
    assert there(other) == ""
    tcp = replace(unmoved.topology.services[B], protocol=Protocol.TCP)
    services = {**unmoved.topology.services, B: tcp}
    assert there(replace(unmoved, topology=replace(unmoved.topology, services=services))) == ""


def test_sessions_that_are_waited_for_are_counted_if_the_watch_knows_them() -> None:
    def counted(*buckets: int, since: int = 0) -> str:
        state = rolled_back()
        seen = Attendance(taken_at=NOW, since=Instant(since), buckets={GREEN: buckets}, remembered={GREEN: buckets})
        sessions = {(name, B): seen for name in state.topology.instances_of(B)}
        return there(replace(state, observed=replace(state.observed, sessions=sessions)))

    assert counted(1, 2) == "about 2 sessions"
    assert counted() == "users who came lately"
    assert counted(1, 2, since=NOW - 9_000) == "sessions that nobody counted"
    assert there(rolled_back()) == "sessions that nobody counted"


def test_what_is_not_in_the_config_any_more_is_named() -> None:
    state = at_rest()
    going = recorded(state, state.record.with_release(replace(running(state), phase=Phase.SHIFTING)))
    gone = replace(state.topology, services={A: state.topology.services[A]})
    request = Undo(id=5, actor="ann", unit=SHOP, plan=PLAN, nonce="u")
    with pytest.raises(Refused, match=r"^storefront is not in the config any more"):
        undo(replace(going, topology=gone), request, None, NOW)


def test_a_switch_without_a_word_about_contracts_is_refused_where_contracts_say_what_fits() -> None:
    state = recorded(both_ready(), replace(both_ready().record, board={}))
    unit = replace(state.topology.unit_of(B), rendezvous=Rendezvous.CONTRACT)
    by_contract = replace(state, topology=replace(state.topology, units={SHOP: unit}))
    assert switched(by_contract, unchecked=False) == "contract_unchecked"
    assert switched(by_contract) == ""


# ---- ready, and the board


SAY = SayReady(id=2, actor="ci", service=B, version="2", build="b/2", contract=Contract(), nonce="n")


def test_saying_the_same_again_changes_nothing_and_another_build_must_hold_the_pool() -> None:
    state = held(on_board(certified(at_rest()), storefront=a_version()), replace(HELD, build="b/2"))
    state = recorded(state, replace(state.record, board={B: a_version()}))
    assert ready.say(state, SAY, NOW)[0] is None
    for other in (replace(SAY, version="3"), replace(SAY, contract=Contract(provides={"x": (1,)}))):
        change, _ = ready.say(state, other, NOW)
        assert change is not None
        assert change.record.board[B].version == other.version
    with pytest.raises(Refused, match="is claimed by build b/2, not by b/3"):
        ready.say(state, replace(SAY, build="b/3"), NOW)


def test_a_build_that_goes_already_is_told_which_release_it_is_in() -> None:
    state = in_phase("shifting").state
    member = running(state).members[B]
    say = replace(SAY, version=member.version, build=member.build, contract=member.contract)
    assert ready._going(state, say) == running(state).id
    assert ready._going(state, replace(say, version="7")) is None
    assert ready._going(state, replace(say, build="other")) is None
    assert ready._going(at_rest(), say) is None
    with pytest.raises(Refused, match="with another contract"):
        ready._going(state, replace(say, contract=Contract(provides={"x": (1,)})))


def due(state: State) -> bool:
    return ready.due(state, state.topology.unit_of(B), NOW) is not None


def both_ready() -> State:
    state = at_rest()
    for name in (A, B):
        proof = state_of("retiring").record.services[B].blue.certificate
        state = pool(state, BLUE, name, state=PoolState.IDLE, certificate=proof, keep_bp=0, paired={})
    two = Contract(provides={"accounts-api": (3,)}), Contract(requires={"accounts-api": "3"})
    record = replace(
        state.record,
        claims={A: HELD, B: HELD},
        board={A: a_version(contract=two[0]), B: a_version(contract=two[1])},
    )
    return recorded(state, record)


def test_a_set_is_cut_where_nothing_of_its_unit_goes_or_is_held() -> None:
    state = both_ready()
    assert due(state)
    assert not due(recorded(state, replace(state.record, maintenance=True)))
    assert not due(adopted(state, A, maintenance=True))
    for name in (A, B):
        assert not due(replace(state, observed=replace(state.observed, frozen={name: "sale"})))
    assert not due(recorded(state, replace(state.record, board={})))
    assert not due(recorded(state, replace(state.record, claims={B: HELD})))
    going = replace(running(state), phase=Phase.SHIFTING)
    assert not due(recorded(state, state.record.with_release(going)))


def test_a_set_that_its_plan_refuses_leaves_the_board_and_no_other_record_does() -> None:
    state = both_ready()
    refused = Refused("plan_too_short", "it is too short", why="no traffic", then="wait")
    change = ready._parked(state.record, (B,), refused, NOW)
    assert change.record.board.keys() == {A}
    assert change.entries[0].text == "storefront cannot go: it is too short: no traffic; then wait"
    assert change.entries[0].data == {"build": "b/2", "code": "plan_too_short"}
    assert change.entries[0].service == B
    assert (change.record.claims[B].since, change.record.claims[A].since) == (NOW, HELD.since)


def waits(state: State) -> Mapping[ServiceName, str]:
    return ready.waiting(state, state.topology.unit_of(B))


def test_a_release_takes_up_what_is_claimed_and_ready_of_its_own_services_and_no_others() -> None:
    both = replace(at_rest().record, claims={A: HELD, B: HELD}, board={A: a_version(), B: a_version()})
    going = cutting.Cut(carrier=B, versions={B: cutting.Version("9")}, plan=PLAN, nonce="n", wall="", by="ann")
    record = cutting.cut(recorded(at_rest(), both), going, NOW).record
    release = record.releases[SHOP]
    assert ({*release.claims}, {*release.ready}) == ({B}, {B})
    assert ({*record.claims}, {*record.board}) == ({A}, {A})


def test_what_a_record_on_the_board_waits_for() -> None:
    state = both_ready()
    alone = recorded(state, replace(state.record, board={B: state.record.board[B]}))
    assert waits(alone)[B].startswith("waiting for accounts: ")
    fits = replace(state.record.board[B], contract=Contract(requires={"accounts-api": ">=1"}))
    assert waits(recorded(state, replace(state.record, board={B: fits}))) == {B: "waiting for the rest of its unit"}
    for name in (A, B):
        frozen = replace(alone, observed=replace(alone.observed, frozen={name: f"{name} is frozen"}))
        assert waits(frozen) == {B: f"{name} is frozen"}
    assert "reads back that its pool is apart" in waits(recorded(alone, replace(alone.record, claims={})))[B]
    going = recorded(alone, alone.record.with_release(replace(running(alone), phase=Phase.SHIFTING)))
    assert waits(going) == {B: "waiting for the end of release 1"}


def test_a_version_is_withdrawn_at_the_limit_and_told_of_every_day() -> None:
    state = both_ready()
    unit = state.topology.unit_of(B)
    limit = unit.deadlines.board

    def over(age: int) -> bool:
        one = a_version(at=Instant(NOW - age))
        return standing._board_over(state, B, one, unit, NOW) is not None

    assert [over(limit - 1), over(limit)] == [False, True]
    going = recorded(state, state.record.with_release(replace(running(state), phase=Phase.SHIFTING)))
    assert standing._board_over(going, B, a_version(at=Instant(NOW - limit)), unit, NOW) is None

    def day(age: int, told: int = 0) -> str:
        one = replace(a_version(at=Instant(NOW - age)), told_days=told)
        change = standing._another_day(state, B, one, unit, NOW)
        return "" if change is None else change.entries[0].text

    assert day(DAY - 1) == ""
    assert "has been ready for 24h: " in day(DAY)
    assert day(DAY, told=1) == ""
    assert day(DAY).endswith(f"it leaves in {13 * 24}h")
    assert day(15 * DAY, told=14).endswith("it leaves in 0s")


@pytest.mark.parametrize(
    ("rule", "waiting", "sizes"),
    [
        (Rendezvous.CONTRACT, 3, [3, 2, 1]),
        (Rendezvous.ALL, 3, [3]),
        (Rendezvous.ALL, 2, []),
        (Rendezvous.NONE, 3, [1]),
        (Rendezvous.NONE, 0, []),
    ],
)
def test_how_many_records_go_together(rule: Rendezvous, waiting: int, sizes: list[int]) -> None:
    assert list(board._sizes(rule, waiting, 3)) == sizes


def test_a_service_that_is_not_adopted_speaks_with_nobody_and_is_in_nobodys_way() -> None:
    state = both_ready()
    unit = state.topology.unit_of(B)
    by_contract = replace(unit, rendezvous=Rendezvous.CONTRACT)
    for gone, left in ((A, B), (B, A)):
        services = {name: one for name, one in state.record.services.items() if name != gone}
        record = replace(state.record, services=services, board={left: state.record.board[left]})
        assert board.obstacle(state.topology, record, by_contract, (left,)) is None
        assert board._ever_offered(record, gone) == frozenset()
        assert board._spoken(record, gone, ()) is None
    wrong = board.obstacle(state.topology, state.record, by_contract, (B,))
    assert str(wrong).startswith("waiting for accounts: storefront 2 requires accounts-api 3")


# ---- switch


def switched(state: State, **changes: Any) -> str:
    about = {"id": 3, "actor": "ann", "service": B, "to": None, "version": "9", "plan": PLAN, "followers": {A: "9"}}
    request = Switch(**{**about, "nonce": "n", "unchecked": True, **changes})
    try:
        switching.switch(state, request, NOW)
    except Refused as refused:
        return refused.code
    return ""


def test_a_switch_names_the_pool_of_its_carrier_and_the_carrier_itself() -> None:
    state = recorded(both_ready(), replace(both_ready().record, board={}))
    assert switched(state) == ""
    assert switched(state, to=BLUE) == ""
    assert switched(state, to=GREEN) == "already_active"
    assert switched(adopted(state, A, active=BLUE), to=BLUE) == ""
    assert switched(state, service=A, followers={B: "9"}) == "not_the_carrier"
    assert switched(state, followers={}) == "in_unit"
    assert switched(adopted(state, maintenance=True)) == "maintenance"
    assert switched(recorded(state, replace(state.record, maintenance=True))) == "maintenance"


def occupied(version: str, there: str = "2", **changes: Any) -> list[str]:
    state = pool(rolled_back(**changes), GREEN, version=there)
    return [one.code for one in switching.occupied(state, B, version, NOW)]


def test_another_version_does_not_go_over_sessions_that_a_rollback_left() -> None:
    assert occupied("3") == ["sessions_kept"]
    assert occupied("2") == []
    assert occupied(UNKNOWN) == []
    assert occupied("3", UNKNOWN) == []
    assert occupied("3", keep_bp=0) == []
    state = rolled_back()
    finished = recorded(state, state.record.with_release(replace(running(state), phase=Phase.FINISHED)))
    assert [*switching.occupied(finished, B, "3", NOW)] == []
    without = {name: one for name, one in state.record.services.items() if name != B}
    assert [*switching.occupied(recorded(state, replace(state.record, services=without)), B, "3", NOW)] == []


def uncompared(rule: Rendezvous | None, *, declared: bool) -> str:
    state = both_ready()
    for name in (A, B):
        active = state.record.services[name].active
        state = pool(state, active, name, contract=FIRST[name] if declared else Contract())
    unit = replace(state.topology.unit_of(B), rendezvous=rule)
    services = {name: one for name, one in state.record.services.items() if name != A}
    some = recorded(state, replace(state.record, services=services))
    assert bool([*switching.uncompared(some, unit)]) == bool([*switching.uncompared(state, unit)])
    assert [*switching.uncompared(state, replace(unit, services=(B,)))] == []
    return next((one.what for one in switching.uncompared(state, unit)), "")


def test_versions_that_a_person_names_are_refused_where_contracts_say_what_fits() -> None:
    assert "(`rendezvous: contract`)" in uncompared(Rendezvous.CONTRACT, declared=False)
    assert "(accounts and storefront declared one)" in uncompared(None, declared=True)
    assert uncompared(None, declared=False) == ""
    assert uncompared(Rendezvous.ALL, declared=True) == ""
    assert uncompared(Rendezvous.NONE, declared=True) == ""


# ---- adopt


ADOPT = Adopt(id=4, actor="ann", service=B, active=GREEN, version="2")


def test_another_contract_of_what_is_active_is_recorded_once() -> None:
    state = at_rest()
    known = state.record.services[B]
    said = Contract(requires={"accounts-api": "7"})
    change = _declared(state, replace(ADOPT, contract=said), known, NOW)
    assert change is not None
    assert change.record.services[B].pool(known.active).contract == said
    assert _declared(state, ADOPT, known, NOW) is None
    same = known.with_pool(known.active, replace(known.pool(known.active), contract=said))
    assert _declared(state, replace(ADOPT, contract=said), same, NOW) is None


def test_a_version_that_was_ready_is_overtaken_only_where_it_left_the_board() -> None:
    state = both_ready()
    after = replace(state.record, board={A: state.record.board[A]})
    (told,) = _overtaken(state.record, after, ADOPT, NOW)
    assert told.text == "storefront 2 is not ready any more: green was adopted as active"
    assert (told.data["version"], told.data["build"]) == ("2", "b/2")
    assert _overtaken(state.record, state.record, ADOPT, NOW) == ()
    assert _overtaken(after, after, ADOPT, NOW) == ()


def test_a_pool_that_may_still_call_gets_the_partner_that_is_active() -> None:
    state = pool(pool(at_rest(), BLUE, state=PoolState.DRAINING, paired={}), GREEN, paired={})
    record = _with_partners(state.topology, state.record, A)
    assert record.services[B].blue.paired == {A: state.record.services[A].active}
    assert record.services[B].green.paired == {}
    alone = replace(state.record, services={B: state.record.services[B]})
    assert _with_partners(state.topology, alone, B).services[B].blue.paired == {}
    paired = pool(state, BLUE, paired={A: BLUE})
    assert _with_partners(state.topology, paired.record, A).services[B].blue.paired == {A: BLUE}


def adoptable(change: Any, *, settle: bool = False) -> str:
    state = at_rest()
    reading = state.observed.instances[LB2]
    assert isinstance(reading, InstanceReading)
    reading = replace(reading, services={**reading.services, B: change(reading.services[B], reading)})
    state = replace(state, observed=replace(state.observed, instances={**state.observed.instances, LB2: reading}))
    try:
        _adoptable(state, state.topology.services[B], replace(ADOPT, settle=settle))
    except Refused as refused:
        return refused.code
    return ""


def test_what_a_load_balancer_must_say_of_a_service_that_is_adopted() -> None:
    assert adoptable(lambda seen, reading: seen) == ""
    assert adoptable(lambda seen, reading: replace(seen, obstacles=("NO_MAP: x",))) == ""
    assert adoptable(lambda seen, reading: replace(seen, obstacles=("NO_MAP: x",), runtime={})) == "not_routed"
    assert adoptable(lambda seen, reading: replace(seen, runtime={})) == ""
    assert adoptable(
        lambda seen, reading: replace(seen, runtime={Generation("7@7"): next(iter(seen.runtime.values()))})
    ) == ("unreachable")

    def half(seen: Any, reading: InstanceReading) -> Any:
        route = seen.runtime[reading.generation]
        return replace(seen, runtime={reading.generation: route.with_share(GREEN, 5_000)})

    assert adoptable(half) == "split"
    assert adoptable(half, settle=True) == ""


# ---- undo


def undone(state: State) -> str:
    request = Undo(id=5, actor="ann", unit=SHOP, plan=PLAN, nonce="u", reason="too slow")
    try:
        change, facts = undo(state, request, None, NOW)
    except Refused as refused:
        return refused.code
    assert change is not None
    assert change.record.releases[SHOP].reason == "undo of release 1: too slow"
    return str(facts["did"])


def test_what_served_before_comes_back_where_it_still_is_what_it_was() -> None:
    state = at_rest()
    assert undone(state).startswith("release 2 brings back")
    assert undone(pool(state, BLUE, handed_out=True)) == "handed_out"
    assert undone(recorded(state, replace(state.record, releases={}))) == "nothing_to_undo"
    back = replace(running(state), phase=Phase.ROLLED_BACK)
    assert undone(recorded(state, state.record.with_release(back))) == "nothing_to_undo"
    gone = replace(state.topology, services={A: state.topology.services[A]})
    assert undone(replace(state, topology=gone)) == "not_configured"
    going = recorded(state, state.record.with_release(replace(running(state), phase=Phase.SHIFTING)))
    assert undone(replace(going, topology=gone)) == "not_configured"
    assert undone(adopted(state, active=BLUE)) in {"overtaken", "already_active"}


def test_a_pool_by_its_colour() -> None:
    one = Adopted(active=BLUE, blue=Pool(state=PoolState.ACTIVE), green=Pool(state=PoolState.IDLE))
    assert (one.pool(BLUE).state, one.pool(GREEN).state) == (PoolState.ACTIVE, PoolState.IDLE)


def test_withdrawing_what_is_not_there_names_what_goes() -> None:
    request = Withdraw(id=6, actor="ci", service=B)
    assert ready.withdraw(at_rest(), request, NOW) == (None, {"service": B, "release": None, "version": ""})
    shifting = in_phase("shifting").state
    assert ready.withdraw(shifting, request, NOW)[1] == {"service": B, "release": "1", "version": "2"}


def test_a_service_alone_does_not_go_over_sessions_that_a_rollback_left() -> None:
    state = pool(rolled_back(), GREEN, version="2")
    alone = replace(state, topology=replace(state.topology, units={}))
    assert switched(alone, followers={}, version="3") == "sessions_kept"
    assert switched(alone, followers={}, version="2") == ""


@pytest.mark.parametrize(("reason", "why"), [("slow", "undo by ann: slow"), ("", "undo by ann")])
def test_an_undo_of_what_goes_says_who_wanted_it_and_why(reason: str, why: str) -> None:
    request = Undo(id=7, actor="ann", unit=SHOP, plan=PLAN, nonce="u", reason=reason)
    change, facts = undo(state_of("shifting"), request, here("shifting"), NOW)
    assert change is not None
    assert change.record.releases[SHOP].outcome == why
    assert facts["did"] == "going back to blue by a rollback"


def test_services_that_call_each_other_or_nobody_are_no_set() -> None:
    state = at_rest()
    assert coupling.carrier(state.topology, (A, B)) == B
    assert coupling.carrier(state.topology, (A,)) == A
    calling = replace(state.topology.services[B], consumers=state.topology.services[A].consumers)
    round_ = {**state.topology.services, B: replace(calling, consumers={A: next(iter(calling.consumers.values()))})}
    with pytest.raises(Refused, match="cannot go together") as refused:
        coupling.carrier(replace(state.topology, services=round_), (A, B))
    assert (refused.value.code, "a cycle has no beginning" in refused.value.why) == ("cycle", True)
    apart = {**state.topology.services, A: replace(state.topology.services[A], consumers={})}
    with pytest.raises(Refused, match="cannot go together") as refused:
        coupling.carrier(replace(state.topology, services=apart), (A, B))
    assert (refused.value.code, refused.value.why.split(" are ")[0]) == ("several_carriers", "accounts and storefront")


def test_what_nobody_provides_is_called_nothing() -> None:
    assert str(Misfit("api", ">=2", ())) == "requires api >=2, and nothing is provided"
    assert str(Misfit("api", ">=2", (1, 3))) == "requires api >=2, and 1, 3 is provided"

"""Servers that people drain, rule by rule: when it is refused, what is told to whom, and when it is forgotten."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from lbctl.core.draining import AGAIN, administer, drain_server, undrained
from lbctl.core.state import Administer, State
from lbctl.core.wellness import Wellness
from lbctl.model.errors import Refused
from lbctl.model.names import Colour, InstanceName, ServerName
from lbctl.model.reading import Admin, InstanceReading, Unreadable
from lbctl.model.record import Drained, Phase
from lbctl.model.request import DrainServer
from lbctl.model.units import Instant
from tests.shop import LB1, LB2, PLAN, A, B, Shop

BLUE, GREEN = Colour.BLUE, Colour.GREEN
WEB, NEXT = ServerName("s-blue-0"), ServerName("s-blue-1")
HELD = Drained(colour=BLUE, by="bob", since=Instant(1))
ENDING = replace(HELD, ends=True)


def order(*, on: bool = True, server: ServerName = WEB, colour: Colour = BLUE, reason: str = "") -> DrainServer:
    return DrainServer(id=1, actor="ann", service=B, colour=colour, server=server, on=on, reason=reason)


def at_rest(drained: Mapping[ServerName, Drained] | None = None) -> State:
    """Both services at rest on blue, read by both load balancers; these servers are drained by the record."""
    shop = Shop(users=1)
    shop.run(2)
    return recorded(shop.state, drained or {})


def recorded(state: State, drained: Mapping[ServerName, Drained]) -> State:
    record = state.record.with_service(B, replace(state.record.services[B], drained=drained))
    return replace(state, record=record, durable=record)


def seen(state: State, name: InstanceName, **servers: Admin | None) -> State:
    """What a load balancer reads of blue servers of storefront; None: it does not know that one."""
    reading = state.observed.instances[name]
    assert isinstance(reading, InstanceReading)
    pool = reading.services[B].pools[BLUE]
    known = dict(pool.servers)
    for word, admin in servers.items():
        server = ServerName(word.replace("_", "-"))
        if admin is None:
            known.pop(server)
        else:
            known[server] = replace(known[server], admin=admin)
    service = replace(reading.services[B], pools={**reading.services[B].pools, BLUE: replace(pool, servers=known)})
    return with_reading(state, name, replace(reading, services={**reading.services, B: service}))


def with_reading(state: State, name: InstanceName, reading: InstanceReading | Unreadable) -> State:
    return replace(state, observed=replace(state.observed, instances={**state.observed.instances, name: reading}))


def without_service(state: State, name: InstanceName) -> State:
    reading = state.observed.instances[name]
    assert isinstance(reading, InstanceReading)
    return with_reading(state, name, replace(reading, services={A: reading.services[A]}))


def gone(state: State, name: InstanceName) -> State:
    return with_reading(state, name, Unreadable(Instant(1), "it went away"))


def now(state: State) -> Instant:
    return Instant(state.record.clock + 60_000)


def done(state: State, request: DrainServer) -> Drained | None:
    """What is recorded of that server by the request; None: nothing is to be done."""
    change, facts = drain_server(state, request, now(state))
    assert facts["already"] is (change is None)
    return None if change is None else change.record.services[B].drained[request.server]


def refused(state: State, request: DrainServer) -> Refused:
    with pytest.raises(Refused) as caught:
        drain_server(state, request, now(state))
    return caught.value


# ---- what is asked


def test_a_server_is_drained_once_and_again_after_that_was_to_end() -> None:
    assert done(at_rest(), order()) == Drained(colour=BLUE, by="ann", since=now(at_rest()))
    assert done(at_rest({WEB: HELD}), order()) is None
    again = done(at_rest({WEB: ENDING}), order())
    assert again is not None
    assert (again.ends, again.by) == (False, "ann")


def test_the_end_of_a_drain_is_recorded_once() -> None:
    assert done(at_rest({WEB: HELD}), order(on=False)) == ENDING
    assert done(at_rest({WEB: ENDING}), order(on=False)) is None
    assert done(at_rest(), order(on=False)) is None


def test_a_server_that_somebody_drained_without_lbctl_is_brought_back_wherever_it_is_seen() -> None:
    by_hand = seen(at_rest(), LB2, s_blue_0=Admin.DRAIN)
    ended = done(by_hand, order(on=False))
    assert ended is not None
    assert ended.ends
    assert done(by_hand, order(on=False, server=NEXT)) is None
    assert done(seen(at_rest({WEB: ENDING}), LB2, s_blue_0=Admin.DRAIN), order(on=False)) is None
    assert done(gone(by_hand, LB1), order(on=False)) is not None
    assert done(without_service(by_hand, LB1), order(on=False)) is not None
    assert done(seen(by_hand, LB1, s_blue_0=None), order(on=False)) is not None


@pytest.mark.parametrize(("reason", "ending"), [("new disk", "no new ones: new disk"), ("", "no new ones")])
def test_people_are_told_who_drains_and_why(reason: str, ending: str) -> None:
    change, _ = drain_server(at_rest(), order(reason=reason), Instant(5))
    assert change is not None
    assert change.entries[0].text.endswith(ending)
    assert change.entries[0].data == {"server": "s-blue-0", "colour": "blue", "reason": reason}


# ---- the last capacity


def small(size: int, min_healthy_bp: int, *, down: int = 0, unknown: int = 0, drained: int = 0) -> State:
    """Storefront with `size` servers in each pool, the last of blue in trouble."""
    state = at_rest()
    service = state.topology.services[B]
    blue, green = (replace(pool, servers=pool.servers[:size]) for pool in (service.blue, service.green))
    service = replace(service, blue=blue, green=green, plan=replace(service.plan, min_healthy_bp=min_healthy_bp))
    names = [one.name for one in blue.servers][::-1]
    ill = Wellness(size, dict.fromkeys(names[:down], "down"), dict.fromkeys(names[down : down + unknown], "not asked"))
    state = recorded(state, dict.fromkeys(names[down + unknown : down + unknown + drained], HELD))
    topology = replace(state.topology, services={**state.topology.services, B: service})
    return replace(state, topology=topology, wells={**state.wells, (B, BLUE): ill})


@pytest.mark.parametrize(
    ("state", "left"),
    [
        (small(4, 5_000, down=1), None),
        (small(4, 5_000, unknown=1), None),
        (small(4, 5_000, drained=1), None),
        (small(4, 5_000, down=2), 1),
        (small(4, 5_000, down=1, unknown=1), 1),
        (small(4, 5_000, down=1, drained=1), 1),
        (small(4, 5_001, down=1), 2),
        (small(4, 2_500, down=2), None),
        (small(4, 0, down=3), 0),
        (small(1, 0), 0),
        (small(2, 0), None),
    ],
)
def test_a_pool_with_traffic_keeps_a_server_and_the_part_that_it_needs(state: State, left: int | None) -> None:
    if left is None:
        assert done(state, order()) is not None
        return
    why = refused(state, order())
    assert why.code == "last_capacity"
    assert f"{left} of " in why.what


def test_a_drain_that_ends_and_one_of_the_other_pool_take_nothing_away() -> None:
    state = small(2, 5_000)
    assert done(recorded(state, {NEXT: ENDING}), order()) is not None
    assert refused(recorded(state, {NEXT: HELD}), order()).code == "last_capacity"
    assert done(recorded(state, {NEXT: replace(HELD, colour=GREEN)}), order()) is not None


def in_phase(phase: Phase, share_bp: int = 0) -> State:
    """A release of storefront alone to green; one server more or less decides."""
    shop = Shop(users=1)
    assert shop.switch(B, version=2, plan=PLAN).accepted
    release = replace(
        shop.state.record.releases[next(iter(shop.state.record.releases))], phase=phase, share_bp=share_bp
    )
    base = small(1, 5_000)
    record = replace(base.record, releases={release.unit_name: release})
    return replace(base, record=record, durable=record)


@pytest.mark.parametrize(
    ("phase", "share_bp", "colour", "use"),
    [
        (Phase.PREFLIGHT, 0, BLUE, "takes traffic"),
        (Phase.PREFLIGHT, 0, GREEN, ""),
        (Phase.SHIFTING, 1, GREEN, "takes traffic"),
        (Phase.SHIFTING, 10_000, BLUE, "takes traffic"),
        (Phase.RETIRING, 10_000, GREEN, "takes traffic"),
        (Phase.FINISHED, 10_000, GREEN, ""),
    ],
)
def test_a_pool_is_needed_where_traffic_goes_or_may_go_back(
    phase: Phase, share_bp: int, colour: Colour, use: str
) -> None:
    state, request = in_phase(phase, share_bp), order(server=ServerName(f"s-{colour}-0"), colour=colour)
    if use:
        assert f"{colour} {use}" in refused(state, request).why
    else:
        assert done(state, request) is not None


# ---- carried out


def told(state: State, at: Instant | None = None) -> dict[InstanceName, dict[ServerName, Admin]]:
    _, effects = administer(state, now(state) if at is None else at)
    assert all(isinstance(one, Administer) for one in effects)
    orders = [one for one in effects if isinstance(one, Administer)]
    return {one.instance: {operation.server: operation.admin for operation in one.operations} for one in orders}


def test_every_load_balancer_is_told_what_it_has_not_done() -> None:
    assert told(at_rest({WEB: HELD})) == {name: {WEB: Admin.DRAIN} for name in (LB1, LB2)}
    half = seen(at_rest({WEB: HELD, NEXT: ENDING}), LB1, s_blue_0=Admin.DRAIN, s_blue_1=Admin.DRAIN)
    assert told(half) == {LB1: {NEXT: Admin.READY}, LB2: {WEB: Admin.DRAIN}}
    assert told(at_rest()) == {}
    assert told(seen(at_rest({WEB: HELD}), LB1, s_blue_0=None)) == {LB2: {WEB: Admin.DRAIN}}


def test_nobody_is_told_who_cannot_be_asked_or_in_maintenance() -> None:
    state = at_rest({WEB: HELD})
    assert told(gone(state, LB1)).keys() == {LB2}
    assert told(without_service(state, LB1)).keys() == {LB2}
    assert told(replace(state, durable=replace(state.durable, maintenance=True))) == {}
    topology = replace(state.topology, services={A: state.topology.services[A]})
    assert told(replace(state, topology=topology)) == {}


def test_a_load_balancer_is_told_again_after_a_second_and_never_while_it_works() -> None:
    state = at_rest({WEB: HELD})
    at = now(state)
    once, _ = administer(state, at)
    assert told(once, Instant(at + AGAIN)) == {}
    ended = replace(once, administering=dict.fromkeys((LB1, LB2), (at, False)))
    assert told(ended, Instant(at + AGAIN - 1)) == {}
    assert told(ended, Instant(at + AGAIN)).keys() == {LB1, LB2}


def forgotten(state: State) -> bool:
    return bool([*undrained(state, now(state))])


def read_after(state: State, *, changed: int, ordered: int, busy: bool = False) -> State:
    """Both readings were taken so long after the last change, and after the last order."""
    taken = {one.taken_at for one in state.observed.instances.values() if isinstance(one, InstanceReading)}
    at = min(taken)
    for name in (LB1, LB2):
        reading = state.observed.instances[name]
        assert isinstance(reading, InstanceReading)
        state = with_reading(state, name, replace(reading, taken_at=at))
    told_at = dict.fromkeys((LB1, LB2), (Instant(at - ordered), busy))
    return replace(state, changed_at=Instant(at - changed), administering=told_at)


def test_a_drain_is_forgotten_when_every_load_balancer_reads_it_as_ended_since() -> None:
    state = read_after(at_rest({WEB: ENDING}), changed=1, ordered=0)
    assert forgotten(state)
    assert not forgotten(read_after(state, changed=0, ordered=0))
    assert not forgotten(read_after(state, changed=1, ordered=-1))
    assert not forgotten(read_after(state, changed=0, ordered=1))
    assert not forgotten(read_after(state, changed=1, ordered=0, busy=True))
    assert not forgotten(recorded(state, {WEB: HELD}))
    assert not forgotten(seen(state, LB2, s_blue_0=Admin.DRAIN))
    assert forgotten(seen(state, LB2, s_blue_0=None))
    assert not forgotten(gone(state, LB2))
    assert not forgotten(without_service(state, LB2))
    assert not forgotten(replace(state, topology=replace(state.topology, services={})))


def test_what_was_never_ordered_is_forgotten_by_a_reading_after_the_change() -> None:
    state = replace(read_after(at_rest({WEB: ENDING}), changed=1, ordered=0), administering={})
    assert forgotten(state)
    assert not forgotten(replace(state, changed_at=Instant(state.changed_at + 1)))

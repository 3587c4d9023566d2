"""A certificate stands as long as every load balancer can speak for it: none that is new, that lost its counters while
nobody looked, that is not read, or that a hand made send somebody there."""

from dataclasses import replace

import pytest

from lbctl.daemon.rest_view import rest_lines
from lbctl.daemon.retired_view import certificates, retired_view, unproven
from lbctl.model.entry import Entry, Kind, Severity
from lbctl.model.names import Colour, InstanceName, PlaneName
from lbctl.model.operation import Place
from lbctl.model.reading import InstanceReading, Observed, Unreadable
from lbctl.model.record import Pool
from lbctl.model.request import Maintenance
from lbctl.model.topology import Topology
from lbctl.model.units import MINUTE, Instant
from tests.shop import LB1, LB2, A, B, Shop
from tests.unit.test_core_census import untold
from tests.unit.test_core_late import came, retired

BLUE = Colour.BLUE
WEST = InstanceName("west/w1")
TICKS = 30
"""More than the quiet time."""


def old(shop: Shop) -> Pool:
    return shop.state.record.services[B].blue


def voids(shop: Shop) -> list[Entry]:
    return [one for one in shop.told if one.kind is Kind.CERTIFICATE_VOID and one.service == B]


def said(shop: Shop) -> tuple[bool, str]:
    """What CI hears that asks whether the old storefront may be stopped."""
    assert shop.release is not None
    view = retired_view(shop.state, shop.release, B, shop.now)
    return view["certified"], view["waits"]


def alone(topology: Topology, *names: InstanceName) -> Topology:
    """The config with these load balancers only."""
    (plane,) = topology.planes.values()
    kept = tuple(one for one in plane.instances if one.name in names)
    return replace(topology, planes={plane.name: replace(plane, instances=kept)})


def only(seen: Observed, *names: InstanceName) -> Observed:
    return replace(seen, instances={one: seen.instances[one] for one in names})


def away(shop: Shop, time_ms: int = 5 * MINUTE) -> None:
    """lbctl is dead for so long, and starts again."""
    shop.now = Instant(shop.now + time_ms)
    topology = shop.state.topology
    shop.crash()
    shop._take(topology)


def restarted(shop: Shop, name: InstanceName = LB1) -> None:
    """A load balancer ends and begins again, as after a reboot of its host: it counts from 0."""
    balancer = shop.balancers[name]
    balancer.reload()
    balancer.runtime = {balancer.generation: balancer.runtime[balancer.generation]}


def test_a_restart_while_lbctl_was_dead_hides_no_late_request() -> None:
    shop = retired()
    shop.users = 0
    came(shop, 40)
    restarted(shop)
    away(shop)
    assert said(shop) == (
        False,
        "its certificate cannot be relied on now: the first reading of edge/lb1 is awaited: nobody knows who came "
        "since it was certified",
    )
    shop.run(1)
    assert not said(shop)[0]
    shop.run(1)
    assert old(shop).certificate is None
    (told,) = voids(shop)
    assert told.severity is Severity.WARNING
    assert "edge/lb1 was reloaded or restarted while nobody looked: what it had counted is gone" in told.text
    shop.run(TICKS)
    assert said(shop)[0]
    assert old(shop).voided is None


def test_the_same_life_after_lbctl_was_dead_tells_by_its_counters() -> None:
    shop = retired()
    shop.users = 0
    away(shop)
    shop.run(TICKS)
    assert said(shop)[0]
    assert not voids(shop)
    came(shop, 40)
    away(shop)
    shop.run(1)
    assert [one.severity for one in voids(shop)] == [Severity.PAGE]


def test_a_reload_under_lbctls_eyes_leaves_the_certificate_as_it_is() -> None:
    shop = retired()
    shop.users = 0
    restarted(shop)
    shop.run(TICKS)
    away(shop)
    shop.run(TICKS)
    assert said(shop)[0]
    assert not voids(shop)


@pytest.mark.parametrize("there_count", [0, 1])
def test_a_load_balancer_that_is_new_in_the_config_has_to_look_first(there_count: int) -> None:
    """It may have a WebSocket open there that nobody else knows of."""
    shop = retired()
    shop.users = 0
    whole = shop.state.topology
    shop._take(alone(whole, LB1))
    shop.alter = lambda seen: only(seen, LB1)
    shop.run(5)
    assert said(shop)[0]
    server = next(iter(shop.balancers[LB2].pools[B, BLUE].servers.values()))
    server.in_flight = there_count
    known = old(shop).certificate
    assert known is not None
    balancer = shop.state.record.services[B]
    seen_by_one = replace(known, counted={LB1: known.counted[LB1]})
    record = shop.state.record.with_service(B, balancer.with_pool(BLUE, replace(old(shop), certificate=seen_by_one)))
    shop.state = replace(shop.state, record=record, durable=record)
    shop._take(whole)
    assert not said(shop)[0]
    shop.alter = lambda seen: seen
    shop.run(1)
    assert "edge/lb2 is new in the config" in voids(shop)[0].text
    shop.run(TICKS)
    assert said(shop)[0] is not bool(there_count)
    assert not there_count or "1 requests or connections are in flight" in said(shop)[1]
    server.in_flight = 0
    shop.run(TICKS)
    assert said(shop)[0]


def test_a_service_that_moves_to_another_data_plane_is_proved_anew() -> None:
    shop = retired()
    shop.users = 0
    (plane,) = shop.state.topology.planes.values()
    there = replace(plane, name=PlaneName("west"), instances=(replace(plane.instances[0], name=WEST),))
    services = shop.state.topology.services
    moved = {**services, B: replace(services[B], plane=there.name)}
    shop._take(replace(shop.state.topology, planes={plane.name: plane, there.name: there}, services=moved))
    assert not said(shop)[0]
    shop.alter = lambda seen: replace(seen, instances={**seen.instances, WEST: seen.instances[LB1]})
    shop.run(2)
    assert old(shop).certificate is None


def test_what_cannot_be_read_for_long_says_nothing_and_speaks_again_when_it_can() -> None:
    shop = retired()
    shop.users = 0

    def unreadable(seen: Observed) -> Observed:
        return replace(seen, instances={**seen.instances, LB1: Unreadable(shop.now, "no answer")})

    shop.alter = unreadable
    shop.run(20)
    assert said(shop)[0]
    shop.run(100)
    assert shop.release is not None
    assert said(shop)[1].startswith("its certificate cannot be relied on now: edge/lb1 has not been read for 12s")
    assert certificates(shop.state, shop.release, shop.now)[B] is None
    assert unproven(shop.state, B, BLUE, shop.now).startswith("edge/lb1 has not been read for 12s")
    shop.alter = lambda seen: seen
    shop.run(2)
    assert said(shop)[0]
    assert not voids(shop)
    shop.alter = unreadable
    shop.run(150)
    restarted(shop)
    shop.alter = lambda seen: seen
    shop.run(2)
    assert len(voids(shop)) == 1


def test_what_a_hand_sends_there_in_maintenance_is_no_unused_pool_before_anybody_came() -> None:
    shop = retired()
    shop.users = 0
    assert shop.ask(Maintenance(id=77, actor="ann", service=None, on=True)).accepted
    balancer = shop.balancers[LB1]
    route = balancer.runtime[balancer.generation][B]
    for place in Place:
        edited = replace(route, green_bp=5_000)
        if place is Place.BOOT:
            balancer.boot[B] = edited
        else:
            balancer.runtime[balancer.generation][B] = edited
    shop.run(3)
    assert old(shop).certificate is not None
    assert said(shop) == (
        False,
        "its certificate cannot be relied on now: edge/lb1 sends new traffic or sessions to blue of storefront, or "
        "would after a reload",
    )


def test_who_does_not_tell_of_a_late_request_speaks_for_nobody() -> None:
    shop = retired()
    shop.users = 0
    shop.alter = untold
    shop.run(2)
    assert said(shop) == (
        False,
        "its certificate cannot be relied on now: 7@0 of edge/lb1 does not tell who uses blue of storefront",
    )


def test_in_a_release_it_drains_again_and_the_consumers_stay_stopped() -> None:
    shop = Shop(users=3)
    shop.drain(300, 600_000)
    assert shop.switch(B, A, version=2).accepted
    shop.until("retiring")
    shop.users = 0
    restarted(shop)
    away(shop)
    shop.drain(300, 600_000)
    shop.run(1)
    assert old(shop).certificate is None
    assert old(shop).state.value == "draining"
    shop.run(TICKS)
    assert old(shop).certificate is not None
    shop.stop(B, BLUE)
    shop.until("finished")
    assert shop.state.record.services[A].blue.certificate is not None


def test_why_says_what_is_not_proved_any_more_at_rest() -> None:
    shop = retired()
    shop.users = 0
    restarted(shop)
    away(shop)
    shop.alter = busy
    shop.run(TICKS)
    (line,) = [one for one in rest_lines(shop.state, [B], shop.now) if "not proved unused" in one["what"]]
    assert line["what"].startswith("blue of storefront is not proved unused: 1 requests or connections are in flight")


def busy(seen: Observed) -> Observed:
    found = seen.instances[LB1]
    assert isinstance(found, InstanceReading)
    service = found.services[B]
    pools = {**service.pools, BLUE: replace(service.pools[BLUE], in_flight=1)}
    changed = replace(found, services={**found.services, B: replace(service, pools=pools)})
    return replace(seen, instances={**seen.instances, LB1: changed})


def test_under_another_name_what_was_sent_before_may_still_land() -> None:
    shop = retired()
    other, (plane,) = InstanceName("edge/left"), shop.state.topology.planes.values()
    instances = tuple(replace(one, name=other) if one.name == LB1 else one for one in plane.instances)
    shop._take(replace(shop.state.topology, planes={plane.name: replace(plane, instances=instances)}))
    assert shop.state.lanes[other].unresolved.startswith("it is new in the config")
    assert not shop.state.lanes[LB2].unresolved

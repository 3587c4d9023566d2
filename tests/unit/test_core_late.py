"""A request that comes after the proof voids it, whatever became of the counters or of the journal meanwhile."""

from dataclasses import replace

from lbctl.core.state import State
from lbctl.daemon.rest_view import rest_lines
from lbctl.daemon.retired_view import retired_view
from lbctl.model.certificate import Certificate
from lbctl.model.entry import Kind
from lbctl.model.names import Colour, InstanceName, ServerName
from lbctl.model.reading import Holder, InstanceReading, Observed
from lbctl.model.units import Span, seconds
from tests.shop import LB1, LB2, A, B, Shop

BLUE = Colour.BLUE


def retired() -> Shop:
    """Both went over; both old pools are certified and stopped."""
    shop = Shop(users=3)
    shop.drain(300, 60_000)
    assert shop.switch(B, A, version=2).accepted
    shop.until("retiring")
    shop.stop(B, BLUE)
    shop.stop(A, BLUE)
    shop.until("finished")
    shop.run(10)
    return shop


def certificate(state: State) -> Certificate | None:
    return state.record.services[B].blue.certificate


def came(shop: Shop, count: int, name: InstanceName = LB1) -> None:
    """Somebody calls the old storefront."""
    balancer = shop.balancers[name]
    balancer.pools[B, BLUE].arrived[balancer.generation] += count


def void(shop: Shop) -> list[str]:
    return [one.text for one in shop.told if one.kind is Kind.CERTIFICATE_VOID and one.service == B]


def test_counters_that_were_cleared_hide_no_late_request() -> None:
    shop = retired()
    shop.balancers[LB1].pools[B, BLUE].arrived.clear()
    shop.run(5)
    assert certificate(shop.state) is not None
    assert not void(shop)
    came(shop, 1)
    shop.run(1)
    assert "a late request: 1 came through edge/lb1" in void(shop)[0]
    shop.crash()


def test_a_late_request_between_clearing_and_the_next_look_counts_too() -> None:
    shop = retired()
    came(shop, 0)
    shop.balancers[LB1].pools[B, BLUE].arrived.clear()
    came(shop, 2)
    shop.run(1)
    assert "a late request: 2 came through edge/lb1" in void(shop)[0]


def test_what_counts_from_0_since_a_crash_is_remembered() -> None:
    shop = retired()
    shop.balancers[LB1].pools[B, BLUE].arrived.clear()
    shop.run(3)
    shop.crash()
    came(shop, 1)
    shop.run(1)
    assert void(shop)


def by_rows(shop: Shop, **counts: int) -> None:
    """Let both load balancers count each server of the old storefront by itself from now on, as in form `weights`."""

    def alter(seen: Observed) -> Observed:
        return replace(seen, instances={name: rows_of(one) for name, one in seen.instances.items()})

    def rows_of(reading: object) -> InstanceReading:
        assert isinstance(reading, InstanceReading)
        service = reading.services[B]
        rows = {ServerName(name): count for name, count in counts.items()}
        lives = service.pools[BLUE].arrived
        total = dict.fromkeys(lives, sum(rows.values()))
        blue = replace(service.pools[BLUE], arrived=total, rows=dict.fromkeys(lives, rows))
        pools = {**service.pools, BLUE: blue}
        return replace(reading, services={**reading.services, B: replace(service, pools=pools)})

    shop.alter = alter


def retired_by_rows(**counts: int) -> Shop:
    """The same as `retired`, where each server is counted by itself."""
    shop = Shop(users=3)
    by_rows(shop, **counts)
    shop.drain(300, 60_000)
    assert shop.switch(B, A, version=2).accepted
    shop.until("retiring")
    shop.stop(B, BLUE)
    shop.stop(A, BLUE)
    shop.until("finished")
    shop.run(10)
    found = certificate(shop.state)
    assert found is not None
    assert set(map(sum, (rows.values() for one in found.rows.values() for rows in one.values()))) == {60}
    return shop


def test_a_server_that_is_taken_out_of_a_certified_pool_is_no_late_request() -> None:
    shop = retired_by_rows(one=10, two=20, three=30)
    by_rows(shop, one=10, three=30)
    shop.run(5)
    assert not void(shop)
    shop.crash()
    shop.run(5)
    assert not void(shop)
    assert certificate(shop.state) is not None
    by_rows(shop, one=10, three=32)
    shop.run(1)
    assert "a late request: 2 came through edge/lb1" in void(shop)[0]


def test_a_server_that_is_put_into_a_certified_pool_makes_it_be_proved_anew_and_pages_nobody() -> None:
    shop = retired_by_rows(one=60)
    by_rows(shop, one=60, other=5_000)
    shop.run(1)
    (said,) = void(shop)
    assert "but other of edge/lb1 is new in the pool, and was not counted when that was proved" in said
    shop.run(30)
    assert certificate(shop.state) is not None
    assert shop.state.record.services[B].blue.voided is None


def test_a_server_whose_count_was_cleared_is_told_by_what_it_counts_from_then_on() -> None:
    shop = retired_by_rows(one=10, two=50)
    by_rows(shop, one=0, two=50)
    shop.run(5)
    assert not void(shop)
    by_rows(shop, one=1, two=50)
    shop.run(1)
    assert "a late request: 1 came through edge/lb1" in void(shop)[0]


def test_without_a_journal_it_is_told_and_nobody_says_certified_any_more() -> None:
    shop = retired()
    assert shop.release is not None
    shop.journal_works = False
    came(shop, 7)
    shop.run(20)
    view = retired_view(shop.state, shop.release, B, shop.now)
    assert (view["certified"], certificate(shop.state)) == (False, None)
    assert shop.state.journal_error
    shop.journal_works = True
    shop.run(20)
    assert len(void(shop)) == 1


def test_at_the_first_look_nobody_says_certified_any_more() -> None:
    """The answer to CI does not wait for the decision."""
    shop = retired()
    assert shop.release is not None
    seen = shop.state.observed.instances[LB1]
    assert isinstance(seen, InstanceReading)
    service = seen.services[B]
    blue = service.pools[BLUE]
    more = replace(blue, arrived={life: count + 1 for life, count in blue.arrived.items()})
    services = {**seen.services, B: replace(service, pools={**service.pools, BLUE: more})}
    observed = replace(shop.state.observed, instances={LB1: replace(seen, services=services)})
    view = retired_view(replace(shop.state, observed=observed), shop.release, B, shop.now)
    assert (view["certified"], view["waits"][:47]) == (False, "its certificate is void: a late request came: 1")


def test_the_past_of_a_load_balancer_that_is_new_in_the_config_is_no_late_request() -> None:
    """Nobody knows whether it was before or after the proof: that is made anew, and nobody is paged."""
    shop = Shop(users=3)
    shop.drain(300, 60_000)

    def without(seen: Observed) -> Observed:
        return replace(seen, instances={LB1: seen.instances[LB1]})

    whole = shop.state.topology
    (plane,) = whole.planes.values()
    one = replace(plane, instances=tuple(each for each in plane.instances if each.name == LB1))
    shop._take(replace(whole, planes={plane.name: one}))
    shop.alter = without
    assert shop.switch(B, A, version=2).accepted
    shop.until("retiring")
    shop.stop(B, BLUE)
    shop.until("finished")
    shop.users = 0
    came(shop, 5_000, LB2)
    shop._take(replace(shop.state.topology, planes=whole.planes))
    shop.alter = lambda seen: seen
    shop.run(20)
    assert ["late request" in one for one in void(shop)] == [False]
    assert certificate(shop.state) is not None
    came(shop, 1, LB2)
    shop.run(1)
    assert "a late request: 1 came through edge/lb2" in void(shop)[-1]


def quiet(shop: Shop) -> int:
    return shop.state.topology.services[B].drain.quiet


def test_one_quiet_time_brings_no_certificate_back_that_a_late_request_made_void() -> None:
    """A cron job that calls every minute is quiet for most of it."""
    shop = retired()
    shop.users, once = 0, quiet(shop)
    came(shop, 1)
    shop.run(1)
    found = shop.state.record.services[B].blue.voided
    assert found is not None
    assert found.quiet >= max(10 * once, 2 * found.unused)
    assert f"certified again when nobody came for {seconds(found.quiet)}" in void(shop)[0]
    shop.run(2 * once // 100)
    assert certificate(shop.state) is None
    shop.crash()
    shop.run(20)
    assert shop.release is not None
    view = retired_view(shop.state, shop.release, B, shop.now)
    assert view["certified"] is False
    assert "its certificate was made void" in view["waits"]
    assert "1 came through edge/lb1" in view["voided"]["why"]
    shop.run(found.quiet // 100 + 3)
    assert certificate(shop.state) is not None
    again = retired_view(shop.state, shop.release, B, shop.now)
    assert (again["certified"], again["voided"]["times"], again["voided"]["standing"]) == (True, 1, False)


def test_every_further_late_request_needs_a_longer_quiet_time_than_the_pool_was_unused() -> None:
    shop = retired()
    shop.users = 0
    came(shop, 1)
    shop.run(1)
    first = shop.state.record.services[B].blue.voided
    assert first is not None
    shop.run(first.quiet // 100 + 3)
    assert certificate(shop.state) is not None
    came(shop, 1)
    shop.run(1)
    found = shop.state.record.services[B].blue.voided
    assert found is not None
    assert found.times == 2
    assert found.quiet >= max(2 * found.unused, 2 * first.quiet)
    shop.run(first.quiet // 100 + 3)
    assert certificate(shop.state) is None


def test_who_waits_for_the_certificate_is_told_that_it_was_void_and_a_claim_forgets_it() -> None:
    shop = retired()
    shop.users = 0
    came(shop, 1)
    shop.run(3)
    (line,) = [one for one in rest_lines(shop.state, [A, B], shop.now) if "may be in use" in one["what"]]
    assert "made void" in line["what"]
    shop.claim(B)
    assert shop.state.record.services[B].blue.voided is None


def test_a_late_caller_is_named_where_it_is_still_in_flight_else_where_to_look() -> None:
    shop = retired()
    came(shop, 1)
    shop.run(1)
    assert "access log says" in void(shop)[0]
    shop = retired()
    there = Holder(ServerName("s-blue-1"), Span(200), "10.0.0.7:4711")
    shop.alter = lambda seen: with_holder(seen, there)
    came(shop, 1)
    shop.run(1)
    assert "10.0.0.7:4711 is in flight at s-blue-1" in void(shop)[0]
    assert "log says" not in void(shop)[0]


def with_holder(seen: Observed, one: Holder) -> Observed:
    found = seen.instances[LB1]
    assert isinstance(found, InstanceReading)
    service = found.services[B]
    pools = {**service.pools, BLUE: replace(service.pools[BLUE], holders=(one,))}
    changed = replace(found, services={**found.services, B: replace(service, pools=pools)})
    return replace(seen, instances={**seen.instances, LB1: changed})

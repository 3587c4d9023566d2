"""A request that comes after the proof voids it, whatever became of the counters or of the journal meanwhile."""

from dataclasses import replace

from lbctl.core.state import State
from lbctl.daemon.retired_view import retired_view
from lbctl.model.entry import Kind
from lbctl.model.names import Colour, InstanceName
from lbctl.model.reading import InstanceReading, Observed
from lbctl.model.record import Certificate
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


def test_a_load_balancer_that_is_new_in_the_config_voids_nothing_by_its_past() -> None:
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
    assert not void(shop)
    came(shop, 1, LB2)
    shop.run(1)
    assert "a late request: 1 came through edge/lb2" in void(shop)[0]

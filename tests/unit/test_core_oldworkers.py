"""A load balancer that was reloaded and does not show its old workers: no restart of lbctl forgets it."""

from dataclasses import replace

from lbctl.core.emptiness import emptiness
from lbctl.model.entry import Kind
from lbctl.model.names import Colour, InstanceName
from lbctl.model.reading import InstanceReading, Observed
from tests.shop import LB1, LB2, A, B, Shop

NO_MASTER = "NO_MASTER_SOCKET: old workers of a reload cannot be seen or written; set `master_socket`"


def hidden(seen: Observed) -> Observed:
    """What is seen of `LB1` without a master socket: its newest worker alone."""
    one = seen.instances[LB1]
    assert isinstance(one, InstanceReading)
    mine = {
        name: replace(service, runtime={one.generation: service.runtime[one.generation]})
        for name, service in one.services.items()
    }
    alone = replace(one, services=mine, draining_generations=(), warnings=(NO_MASTER,), blind=True)
    return replace(seen, instances={**seen.instances, LB1: alone})


def waits(shop: Shop) -> str:
    return emptiness(shop.state, B, Colour.BLUE, shop.now).waits


def test_a_reload_that_hides_old_workers_is_remembered_until_they_can_be_seen() -> None:
    shop = Shop(users=3)
    shop.alter = hidden
    shop.drain(300, 3_000)
    assert shop.switch(B, A, version=2).accepted
    shop.until("draining")
    shop.reload(LB1)
    shop.run(2)
    shop.crash()
    shop.drain(300, 3_000)
    shop.until("finished")
    shop.run(30)
    assert shop.state.record.services[B].blue.certificate is None
    life = shop.balancers[LB1].generation
    assert waits(shop) == (
        f"edge/lb1: OLD_WORKERS_UNSEEN: it was reloaded or restarted when {life} began, and old workers may still "
        "route; set `master_socket`"
    )
    balancer = shop.balancers[LB1]
    balancer.runtime = {balancer.generation: balancer.runtime[balancer.generation]}
    shop.alter = lambda seen: seen
    shop.run(30)
    assert not shop.state.record.unseen
    assert shop.state.record.services[B].blue.certificate is not None


def test_a_reload_while_lbctl_was_away_is_remembered_too() -> None:
    shop = Shop(users=3)
    shop.alter = hidden
    shop.run(5)
    shop.reload(LB1)
    shop.crash()
    shop.run(5)
    shop.crash()
    shop.run(5)
    assert shop.state.record.unseen == {LB1: shop.balancers[LB1].generation}


def test_a_reload_that_lowers_the_share_hides_old_workers_just_as_well() -> None:
    """The lowering is decided at once, and with it that this life is known."""
    shop = Shop(users=3)
    shop.alter = hidden
    assert shop.switch(B, A, version=2).accepted
    shop.until("shifting")
    shop.run(12)
    balancer = shop.balancers[LB1]
    balancer.boot[B] = replace(balancer.boot[B], green_bp=0)
    shop.reload(LB1)
    shop.run(30)
    assert [one for one in shop.told if one.kind is Kind.DRIFT_FOUND]
    assert shop.state.record.unseen == {LB1: balancer.generation}


def test_a_load_balancer_under_another_name_in_the_config_hides_them_still() -> None:
    shop = Shop(users=3)
    shop.alter = hidden
    shop.run(5)
    shop.reload(LB1)
    shop.run(5)
    other, (plane,) = InstanceName("edge/left"), shop.state.topology.planes.values()
    instances = tuple(replace(one, name=other) if one.name == LB1 else one for one in plane.instances)
    shop._take(replace(shop.state.topology, planes={plane.name: replace(plane, instances=instances)}))

    def renamed(seen: Observed) -> Observed:
        found = hidden(seen).instances
        return replace(seen, instances={other: found[LB1], LB2: found[LB2]})

    shop.alter = renamed
    shop.run(5)
    assert shop.state.record.unseen[other] == shop.balancers[LB1].generation

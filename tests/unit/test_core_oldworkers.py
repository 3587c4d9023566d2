"""A load balancer that was reloaded and does not show its old workers: no restart of lbctl forgets it."""

from dataclasses import replace

from lbctl.core.emptiness import emptiness
from lbctl.model.names import Colour
from lbctl.model.reading import InstanceReading, Observed
from tests.shop import LB1, A, B, Shop

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

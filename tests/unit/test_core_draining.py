"""Servers that people drain: never the way back of a release, and none is forgotten before it is ready again."""

from dataclasses import replace

from lbctl.model.names import Colour, ServerName
from lbctl.model.reading import Admin
from lbctl.model.request import Answer, DrainServer, Rollback
from lbctl.model.units import Span
from tests.shop import LB1, PLAN, A, B, Shop

BLUE, GREEN = Colour.BLUE, Colour.GREEN


def drain(shop: Shop, colour: Colour, number: int, *, on: bool = True) -> Answer:
    server = ServerName(f"s-{colour}-{number}")
    return shop.ask(DrainServer(id=next(shop._ids), actor="ann", service=B, colour=colour, server=server, on=on))


def admin(shop: Shop, colour: Colour, number: int) -> Admin:
    return shop.balancers[LB1].pools[B, colour].servers[ServerName(f"s-{colour}-{number}")].admin


def test_the_way_back_of_a_release_that_drains_is_not_drained_away_and_a_rollback_comes_home() -> None:
    shop = Shop()
    assert shop.switch(B, A, version=2, plan=replace(PLAN, retain=Span(600_000))).accepted
    shop.until("draining")
    answers = [drain(shop, BLUE, number) for number in range(7)]
    assert [one.accepted for one in answers] == [True] * 3 + [False] * 4
    assert answers[-1].body["code"] == "last_capacity"
    assert "blue is the way back of release 1" in str(answers[-1].body["why"])
    shop.run(20)
    assert shop.on_release(Rollback).accepted
    shop.until("rolled_back")
    assert not shop.failed_users


def test_an_old_pool_that_is_past_the_point_of_no_return_may_be_drained_whole() -> None:
    shop = Shop()
    shop.drain(300, 60_000)
    assert shop.switch(B, A, version=2).accepted
    shop.until("retiring")
    assert all(drain(shop, BLUE, number).accepted for number in range(7))


def test_an_undrain_while_the_drain_is_under_way_is_not_forgotten() -> None:
    shop = Shop()
    shop.orders_arrive = False
    assert drain(shop, GREEN, 0).accepted
    shop.run(3)
    assert shop.orders
    # Nothing was carried out yet, so it still reads as ready: the first order may come after this one.
    assert drain(shop, GREEN, 0, on=False).accepted
    shop.run(5)
    assert shop.state.record.services[B].drained
    shop.let_orders_go()
    shop.run(40)
    assert admin(shop, GREEN, 0) is Admin.READY
    assert not shop.state.record.services[B].drained

"""Servers that people drain: never the way back of a release, and none is forgotten before it is ready again."""

from dataclasses import replace

from lbctl.cli.commands.draining import _said
from lbctl.cli.screens.blocks import servers
from lbctl.daemon.rest_view import rest_lines
from lbctl.daemon.server_views import server_views
from lbctl.model.entry import Kind
from lbctl.model.names import Colour, ServerName
from lbctl.model.reading import Admin
from lbctl.model.request import Answer, DrainServer, Maintenance, Rollback
from lbctl.model.units import Span
from tests.shop import LB1, LB2, PLAN, A, B, Shop

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


def test_a_drained_server_is_up_and_says_who_drained_it_and_the_way_back() -> None:
    shop = Shop()
    assert drain(shop, BLUE, 0).accepted
    shop.run(400)
    view = server_views(shop.state, shop.state.topology.services[B])["s-blue-0"]
    assert (view["up"], view["draining"]) == (True, True)
    assert view["detail"] == "drained by ann: it keeps its sessions; lbctl undrain storefront/blue/s-blue-0"
    assert not [one for one in shop.told if one.kind is Kind.SERVER_CHANGED]
    (line,) = (one for one in rest_lines(shop.state, [B], shop.now) if one["code"] == "drained")
    assert (line["needs"], line["what"][:35]) == (
        "lbctl undrain storefront/blue/s-blue-0",
        "s-blue-0 of storefront is drained b",
    )
    assert shop.state.wells[B, BLUE].trouble() == (
        "s-blue-0: edge/lb1 drains it (lbctl undrain storefront/blue/s-blue-0)"
    )


def test_a_drained_server_that_fails_is_down() -> None:
    shop = Shop()
    assert drain(shop, BLUE, 0).accepted
    for balancer in shop.balancers.values():
        balancer.pools[B, BLUE].servers[ServerName("s-blue-0")].up = False
    shop.run(20)
    view = server_views(shop.state, shop.state.topology.services[B])["s-blue-0"]
    assert (view["up"], view["draining"]) == (False, False)


def test_what_a_hand_drained_is_undrained_and_what_nobody_drained_is_said_to_be_so() -> None:
    shop = Shop()
    shop.run(5)
    answer = drain(shop, BLUE, 0, on=False)
    assert (answer.accepted, answer.body["already"]) == (True, True)
    for balancer in shop.balancers.values():
        balancer.pools[B, BLUE].servers[ServerName("s-blue-0")].admin = Admin.DRAIN
    shop.run(5)
    view = server_views(shop.state, shop.state.topology.services[B])["s-blue-0"]
    assert view["detail"].startswith("drained, not by lbctl")
    answer = drain(shop, BLUE, 0, on=False)
    assert (answer.accepted, answer.body["already"]) == (True, False)
    shop.run(40)
    assert admin(shop, BLUE, 0) is Admin.READY
    assert not shop.state.record.services[B].drained


def test_in_maintenance_a_drain_is_an_order_that_waits_and_everybody_says_so() -> None:
    shop = Shop()
    shop.run(5)
    assert shop.ask(Maintenance(id=next(shop._ids), actor="ann", service=None, on=True)).accepted
    answer = drain(shop, GREEN, 0)
    assert answer.accepted
    assert answer.body["waits"] == "maintenance is on: load balancers are told nothing; lbctl maintenance off"
    assert _said(dict(answer.body)).splitlines() == [
        "storefront/green/s-green-0   ◐ ordered to drain, not written yet: it gets new sessions until then",
        f"  waits  {answer.body['waits']}",
        "  back   lbctl undrain storefront/green/s-green-0",
    ]
    shop.run(20)
    assert admin(shop, GREEN, 0) is Admin.READY
    views = server_views(shop.state, shop.state.topology.services[B])
    assert views["s-green-0"]["detail"] == f"is to be drained, says ann; {answer.body['waits']}"
    (_, row) = servers({"storefront": {"servers": views}}, every=False)
    assert "◐ ordered" in row
    (line,) = (one for one in rest_lines(shop.state, [B], shop.now) if one["code"] == "drained")
    assert line["what"] == f"s-green-0 of storefront is to be drained, says ann: {answer.body['waits']}"
    assert [one.text for one in shop.told if one.kind is Kind.SERVER_DRAINED] == [
        "s-green-0 of storefront is to be drained when maintenance ends"
    ]
    assert shop.ask(Maintenance(id=next(shop._ids), actor="ann", service=None, on=False)).accepted
    shop.run(40)
    assert admin(shop, GREEN, 0) is Admin.DRAIN
    assert "drained by ann" in server_views(shop.state, shop.state.topology.services[B])["s-green-0"]["detail"]


def test_an_undrain_of_a_server_that_a_hand_took_out_says_so_and_how_it_comes_back() -> None:
    shop = Shop()
    for name in (LB1, LB2):
        shop.balancers[name].pools[B, BLUE].servers[ServerName("s-blue-0")].admin = Admin.MAINT
    shop.run(5)
    answer = drain(shop, BLUE, 0, on=False)
    assert (answer.accepted, answer.body["already"]) == (True, True)
    text = f"{LB1}, {LB2} have it in maintenance (MAINT), which lbctl did not order and does not end"
    assert str(answer.body["waits"]).startswith(f"{text}; there: set server ")
    first, second = _said(dict(answer.body)).splitlines()
    assert first == "storefront/blue/s-blue-0   ◐ was not drained"
    assert second == f"  waits  {answer.body['waits']}"
    shop.run(5)
    assert admin(shop, BLUE, 0) is Admin.MAINT
    assert shop.ask(Maintenance(id=next(shop._ids), actor="ann", service=None, on=True)).accepted
    assert drain(shop, BLUE, 1, on=False).body["waits"] == ""

"""Stick tables in HAProxy's words: who is bound where, whatever users put into a key, and what is said to clear it."""

from dataclasses import replace

import pytest

from lbctl.dataplane.haproxy.serverstate import State
from lbctl.dataplane.haproxy.sticktables import Bound, clearing, entries_of, lifted, of_pool, strange_tables, tables_of
from lbctl.model.names import Colour
from lbctl.model.route import Route
from lbctl.model.topology import HaproxyBinding, HaproxyForm
from tests.shop import TOPOLOGY, B

BACKEND = "shop_all"
BINDING = HaproxyBinding(backends=dict.fromkeys(Colour, BACKEND), cookie="SRV", bucket_cookie="LBK")
SHOP = replace(TOPOLOGY.services[B], haproxy=replace(BINDING, form=HaproxyForm.WEIGHTS))
STATES = {
    server.name: State("3", str(number), 1, 1, 0, "80")
    for number, server in enumerate((*SHOP.blue.servers, *SHOP.green.servers), 1)
}
HEAD = "# table: shop_all, type: string, size:10240, used:1"
LEFT = Route(10_000, 0)


def line(key: str, data: str) -> str:
    return f"0x55c10e8b5480: key={key} use=0 exp=1800000{data}"


def read(*lines: str, head: str = HEAD) -> list[Bound]:
    return list(entries_of(BACKEND, [head, *lines]))


def test_an_entry_is_of_the_pool_whose_server_it_names_and_by_its_number_where_it_names_none() -> None:
    found = read(
        line("a", " server_id=1 server_key=s-blue-0"),
        line("b", " server_id=1 http_req_rate(10000)=0 server_key=s-green-3"),
        line("c", " shard=0 server_id=2 server_key=-"),
        line("d", " server_id=0"),
        line("e", " server_id=3 server_key=192.0.2.3:0"),
    )
    assert [one.key for one in of_pool(SHOP, Colour.BLUE, STATES, found)] == ["a", "c", "e"]
    assert "b" in [one.key for one in of_pool(SHOP, Colour.GREEN, STATES, found)], "the name counts, not the number"
    elsewhere = [replace(one, table="elsewhere") for one in found]
    assert [one.key for one in of_pool(SHOP, Colour.BLUE, STATES, elsewhere)] == ["a", "e"]


def test_a_key_cannot_pretend_to_be_bound_elsewhere() -> None:
    (only,) = read(line("x use=0 exp=1 server_id=9 server_key=s-green-0", " server_id=1 server_key=s-blue-0"))
    assert (only.number, only.name, only.sayable) == ("1", "s-blue-0", False)
    assert read("0x1: key=cut off", "No such table", "") == []


@pytest.mark.parametrize("key", ["a b", "x;shutdown frontend shop", "\\;", "<<", "é", "", "k" * 201, "a\tb"])
def test_what_is_no_plain_word_is_never_said_on_the_command_line(key: str) -> None:
    found = read(line(key, " server_id=1 server_key=s-blue-0"), line("kept", " server_id=1 server_key=s-green-0"))
    assert clearing(SHOP, STATES, found, LEFT) == []
    alone = found[:1]
    assert clearing(SHOP, STATES, alone, LEFT) == ["clear table shop_all data.server_id eq 1"]


def test_only_pools_that_get_nothing_new_are_cleared_and_only_above_their_limit() -> None:
    found = read(*(line(f"k{n}", " server_id=1 server_key=s-blue-0") for n in range(20)))
    low = sorted(one.bucket for one in found)[10]
    assert clearing(SHOP, STATES, found, Route(5_000, 0)) == []
    assert clearing(SHOP, STATES, found, Route(10_000)) == []
    said = clearing(SHOP, STATES, found, Route(10_000, low))
    assert sorted(said) == sorted(f"clear table shop_all key {one.key}" for one in found if one.bucket >= low)


def test_a_binary_key_is_shown_otherwise_than_it_is_said() -> None:
    (only,) = read(
        line("0A0B", " server_id=1 server_key=s-blue-0"), head="# table: shop_all, type: binary, size:1, used:1"
    )
    assert not only.sayable


def test_whoever_is_still_bound_is_honoured_whatever_the_map_says() -> None:
    assert lifted(LEFT, {Colour.BLUE: (3, 17)}) == Route(10_000, 18)
    assert lifted(Route(10_000, 500), {Colour.BLUE: (3, 17)}) == Route(10_000, 500)
    assert lifted(LEFT, {Colour.GREEN: (9_999,), Colour.BLUE: ()}) == LEFT


def test_tables_of_services_that_have_a_backend_for_each_colour_bind_inside_one() -> None:
    apart = {Colour.BLUE: "till_blue", Colour.GREEN: "till_green"}
    till = replace(SHOP, haproxy=replace(BINDING, backends=apart, form=HaproxyForm.MAP))
    assert strange_tables([SHOP, till]) == {"till_blue", "till_green"}
    assert tables_of([HEAD, "# table: a,b, type: ip, size:1, used:0", "nonsense"]) == ["shop_all", "a"]

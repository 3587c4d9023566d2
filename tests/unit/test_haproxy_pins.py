"""Pins on HAProxy: what is rendered for them, in which order they are written, and how the counts are read."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from lbctl.dataplane.haproxy.callers import addresses
from lbctl.dataplane.haproxy.pins import Pins, parse_table
from lbctl.dataplane.haproxy.render import render
from lbctl.model.errors import Garbled
from lbctl.model.names import Colour, ServerName, ServiceName
from lbctl.model.route import Caller, Cell, Pin, Route
from lbctl.model.topology import Address, Consumer, HaproxyForm, PinKind, Pool, Protocol, Server, Service
from tests.unit.test_haproxy_render import EVIL, INSTANCE, SERVICE

TILL, WEB = ServiceName("till"), ServiceName("web")
BLUE, GREEN = (Caller(TILL, colour) for colour in Colour)
LISTENERS = {Colour.BLUE: Address("10.0.0.5", 8001), Colour.GREEN: Address("10.0.0.5", 8002)}
LISTENER = Consumer(kind=PinKind.LISTENER, listeners=LISTENERS)
SOURCE = Consumer(kind=PinKind.SOURCE)
HEADER = Consumer(kind=PinKind.HEADER, header="X-Calling")


def called_by(**consumers: Consumer) -> Service:
    return replace(SERVICE, consumers={ServiceName(name): consumer for name, consumer in consumers.items()})


def living_at(name: ServiceName, blue: str, green: str) -> Service:
    pools = [
        Pool(colour, (Server(ServerName(f"{name}-{colour}"), Address(host, 80)),))
        for colour, host in ((Colour.BLUE, blue), (Colour.GREEN, green))
    ]
    return replace(SERVICE, name=name, blue=pools[0], green=pools[1])


def test_without_consumers_nothing_of_pins_is_rendered() -> None:
    text = render(INSTANCE, [SERVICE])
    assert not [word for word in ("lb_pin", "lb_from", "peers", "socket-stats", "track") if word in text]


def test_a_consumer_by_listener_has_a_bind_for_each_pool() -> None:
    text = render(INSTANCE, [called_by(till=LISTENER)])
    assert "    bind 10.0.0.5:8001 name till-blue\n    bind 10.0.0.5:8002 name till-green\n" in text
    assert "shop.callers" not in text, "no addresses are looked at"


@pytest.mark.parametrize(("tls", "protocol"), [(True, Protocol.HTTP), (False, Protocol.GRPC), (True, Protocol.GRPC)])
def test_callers_speak_what_users_speak(tls: bool, protocol: Protocol) -> None:
    text = render(INSTANCE, [replace(called_by(till=LISTENER), listen_tls=tls, protocol=protocol)])
    lines = [line for line in text.splitlines() if line.startswith("    bind ")]
    assert len(lines) == 3
    assert len({re.sub(r"bind \S+|name \S+|\s", "", line) for line in lines}) == 1


@pytest.mark.parametrize("taken", [Address("10.0.0.5", 8000), Address("10.0.0.5", 8002)])
def test_a_listener_that_two_share_is_refused(taken: Address) -> None:
    shared = replace(LISTENER, listeners=LISTENERS | {Colour.BLUE: taken})
    with pytest.raises(Garbled, match=r"services\.shop\.consumers\.till\.\w+: 10\.0\.0\.5:800[02] is taken"):
        render(INSTANCE, [called_by(till=shared)])


def test_addresses_say_who_calls_or_whose_header_is_believed() -> None:
    shop = called_by(till=SOURCE, web=HEADER)
    services = [shop, living_at(TILL, "10.0.2.1", "10.0.2.2"), living_at(WEB, "10.0.3.1", "10.0.3.1")]
    assert addresses(shop, services) == {"10.0.2.1": "till-blue", "10.0.2.2": "till-green", "10.0.3.1": "header"}


@pytest.mark.parametrize(
    ("service", "services", "why"),
    [
        (called_by(till=SOURCE), [living_at(TILL, "10.0.2.1", "10.0.2.1")], "till-blue and till-green call from"),
        (
            called_by(till=SOURCE, web=HEADER),
            [living_at(TILL, "10.0.2.1", "10.0.2.2"), living_at(WEB, "10.0.2.1", "10.0.3.1")],
            "till-blue and header call from",
        ),
        (called_by(till=SOURCE), [], "till: it is not behind the same data plane"),
        (called_by(till=replace(HEADER, header=None)), [living_at(TILL, "1.1.1.1", "1.1.1.2")], "header is needed"),
    ],
)
def test_callers_that_cannot_be_told_apart_are_refused(service: Service, services: list[Service], why: str) -> None:
    with pytest.raises(Garbled, match=why):
        render(INSTANCE, [service, *services])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda one: replace(one, protocol=Protocol.TCP), "TCP has no headers"),
        (lambda one: replace(one, haproxy=replace(one.haproxy, form=HaproxyForm.WEIGHTS)), "form weights cannot pin"),
    ],
)
def test_what_cannot_pin_is_refused(change: Callable[[Service], Service], why: str) -> None:
    with pytest.raises(Garbled, match=why):
        render(INSTANCE, [change(called_by(till=HEADER)), living_at(TILL, "10.0.2.1", "10.0.2.2")])


PLACES: dict[str, Callable[[str], list[Service]]] = {
    "consumer": lambda text: [called_by(**{text: LISTENER})],
    "listener": lambda text: [
        called_by(till=replace(LISTENER, listeners=LISTENERS | {Colour.BLUE: Address(text or " ", 80)}))
    ],
    "header": lambda text: [
        called_by(till=replace(HEADER, header=text or " ")), living_at(TILL, "10.0.2.1", "10.0.2.2")
    ],
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_no_word_about_callers_can_say_more_than_a_word(place: str) -> None:
    assert render(INSTANCE, PLACES[place]("x1"))
    for text in EVIL:
        if place == "consumer" and not text:
            continue
        with pytest.raises(Garbled, match="cannot stand in HAProxy's configuration"):
            render(INSTANCE, PLACES[place](text))


def test_a_consumer_passes_no_header_of_its_users_on() -> None:
    text = render(INSTANCE, [called_by(till=HEADER), living_at(TILL, "10.0.2.1", "10.0.2.2")])
    _, till = text.split("\nfrontend till\n")
    assert "    http-request del-header X-Calling\n" in till
    assert "lb_from" not in till


def test_who_is_pinned_is_pinned_before_the_split_moves_and_who_is_let_go_after_it() -> None:
    pins = Pins(INSTANCE, called_by(till=LISTENER), [])
    for blue, green, order in (
        (Pin.BLUE, Pin.SPLIT, ["shop<till-blue", "shop", "shop<till-green"]),
        (Pin.SPLIT, Pin.GREEN, ["shop<till-green", "shop", "shop<till-blue"]),
        (Pin.NONE, Pin.BLUE, ["shop<till-blue", "shop<till-green", "shop"]),
        (Pin.SPLIT, Pin.SPLIT, ["shop", "shop<till-blue", "shop<till-green"]),
    ):
        entries = pins.entries(Route(0, pins=((BLUE, blue), (GREEN, green))), "0:1:2")
        assert list(entries) == order
        assert entries == {"shop": "0:1:2", "shop<till-blue": blue, "shop<till-green": green}


def test_pins_are_those_of_the_callers_all_of_them_and_in_their_order() -> None:
    pins = Pins(INSTANCE, called_by(till=LISTENER), [])
    right = ((BLUE, Pin.BLUE), (GREEN, Pin.NONE))
    assert pins.refusal(Route(0, pins=right)) == ""
    for wrong in ((), right[:1], right[::-1], ((Caller(WEB, Colour.BLUE), Pin.BLUE), *right)):
        assert "its callers are till-blue till-green" in pins.refusal(Route(0, pins=wrong))


def test_an_entry_that_is_no_pin_is_none() -> None:
    pins = Pins(INSTANCE, called_by(till=LISTENER), [])
    for text in ("", "Blue", "blue ", "blue:1", "0:0:0", "off"):
        entries = {"shop<till-blue": text, "shop<till-green": "none", "shop": "0:0:0"}
        assert pins.read(entries) == ((BLUE, Pin.SPLIT), (GREEN, Pin.NONE))
        assert list(pins.damaged(entries)) == ["shop<till-blue"]
    assert pins.read({}) == ((BLUE, Pin.SPLIT), (GREEN, Pin.SPLIT))


def test_the_table_is_read_as_any_version_prints_it_and_foreign_rows_are_left_out() -> None:
    lines = [
        "# table: lbctl_shop/calls, type: string, size:1024, used:4",
        "0x5639bbfc0068: key=till-blue>green use=0 exp=0 http_req_cnt=2",
        "0x5639bbffe668: key=unknown>blue use=1 exp=0 shard=0 http_req_cnt=4000000000",
        "0x5639bbffe668: key=a-blue-green>blue use=0 exp=0 conn_cnt=7",
        "0x1: key=unknown use=0 exp=0 http_req_cnt=2",
        "0x1: key=till-blue>red use=0 exp=0 http_req_cnt=2",
        "0x1: key=blue>blue use=0 exp=0 http_req_cnt=2",
        "0x1: key=till-blue>blue use=0 exp=0 http_req_cnt=",
        "",
    ]
    assert parse_table(lines) == {
        Cell(BLUE, Colour.GREEN): 2,
        Cell(None, Colour.BLUE): 4_000_000_000,
        Cell(Caller(ServiceName("a-blue"), Colour.GREEN), Colour.BLUE): 7,
    }

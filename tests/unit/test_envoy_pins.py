"""What pins become in Envoy's words, and what is believed of who calls, without an Envoy."""

import json
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
import yaml

from lbctl.dataplane.envoy.callers import ROUTING, SOURCE, STAMP, Callers, callers_of, in_pieces
from lbctl.dataplane.envoy.layout import layout_of
from lbctl.dataplane.envoy.limits import ability
from lbctl.dataplane.envoy.listeners import doors, listeners
from lbctl.dataplane.envoy.proposal import proposal
from lbctl.dataplane.envoy.render import routes_file
from lbctl.dataplane.envoy.routefile import SLOT_BYTES, slot_bytes
from lbctl.dataplane.envoy.routes import route_configuration
from lbctl.dataplane.envoy.survey import survey
from lbctl.dataplane.envoy.version import Written, parse
from lbctl.model.errors import Garbled
from lbctl.model.names import Colour, InstanceName, ServerName, ServiceName
from lbctl.model.route import UNKNOWN, Caller, Pin, Route
from lbctl.model.topology import Address, Consumer, Instance, PinKind, Pool, Protocol, Server, Service
from tests.unit.test_envoy_routes import a_service
from tests.unit.test_envoy_survey import dumped

Json = dict[str, Any]
STOREFRONT = ServiceName("storefront")
BLUE, GREEN = (Caller(STOREFRONT, colour) for colour in Colour)
LISTENERS = {colour: Address("127.0.0.1", 9100 + place) for place, colour in enumerate(Colour)}
BY = {
    PinKind.LISTENER: Consumer(kind=PinKind.LISTENER, listeners=LISTENERS),
    PinKind.SOURCE: Consumer(kind=PinKind.SOURCE),
    PinKind.HEADER: Consumer(kind=PinKind.HEADER, header="X-Pool"),
}
SAYS: Mapping[PinKind, Mapping[Caller, Mapping[str, str]]] = {
    PinKind.LISTENER: {caller: {STAMP: str(caller)} for caller in (BLUE, GREEN)},
    PinKind.SOURCE: {BLUE: {SOURCE: "10.0.2.12"}, GREEN: {SOURCE: "2001:db8::1"}},
    PinKind.HEADER: {caller: {"x-pool": str(caller), SOURCE: "10.0.2.11"} for caller in (BLUE, GREEN)},
}


def storefront() -> Service:
    hosts = {Colour.BLUE: ("10.0.2.11", "10.0.2.12"), Colour.GREEN: ("2001:0db8::0001",)}
    pools = [
        Pool(
            colour,
            tuple(Server(ServerName(f"{colour}-{n}"), Address(host, 80)) for n, host in enumerate(hosts[colour])),
        )
        for colour in Colour
    ]
    return replace(a_service(STOREFRONT), blue=pools[0], green=pools[1])


def accounts(kind: PinKind = PinKind.LISTENER, protocol: Protocol = Protocol.HTTP) -> Service:
    return replace(a_service("accounts"), consumers={STOREFRONT: BY[kind]}, protocol=protocol)


def routed(service: Service, route: Route) -> list[Json]:
    callers = callers_of(service, [service, storefront()])
    routes: list[Json] = route_configuration(service, Written(1, route), callers)["virtual_hosts"][0]["routes"]
    return routes


def taken(routes: list[Json], headers: Mapping[str, str], draw: int = 0) -> Json:
    """The first route that Envoy would take."""
    for route in routes:
        part = route["match"].get("runtime_fraction", {"default_value": {"numerator": 10_000}})["default_value"]
        if draw < part["numerator"] and all(_meets(one, headers) for one in route["match"].get("headers", [])):
            return route
    raise AssertionError(headers)


def _meets(match: Json, headers: Mapping[str, str]) -> bool:
    said, wanted = headers.get(match["name"]), match["string_match"]
    if said is None:
        return False
    return bool(
        re.fullmatch(wanted["safe_regex"]["regex"], said) if "safe_regex" in wanted else said == wanted["exact"]
    )


@pytest.mark.parametrize("kind", list(PinKind))
@pytest.mark.parametrize("green_bp", [0, 5_000, 10_000])
def test_a_pinned_pool_gets_its_pool_at_every_split_with_every_cookie(kind: PinKind, green_bp: int) -> None:
    for colour in Colour:
        routes = routed(accounts(kind), Route(green_bp, 0, 3_000, pins=((BLUE, Pin(colour)), (GREEN, Pin.SPLIT))))
        for cookie in ("", f"LBC_accounts={colour.other}.0123abcd"):
            found = taken(routes, {**SAYS[kind][BLUE], "cookie": cookie}, draw=4_999)
            assert found["route"]["cluster"] == f"accounts_{colour}"
            assert found["stat_prefix"] == f"storefront-blue_to_{colour}"


@pytest.mark.parametrize("kind", list(PinKind))
def test_a_refused_pool_gets_503_with_the_reason_and_no_server(kind: PinKind) -> None:
    found = taken(routed(accounts(kind), Route(0, pins=((BLUE, Pin.SPLIT), (GREEN, Pin.NONE)))), SAYS[kind][GREEN])
    assert found["direct_response"]["status"] == 503
    assert found["response_headers_to_add"][0]["header"] == {"key": "x-lbctl-refused", "value": "pin"}
    assert "route" not in found


@pytest.mark.parametrize("kind", list(PinKind))
def test_an_unpinned_pool_is_drawn_and_keeps_its_sessions_like_everybody_but_is_counted_apart(kind: PinKind) -> None:
    routes = routed(accounts(kind), Route(2_500, 5_000, pins=((BLUE, Pin.SPLIT), (GREEN, Pin.BLUE))))
    for says, name in ((SAYS[kind][BLUE], "storefront-blue"), ({}, "unknown")):
        drawn = [taken(routes, says, draw)["stat_prefix"] for draw in (0, 2_499, 2_500, 9_999)]
        assert drawn == [f"{name}_to_green"] * 2 + [f"{name}_to_blue"] * 2
        for cookie, colour in (("blue.00000000", "blue"), ("blue.fff00000", "green"), ("green.fff00000", "green")):
            found = taken(routes, {**says, "cookie": f"LBC_accounts={cookie}"}, 9_999)
            assert found["stat_prefix"] == f"{name}_to_{colour}"


def test_what_no_consumer_says_is_unknown_and_so_is_whoever_is_none_of_its_servers() -> None:
    routes = routed(accounts(PinKind.HEADER), Route(0, pins=((BLUE, Pin.GREEN), (GREEN, Pin.GREEN))))
    for said in ("", "storefront", "storefront-blue,storefront-green", "Storefront-blue", "x-storefront-blue"):
        assert taken(routes, {"x-pool": said, SOURCE: "10.0.2.11"})["stat_prefix"] == "unknown_to_blue", said
    outsider = {"x-pool": "storefront-blue", SOURCE: "10.0.2.13"}
    assert taken(routes, outsider)["stat_prefix"] == "unknown_to_blue"


def test_a_listener_says_more_than_a_header_and_a_header_more_than_an_address() -> None:
    others = {ServiceName(name): BY[kind] for name, kind in (("aaa", PinKind.SOURCE), ("bbb", PinKind.HEADER))}
    service = replace(accounts(), consumers={**others, STOREFRONT: BY[PinKind.LISTENER]})
    found = callers_of(service, [service, *(replace(storefront(), name=name) for name in others)])
    assert [caller.service for caller in found.marks] == [STOREFRONT] * 2 + ["bbb"] * 2 + ["aaa"] * 2


@pytest.mark.parametrize("pin", list(Pin))
def test_every_cell_has_a_route_whatever_the_pins_are_and_none_takes_what_is_not_its_own(pin: Pin) -> None:
    routes = routed(accounts(), Route(0, pins=((BLUE, pin), (GREEN, pin))))
    cells = {f"{name}_to_{colour}" for name in (BLUE, GREEN, UNKNOWN) for colour in Colour}
    assert {route["stat_prefix"] for route in routes if "stat_prefix" in route} == cells
    everyone = next(place for place, route in enumerate(routes) if route["match"] == {"prefix": "/"})
    assert {route["name"] for route in routes[everyone + 1 :]} == {"counted"}


def test_without_consumers_nothing_is_counted_by_route() -> None:
    assert "stat_prefix" not in json.dumps(routed(a_service(), Route(5_000)))


def test_what_routes_a_request_is_taken_away_before_a_server_sees_it() -> None:
    service, entry = accounts(PinKind.HEADER), storefront()
    seen = [
        route_configuration(one, Written(1, Route(0)), callers_of(one, [service, entry]))["virtual_hosts"][0]
        for one in (service, entry)
    ]
    assert [one["request_headers_to_remove"] for one in seen] == [[*ROUTING, "x-pool"]] * 2


def test_a_listener_with_users_is_the_same_whoever_else_calls() -> None:
    layout = layout_of(Instance(name=InstanceName("edge/lb1"), directory="/e"))
    plain = replace(accounts(), consumers={})
    for kind in PinKind:
        assert listeners(accounts(kind), [], layout)[0] == listeners(plain, [], layout)[0]
    assert [*doors(accounts())] == ["accounts", "accounts/storefront-blue", "accounts/storefront-green"]


def test_pools_that_share_an_address_are_refused_by_name() -> None:
    shared = replace(storefront(), green=replace(storefront().blue, colour=Colour.GREEN))
    with pytest.raises(
        Garbled, match=r"accounts: 10\.0\.2\.1[12] is both storefront-blue and storefront-green.*listener"
    ):
        callers_of(accounts(PinKind.SOURCE), [shared])
    assert callers_of(accounts(PinKind.LISTENER), [shared]).untold == {}


@pytest.mark.parametrize("header", [None, "", "a b", "a\r\nb", "x-lbctl-caller", "Cookie", ":path", "x" * 64])
def test_a_header_that_cannot_be_one_is_refused(header: str | None) -> None:
    service = replace(accounts(), consumers={STOREFRONT: Consumer(kind=PinKind.HEADER, header=header)})
    with pytest.raises(Garbled, match=r"accounts: .* cannot be the header"):
        callers_of(service, [service, storefront()])


def _untold() -> Iterator[tuple[Service, Callers]]:
    behind = accounts(PinKind.SOURCE)
    yield behind, callers_of(behind, [behind])
    tcp = accounts(PinKind.HEADER, Protocol.TCP)
    yield tcp, callers_of(tcp, [tcp, storefront()])


def test_pools_that_nothing_tells_apart_are_said_beforehand_and_never_pinned() -> None:
    for service, callers in _untold():
        assert any(text.startswith("NO_PINS: accounts: ") for text in ability(service, (), callers).cannot)
        assert callers.refusal(Route(0, pins=((BLUE, Pin.GREEN),)))
        assert not callers.refusal(Route(0, pins=((BLUE, Pin.SPLIT),)))


def test_pins_are_part_of_the_version_and_nothing_else_is_believed() -> None:
    odd = Caller(ServiceName("a.b-blue"), Colour.GREEN)
    written = Written(17, Route(2_500, 10_000, 0, pins=((BLUE, Pin.NONE), (odd, Pin.SPLIT))))
    assert str(written) == "17;2500:10000:0 storefront-blue=none a.b-blue-green=split"
    assert parse(str(written)) == written
    for wrong in (" x=blue", " a-blue=red", "  a-blue=blue", " a-blue=blue ", " -blue=blue", " a-blue"):
        assert parse(f"17;2500:10000:0{wrong}") is None, wrong
    rng = random.Random(7)
    for _ in range(200):
        parse("1;0:0:0" + "".join(rng.choices(" ab-=blue", k=rng.randrange(20))))


def test_the_file_of_many_callers_has_room_for_its_longest_route_twice() -> None:
    names = [ServiceName(f"caller-{number:02d}" + "x" * 50) for number in range(20)]
    many = replace(storefront(), blue=replace(storefront().blue, servers=_servers(300)))
    service = replace(
        accounts(), consumers=dict.fromkeys(names, BY[PinKind.LISTENER]) | {STOREFRONT: BY[PinKind.SOURCE]}
    )
    callers = callers_of(service, [many])
    size = slot_bytes(service, callers)
    assert slot_bytes(a_service(), Callers()) == SLOT_BYTES
    for pin in Pin:
        written = Written(10**17, Route(9_999, 2_345, 6_789, pins=tuple((caller, pin) for caller in callers.marks)))
        assert len(routes_file(service, written, callers)) * 2 <= size
        assert parse(str(written)) == written


def test_many_addresses_are_all_matched_in_few_pieces() -> None:
    values = sorted(str(server.address.host) for server in _servers(1_000))
    pieces = in_pieces(values)
    assert [value for piece in pieces for value in piece] == values
    assert len(pieces) < 40
    assert in_pieces([]) == []


def _servers(number: int) -> tuple[Server, ...]:
    return tuple(Server(ServerName(f"s-{n}"), Address(f"10.1.{n // 250}.{n % 250 + 1}", 80)) for n in range(number))


@pytest.mark.parametrize("protocol", list(Protocol))
@pytest.mark.parametrize("kind", list(PinKind))
def test_the_proposal_tells_all_callers_apart(kind: PinKind, protocol: Protocol) -> None:
    services = [accounts(kind, protocol), storefront()]
    layout = layout_of(Instance(name=InstanceName("edge/lb1"), directory="/var/lib/lbctl/e"))
    assert survey(dumped(*services), services, layout).faults == []
    text = proposal(InstanceName("edge/lb1"), layout, services)
    named = [one["name"] for one in yaml.safe_load(text)["static_resources"]["listeners"]]
    assert ("accounts/storefront-green" in named) is (kind is PinKind.LISTENER)


@pytest.mark.parametrize("protocol", list(Protocol))
@pytest.mark.parametrize("kind", list(PinKind))
def test_listeners_that_do_not_say_who_calls_are_a_fault(kind: PinKind, protocol: Protocol) -> None:
    services = [accounts(kind, protocol), storefront()]
    layout = layout_of(Instance(name=InstanceName("edge/lb1"), directory="/var/lib/lbctl/e"))
    broken = json.loads(
        json.dumps(dumped(*services)).replace(STAMP if kind is PinKind.LISTENER else SOURCE, "x-something-else")
    )
    faults = survey(broken, services, layout).faults
    assert faults
    assert all(fault.startswith("accounts: ") and "lbctl config render envoy" in fault for fault in faults)
    assert all((STAMP if kind is PinKind.LISTENER else SOURCE) in fault for fault in faults)


def test_a_listener_that_adds_to_what_a_client_wrote_is_a_fault() -> None:
    services = [accounts(PinKind.SOURCE), storefront()]
    layout = layout_of(Instance(name=InstanceName("edge/lb1"), directory="/var/lib/lbctl/e"))
    broken = json.loads(json.dumps(dumped(*services)).replace("OVERWRITE_IF_EXISTS_OR_ADD", "ADD_IF_ABSENT"))
    (fault,) = survey(broken, services, layout).faults
    assert "a source address tells nothing" in fault

"""What a route becomes in Envoy's words, without an Envoy."""

import json
import random
import re
from dataclasses import replace

import pytest

from lbctl.dataplane.envoy.callers import Callers
from lbctl.dataplane.envoy.clusters import clusters
from lbctl.dataplane.envoy.layout import check_names, layout_of, tunnel_name
from lbctl.dataplane.envoy.listeners import listeners
from lbctl.dataplane.envoy.render import render_static, routes_file
from lbctl.dataplane.envoy.routefile import SLOT_BYTES
from lbctl.dataplane.envoy.routes import LEVELS, buckets_below, kept_level, route_configuration
from lbctl.dataplane.envoy.version import NOT_ADOPTED, Written, parse
from lbctl.model.errors import Garbled
from lbctl.model.names import Colour, InstanceName, PlaneName, ServerName, ServiceName
from lbctl.model.route import Route
from lbctl.model.topology import Address, HealthCheck, Instance, Pool, Probe, Protocol, Server, Service


def a_service(name: str = "shop", *, cookie: str = "SRV", listen_tls: bool = False) -> Service:
    pools = {
        colour: Pool(colour, (Server(ServerName(f"{colour}-1"), Address("127.0.0.1", 9000 + place)),))
        for place, colour in enumerate(Colour)
    }
    return Service(
        name=ServiceName(name),
        plane=PlaneName("edge"),
        blue=pools[Colour.BLUE],
        green=pools[Colour.GREEN],
        listen=Address("127.0.0.1", 8080),
        listen_tls=listen_tls,
        cookie=cookie,
    )


def routed(route: Route, service: Service | None = None) -> list[dict[str, object]]:
    document = route_configuration(service or a_service(), Written(1, route), Callers())
    routes: list[dict[str, object]] = document["virtual_hosts"][0]["routes"]
    return routes


def decided(routes: list[dict[str, object]], cookie: str, draw: int = 0) -> object:
    """The cluster of the first route that Envoy would take for this Cookie header and this draw from 0 to 9999 (RE2 and
    re agree here)."""
    for route in json.loads(json.dumps(routes)):
        headers = route["match"].get("headers", [])
        part = route["match"].get("runtime_fraction", {"default_value": {"numerator": 10_000}})["default_value"]
        if draw < part["numerator"] and all(
            re.fullmatch(one["string_match"]["safe_regex"]["regex"], cookie) for one in headers
        ):
            return route["route"]["cluster"]
    return None


@pytest.mark.parametrize("level", [1, 2, 15, 16, 17, 255, 256, 257, 2730, 4080, 4095, 4096])
def test_a_keep_limit_keeps_exactly_the_buckets_below_it(level: int) -> None:
    below = re.compile(buckets_below(level))
    assert sum(bool(below.fullmatch(f"{bucket:03x}")) for bucket in range(LEVELS)) == level
    assert below.fullmatch(f"{level - 1:03x}")


def test_every_level_has_the_right_edge() -> None:
    for level in range(1, LEVELS):
        below = re.compile(buckets_below(level))
        assert below.fullmatch(f"{level - 1:03x}")
        assert not below.fullmatch(f"{level:03x}")


def test_only_nothing_keeps_no_bucket_and_only_everything_keeps_all() -> None:
    assert (kept_level(0), kept_level(10_000)) == (0, LEVELS)
    assert (kept_level(1), kept_level(9_999)) == (1, LEVELS - 1)
    levels = [kept_level(keep_bp) for keep_bp in range(10_001)]
    assert levels == sorted(levels)


def test_a_full_share_names_one_cluster_so_that_nobody_gets_the_idle_pool() -> None:
    assert decided(routed(Route(0)), "") == "shop_blue"
    assert decided(routed(Route(10_000)), "") == "shop_green"


@pytest.mark.parametrize("green_bp", [1, 5_000, 9_999])
def test_a_split_gives_each_pool_exactly_its_part_of_ten_thousand_draws(green_bp: int) -> None:
    routes = routed(Route(green_bp))
    drawn = [decided(routes, "", draw) for draw in (0, green_bp - 1, green_bp, 9_999)]
    assert drawn == ["shop_green", "shop_green", "shop_blue", "shop_blue"]
    assert "TEN_THOUSAND" in json.dumps(routes)


@pytest.mark.parametrize("colour", list(Colour))
def test_a_session_keeps_its_colour_at_every_share(colour: Colour) -> None:
    for green_bp in (0, 1, 5_000, 10_000):
        routes = routed(Route(green_bp))
        assert decided(routes, f"LBC_shop={colour}.0123abcd") == f"shop_{colour}"
        assert decided(routes, f"a=b; LBC_shop={colour}.fff3abcd; SRV=x") == f"shop_{colour}"


@pytest.mark.parametrize("colour", list(Colour))
def test_a_session_above_its_keep_limit_goes_to_the_other_colour_never_to_a_draw(colour: Colour) -> None:
    routes = routed(Route(3_000).with_keep(colour, 5_000))
    assert decided(routes, f"LBC_shop={colour}.7ff00000") == f"shop_{colour}"
    assert decided(routes, f"LBC_shop={colour}.80000000") == f"shop_{colour.other}"
    assert decided(routed(Route(3_000).with_keep(colour, 0)), f"LBC_shop={colour}.00000000") == f"shop_{colour.other}"


def test_cookies_of_strangers_are_new_visitors() -> None:
    routes = routed(Route(0, keep_green_bp=0))
    bucket = "0123abcd"
    for cookie in (
        "LBC_shop=red.0123abcd",
        "LBC_shop=green.0123abc",
        "LBC_shop=green.0123ABCD",
        "LBC_shop=green." + bucket * 4_000,
        "XLBC_shop=green.0123abcd",
        "LBC_shop=green.",
        "LBC_shopx=green.0123abcd",
        "a=LBC_shop=green.0123abcdx",
        ";;;;;=",
    ):
        assert decided(routes, cookie) == "shop_blue", cookie


def test_a_dot_in_a_service_name_is_only_a_dot() -> None:
    routes = routed(Route(0), a_service("a.b"))
    assert decided(routes, "LBC_a.b=green.0123abcd") == "a.b_green"
    assert decided(routes, "LBC_axb=green.0123abcd") == "a.b_blue"


def test_cookies_are_secure_where_the_client_side_is_tls_and_only_there() -> None:
    for listen_tls in (True, False):
        text = routes_file(a_service(listen_tls=listen_tls), Written(1, Route(5_000, 0, 0)), Callers())
        assert text.count("; Secure") == (4 if listen_tls else 0)
        assert ('{"name":"Secure"}' in text) is listen_tls


def test_nothing_that_a_server_may_have_seen_is_ever_repeated() -> None:
    document = route_configuration(a_service(), Written(1, Route(5_000)), Callers())
    policy = document["virtual_hosts"][0]["retry_policy"]
    assert policy["retry_on"] == "connect-failure,refused-stream,reset-before-request"


def test_before_adopt_everyone_gets_503_and_the_way_out() -> None:
    routes = route_configuration(a_service(), NOT_ADOPTED, Callers())["virtual_hosts"][0]["routes"]
    assert [route["direct_response"]["status"] for route in routes] == [503]
    assert "lbctl adopt shop --active" in routes[0]["direct_response"]["body"]["inline_string"]


def test_the_largest_route_fits_its_slot_three_times() -> None:
    service = a_service("n" * 63, cookie="c" * 64, listen_tls=True)
    assert len(routes_file(service, Written(10**17, Route(9_999, 2_345, 6_789)), Callers())) * 2 < SLOT_BYTES


def test_a_version_text_says_fence_and_route_and_nothing_else_is_believed() -> None:
    written = Written(17, Route(2_500, 10_000, 0))
    assert str(written) == "17;2500:10000:0"
    assert parse(str(written)) == written
    assert parse(str(NOT_ADOPTED)) == NOT_ADOPTED
    rng = random.Random(7)
    for text in ("", "17", "17;2500:10000", "17;10001:0:0", "-1;0:0:0", "17;0:0:0 ", "x" * 99, "٣;0:0:0"):
        assert parse(text) is None, text
    for _ in range(200):
        parse("".join(rng.choices("0123456789;:-", k=rng.randrange(12))))


@pytest.mark.parametrize("name", ["", "../x", "a/b", "A", "a b", "a\n", 'a"', "a" * 64, "-a"])
def test_a_name_that_could_mean_something_else_is_refused(name: str) -> None:
    with pytest.raises(Garbled, match="cannot be a service's name"):
        check_names(a_service(name))


@pytest.mark.parametrize("cookie", ["", "a=b", "a;b", "a b", "LBC_shop", "a\r\nb"])
def test_a_cookie_name_that_could_mean_something_else_is_refused(cookie: str) -> None:
    with pytest.raises(Garbled, match="session cookie"):
        check_names(a_service(cookie=cookie))


def test_a_socket_path_that_is_too_long_is_refused_with_its_size() -> None:
    with pytest.raises(Garbled, match=r"has 12[01] bytes.*at most 107.*shorter directory"):
        layout_of(Instance(name=InstanceName("edge/lb1"), directory="/" + "d" * 109))


def test_a_service_without_listen_cannot_be_rendered_and_is_named() -> None:
    service = Service(name=ServiceName("shop"), plane=PlaneName("edge"), blue=a_service().blue, green=a_service().green)
    with pytest.raises(Garbled, match=r"shop has no `listen"):
        render_static([service], {})


def test_checks_over_tls_without_trust_are_refused_by_name() -> None:
    service = Service(
        name=ServiceName("shop"),
        plane=PlaneName("edge"),
        blue=a_service().blue,
        green=a_service().green,
        listen=Address("127.0.0.1", 8080),
        health=HealthCheck(kind=Probe.HTTPS),
    )
    with pytest.raises(Garbled, match=r"shop: servers over TLS need `tls"):
        render_static([service], {})


def test_tcp_has_only_a_split_and_nothing_to_remember_a_connection_by() -> None:
    service = replace(a_service(), protocol=Protocol.TCP)
    for route, named in ((Route(0, 0, 0), ["shop_blue"]), (Route(2_500), ["shop_blue", "shop_green"])):
        routes = routed(route, service)
        assert all(one["match"].keys() - {"runtime_fraction"} == {"connect_matcher"} for one in routes)  # type: ignore[attr-defined]
        text = json.dumps(routes)
        assert "cookie" not in text
        assert [name for name in ("shop_blue", "shop_green") if name in text] == named
    (closed,) = route_configuration(service, NOT_ADOPTED, Callers())["virtual_hosts"][0]["routes"]
    assert closed["match"] == {"connect_matcher": {}}
    assert closed["direct_response"]["status"] == 503


@pytest.mark.parametrize("protocol", list(Protocol))
def test_a_share_is_nowhere_but_in_the_routes(protocol: Protocol) -> None:
    service = replace(a_service(), protocol=protocol)
    layout = layout_of(Instance(name=InstanceName("edge/lb1"), directory="/var/lib/lbctl/e"))
    for listener in listeners(service, [service], layout):
        text = json.dumps(listener)
        assert "shop_blue" not in text
        assert "shop_green" not in text


def test_grpc_is_counted_by_how_calls_end_and_goes_to_servers_by_http2() -> None:
    service = replace(a_service(), protocol=Protocol.GRPC)
    layout = layout_of(Instance(name=InstanceName("edge/lb1"), directory="/var/lib/lbctl/e"))
    assert "envoy.filters.http.grpc_stats" in json.dumps(listeners(service, [service], layout))
    assert all("http2_protocol_options" in json.dumps(one) for one in clusters(service, layout))


def test_a_tunnel_has_a_name_that_no_service_can_have() -> None:
    assert tunnel_name(ServiceName("shop")) == "shop/tunnel"
    with pytest.raises(Garbled):
        check_names(a_service("shop/tunnel"))

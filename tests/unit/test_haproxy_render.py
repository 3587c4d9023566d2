"""HAProxy's configuration as rendered: no name can say more than a name."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from lbctl.dataplane.haproxy.render import render
from lbctl.dataplane.haproxy.statemap import VALUE, parse_route
from lbctl.model.errors import Garbled
from lbctl.model.names import Colour, InstanceName, PlaneName, ServerName, ServiceName
from lbctl.model.route import Route
from lbctl.model.topology import (
    Address,
    HaproxyBinding,
    HaproxyForm,
    HealthCheck,
    Instance,
    Pool,
    Probe,
    Protocol,
    RequestLog,
    Server,
    ServerTls,
    Service,
)

INSTANCE = Instance(name=InstanceName("edge/lb1"), directory="/var/lib/lbctl/maps", socket="/run/a", master_socket="/m")
SERVICE = Service(
    name=ServiceName("shop"),
    plane=PlaneName("edge"),
    blue=Pool(Colour.BLUE, (Server(ServerName("web1"), Address("10.0.0.1", 80)),)),
    green=Pool(Colour.GREEN, (Server(ServerName("web2"), Address("10.0.0.2", 80), "w:2"),)),
    listen=Address("10.0.0.5", 8000),
    health=HealthCheck(kind=Probe.HTTP, path="/healthz"),
    haproxy=HaproxyBinding({Colour.BLUE: "shop_blue", Colour.GREEN: "shop_green"}, "SRV", "LBK"),
)
EVIL = [
    "x\nglobal",
    "x y",
    'x"',
    "x'",
    "x\\",
    "x#",
    "x$HOME",
    "x{",
    "x}",
    "x,y",
    "x(",
    "",
    "x\0",
    "x\r",
    "ü",
    "%[rand]",
]


def blue_server(**changes: object) -> Service:
    server = replace(SERVICE.blue.servers[0], **changes)  # type: ignore[arg-type]
    return replace(SERVICE, blue=Pool(Colour.BLUE, (server,)))


def binding(**changes: object) -> Service:
    assert SERVICE.haproxy is not None
    return replace(SERVICE, haproxy=replace(SERVICE.haproxy, **changes))  # type: ignore[arg-type]


def checked(**changes: object) -> Service:
    return replace(SERVICE, health=HealthCheck(**{"kind": Probe.HTTP, "path": "/", **changes}))  # type: ignore[arg-type]


PLACES: dict[str, Callable[[str], Service]] = {
    "service": lambda text: replace(SERVICE, name=ServiceName(text)),
    "server": lambda text: blue_server(name=ServerName(text)),
    "cookie value": lambda text: blue_server(cookie=text or " "),
    "address": lambda text: blue_server(address=Address(text or " ", 80)),
    "listen": lambda text: replace(SERVICE, listen=Address(text or " ", 80)),
    "cookie": lambda text: binding(cookie=text),
    "bucket cookie": lambda text: binding(bucket_cookie=text),
    "backend": lambda text: binding(backends={Colour.BLUE: text, Colour.GREEN: "g"}),
    "path": lambda text: checked(path="/" + (text or " ")),
    "host": lambda text: checked(host=text or " "),
    "ca": lambda text: replace(checked(kind=Probe.HTTPS), tls=ServerTls(text, "n")),
    "tls name": lambda text: replace(checked(kind=Probe.HTTPS), tls=ServerTls("/ca", text)),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("form", list(HaproxyForm))
def test_no_word_can_say_more_than_a_word(place: str, form: HaproxyForm) -> None:
    def rendered(text: str) -> str:
        service = PLACES[place](text)
        assert service.haproxy is not None
        return render(INSTANCE, [replace(service, haproxy=replace(service.haproxy, form=form))])

    assert rendered("x1")
    for text in EVIL:
        if place == "path" and text in {"x,y", "%[rand]"[:0]}:
            continue
        with pytest.raises(Garbled, match="cannot stand in HAProxy's configuration"):
            rendered(text)


@pytest.mark.parametrize("key", ["directory", "socket", "master_socket", "name"])
def test_no_path_of_the_instance_can_either(key: str) -> None:
    for text in ("/a b", "/a\nglobal", "/a#", '/a"', "/a,1", "/a)"):
        with pytest.raises(Garbled, match="cannot stand"):
            render(replace(INSTANCE, **{key: text}), [SERVICE])  # type: ignore[arg-type]


def test_the_address_of_the_request_log_is_one_word_too() -> None:
    for text in ("/a b", "/a\nglobal", "/a#", '/a"', "/a$HOME"):
        with pytest.raises(Garbled, match=r"request_log: .* cannot stand"):
            render(INSTANCE, [SERVICE], RequestLog(text))


def test_a_cookie_value_that_looks_like_a_flag_is_a_value() -> None:
    text = render(INSTANCE, [blue_server(cookie="-f")])
    assert "{ req.cook(SRV) -m str -- -f }" in text


def test_a_cookie_value_of_both_pools_is_refused_by_name() -> None:
    with pytest.raises(Garbled, match=r"services\.shop: the cookie w:2 is in both pools"):
        render(INSTANCE, [blue_server(cookie="w:2")])


@pytest.mark.parametrize("key", ["haproxy", "listen"])
def test_what_is_needed_and_missing_is_named(key: str) -> None:
    with pytest.raises(Garbled, match=rf"services\.shop\.{key} is needed"):
        render(INSTANCE, [replace(SERVICE, **{key: None})])  # type: ignore[arg-type]


def test_no_line_is_longer_than_haproxy_takes() -> None:
    servers = tuple(Server(ServerName(f"s{i}"), Address("10.0.0.1", 80), f"{i:03}" + "c" * 125) for i in range(200))
    text = render(INSTANCE, [replace(SERVICE, blue=Pool(Colour.BLUE, servers))])
    assert max(len(line) for line in text.splitlines()) < 2_000
    assert max(len(line.split()) for line in text.splitlines()) < 64
    assert all(f"cookie {one.cookie}" in text for one in servers)


WEIGHTS = replace(SERVICE, haproxy=HaproxyBinding(dict.fromkeys(Colour, "shop_all"), "SRV", "LBK", HaproxyForm.WEIGHTS))


def test_in_form_weights_one_backend_has_both_pools_and_its_state_file() -> None:
    text = render(INSTANCE, [WEIGHTS])
    assert text.count("\nbackend ") == 1
    assert "    balance roundrobin\n" in text
    assert "    load-server-state-from-file local\n" in text
    assert "    server-state-file-name /var/lib/lbctl/maps/shop.state\n" in text
    assert "server web1 10.0.0.1:80 cookie web1 weight 100 check" in text
    assert "server web2 10.0.0.2:80 cookie w:2 weight 0 check" in text
    assert "req.cook(LBK)" in text, "sessions move in parts, by their bucket"


def test_form_weights_does_not_carry_tcp() -> None:
    with pytest.raises(Garbled, match="form weights is for http and grpc"):
        render(INSTANCE, [replace(WEIGHTS, protocol=Protocol.TCP)])


def test_a_dot_in_a_cookies_name_is_a_dot() -> None:
    assert WEIGHTS.haproxy is not None
    text = render(INSTANCE, [replace(WEIGHTS, haproxy=replace(WEIGHTS.haproxy, cookie="S.R"))])
    assert "'^(.*; *)?S[.]R=[^;]*(.*)$' '\\1lbctl_moved=1\\2'" in text


def test_tcp_has_neither_cookies_nor_anything_of_http() -> None:
    text = render(INSTANCE, [replace(SERVICE, protocol=Protocol.TCP, health=HealthCheck(kind=Probe.TCP))])
    sections = text.partition("\nfrontend ")[2]
    assert sections.count("    mode tcp\n") == 3
    assert "http" not in sections
    assert "cookie" not in sections
    assert "tcp-request content set-var(txn.lb_state) str(shop),map(/var/lib/lbctl/maps/state.map)\n" in sections


@pytest.mark.parametrize(
    ("tls", "bind"), [(False, "10.0.0.5:8000 proto h2\n"), (True, "`ssl crt FILE alpn h2` here\n")]
)
def test_grpc_is_http_2_on_both_sides_and_its_checks_are_not(tls: bool, bind: str) -> None:
    text = render(INSTANCE, [replace(SERVICE, protocol=Protocol.GRPC, listen_tls=tls)])
    assert bind in text
    assert text.count(" proto h2 check ") == 2
    assert text.count(" check-proto h1") == 2
    tcp = render(INSTANCE, [replace(SERVICE, protocol=Protocol.GRPC, health=HealthCheck(kind=Probe.TCP))])
    assert "check-proto" not in tcp


def test_what_haproxy_takes_for_a_value_is_what_lbctl_takes_for_one() -> None:
    good = [str(Route(0)), str(Route(10_000, 0, 9_999)), "0001:02:3", "1:1:1", "1:1:1:0badcafe"]
    bad = [
        "",
        "0",
        "0:0",
        "0:0:0:0",
        "10001:0:0",
        "00000:0:0",
        "-1:0:0",
        " 1:1:1",
        "1:1:1 ",
        "a:b:c",
        "1:1:1\n",
        "1:1:1:",
        "1:1:1:0badcaf",
        "1:1:1:0BADCAFE",
        "٣:1:1",
    ]
    for text in good:
        assert re.fullmatch(VALUE, text)
        assert parse_route(text) is not None
    for text in bad:
        assert parse_route(text) is None
    assert parse_route("10000:0:9999") == Route(10_000, 0, 9_999)


def test_servers_speak_tls_where_their_own_port_is_checked_by_tls_and_only_there() -> None:
    tls = ServerTls("/ca.pem", "shop.test")
    own, other = (replace(checked(kind=Probe.HTTPS, port=port), tls=tls) for port in (None, 8443))
    trust = "verify required ca-file /ca.pem check-sni shop.test verifyhost shop.test"
    assert f"rise 2 ssl {trust} sni str(shop.test)\n" in render(INSTANCE, [own])
    assert f"rise 2 port 8443 check-ssl {trust}\n" in render(INSTANCE, [other])
    assert "rise 2 ssl verify none\n" in render(INSTANCE, [checked(kind=Probe.HTTPS)])

"""What is read out of weights: whose they are, which route they make, what moved it, and what forbids it all."""

from dataclasses import replace

import pytest

from lbctl.dataplane.haproxy import serverstate
from lbctl.dataplane.haproxy.apportion import weights
from lbctl.dataplane.haproxy.obstacles import obstacles
from lbctl.dataplane.haproxy.sharedpools import SharedPools, Unserved
from lbctl.dataplane.haproxy.statemap import parse_route, parse_value, value_of
from lbctl.dataplane.haproxy.statistics import Table
from lbctl.dataplane.haproxy.weighed import COLUMNS, Backend, Weighed, parse_backend, route_of, seal
from lbctl.model.errors import Garbled
from lbctl.model.names import Colour, Generation, PlaneName, ServerName, ServiceName
from lbctl.model.route import Route
from lbctl.model.topology import Address, HaproxyBinding, HaproxyForm, Pool, Server, Service
from tests.unit.test_haproxy_readings import HEADER, line

NAMES = {Colour.BLUE: ("b1", "b2", "b3"), Colour.GREEN: ("g1", "g2", "g3", "g4")}
SERVICE = Service(
    name=ServiceName("shop"),
    plane=PlaneName("edge"),
    **{
        colour.value: Pool(colour, tuple(Server(ServerName(name), Address("127.0.0.1", 80)) for name in names))
        for colour, names in NAMES.items()
    },
    haproxy=HaproxyBinding(dict.fromkeys(Colour, "be"), "SRV", "LBK", HaproxyForm.WEIGHTS),
)

Pools = dict[Colour, dict[ServerName, Weighed]]


def ordered(green_bp: int, dead: str = "") -> Pools:
    """Both pools with the weights that were ordered while everybody lived; then some died."""
    goal = weights(green_bp, {c: {ServerName(name): True for name in names} for c, names in NAMES.items()})
    return {
        colour: {ServerName(name): Weighed(name not in dead.split(), goal[ServerName(name)]) for name in names}
        for colour, names in NAMES.items()
    }


def sealed(route: Route, pools: Pools) -> str:
    """The map value as it was written with these weights."""
    return value_of(route, seal({name: row.weight for rows in pools.values() for name, row in rows.items()}))


def by_hand(pools: Pools, **changed: int) -> Pools:
    """The same with weights that somebody set."""
    return {
        colour: {name: replace(row, weight=changed.get(name, row.weight)) for name, row in rows.items()}
        for colour, rows in pools.items()
    }


@pytest.mark.parametrize("green_bp", [0, 20, 1_234, 5_000, 9_990, 10_000])
def test_sealed_weights_read_as_the_route_that_was_ordered(green_bp: int) -> None:
    pools, route = ordered(green_bp), Route(green_bp, keep_blue_bp=0 if green_bp == 10_000 else 10_000)
    assert route_of(sealed(route, pools), pools) == (route, None)


@pytest.mark.parametrize(("dead", "moved_bp"), [("b1", 6_000), ("g1", 4_286), ("g1 g2", 3_333)])
def test_a_server_that_dies_moves_the_share_and_the_route_still_stands(dead: str, moved_bp: int) -> None:
    route = Route(5_000)
    pools = ordered(5_000, dead)
    assert route_of(sealed(route, pools), pools) == (route, Route(moved_bp))


@pytest.mark.parametrize("green_bp", [0, 10_000])
@pytest.mark.parametrize("dead", ["b1", "g1 g2 g3 g4", "b1 b2 b3"])
def test_a_pool_with_everything_keeps_everything_whoever_dies(green_bp: int, dead: str) -> None:
    pools = ordered(green_bp, dead)
    assert route_of(sealed(Route(green_bp), pools), pools) == (Route(green_bp), None)


def test_with_one_pool_dead_there_is_nothing_to_order_again() -> None:
    pools = ordered(2_500, "g1 g2 g3 g4")
    assert route_of(sealed(Route(2_500), pools), pools) == (Route(2_500), None)


def test_what_was_ordered_for_the_living_is_right_until_the_dead_come_back() -> None:
    living = {c: {ServerName(name): name != "b1" for name in names} for c, names in NAMES.items()}
    goal = weights(5_000, living)
    pools = {c: {n: Weighed(up, goal[n]) for n, up in rows.items()} for c, rows in living.items()}
    value = sealed(Route(5_000), pools)
    assert route_of(value, pools) == (Route(5_000), None)
    back = {c: {n: replace(row, serving=True) for n, row in rows.items()} for c, rows in pools.items()}
    route, instead = route_of(value, back)
    assert route == Route(5_000)
    assert instead is not None
    assert instead.green_bp < 5_000


def test_weights_by_another_hand_read_as_what_they_make() -> None:
    pools = ordered(5_000)
    changed = by_hand(pools, g1=0, g2=0)
    assert route_of(sealed(Route(5_000, 10_000, 10_000), pools), changed) == (Route(3_333), None)


def test_a_weight_by_hand_that_leaves_the_share_reads_as_that_share() -> None:
    pools = ordered(0)
    assert route_of(sealed(Route(0), pools), by_hand(pools, b2=3)) == (Route(0), None)


def test_all_weights_zero_read_as_no_route_that_anybody_wants() -> None:
    none = by_hand(ordered(0), b1=0, b2=0, b3=0)
    assert route_of("", none)[0].green_bp == 5_000


def test_a_pool_that_gets_anything_is_never_said_to_get_nothing() -> None:
    names = {colour: [ServerName(f"{colour}-{number}") for number in range(100)] for colour in Colour}
    pools = {colour: {name: Weighed(True, 256) for name in named} for colour, named in names.items()}
    for colour, share_bp in ((Colour.GREEN, 1), (Colour.BLUE, 9_999)):
        few = {name: Weighed(True, number == 0) for number, name in enumerate(names[colour])}
        assert route_of("", {**pools, colour: few})[0] == Route(share_bp)


@pytest.mark.parametrize("value", ["", "nonsense", "0:10000:10000", "0:10000:10000:00000000", "5:5:5:5"])
def test_without_a_seal_the_weights_alone_speak(value: str) -> None:
    assert route_of(value, ordered(2_500)) == (Route(2_500), None)


def test_the_keeps_are_those_of_the_value_also_where_the_seal_is_broken() -> None:
    assert route_of("10000:0:10000:00000000", ordered(10_000)) == (Route(10_000, 0), None)


def test_a_value_of_either_form_is_understood_by_both() -> None:
    assert parse_value("10000:0:10000:0badcafe") == (Route(10_000, 0), "0badcafe")
    assert parse_value("10000:0:10000") == (Route(10_000, 0), "")
    assert parse_route("10000:0:10000:0badcafe") == Route(10_000, 0)
    for damaged in ("1:2:3:", "1:2:3:XYZ", "1:2:3:0badcafe0", "1:2:3:0BADCAFE"):
        assert parse_value(damaged) == (None, "")


def test_every_weight_is_under_the_seal() -> None:
    whole = {ServerName("a"): 1, ServerName("b"): 2}
    assert seal(whole) == seal(dict(reversed(whole.items())))
    for other in ({**whole, ServerName("b"): 3}, {ServerName("a"): 2, ServerName("b"): 1}, {ServerName("a"): 1}):
        assert seal(other) != seal(whole)


# ---- what HAProxy answers

ROW = {
    "status": "UP",
    "uweight": "7",
    "lastchg": "61",
    "agent_status": "",
    "cookie": "",
    "bck": "0",
    "algo": "",
    "mode": "http",
}
STAT_HEADER = "# pxname,svname," + ",".join(COLUMNS) + ","


def stat(server: str, **fields: str) -> str:
    return ",".join(["be", server, *(ROW | fields).values(), ""])


def test_a_backend_is_read_by_the_names_of_columns() -> None:
    lines = [STAT_HEADER, stat("b1", cookie="c1"), stat("BACKEND", algo="roundrobin", cookie="SRV"), "", "other,b1,UP"]
    found = parse_backend("be", lines)
    assert found == Backend({ServerName("b1"): Weighed(True, 7, 61, "", "c1")}, "roundrobin", "SRV", "http")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "no backend be"),
        (["No such proxy."], "no backend be"),
        ([STAT_HEADER, stat("b1")], "no backend be"),
        ([STAT_HEADER.replace("uweight", "other"), stat("BACKEND")], "no column uweight"),
    ],
)
def test_an_answer_that_is_no_backend_is_garbled_and_named(lines: list[str], said: str) -> None:
    with pytest.raises(Garbled, match=said):
        parse_backend("be", lines)


# ---- obstacles


def told(pools: Pools, *, backend: dict[str, str] | None = None, uptime_s: int = 5, configured: str = "") -> list[str]:
    """The codes for a backend that stands well but for what is given."""
    rows = {name: row for named in pools.values() for name, row in named.items()}
    own = {"algorithm": "roundrobin", "cookie": "SRV", "mode": "http"} | (backend or {})
    states = {
        name: serverstate.State("3", "1", row.weight, 50 if name in configured.split() else 100, 60, "80")
        for name, row in rows.items()
    }
    texts = obstacles(SERVICE, Backend({**rows}, **own), pools, states, uptime_s)
    assert all(": " in text for text in texts)
    return [text.partition(":")[0] for text in texts]


def well(**changed: Weighed) -> Pools:
    return {
        colour: {ServerName(name): changed.get(name, Weighed(True, 100, 66, "", f"cookie-{name}")) for name in names}
        for colour, names in NAMES.items()
    }


def test_a_backend_as_rendered_has_no_obstacle() -> None:
    assert told(well()) == []


@pytest.mark.parametrize("algorithm", ["leastconn", "random", "static-rr", "source", "uri", "hdr(host)", "first"])
def test_an_algorithm_that_does_not_follow_weights_is_named(algorithm: str) -> None:
    assert told(well(), backend={"algorithm": algorithm}) == ["BALANCE_IGNORES_WEIGHTS"]


def test_other_hands_on_the_weights_are_named() -> None:
    assert told(well(g2=Weighed(True, 7, 66, "L7OK", "c"))) == ["AGENT_OWNS_WEIGHT"]
    assert told(well(g2=Weighed(True, 7, 66))) == ["SERVER_WITHOUT_COOKIE"]
    assert told(well(g2=Weighed(True, 7, 66)), backend={"cookie": ""}) == []
    assert told(well(), configured="b1") == ["UNEVEN_WEIGHTS"]
    assert told(well(), configured="b1 b2 b3") == []


def test_a_missing_pool_and_a_strange_server_are_named() -> None:
    pools = well()
    assert told({**pools, Colour.GREEN: {}}) == ["NO_SERVER"]
    rows = {name: row for named in pools.values() for name, row in named.items()}
    stranger = Backend({**rows, ServerName("x"): rows[ServerName("b1")]}, "roundrobin", "SRV", "http")
    (text,) = obstacles(SERVICE, stranger, pools, {}, 5)
    assert text.startswith("UNKNOWN_SERVER: be/x ")


def test_a_server_that_is_older_than_its_process_proves_the_state_file() -> None:
    fresh = {name: Weighed(True, 100, 5, "", "c") for names in NAMES.values() for name in names}
    assert told(well(**fresh)) == ["NOT_DURABLE"]
    assert told(well(**{**fresh, "g4": Weighed(True, 100, 65, "", "c")})) == []
    flapped = {name: replace(row, unchanged_s=2) for name, row in fresh.items()}
    assert told(well(**flapped), uptime_s=500) == [], "nobody can say, so nothing is said"


# ---- the server-state file

ANSWER = f"""1
# {" ".join(serverstate.FIELDS)} srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port
3 be 1 b1 127.0.0.1 0 8 133 100 0 15 3 4 6 0 0 0 - 9101 - 0 0 - - 0
3 be 2 b2 127.0.0.1 2 0 0 100 900 15 3 4 6 0 0 0 - 9102 - 0 0 - - 0
4 other 2 b2 127.0.0.1 2 0 0 100 900 15 3 4 6 0 0 0 - 9102 - 0 0 - - 0
"""


def test_states_are_read_from_haproxys_answer_and_from_our_own_file() -> None:
    first = serverstate.parse_states("be", ANSWER.splitlines())
    assert first == {
        "b1": serverstate.State("3", "1", 133, 100, 0, "9101", drained=True),
        "b2": serverstate.State("3", "2", 0, 100, 900, "9102"),
    }
    again = serverstate.parse_states("be", serverstate.rendered("be", first).decode().splitlines())
    started = replace(first[ServerName("b1")], unchanged_s=serverstate.UNCHANGED_MIN_S, drained=False)
    assert again == {**first, "b1": started}


def test_our_file_keeps_no_server_down_or_in_maintenance() -> None:
    states = serverstate.parse_states("be", ANSWER.splitlines())
    assert states is not None
    lines = serverstate.rendered("be", states).decode().splitlines()
    assert lines[0] == "1"
    for fields in (text.split() for text in lines if not text.startswith(("1", "#"))):
        named = dict(zip(serverstate.FIELDS, fields, strict=True))
        assert (named["srv_op_state"], named["srv_admin_state"], named["srv_addr"]) == ("2", "0", "-")


@pytest.mark.parametrize("text", ["", "2\n", "# nothing\n", "1\n3 be 1 b1 - 2 0 x 100 0 1 0 0 0 0 0 0 - 80 -\n"])
def test_a_damaged_file_is_none(text: str) -> None:
    assert serverstate.parse_states("be", text.splitlines()) is None


def test_lines_that_were_cut_or_belong_to_others_are_skipped_and_the_first_of_two_counts() -> None:
    text = ANSWER + "3 be 1 b1 127.0.0.1 0 8 99 100 0 15 3 4 6 0 0 0 - 9101 -\n3 be 3 b3 127.0.0.1 2 0 7"
    found = serverstate.parse_states("be", text.splitlines())
    assert found is not None
    assert [(name, one.weight) for name, one in found.items()] == [("b1", 133), ("b2", 0)]


# ---- counters

LIFE = Generation("1@1")


def table(own: dict[str, str], **rows: dict[str, str]) -> Table:
    lines = [line(name, **figures) for name, figures in rows.items()]
    return Table("be", [HEADER, *lines, line("BACKEND", **own)])


def test_each_colour_has_what_its_own_servers_did() -> None:
    pools = SharedPools("be", {colour: [ServerName(n) for n in names] for colour, names in NAMES.items()})
    newest = table(
        {"hrsp_2xx": "30", "hrsp_5xx": "5", "srv_abrt": "1"},
        b1={"hrsp_2xx": "20", "stot": "22", "scur": "2", "wredis": "1"},
        g1={"hrsp_2xx": "10", "hrsp_5xx": "2", "eresp": "4", "srv_abrt": "1", "stot": "15", "wretr": "3"},
    )
    old = table({}, b1={"scur": "5"}, gone={"scur": "1"})
    found = pools.reading(LIFE, [newest, old], Route(2_500))
    blue, green = found[Colour.BLUE], found[Colour.GREEN]
    assert (blue.requests, blue.errors, blue.retries, blue.in_flight) == (20, 0, 1, 7)
    assert (green.requests, green.errors, green.retries, green.in_flight) == (16, 6, 3, 0)
    assert (blue.started - blue.answered, green.started - green.answered) == (2, 0)
    assert (set(blue.servers), set(green.servers)) == ({"b1"}, {"g1"})


def test_a_server_with_weight_zero_is_usable_because_the_weight_is_the_shares() -> None:
    pools = SharedPools("be", {Colour.BLUE: [ServerName("b1")], Colour.GREEN: [ServerName("g1")]})
    found = pools.reading(LIFE, [table({}, b1={"weight": "0"}, g1={"weight": "0", "status": "DOWN"})], Route(0))
    assert found[Colour.BLUE].servers[ServerName("b1")].usable
    assert not found[Colour.GREEN].servers[ServerName("g1")].usable


def test_failures_without_a_server_count_for_the_pool_that_has_everything() -> None:
    seen = Unserved()
    for count, green_bp in ((4, 0), (10, 0), (8, 0), (12, 0), (20, 5_000), (21, 10_000)):
        seen.take(LIFE, count, Route(green_bp))
    assert seen.by_colour == {Colour.BLUE: 8, Colour.GREEN: 1}
    seen.take(Generation("2@2"), 3, Route(0))
    assert not any(seen.by_colour.values()), "counters of another life begin anew"

"""What a line of the request log says, and whose time it is."""

import pytest

from lbctl.dataplane.haproxy.logline import log_lines
from lbctl.model.names import Colour, InstanceName, PlaneName, ServerName, ServiceName
from lbctl.model.sketch import bucket_of
from lbctl.model.topology import Address, Driver, HaproxyBinding, HaproxyForm, Instance, Plane, Pool, Server, Service
from lbctl.model.units import Instant
from lbctl.telemetry.line import UNTIMED, read
from lbctl.telemetry.tally import Tally

LB1, SHOP = InstanceName("edge/lb1"), ServiceName("shop")
HEAD = "<134>1 2026-11-26T23:01:12.467689+00:00 - haproxy 29289 - "
PLANE = Plane(
    name=PlaneName("edge"),
    driver=Driver.HAPROXY,
    instances=tuple(Instance(name=InstanceName(f"edge/{name}"), directory="/d") for name in ("lb1", "lb2")),
)


def service(form: HaproxyForm = HaproxyForm.MAP) -> Service:
    """A service whose servers are `blue-1` and `green-1`, in either form."""
    pools = [Pool(colour, (Server(ServerName(f"{colour}-1"), Address("127.0.0.1", 80)),)) for colour in Colour]
    names = {colour: "shop" if form is HaproxyForm.WEIGHTS else f"shop_{colour}" for colour in Colour}
    binding = HaproxyBinding(names, "SRV", "LBK", form)
    return Service(name=SHOP, plane=PLANE.name, blue=pools[0], green=pools[1], haproxy=binding)


def tally(form: HaproxyForm = HaproxyForm.MAP) -> Tally:
    """A tally of that service on both instances."""
    made = Tally()
    made.configure(PLANE, [service(form)], "first")
    return made


def line(
    backend: str = "shop_blue",
    server: str = "blue-1",
    status: str = "200",
    ending: str = "----",
    active: object = 50,
    upload: object = 0,
    instance: str = "edge/lb1",
) -> bytes:
    """A line as HAProxy sends it."""
    told = f"{instance}|{backend}|{server}|{status}|{ending}|{active}|{upload}"
    return f'{HEAD}[lbctl@0 r="{told}"] 10.0.0.1:4711 "GET / HTTP/1.1"\n'.encode()


def times(made: Tally, colour: Colour, instance: InstanceName = LB1) -> dict[int, int]:
    """The sketch of a pool."""
    return made.lanes[instance, SHOP].pools[colour].times


def test_the_line_that_is_rendered_is_the_line_that_is_read() -> None:
    rendered = next(one for one in log_lines("edge/lb1", "127.0.0.1:5514").splitlines() if "log-format-sd" in one)
    element = rendered.split('"', 1)[1].rsplit('"', 1)[0].replace('\\"', '"')
    said = {"%b": "shop_green", "%s": "green-1", "%ST": "200", "%tsc": "----", "%Ta": "70", "%TR": "20"}
    said |= {"%[var(txn.lb_why)]": "kept", "%[var(txn.lb_bucket)]": "4711"}
    for variable, value in said.items():
        assert element.count(variable) == 1
        element = element.replace(variable, value)
    assert read(f"{HEAD}{element} -\n".encode()) == (b"edge/lb1", b"shop_green", b"green-1", 50, b"kept", 4711)


@pytest.mark.parametrize(
    ("told", "ms"),
    [
        ({}, 50),
        ({"active": 450, "upload": 400}, 50),
        ({"active": 50, "upload": -1}, 50),
        ({"active": "+50"}, 50),
        ({"status": "500"}, 50),
        ({"status": "404"}, 50),
        ({"ending": "--NI"}, 50),
        ({"active": 3, "upload": 4}, 0),
        ({"status": "101", "active": 3_600_000}, UNTIMED),
        ({"ending": "CD--", "active": 3_600_000}, UNTIMED),
        ({"ending": "CH--"}, 50),
        ({"ending": "CQ--"}, 50),
        ({"ending": "CR--", "active": -1, "upload": -1}, UNTIMED),
        ({"ending": "cR--"}, UNTIMED),
        ({"status": "504", "ending": "sH--"}, UNTIMED),
        ({"status": "502", "ending": "SH--"}, UNTIMED),
        ({"status": "503", "ending": "SC--", "server": "<NOSRV>"}, UNTIMED),
        ({"status": "200", "ending": "SD--"}, UNTIMED),
        ({"status": "200", "ending": "LR--", "server": "<NOSRV>"}, UNTIMED),
        ({"status": "200", "ending": ""}, UNTIMED),
    ],
)
def test_a_time_counts_where_a_server_answered_or_a_user_gave_up_waiting(told: dict[str, object], ms: int) -> None:
    found = read(line(**told))  # type: ignore[arg-type]
    assert found is not None
    assert found[3] == ms


def test_in_form_map_the_backend_is_the_pool_whatever_the_server_is_called() -> None:
    made = tally()
    for datagram in (line(), line(server="of-an-autoscaler"), line("shop_green", "green-1", active=200)):
        made.take(datagram)
    assert times(made, Colour.BLUE) == {bucket_of(50): 2}
    assert times(made, Colour.GREEN) == {bucket_of(200): 1}


def test_in_form_weights_the_server_tells_the_pool_and_an_unserved_request_is_nobodys() -> None:
    made = tally(HaproxyForm.WEIGHTS)
    for datagram in (
        line("shop"),
        line("shop", "green-1", active=200),
        line("shop", "<NOSRV>", "503", "SC--"),
        line("shop", "unknown"),
    ):
        made.take(datagram)
    assert times(made, Colour.BLUE) == {bucket_of(50): 1}
    assert times(made, Colour.GREEN) == {bucket_of(200): 1}
    assert (made.lanes[LB1, SHOP].lines, made.astray) == (3, 1)


def test_a_backend_of_no_service_in_a_shared_frontend_is_no_trouble() -> None:
    made = tally()
    for datagram in (line(), line("static", "s1"), line("static", "s1", instance="edge/lb3")):
        made.take(datagram)
    assert (made.lines, made.beside, made.astray) == (1, 1, 1)


def test_two_instances_that_log_to_one_receiver_are_told_apart() -> None:
    made = tally()
    made.take(line())
    made.take(line(instance="edge/lb2", active=90))
    made.take(line(instance="edge/lb3"))
    assert times(made, Colour.BLUE) == {bucket_of(50): 1}
    assert times(made, Colour.BLUE, InstanceName("edge/lb2")) == {bucket_of(90): 1}
    assert (made.lines, made.astray) == (2, 1)


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"<134>1",
        b"<134>Nov 26 23:01:12 haproxy[1]: 10.0.0.1 GET / shop_blue/blue-1 200",
        f"{HEAD}- Server shop_blue/blue-1 is DOWN\n".encode(),
        # What a user writes into a URL stands behind the header, never at the place of the element.
        f'{HEAD}- GET /[lbctl@0 r="edge/lb1|shop_blue|blue-1|200|----|99999|0"] HTTP/1.1\n'.encode(),
        f'{HEAD}[own@1 a="b"] [lbctl@0 r="edge/lb1|shop_blue|blue-1|200|----|99999|0"]\n'.encode(),
    ],
)
def test_other_lines_are_foreign_and_count_for_nothing(datagram: bytes) -> None:
    made = tally()
    made.take(datagram)
    assert (made.foreign, made.damaged, made.astray, made.lines) == (1, 0, 0, 0)


@pytest.mark.parametrize(
    "datagram",
    [
        line()[:80],
        line()[:100],
        line(active="fast"),
        line(active=""),
        line(upload="9" * 1_990),
        line(server="a|b"),
        f"{HEAD}[lbctl@0 r= x".encode(),
        f'{HEAD}[lbctl@0 q="edge/lb1|shop_blue|blue-1|200|----|5|0"] x'.encode(),
    ],
)
def test_a_damaged_line_is_counted_and_never_an_exception(datagram: bytes) -> None:
    made = tally()
    made.take(datagram)
    assert made.foreign + made.damaged + made.lines == 1
    assert times(made, Colour.BLUE).keys() <= {0}


def test_an_own_element_behind_ours_is_no_fault() -> None:
    assert read(line().replace(b'"] ', b'"][own@1 x="y"] ', 1)) == (b"edge/lb1", b"shop_blue", b"blue-1", 50, b"", -1)


def test_what_stays_in_the_config_keeps_its_counts_and_its_source() -> None:
    made = tally()
    made.take(line())
    made.configure(PLANE, [service(HaproxyForm.WEIGHTS)], "second")
    assert times(made, Colour.BLUE) == {bucket_of(50): 1}
    assert made.lanes[LB1, SHOP].source == "first"
    made.configure(PLANE, [], "third")
    made.take(line())
    assert (made.lanes, made.astray) == ({}, 1)


def test_a_new_request_that_took_longer_than_a_change_of_the_split_is_told_apart() -> None:
    made = tally()
    for ms in (50, 5_000, 5_001):
        made.take(line("shop_green", "green-1", active=ms).replace(b'|0"]', b'|0|new|17"]'))
    seen = made.lanes[LB1, SHOP].calls.look(Instant(0))
    assert (seen.drawn[Colour.GREEN], seen.drawn_long[Colour.GREEN]) == (2, 1)

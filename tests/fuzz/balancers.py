"""What load balancers answer: HAProxy's command line, Envoy's admin socket, and the request log."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from lbctl.dataplane.envoy import admin, counters, looking, wire
from lbctl.dataplane.envoy.attendance import Attendances
from lbctl.dataplane.envoy.dump import read_dump
from lbctl.dataplane.envoy.layout import layout_of
from lbctl.dataplane.envoy.routefile import RouteFile
from lbctl.dataplane.envoy.survey import reads_servers_from, survey
from lbctl.dataplane.envoy.times import read_histograms, timing
from lbctl.dataplane.envoy.version import version_of
from lbctl.dataplane.haproxy import probing, serverstate, statemap, workers
from lbctl.dataplane.haproxy.client import _blocks
from lbctl.dataplane.haproxy.existing.merging import merged
from lbctl.dataplane.haproxy.existing.proposal import propose, service_of
from lbctl.dataplane.haproxy.existing.sections import read as read_config
from lbctl.dataplane.haproxy.existing.yamltext import text
from lbctl.dataplane.haproxy.form import Form
from lbctl.dataplane.haproxy.forms import form_of
from lbctl.dataplane.haproxy.holders import parse_streams
from lbctl.dataplane.haproxy.looking import looked
from lbctl.dataplane.haproxy.pins import parse_table
from lbctl.dataplane.haproxy.statistics import Pools, Servers, Table
from lbctl.dataplane.haproxy.sticktables import entries_of, names_servers, of_pool, tables_of
from lbctl.dataplane.haproxy.weighed import parse_backend, pools_of, route_of
from lbctl.model.names import Colour, Generation, InstanceName, ServiceName, pid_of
from lbctl.model.route import Caller, Cell
from lbctl.model.topology import Address, Consumer, HaproxyBinding, HaproxyForm, Instance, PinKind, Protocol
from lbctl.model.units import Instant
from tests.unit.test_envoy_routes import a_service
from tests.unit.test_request_log_lines import tally

LB = Instance(name=InstanceName("edge/lb1"), directory="/nowhere", socket="/nowhere/lb.sock")
LIFE = Generation("812@77")
BACKENDS = {Colour.BLUE: "shop_blue", Colour.GREEN: "shop_green"}
CALLER = ServiceName("till")
LISTENERS = {colour: Address("127.0.0.1", 18_090 + place) for place, colour in enumerate(Colour)}
CONSUMERS = {CALLER: Consumer(kind=PinKind.LISTENER, listeners=LISTENERS)}
IN_MAP = replace(a_service(), consumers=CONSUMERS, haproxy=HaproxyBinding(BACKENDS, "SRV", "LBK", HaproxyForm.MAP))
IN_WEIGHTS = replace(
    a_service(), haproxy=HaproxyBinding(dict.fromkeys(Colour, "shop_all"), "SRV", "LBK", HaproxyForm.WEIGHTS)
)


def lines_of(data: bytes) -> list[str]:
    """The lines of one answer, as the client makes them."""
    return data.decode("utf-8", "replace").split("\n")


# ---- HAProxy


def answers(data: bytes) -> object:
    return _blocks("/lb.sock", data, 1 + data[:1].count(b"2"))


def show_stat(data: bytes) -> object:
    lines = lines_of(data)
    name = lines[1].partition(",")[0] if len(lines) > 1 else "shop_blue"
    table = Table(name, lines)
    seen = [Pools(protocol).reading(name, [table, table]) for protocol in (Protocol.HTTP, Protocol.TCP)]
    return seen, table.taken, Servers().reading(name, table, ())


def show_stat_weights(data: bytes) -> object:
    lines = lines_of(data)
    backend = parse_backend("shop_all", lines)
    pools = pools_of(IN_WEIGHTS, backend)
    return route_of("2500:10000:10000", pools), backend


def a_look(form: Callable[[], Form], data: bytes) -> object:
    """Everything that one worker says, as it is asked at each look."""
    made = form()
    questions = made.questions
    found = looked(workers.Worker(None, is_old=False), questions, _blocks("/lb.sock", data, 2 + len(questions)))
    # An older worker said the same.
    older = replace(found, life=Generation(f"1{found.life}"))
    return made.reading([found, older], found.entries), made.ability(found, {"shop_all": True}), pid_of(found.life)


def look_in_map(data: bytes) -> object:
    return a_look(lambda: form_of(LB, IN_MAP, [IN_MAP]), data)


def look_in_weights(data: bytes) -> object:
    return a_look(lambda: form_of(LB, IN_WEIGHTS, [IN_WEIGHTS]), data)


def show_info(data: bytes) -> object:
    info = workers.facts(lines_of(data))
    return probing._numbers(info.get("Version", "")), pid_of(workers.generation(info))


def show_proc(data: bytes) -> object:
    return [f"@!{one.pid}" for one in workers.parse_processes(lines_of(data))]


def show_map(data: bytes) -> object:
    found = [statemap.parse_lines(lines_of(data), columns=columns) for columns in (2, 3)]
    return [statemap.parse_value(value) for entries in found for value in entries.values()]


def show_sess(data: bytes) -> object:
    return list(parse_streams(lines_of(data)))


def show_table(data: bytes) -> object:
    lines = lines_of(data)
    found = list(entries_of("shop_all", lines))
    mine = [of_pool(IN_WEIGHTS, colour, {}, found) for colour in Colour]
    return mine, parse_table(lines), tables_of(lines), names_servers(lines)


def servers_state(data: bytes) -> object:
    found = serverstate.parse_states("shop_all", lines_of(data))
    return found is not None and serverstate.rendered("shop_all", found)


def haproxy_config(data: bytes) -> object:
    config = data.decode("utf-8", "replace")
    document = read_config([("h.cfg", config)])
    made = propose(document)
    services = [service_of(one) for one in made.services if not one.found.single]
    return text(made, "h.cfg", "", "/m"), merged(config, document, LB, services)


# ---- Envoy


class Deaf:
    """A stream that takes everything."""

    def write(self, data: bytes) -> None:
        """Lose it."""

    async def drain(self) -> None:
        """Never wait."""


class NoLoop:
    """A stream whose end is known never waits, so that its loop is asked for nothing else."""

    def get_debug(self) -> bool:
        """See `asyncio`."""
        return False


def finished(coroutine: Coroutine[Any, Any, bytes]) -> bytes:
    """Run what never has to wait, without an event loop."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return bytes(end.value)
    raise AssertionError("it waits for more than there is")


def admin_answer(data: bytes) -> object:
    reader = asyncio.StreamReader(loop=NoLoop())  # type: ignore[arg-type]
    reader.feed_data(data)
    reader.feed_eof()
    return finished(wire.get(reader, Deaf(), "/clusters?format=json"))  # type: ignore[arg-type]


def server_info(data: bytes) -> object:
    info = admin._server_info(data)
    return info.parent_left_s, version_of(info.number)


def clusters(data: bytes) -> object:
    hosts = counters.read_hosts(data)
    return [counters.pool_reading(a_service(), colour, {}, hosts) for colour in Colour]


def stats(data: bytes) -> object:
    found = counters.read_stats(data)
    cells = [Cell(caller, colour) for caller in (None, Caller(CALLER, Colour.BLUE)) for colour in Colour]
    service = replace(a_service(), protocol=Protocol.GRPC)
    return (
        [counters.pool_reading(service, colour, found, {}) for colour in Colour],
        [counters.arrived(service, colour, found) for colour in Colour],
        counters.matrix(service, cells, found),
        counters.refusals(service, found),
        looking.Look(LIFE, found).routes(service),
    )


def histograms(data: bytes) -> object:
    return timing(a_service(), LIFE, Instant(0), read_histograms(data))


def config_dump(data: bytes) -> object:
    dump = read_dump(data)
    layout = layout_of(LB)
    return survey(dump, [a_service()], layout), reads_servers_from(dump, layout)


def session_counters(data: bytes) -> object:
    calls = Attendances([a_service()])
    calls.take(b"", LIFE, Instant(0))
    calls.take(data, LIFE, Instant(1_000))
    calls.take(data + data[-50:], LIFE, Instant(2_000))
    return calls.look({a_service().name: 1}, Instant(3_000))


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def read_bytes(self) -> bytes:
        """What a file would hold."""
        return self._data


def route_file(data: bytes) -> object:
    return RouteFile._parsed(None, _Bytes(data))  # type: ignore[arg-type]


# ---- the request log


def request_log(data: bytes) -> object:
    made = [tally(form) for form in HaproxyForm]
    for datagram in data.split(b"\0", 64):
        for one in made:
            one.take(datagram)
    return [lane.look(Instant(0)) for one in made for lane in one.lanes.values()]

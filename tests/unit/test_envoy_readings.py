"""How Envoy's own words become readings; what is no such word is refused, never guessed."""

import asyncio
import json

import pytest

from lbctl.dataplane.envoy import counters
from lbctl.dataplane.envoy.rising import Rising
from lbctl.dataplane.envoy.version import Written
from lbctl.dataplane.envoy.wire import get
from lbctl.model.errors import Garbled
from lbctl.model.names import Colour, Generation, PlaneName, ServerName, ServiceName
from lbctl.model.reading import PoolReading
from lbctl.model.route import Route
from lbctl.model.topology import Address, Pool, Server, Service

SHOP = ServiceName("shop")
SERVICE = Service(
    name=SHOP,
    plane=PlaneName("edge"),
    blue=Pool(Colour.BLUE, (Server(ServerName("b1"), Address("127.0.0.1", 9001)),)),
    green=Pool(Colour.GREEN, (Server(ServerName("g1"), Address("0:0::1", 9002)),)),
)
FIRST, SECOND = Generation("1@1"), Generation("2@2")


def a_host(address: str, port: int, health: dict[str, object] | None = None, **stats: int) -> dict[str, object]:
    return {
        "address": {"socket_address": {"address": address, "port_value": port}},
        "stats": [{"name": name, "value": str(value)} for name, value in stats.items()],
        "health_status": {"eds_health_status": "HEALTHY", **(health or {})},
        "weight": 1,
    }


def hosts(**clusters: list[dict[str, object]]) -> counters.Hosts:
    statuses = [{"name": name, "host_statuses": listed} for name, listed in clusters.items()]
    return counters.read_hosts(json.dumps({"cluster_statuses": statuses}).encode())


def blue(read: counters.Hosts, stats: bytes = b"") -> PoolReading:
    return counters.pool_reading(SERVICE, Colour.BLUE, counters.read_stats(stats), read)


def test_attempts_are_those_that_ended_and_failed_connections_are_among_them() -> None:
    pool = blue(hosts(shop_blue=[a_host("127.0.0.1", 9001, rq_total=0, rq_success=3, rq_error=162, rq_active=2)]))
    server = pool.servers[ServerName("b1")]
    assert (server.requests, server.errors, server.in_flight) == (165, 162, 2)
    assert (server.up, server.usable) == (True, True)


def test_an_ipv6_server_is_found_however_it_is_written() -> None:
    read = hosts(shop_green=[a_host("::1", 9002, rq_success=1)])
    green = counters.pool_reading(SERVICE, Colour.GREEN, {}, read)
    assert green.servers[ServerName("g1")].requests == 1


@pytest.mark.parametrize(
    ("health", "detail"),
    [
        ({"failed_active_health_check": True}, "its health check fails"),
        ({"failed_active_health_check": True, "active_hc_timeout": True}, "its health check times out"),
        ({"failed_active_health_check": True, "pending_active_hc": True}, "not checked yet"),
        ({"failed_outlier_check": True}, "ejected after errors"),
    ],
)
def test_a_server_that_gets_no_requests_is_down_and_says_why(health: dict[str, object], detail: str) -> None:
    server = blue(hosts(shop_blue=[a_host("127.0.0.1", 9001, health)])).servers[ServerName("b1")]
    assert (server.up, server.usable, server.detail) == (False, False, detail)


def test_a_drained_server_is_up_but_not_usable() -> None:
    read = hosts(shop_blue=[a_host("127.0.0.1", 9001, {"eds_health_status": "DRAINING"})])
    server = blue(read).servers[ServerName("b1")]
    assert (server.up, server.usable) == (True, False)


def test_a_server_envoy_does_not_know_is_not_usable() -> None:
    for read in (hosts(), hosts(shop_blue=[]), hosts(shop_blue=[a_host("127.0.0.1", 9999)])):
        server = blue(read).servers[ServerName("b1")]
        assert (server.up, server.usable, server.requests) == (False, False, 0)


def test_a_pool_counts_whole_answers_and_work_that_waits() -> None:
    stats = (
        b"cluster.shop_blue.upstream_rq_completed: 10\ncluster.shop_blue.upstream_rq_5xx: 4\n"
        b"cluster.shop_blue.upstream_rq_active: 2\ncluster.shop_blue.upstream_rq_pending_active: 1\n"
    )
    pool = blue(hosts(), stats)
    assert (pool.requests, pool.errors, pool.in_flight) == (10, 4, 3)


def test_the_running_route_is_the_version_text_and_foreign_ones_are_none() -> None:
    name = b"http.shop.rds.shop.version_text: "
    ours = counters.read_stats(name + b'"17;2500:10000:10000"\n')
    assert counters.running_route(SERVICE, ours) == Written(17, Route(2_500))
    for foreign in (b"", name + b'""\n', name + b'"v3"\n', name + b'"17;99999:0:0"\n', b"\xff\xfe: \xff\n"):
        assert counters.running_route(SERVICE, counters.read_stats(foreign)) is None


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"cluster_statuses": 7}', b'{"cluster_statuses":[{"name":[]}]}'])
def test_an_answer_that_is_no_list_of_servers_is_garbled(body: bytes) -> None:
    with pytest.raises(Garbled, match="/clusters cannot be understood"):
        counters.read_hosts(body)


def test_counters_that_envoy_starts_anew_go_on_rising_until_another_life_begins() -> None:
    rising = Rising()

    def seen(generation: Generation, requests: int) -> int:
        read = hosts(shop_blue=[a_host("127.0.0.1", 9001, rq_success=requests)])
        return rising.of(generation, SHOP, Colour.BLUE, blue(read)).servers[ServerName("b1")].requests

    assert [seen(FIRST, count) for count in (5, 9, 0, 2, 1)] == [5, 9, 9, 11, 12]
    assert seen(SECOND, 1) == 1


def test_users_who_left_are_not_taken_for_waiting_once_the_pool_was_quieter() -> None:
    rising = Rising()

    def waiting(started: int, answered: int, in_flight: int) -> int:
        seen = PoolReading({}, requests=0, errors=0, in_flight=in_flight, started=started, answered=answered)
        found = rising.of(FIRST, SHOP, Colour.BLUE, seen)
        assert found.started >= found.answered
        return found.started - found.answered

    assert waiting(started=5, answered=3, in_flight=2) == 2
    assert waiting(started=9, answered=3, in_flight=0) == 0
    assert waiting(started=12, answered=4, in_flight=2) == 2
    # Two tunnels are in flight and answered: who leaves now is told apart when they end, or another one leaves.
    assert waiting(started=20, answered=10, in_flight=6) == 4


def test_requests_that_envoy_forgot_are_neither_waiting_nor_running_backwards() -> None:
    rising = Rising()
    pools = [
        rising.of(FIRST, SHOP, Colour.BLUE, PoolReading({}, 0, 0, in_flight, started=started, answered=answered))
        for started, answered, in_flight in ((10, 7, 2), (0, 0, 0), (3, 2, 1), (4, 2, 2))
    ]
    assert [(pool.started, pool.answered) for pool in pools] == [(10, 8), (10, 10), (13, 12), (14, 12)]


class _Nowhere(asyncio.Transport):
    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Forget it."""

    def is_closing(self) -> bool:
        """It is open until the test ends."""
        return True


async def answered(said: bytes) -> bytes:
    reader = asyncio.StreamReader()
    reader.feed_data(said)
    reader.feed_eof()
    loop = asyncio.get_running_loop()
    protocol = asyncio.StreamReaderProtocol(reader)
    protocol.connection_made(_Nowhere())
    writer = asyncio.StreamWriter(_Nowhere(), protocol, reader, loop)
    return await get(reader, writer, "/stats")


async def test_bodies_come_by_length_or_in_chunks() -> None:
    assert await answered(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc") == b"abc"
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    assert await answered(chunked) == b"abcde"


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffff\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 100 + b"\r\n",
        b"x" * 200_000 + b"\r\n",
        b"hello\r\n\r\n",
    ],
)
async def test_an_answer_that_is_no_http_is_garbled(said: bytes) -> None:
    with pytest.raises(Garbled):
        await answered(said)


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"])
async def test_an_answer_that_breaks_off_is_a_broken_connection(said: bytes) -> None:
    with pytest.raises(asyncio.IncompleteReadError):
        await answered(said)


def test_every_request_of_a_pool_is_counted_once_for_people_and_grows_the_witness_of_the_proof() -> None:
    """A request that a server answered is in both figures of Envoy, one without a server only in the second."""
    scope = "cluster.shop_green.upstream_rq"
    stats = {f"{scope}_total": "3", f"{scope}_completed": "4"}
    found = SERVICE
    assert counters.served(found, Colour.GREEN, stats) == 4
    assert counters.arrived(found, Colour.GREEN, stats) == 7

"""The toy servers and the users: they must be light, and honest to the last request."""

import asyncio
import base64
import contextlib
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psutil
import pytest

from lbctl.demo import frames
from lbctl.demo.binomial import within_binomial
from lbctl.demo.child import ChildFailed
from lbctl.demo.crowd import Crowd, CrowdPlan
from lbctl.demo.heads import BadHead, chunks_end, read_answer, read_request
from lbctl.demo.jar import Jar
from lbctl.demo.link import Link
from lbctl.demo.tally import Report, Tally
from lbctl.demo.toypool import ToyPool
from lbctl.demo.users import Users

ANSWER = b"HTTP/1.1 200 OK\r\nX-Pool: blue\r\nX-Server: blue-1\r\nContent-Length: 2\r\n\r\nok"


def adds_up(report: Report) -> bool:
    ended = report.ok + report.failed_requests + report.faults_seen + report.in_flight
    return report.requests == ended and sum(report.failed.values()) == report.failed_requests


async def until(true: Callable[[], bool], timeout_s: float = 5.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not true():
            await asyncio.sleep(0.01)


async def raw(address: tuple[str, int], request: bytes) -> bytes:
    """What one connection gets for these bytes, up to its end."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(request)
    try:
        return await asyncio.wait_for(reader.read(), 5)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()


# --- the binomial bound -------------------------------------------------------------------------------------------


def test_a_right_share_is_believed_and_a_wrong_one_is_not() -> None:
    assert within_binomial(500, 10_000, 0.05)
    assert within_binomial(600, 10_000, 0.05)
    assert not within_binomial(620, 10_000, 0.05)
    assert not within_binomial(390, 10_000, 0.05)
    assert within_binomial(0, 20, 0.5, odds=1e-6)
    assert not within_binomial(0, 25, 0.5, odds=1e-6)


def test_the_bound_is_the_exact_tail() -> None:
    # P(X <= 0) for n=10, p=0.5 is 1/1024: believed while half the odds are below it, not above.
    assert within_binomial(0, 10, 0.5, odds=2 / 1024 - 1e-9)
    assert not within_binomial(0, 10, 0.5, odds=2 / 1024 + 1e-9)
    assert not within_binomial(10, 10, 0.5, odds=2 / 1024 + 1e-9)


def test_nothing_and_everything_are_exact() -> None:
    assert within_binomial(0, 1000, 0.0)
    assert not within_binomial(1, 1000, 0.0)
    assert within_binomial(1000, 1000, 1.0)
    assert not within_binomial(999, 1000, 1.0)
    assert within_binomial(0, 0, 0.3)


@pytest.mark.parametrize(("k", "n", "p"), [(-1, 5, 0.5), (6, 5, 0.5), (1, 5, 1.5)])
def test_impossible_counts_are_refused(k: int, n: int, p: float) -> None:
    with pytest.raises(ValueError, match="no binomial count"):
        within_binomial(k, n, p)


# --- heads, frames, cookies ---------------------------------------------------------------------------------------


def test_a_request_is_whole_only_with_its_body() -> None:
    text = b"POST /a?b=c HTTP/1.1\r\nContent-Length: 3\r\n\r\nxyz"
    assert read_request(text[:-1]) is None
    head = read_request(text + b"GET")
    assert head is not None
    assert (head.method, head.path, head.query, head.size) == (b"POST", b"/a", b"b=c", len(text))


@pytest.mark.parametrize(
    "text",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"x" * 20_000,
    ],
)
def test_a_bad_head_is_refused(text: bytes) -> None:
    with pytest.raises(BadHead):
        read_request(text)


def test_a_chunked_body_ends_where_its_sizes_say() -> None:
    body = b"3\r\nabc\r\n0\r\n\r\n"
    assert chunks_end(body, 0) == len(body)
    assert chunks_end(body[:-1], 0) is None
    with pytest.raises(BadHead):
        chunks_end(b"zz\r\n", 0)


def test_all_cookies_of_an_answer_are_read() -> None:
    answer = read_answer(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nset-cookie: b=2; Path=/\r\nContent-Length: 0\r\n\r\n")
    assert answer is not None
    assert answer.cookies == ("a=1", "b=2; Path=/")


def test_a_frame_comes_back_as_it_went() -> None:
    for size in (0, 5, 125, 126, 60_000):
        packed = frames.encode(frames.TEXT, b"x" * size, b"\1\2\3\4")
        assert frames.decode(packed[:-1]) is None
        assert frames.decode(packed) == (frames.TEXT, b"x" * size, len(packed))


def test_a_jar_replaces_expires_and_keeps_secure_cookies_off_plain_http() -> None:
    jar = Jar()
    for line in ("a=1; Path=/", "a=2; HttpOnly", "b=3; Secure", "c=4; Path=/admin", "d=5; Max-Age=10", "bad"):
        jar.store(line, now=100.0)
    assert jar.header("/", now=100.0) == "a=2; d=5"
    assert jar.header("/admin/x", now=111.0) == "a=2; c=4"
    jar.store("a=; Max-Age=0", now=100.0)
    jar.store("d=; Expires=Thu, 01 Jan 1970 00:00:00 GMT", now=100.0)
    assert jar.header("/", now=100.0) == ""


def test_a_jar_is_bounded() -> None:
    jar = Jar()
    for number in range(100):
        jar.store(f"c{number}=1")
    jar.store("long=" + "x" * 5000)
    assert len(jar.header().split(";")) == 32


# --- toy servers --------------------------------------------------------------------------------------------------


@pytest.fixture
async def pool() -> AsyncIterator[ToyPool]:
    async with await ToyPool.start("green", "2.0.0", servers=2) as started:
        yield started


async def test_a_toy_server_says_who_it_is(pool: ToyPool) -> None:
    assert list(pool.servers) == ["green-1", "green-2"]
    answer = await raw(pool.servers["green-2"], get("/"))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nX-Pool: green\r\nX-Server: green-2\r\nX-Version: 2.0.0\r\n" in answer
    assert (await raw(pool.servers["green-1"], get("/version"))).endswith(b'{"version": "2.0.0"}\n')


async def test_health_is_counted_apart_and_fails_on_request(pool: ToyPool) -> None:
    assert b" 200 " in await raw(pool.servers["green-1"], get("/healthz"))
    await pool.fault(server="green-1", health=False)
    assert b" 503 " in await raw(pool.servers["green-1"], get("/healthz"))
    assert b" 200 " in await raw(pool.servers["green-1"], get("/"))
    assert b" 200 " in await raw(pool.servers["green-2"], get("/healthz"))
    counts = (await pool.stats()).servers["green-1"]
    assert (counts.requests, counts.user_requests, counts.health_requests) == (3, 1, 2)


async def test_an_error_tells_when_it_took_effect_and_when_it_was_first_seen(pool: ToyPool) -> None:
    before = time.monotonic()
    took_effect = await pool.fault(error_ratio=1.0)
    answer = await raw(pool.servers["green-1"], get("/"))
    assert b" 500 " in answer
    assert b"\r\nX-Toy-Fault: 1\r\n" in answer
    stats = await pool.stats()
    assert stats.first_bad_monotonic is not None
    assert before <= took_effect <= stats.first_bad_monotonic <= time.monotonic()
    assert stats.last_user_monotonic == stats.first_bad_monotonic
    await pool.heal()
    assert (await pool.stats()).first_bad_monotonic is None
    assert b" 200 " in await raw(pool.servers["green-1"], get("/"))


async def test_refusing_keeps_the_port_and_spares_open_connections(pool: ToyPool) -> None:
    reader, writer = await asyncio.open_connection(*pool.servers["green-1"])
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    await reader.readuntil(b"green-1 2.0.0\n")
    await pool.fault(refuse=True)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*pool.servers["green-1"])
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    await reader.readuntil(b"green-1 2.0.0\n")
    await pool.fault(refuse=True, cut=True)
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    writer.close()
    await pool.fault(refuse=False)
    assert b" 200 " in await raw(pool.servers["green-1"], get("/"))


async def test_a_hang_answers_nothing_until_it_ends(pool: ToyPool) -> None:
    await pool.fault(hang=True)
    waiting = asyncio.create_task(raw(pool.servers["green-1"], get("/")))
    health = asyncio.create_task(raw(pool.servers["green-1"], get("/healthz")))
    done, _ = await asyncio.wait([waiting, health], timeout=0.3)
    assert not done
    await pool.heal()
    assert b" 200 " in await waiting
    assert b" 200 " in await health


async def test_slow_answers_and_delays_take_their_time(pool: ToyPool) -> None:
    began = time.monotonic()
    assert b" 200 " in await raw(pool.servers["green-1"], get("/slow?ms=150"))
    assert 0.15 <= time.monotonic() - began < 1.0
    await pool.fault(delay_ms=400)
    began = time.monotonic()
    assert b" 200 " in await raw(pool.servers["green-1"], get("/healthz"))
    assert time.monotonic() - began < 0.4
    assert b" 200 " in await raw(pool.servers["green-1"], get("/"))
    assert time.monotonic() - began >= 0.4


async def test_pipelined_requests_are_answered_in_order(pool: ToyPool) -> None:
    text = b"GET /slow?ms=50 HTTP/1.1\r\n\r\nGET /version HTTP/1.1\r\n\r\n" + get("/")
    answer = await raw(pool.servers["green-1"], text)
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert answer.index(b'{"version"') > answer.index(b"green-1 2.0.0\n")


async def test_a_web_socket_echoes(pool: ToyPool) -> None:
    reader, writer = await asyncio.open_connection(*pool.servers["green-1"])
    key = base64.b64encode(b"0123456789abcdef")
    writer.write(
        b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: %s\r\n\r\n" % key
    )
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    assert frames.accept_key(key) in head
    writer.write(frames.encode(frames.TEXT, b"hello", b"abcd") + frames.encode(frames.PING, b"p", b"abcd"))
    assert await reader.readexactly(10) == b"\x81\x05hello\x8a\x01p"
    assert (await pool.stats()).servers["green-1"].websockets == 1
    writer.close()


def test_the_accept_key_is_the_one_of_the_standard() -> None:
    assert frames.accept_key(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize(
    "text", [b"\x16\x03\x01\r\n\r\n", b"GET /slow?ms=x HTTP/1.1\r\n\r\n", b"x" * 20_000, get("/ws")]
)
async def test_nonsense_is_answered_and_closed_and_the_server_lives(pool: ToyPool, text: bytes) -> None:
    assert (await raw(pool.servers["green-1"], text)).startswith(b"HTTP/1.1 400 ")
    assert b" 200 " in await raw(pool.servers["green-1"], get("/"))


async def test_a_bad_order_is_refused_by_name_and_changes_nothing(pool: ToyPool) -> None:
    with pytest.raises(ChildFailed, match="no server 'green-9' here; there are green-1, green-2"):
        await pool.fault(server="green-9", error_ratio=1.0)
    with pytest.raises(ChildFailed, match="not within"):
        await pool.fault(error_ratio=1.5)
    assert b" 200 " in await raw(pool.servers["green-1"], get("/"))


async def test_a_stopped_pool_comes_back_on_the_same_ports(pool: ToyPool) -> None:
    await raw(pool.servers["green-1"], get("/"))
    await pool.stop()
    assert not psutil.pid_exists(pool.pid)
    async with await ToyPool.start("green", "2.0.1", ports=pool.ports) as again:
        assert again.servers == pool.servers
        with pytest.raises(ChildFailed):
            await ToyPool.start("green", ports=again.ports)


async def test_children_end_when_their_parent_is_killed() -> None:
    script = (
        "import asyncio\n"
        "from lbctl.demo.toypool import ToyPool\nfrom lbctl.demo.users import Users\n"
        "async def main():\n"
        "    pool = await ToyPool.start('blue')\n"
        "    users = await Users.start('127.0.0.1', pool.ports[0], rate=20, websockets=1)\n"
        "    print(pool.pid, users.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    pids = [int(text) for text in (await parent.stdout.readline()).split()]
    assert len(pids) == 2
    parent.kill()
    await parent.wait()
    await until(lambda: not any(_runs(pid) for pid in pids))


def _runs(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


async def test_a_terminated_pool_ends_by_itself(pool: ToyPool) -> None:
    os.kill(pool.pid, signal.SIGTERM)
    await until(lambda: not _runs(pool.pid))


# --- users --------------------------------------------------------------------------------------------------------


async def test_what_users_and_servers_count_agrees_to_the_last_request(pool: ToyPool) -> None:
    host, port = pool.servers["green-1"]
    async with await Users.start(host, port, rate=400, sessions=10, visitors=0.5) as users:
        await asyncio.sleep(0.5)
        await pool.fault(error_ratio=0.2)
        await asyncio.sleep(1.0)
        report = await users.stop()
    stats = await pool.stats()
    assert report.in_flight == 0
    assert adds_up(report)
    assert report.failed_requests == 0
    assert report.requests == stats.user_requests
    assert report.faults_seen == stats.errors_sent == report.pools["green"].faults > 0
    assert sum(bucket.faults for bucket in report.timeline) == report.faults_seen
    assert sum(bucket.pools.get("green", 0) for bucket in report.timeline) == report.ok
    assert report.sessions_by_pool == {"green": 10}
    assert (report.colour_changes, report.server_changes) == (0, 0)
    assert report.pools["green"].last_started_monotonic is not None
    assert stats.last_user_monotonic is not None
    assert 0 <= stats.last_user_monotonic - report.pools["green"].last_started_monotonic < 0.5


async def test_a_part_time_fault_hits_its_part(pool: ToyPool) -> None:
    await pool.fault(error_ratio=0.05)
    async with await Users.start(*pool.servers["green-1"], rate=1000) as users:
        await asyncio.sleep(1.0)
        report = await users.stop()
    assert within_binomial(report.faults_seen, report.requests, 0.05)


async def test_a_refusing_server_is_a_failure_with_its_kind() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        async with await Users.start(*holder.getsockname(), rate=100) as users:
            await asyncio.sleep(0.3)
            report = await users.stop()
    assert report.failed_requests == report.failed["refused"] == report.requests > 0
    assert adds_up(report)


async def test_a_hanging_server_is_a_time_out_and_never_stops_the_loop(pool: ToyPool) -> None:
    await pool.fault(hang=True)
    plan = {"rate": 200, "sessions": 5, "visitor_links": 5, "timeout_s": 0.3}
    async with await Users.start(*pool.servers["green-1"], **plan) as users:  # type: ignore[arg-type]
        await asyncio.sleep(1.0)
        snapshot = await users.snapshot()
        await pool.heal()
        await asyncio.sleep(0.3)
        report = await users.stop()
    assert adds_up(snapshot)
    assert adds_up(report)
    assert snapshot.failed["timeout"] > 0
    assert snapshot.skipped_slots > 0
    assert snapshot.timeline == []
    assert report.ok > 0


async def test_a_killed_server_is_seen_as_cut_never_lost() -> None:
    async with await ToyPool.start("blue") as pool:
        await pool.fault(delay_ms=50)
        async with await Users.start(*pool.servers["blue-1"], rate=200) as users:
            await asyncio.sleep(0.4)
            os.kill(pool.pid, signal.SIGKILL)
            await asyncio.sleep(0.3)
            report = await users.stop()
    assert adds_up(report)
    assert report.failed["refused"] > 0
    assert report.failed.get("reset", 0) + report.failed.get("cut_before_answer", 0) > 0


async def test_a_new_window_counts_only_visitors_that_start_in_it(pool: ToyPool) -> None:
    async with await Users.start(*pool.servers["green-1"], rate=200, visitors=1.0, sessions=0) as users:
        await asyncio.sleep(0.3)
        old = await users.reset_window()
        new = await users.snapshot()
        await asyncio.sleep(0.3)
        report = await users.stop()
    assert old.window["green"] > 20
    assert sum(new.window.values()) < old.window["green"]
    assert report.window["green"] <= report.requests - old.window["green"]


async def test_web_sockets_and_slow_transactions_tell_when_they_are_cut(pool: ToyPool) -> None:
    host, port = pool.servers["green-1"]
    async with await Users.start(host, port, rate=10, websockets=3, slow=2, slow_ms=300) as users:
        await asyncio.sleep(0.8)
        before = await users.snapshot()
        cut_at = await pool.fault(cut=True)
        await asyncio.sleep(0.2)
        report = await users.stop()
    assert (before.websockets.open, before.websockets.cut, before.websockets.pools) == (3, 0, {"green": 3})
    assert before.websockets.answers >= 3
    assert before.slow.answers >= 2
    assert before.slow.cut == 0
    assert report.websockets.cut == 3
    assert all(0 <= at - cut_at < 0.5 for at in report.websockets.cut_monotonic)
    assert report.slow.cut == 2
    assert report.slow.begun == report.slow.answers + report.slow.cut + report.slow.open


# --- connections that end: in this process, against a peer made by hand -------------------------------------------


class Peer:
    """A server of which the test decides every byte."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(5)

    async def accept(self) -> socket.socket:
        connection, _ = await asyncio.to_thread(self.listener.accept)
        connection.settimeout(5)
        return connection

    async def request(self, connection: socket.socket) -> bytes:
        return await asyncio.to_thread(connection.recv, 4096)


@pytest.fixture
def peer() -> Iterator[Peer]:
    made = Peer()
    yield made
    made.listener.close()


def crowd_for(peer: Peer, *, retry_idempotent: bool = False) -> Crowd:
    host, port = peer.listener.getsockname()
    plan = CrowdPlan(host=host, port=port, rate=1, sessions=1, visitors=0.0, retry_idempotent=retry_idempotent)
    return Crowd(plan, Tally())


async def first_answer(crowd: Crowd, peer: Peer, answer: bytes = ANSWER) -> socket.socket:
    """Have the one user ask once and get the answer; the connection stays open."""
    crowd._fire(time.monotonic())
    connection = await peer.accept()
    await peer.request(connection)
    connection.sendall(answer)
    await until(lambda: crowd.report().in_flight == 0)
    return connection


async def test_a_connection_closed_before_the_request_is_replaced_and_counted_apart(peer: Peer) -> None:
    crowd = crowd_for(peer)
    (await first_answer(crowd, peer)).close()
    crowd._fire(time.monotonic())  # the event loop has had no turn in which to notice the end
    with await peer.accept() as connection:
        await peer.request(connection)
        connection.sendall(ANSWER)
        await until(lambda: crowd.report().in_flight == 0)
    report = crowd.report()
    assert (report.ok, report.failed_requests, report.stale_connection_retries) == (2, 0, 1)


async def test_a_connection_closed_while_idle_is_no_failure(peer: Peer) -> None:
    crowd = crowd_for(peer)
    (await first_answer(crowd, peer)).close()
    await until(lambda: crowd.report().idle_closes == 1)
    (await first_answer(crowd, peer)).close()
    report = crowd.report()
    assert (report.ok, report.failed_requests, report.stale_connection_retries) == (2, 0, 0)


@pytest.mark.parametrize("retry", [False, True])
async def test_a_request_cut_after_it_was_sent_is_a_failure_unless_retries_are_on(peer: Peer, retry: bool) -> None:
    crowd = crowd_for(peer, retry_idempotent=retry)
    connection = await first_answer(crowd, peer)
    crowd._fire(time.monotonic())
    await peer.request(connection)
    connection.close()
    if retry:
        with await peer.accept() as fresh:
            await peer.request(fresh)
            fresh.sendall(ANSWER)
            await until(lambda: crowd.report().in_flight == 0)
    await until(lambda: crowd.report().in_flight == 0)
    report = crowd.report()
    assert adds_up(report)
    assert report.failed == ({} if retry else {"cut_before_answer": 1})
    assert report.idempotent_retries == retry


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (ANSWER[:-1], "cut_in_answer"),
        (b"", "cut_before_answer"),
        (b"garbage\r\n\r\n", "bad_answer"),
        (ANSWER + b"x", "bad_answer"),
        (ANSWER.replace(b"X-Pool", b"X-Mool"), "bad_answer"),
        (b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", "status_503"),
        (b"HTTP/1.0 502 No\r\n\r\nuntil the end", "status_502"),
    ],
)
async def test_every_bad_end_has_a_kind(peer: Peer, answer: bytes, kind: str) -> None:
    crowd = crowd_for(peer)
    crowd._fire(time.monotonic())
    with await peer.accept() as connection:
        await peer.request(connection)
        connection.sendall(answer)
    await until(lambda: crowd.report().in_flight == 0)
    report = crowd.report()
    assert adds_up(report)
    assert report.failed == {kind: 1}


async def test_a_session_user_sends_its_cookies_back_and_notices_another_colour(peer: Peer) -> None:
    crowd = crowd_for(peer)
    with await first_answer(
        crowd, peer, ANSWER.replace(b"Content", b"Set-Cookie: k=v; Path=/\r\nContent")
    ) as connection:
        crowd._fire(time.monotonic())
        assert b"\r\nCookie: k=v\r\n" in await peer.request(connection)
        connection.sendall(
            ANSWER.replace(b"blue", b"green").replace(b"Content-Length", b"Transfer-Encoding: chunked\r\nX")[:-2]
        )
        connection.sendall(b"2\r\nok\r\n0\r\n\r\n")
        await until(lambda: crowd.report().in_flight == 0)
    report = crowd.report()
    assert (report.ok, report.colour_changes, report.server_changes) == (2, 1, 1)
    assert report.sessions_by_pool == {"green": 1}


async def test_a_link_whose_peer_has_gone_refuses_before_it_sends(peer: Peer) -> None:
    crowd = crowd_for(peer)
    host, port = peer.listener.getsockname()
    _, link = await asyncio.get_running_loop().create_connection(lambda: Link(crowd._sessions[0]), host, port)
    (await peer.accept()).close()
    assert link.send(b"GET / HTTP/1.1\r\n\r\n") is False


# --- through a real load balancer ---------------------------------------------------------------------------------

CONFIG = """
defaults
  mode http
  timeout connect 1s
  timeout client 10s
  timeout server 10s
frontend f
  bind 127.0.0.1:{port}
  use_backend %[req.cook(colour)] if {{ req.cook(colour) -m found }}
  use_backend blue if {{ rand(100) lt 75 }}
  default_backend green
"""


@pytest.mark.haproxy
@pytest.mark.skipif(shutil.which("haproxy") is None, reason="no haproxy on PATH")
async def test_a_thousand_requests_a_second_through_haproxy_cost_less_than_a_core(
    tmp_path: Path, pool: ToyPool
) -> None:
    async with await ToyPool.start("blue") as blue:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        text = CONFIG.format(port=port)
        for side in (blue, pool):
            text += f"backend {side.name}\n  http-response add-header Set-Cookie colour={side.name};path=/\n"
            text += "".join(f"  server {name} {host}:{at}\n" for name, (host, at) in side.servers.items())
        (tmp_path / "haproxy.cfg").write_text(text)
        haproxy = await asyncio.create_subprocess_exec("haproxy", "-db", "-f", str(tmp_path / "haproxy.cfg"))
        try:
            await _answers(port)
            async with await Users.start("127.0.0.1", port, rate=1000, websockets=2, slow=2, slow_ms=500) as users:
                await asyncio.sleep(5.0)
                blue_stats, green_stats, report = await blue.stats(), await pool.stats(), await users.stop()
        finally:
            haproxy.terminate()
            await haproxy.wait()
    assert adds_up(report)
    assert report.failed_requests == 0, report.first_failures
    assert report.colour_changes == 0
    assert report.websockets.cut == report.slow.cut == 0
    assert report.requests + report.skipped_slots >= 4_900
    green = report.window["green"]
    assert within_binomial(green, sum(report.window.values()), 0.25)
    cpu_s = report.cpu_s + blue_stats.cpu_s + green_stats.cpu_s
    print(f"CPU s of 5: users {report.cpu_s:.2f} blue {blue_stats.cpu_s:.2f} green {green_stats.cpu_s:.2f}")
    print(f"latency {report.latency} skipped {report.skipped_slots}")
    assert cpu_s < report.elapsed_s


async def _answers(port: int) -> None:
    async with asyncio.timeout(5):
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.02)

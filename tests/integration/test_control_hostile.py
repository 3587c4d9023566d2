"""Whatever is sent to the control socket gets a clear answer in bounded time, and nothing else is delayed."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from lbctl.control.door import Limits
from lbctl.control.listener import listen
from lbctl.control.server import ControlServer
from tests.fake_desk import FakeDesk, event

QUICK = Limits(request_s=0.4, idle_s=0.8, answer_s=0.5, write_s=1.0)
STATUS = b"GET /v1/status HTTP/1.1\r\nHost: lbctl\r\n\r\n"


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "run" / "control.sock")


@pytest.fixture
async def desk(path: str) -> AsyncIterator[FakeDesk]:
    desk = FakeDesk()
    server = ControlServer(desk, listen(path), limits=QUICK)
    await server.start()
    try:
        yield desk
    finally:
        await server.stop()


async def talk(path: str, data: bytes, *, timeout_s: float = 5.0) -> bytes:
    """Send and return everything that comes until the server closes."""
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(data)
        return await asyncio.wait_for(reader.read(), timeout_s)
    finally:
        writer.close()


def problem(answer: bytes) -> tuple[int, dict[str, Any]]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head, answer[:300]
    return int(head.split()[1]), json.loads(body)


async def status_takes_s(path: str) -> float:
    began = time.monotonic()
    answer = await talk(path, STATUS.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert answer.startswith(b"HTTP/1.1 200"), answer[:200]
    return time.monotonic() - began


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "not_http", id="tls-hello"),
        pytest.param(b"\x00\xff" * 512, 400, "not_http", id="binary"),
        pytest.param(b"hello\n", 400, "not_http", id="words"),
        pytest.param(b"\r\n\r\n", 400, "not_http", id="empty-lines"),
        pytest.param(b"GET /v1/status\r\n\r\n", 400, "bad_request", id="http-0.9"),
        pytest.param(b"GET /v1/status HTTP/1.1\n\n", 400, "bad_request", id="bare-line-feeds"),
        pytest.param(b"GET /v1/status HTTP/1.1\r\n\r\n", 400, "bad_request", id="no-host"),
        pytest.param(b"GET /v1/status HTTP/3.0\r\nHost: x\r\n\r\n", 505, "bad_version", id="http-3"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "bad_request", id="http-2-preface"),
        pytest.param(b"GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request", id="proxy-form"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n", 400, "bad_request", id="folded-header"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n", 400, "bad_request", id="nul-in-header"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 1_000_000, 431, "header_too_large", id="1-mb-header"),
        pytest.param(b"GET /" + b"a" * 1_000_000, 431, "header_too_large", id="1-mb-line"),
        pytest.param(
            b"POST /v1/plan HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1_000_000,
            413,
            "body_too_large",
            id="1-mb-body",
        ),
        pytest.param(
            b"POST /v1/plan HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400, "bad_request", id="negative-length"
        ),
        pytest.param(
            b"POST /v1/plan HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
            400,
            "bad_request",
            id="two-lengths",
        ),
        pytest.param(
            b"POST /v1/plan HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n" + b"x" * 200_000,
            411,
            "length_required",
            id="chunked-bomb",
        ),
        pytest.param(
            b"POST /v1/plan HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            411,
            "length_required",
            id="smuggling",
        ),
        pytest.param(b"GET /v1/sta", 408, "too_slow", id="truncated-line"),
        pytest.param(b"GET /v1/status HTTP/1.1\r\nHost: x\r\n", 408, "too_slow", id="truncated-header"),
        pytest.param(
            b'POST /v1/plan HTTP/1.1\r\nHost: x\r\nContent-Length: 90\r\n\r\n{"se', 408, "too_slow", id="truncated-body"
        ),
        pytest.param(b"", 408, "too_slow", id="silent"),
    ],
)
async def test_malformed_requests_get_a_problem_and_the_connection_is_closed(
    desk: FakeDesk, path: str, data: bytes, status: int, code: str
) -> None:
    with capture_logs() as logs:
        found, body = problem(await talk(path, data))
    assert (found, body["code"]) == (status, code)
    assert logs == []
    assert await status_takes_s(path) < 1


@pytest.mark.parametrize("where", ["header", "body"])
async def test_a_request_that_drips_is_closed_with_408_although_something_always_comes(
    desk: FakeDesk, path: str, where: str
) -> None:
    reader, writer = await asyncio.open_unix_connection(path)
    if where == "body":
        writer.write(b"POST /v1/plan HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
    began = time.monotonic()
    reading = asyncio.ensure_future(reader.read())
    for byte in b"GET /v1/status HTTP/1.1 " * 100:
        if reading.done():
            break
        writer.write(bytes([byte]))
        await asyncio.sleep(0.02)
    status, body = problem(await reading)
    assert status == 408
    assert body["exit_code"] == 2
    assert time.monotonic() - began < 3
    writer.close()


async def test_a_request_cut_off_by_its_sender_gets_400(desk: FakeDesk, path: str) -> None:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"GET /v1/status HTT")
    writer.write_eof()
    assert problem(await asyncio.wait_for(reader.read(), 5))[1]["code"] == "truncated"
    writer.close()


async def test_two_hundred_idle_connections_do_not_delay_status(desk: FakeDesk, path: str) -> None:
    idle = []
    for _ in range(200):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(path)
        await asyncio.sleep(0)  # Let the server accept it, or the backlog fills up and nothing is tested.
        idle.append(sock)
    try:
        assert await status_takes_s(path) < 1
    finally:
        for sock in idle:
            sock.close()


async def test_an_idle_keep_alive_connection_is_closed_in_silence(desk: FakeDesk, path: str) -> None:
    answer = await talk(path, STATUS)
    assert answer.count(b"HTTP/1.1 200") == 1
    assert b"408" not in answer


async def test_pipelined_requests_are_answered_in_order_one_at_a_time(desk: FakeDesk, path: str) -> None:
    version = STATUS.replace(b"status", b"version")
    answer = await talk(path, STATUS + version + STATUS + b"BROKEN\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200") == 3
    first, second = answer.index(b'"services"'), answer.index(b'"uptime_s"')
    assert first < second < answer.rindex(b'"services"') < answer.index(b"HTTP/1.1 400")


async def test_a_flood_of_pipelined_requests_ends_without_a_queue(desk: FakeDesk, path: str) -> None:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(STATUS * 20_000)
    assert await status_takes_s(path) < 1
    writer.close()
    reader.feed_eof()


async def test_http_1_0_is_answered_and_closed(desk: FakeDesk, path: str) -> None:
    began = time.monotonic()
    answer = await talk(path, b"GET /v1/status HTTP/1.0\r\n\r\n")
    assert answer.split()[1] == b"200"
    assert time.monotonic() - began < QUICK.idle_s


async def test_a_half_closed_peer_still_gets_its_answer(desk: FakeDesk, path: str) -> None:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(STATUS)
    writer.write_eof()
    assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_a_client_that_asks_to_go_on_is_told_so(desk: FakeDesk, path: str) -> None:
    reader, writer = await asyncio.open_unix_connection(path)
    body = b'{"service": "web"}'
    writer.write(b"POST /v1/plan HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\n")
    writer.write(b"Content-Length: %d\r\n\r\n" % len(body))
    assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5) == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(body)
    assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_a_fault_of_the_daemon_is_one_problem_and_one_line_without_traceback(desk: FakeDesk, path: str) -> None:
    desk.broken = True
    with capture_logs() as logs:
        status, body = problem(await talk(path, STATUS))
    assert (status, body["code"]) == (500, "internal")
    assert [line["event"] for line in logs] == ["request.failed"]
    assert "exc_info" not in logs[0]


async def test_a_desk_that_never_answers_is_a_problem_in_time(desk: FakeDesk, path: str) -> None:
    desk.stuck = True
    began = time.monotonic()
    answer = await talk(path, b"POST /v1/releases/7/rollback HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
    assert problem(answer)[0] == 503
    assert time.monotonic() - began < 3


async def test_a_follower_that_goes_away_is_forgotten_at_once(desk: FakeDesk, path: str) -> None:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"GET /v1/events?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n")
    await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    while not desk.followers:
        await asyncio.sleep(0.01)
    writer.close()
    for _ in range(200):
        if not desk.followers:
            return
        await asyncio.sleep(0.01)
    pytest.fail("the follower is still there")


async def test_a_follower_gets_what_it_missed_then_what_comes_then_a_resync(desk: FakeDesk, path: str) -> None:
    desk.journal = [event(number) for number in range(1, 11)]
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"GET /v1/events?follow=1 HTTP/1.1\r\nHost: x\r\nLast-Event-ID: 8\r\n\r\n")
    seen = b""
    while b"id: 10\n" not in seen:
        seen += await asyncio.wait_for(reader.read(4096), 5)
    assert b"id: 8\n" not in seen
    assert b"id: 9\nevent: step.started\n" in seen
    desk.tell(event(11))
    desk.tell(None)
    while b"event: resync" not in seen:
        seen += await asyncio.wait_for(reader.read(4096), 5)
    assert seen.count(b"id: 11\n") == 1
    writer.close()

"""The listener for Prometheus alone, over real sockets: one path, bounded, and nothing that can be changed."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lbctl.control import scraping
from lbctl.control.listener import CannotListen
from lbctl.control.scraping import ScrapeServer
from lbctl.demo.ports import free_port
from lbctl.model.topology import Address

TEXT = b"lbctl_leader 1.0\n"


async def text() -> bytes:
    """What there is to scrape."""
    return TEXT


@pytest.fixture(params=["port", "path"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Address | str]:
    at = Address("127.0.0.1", free_port()) if request.param == "port" else str(tmp_path / "own" / "metrics.sock")
    server = ScrapeServer(at, text)
    await server.start()
    yield at
    await server.stop()
    assert request.param == "port" or not Path(str(at)).exists()


async def connected(at: Address | str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if isinstance(at, str):
        return await asyncio.open_unix_connection(at)
    return await asyncio.open_connection(at.host, at.port)


async def said(at: Address | str, asked: bytes) -> bytes:
    reader, writer = await connected(at)
    writer.write(asked)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer


async def test_metrics_are_read(place: Address | str) -> None:
    answer = await said(place, b"GET /metrics?x=1 HTTP/1.1\r\nHost: lbctl\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert b"text/plain; version=0.0.4" in head
    assert body == TEXT


async def test_on_a_port_a_foreign_name_is_refused_and_on_a_socket_any_name_will_do(place: Address | str) -> None:
    for name in (b"evil.example", b"evil.example:9464", b"127.0.0.1.evil.example", b""):
        answer = await said(place, b"GET /metrics HTTP/1.1\r\nHost: " + name + b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200" if isinstance(place, str) else b"HTTP/1.1 421"), name
    for name in (b"localhost:9464", b"127.0.0.1:9464", b"[::1]:9464"):
        assert (await said(place, b"GET /metrics HTTP/1.1\r\nHost: " + name + b"\r\n\r\n")).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", 404),
        (b"GET /metrics/../v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
        (b"GET /metrics HTTP/1.1\nHost: localhost\n\n", 400),
        (b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\n\r\n", 431),
    ],
)
async def test_anything_else_is_refused(place: Address | str, asked: bytes, status: int) -> None:
    answer = await said(place, asked)
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:80]
    assert TEXT not in answer


async def test_who_says_nothing_is_given_up_and_holds_nobody_up(
    place: Address | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scraping, "REQUEST_S", 0.2)
    silent = [await connected(place) for _ in range(scraping.CONNECTIONS_MAX)]
    assert b" 503 " in await said(place, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    for reader, writer in silent:
        assert b" 408 " in await asyncio.wait_for(reader.read(), 10)
        writer.close()
    assert TEXT in await said(place, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")


async def test_a_port_that_is_taken_is_named_with_the_next_step() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        at = Address("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(CannotListen, match="something else listens there; choose another port"):
            await ScrapeServer(at, text).start()

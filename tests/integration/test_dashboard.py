"""The dashboard's own socket: a page under a strict policy, reads for who may look, and nothing else."""

import asyncio
import hashlib
import json
import re
import socket
from collections.abc import AsyncIterator
from importlib.resources import files
from pathlib import Path

import pytest

from lbctl.config.settings import Access
from lbctl.control import dashing
from lbctl.control.dashing import POLICY, READS, dashboard_server, page
from lbctl.control.listener import CannotListen
from lbctl.control.peer import Peer
from lbctl.control.routes import ROUTES
from lbctl.demo.ports import free_port
from lbctl.model.topology import Address
from tests.fake_desk import FakeDesk, event
from tests.integration.test_scraping import connected, said

VENDORED = {
    "uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
}
"""Of uPlot 1.6.32 as it was published."""
SOURCES = files("lbctl.control").joinpath("dashboard")

Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture(params=["port", "path"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Address | str]:
    at = Address("127.0.0.1", free_port()) if request.param == "port" else str(tmp_path / "own" / "dash.sock")
    desk = FakeDesk()
    desk.journal = [event(number) for number in range(1, 4)]
    server = dashboard_server(desk, at, Access)
    await server.start()
    yield at
    await server.stop()
    assert desk.asked == []


async def ask(at: Address | str, target: str, method: str = "GET", host: str = "localhost:8080") -> Answer:
    head = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    top, _, body = (await said(at, head.encode())).partition(b"\r\n\r\n")
    lines = top.decode().split("\r\n")
    fields = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:])}
    return int(lines[0].split()[1]), fields, body


async def test_every_file_of_the_page_comes_under_the_strict_policy(place: Address | str) -> None:
    for path, media, body in page():
        status, fields, got = await ask(place, path)
        assert (status, got) == (200, body), path
        assert fields["content-type"] == f"{media}; charset=utf-8"
        assert fields["content-security-policy"] == POLICY
        assert fields["x-content-type-options"] == "nosniff"
        assert fields["cross-origin-resource-policy"] == "same-origin"
        assert fields["referrer-policy"] == "no-referrer"
    assert "unsafe" not in POLICY
    assert POLICY.startswith("default-src 'none'; script-src 'self';")


@pytest.mark.parametrize("path", sorted(READS))
async def test_what_the_page_reads_is_there(place: Address | str, path: str) -> None:
    status, fields, body = await ask(place, path)
    assert status == 200
    assert json.loads(body)
    assert fields["content-security-policy"] == POLICY


async def test_events_come_as_they_happen_and_missed_ones_first(place: Address | str) -> None:
    reader, writer = await connected(place)
    writer.write(b"GET /v1/events?follow=1&after=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    text = await asyncio.wait_for(reader.readuntil(b'"event 3"'), 10)
    assert b"text/event-stream" in text
    assert b"Content-Security-Policy" in text
    assert b'"event 2"' in text
    assert b'"event 1"' not in text
    writer.close()


@pytest.mark.parametrize(
    "route", [one for one in ROUTES if one.method != "GET" or one.path not in READS], ids=lambda one: one.path
)
async def test_nothing_that_changes_something_is_there(place: Address | str, route: object) -> None:
    path, method = re.sub(r"\{\w+\}", "web", getattr(route, "path", "")), getattr(route, "method", "")
    status, _, _ = await ask(place, path, method)
    assert status in {404, 405}


@pytest.mark.parametrize(
    "target",
    [
        "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2fetc%2fpasswd",
        "//etc/passwd",
        "/dashboard.css/../../server.py",
        "/index.html",
        "/main.js%00.html",
        "/server.py",
    ],
)
async def test_no_path_leads_to_another_file(place: Address | str, target: str) -> None:
    status, fields, body = await ask(place, target)
    assert status in {400, 404}, body[:100]
    assert fields["content-type"].startswith("application/problem+json")
    assert b"root:" not in body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
async def test_a_page_is_only_read(place: Address | str, method: str) -> None:
    status, _, body = await ask(place, "/", method)
    assert (status, json.loads(body)["code"]) == (405, "method_not_allowed")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8080", "[::1]:8080", "LOCALHOST:1", "lbctl"])
async def test_it_is_served_under_names_of_this_host(place: Address | str, host: str) -> None:
    assert (await ask(place, "/", host=host))[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example:8080", "10.0.0.1", "127.0.0.1.nip.io", "a@localhost", "", "[::2]"]
)
async def test_a_foreign_name_for_this_host_reads_nothing(place: Address | str, host: str) -> None:
    for target in ("/", "/v1/status", "/v1/events?follow=1", "/v1/openapi.json"):
        status, _, body = await ask(place, target, host=host)
        assert (status, json.loads(body)["code"]) == (403, "foreign_host")


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
        (b"GET / HTTP/1.1\nHost: x\n\n", 400),
        (b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999\r\n\r\n", 413),
    ],
)
async def test_what_is_no_request_is_refused(place: Address | str, asked: bytes, status: int) -> None:
    assert (await said(place, asked)).startswith(b"HTTP/1.1 %d " % status)


async def test_more_connections_than_there_may_be_are_told_so(
    place: Address | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    del monkeypatch
    follow = b"GET /v1/events?follow=1 HTTP/1.1\r\nHost: localhost\r\n\r\n"
    streams = [await connected(place) for _ in range(dashing.LIMITS.per_privileged)]
    for reader, writer in streams:
        writer.write(follow)
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    assert b" 503 " in await said(place, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    for _, writer in streams:
        writer.close()


async def test_on_a_socket_who_may_not_look_gets_the_page_and_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dashing, "read_peer", lambda _: Peer(1, 4_000_000_000, frozenset()))
    at = str(tmp_path / "own" / "dash.sock")
    server = dashboard_server(FakeDesk(), at, Access)
    await server.start()
    try:
        assert (await ask(at, "/"))[0] == 200
        for path in sorted(READS):
            status, _, body = await ask(at, path)
            found = json.loads(body)
            assert (status, found["code"]) == (403, "not_authorised")
            assert "access: {observe:" in found["then"]
    finally:
        await server.stop()


def test_a_place_that_is_taken_is_named_with_the_next_step(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        at = Address("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(CannotListen, match=r"choose another port for daemon\.dashboard"):
            dashboard_server(FakeDesk(), at, Access)
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotListen, match=r"not a socket; remove it, or set daemon\.dashboard"):
        dashboard_server(FakeDesk(), str(tmp_path / "file"), Access)


@pytest.mark.parametrize("name", sorted(VENDORED))
def test_what_is_not_our_own_is_what_was_published(name: str) -> None:
    assert hashlib.sha256(SOURCES.joinpath(name).read_bytes()).hexdigest() == VENDORED[name]
    assert "MIT License" in SOURCES.joinpath("uPlot.LICENSE").read_text()


def test_the_page_has_no_way_to_read_a_text_as_html_or_code() -> None:
    for path, media, body in page():
        text = body.decode()
        if media == "text/html":
            assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|<style|javascript:|https?:", text)
        elif media == "text/javascript" and "uPlot" not in path:
            words = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|DOMParser|https?:"
            assert not re.search(words, text), path

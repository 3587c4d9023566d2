"""What servers say they run, asked for real: good answers, hostile ones, and none."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lbctl.demo.toypool import ToyPool
from lbctl.gate.attest import BODY_MAX, Asker, Question, Said
from lbctl.model.attested import VersionCheck, VersionIn
from lbctl.model.topology import Address, ServerTls
from tests.integration.probe_servers import (
    Authority,
    Behaviour,
    closed_port,
    closing,
    dripping,
    saying,
    serving,
    silent,
)


@pytest.fixture
async def asker() -> AsyncIterator[Asker]:
    asker = Asker(timeout_s=0.5)
    yield asker
    await asker.close()


def question(
    port: int, where: VersionIn = VersionIn.JSON, name: str = "version", *, tls: ServerTls | None = None
) -> Question:
    check = VersionCheck(path="/version", tls=tls is not None, where=where, name=name)
    return Question(check, Address("127.0.0.1", port), tls)


def http(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> Behaviour:
    head = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *headers]
    return saying(b"\r\n".join(head) + b"\r\n\r\n" + body)


async def test_toy_servers_are_asked_by_json_header_and_body_and_a_new_deploy_is_heard(asker: Asker) -> None:
    async with await ToyPool.start("green", "2.0.0") as pool:
        port = pool.ports[0]
        assert await asker.ask(question(port)) == Said("2.0.0")
        assert await asker.ask(question(port, VersionIn.HEADER, "x-version")) == Said("2.0.0")
        assert await asker.ask(question(port, VersionIn.TEXT)) == Said('{"version": "2.0.0"}')
        await pool.deploy("2.0.1", server="green-1")
        said = [await asker.ask(question(one)) for one in pool.ports]
        assert said == [Said("2.0.1"), Said("2.0.0")]


@pytest.mark.parametrize(
    ("body", "name", "version"),
    [
        (b'{"build": {"version": "4.2.0"}}', "build.version", "4.2.0"),
        (b'{"version": " 4.2.0\\n"}', "version", "4.2.0"),
        (b'{"version": 42}', "version", "42"),
        ('{"version": "4.2-größer"}'.encode(), "version", "4.2-größer"),
    ],
)
async def test_a_field_of_a_json_answer_is_the_version(asker: Asker, body: bytes, name: str, version: str) -> None:
    async with serving(http(body)) as port:
        assert await asker.ask(question(port, name=name)) == Said(version)


DEEP = b"[" * 60_000
NO_FIELD = "no text in field version of its JSON"


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        (http(b"{}"), NO_FIELD),
        (http(b"[]"), NO_FIELD),
        (http(b'{"version": null}'), NO_FIELD),
        (http(b'{"version": true}'), NO_FIELD),
        (http(b'{"version": 1.10}'), NO_FIELD),
        (http(b'{"version": {"a": "1"}}'), NO_FIELD),
        (http(b'{"version": "  "}'), "its version is empty"),
        (http(b'{"version": "1\\u001b[2J"}'), "what it says is no version: 1?[2J"),
        (http(b'{"version": "%s"}' % (b"9" * 200)), f"what it says is no version: {'9' * 80}"),
        (http(b"<html>"), "its answer is not JSON"),
        (http(b'{"version": "\xff"}'), "its answer is not JSON"),
        (http(DEEP), "its answer is not JSON"),
        (http(b" " * (BODY_MAX + 1)), "its answer is longer than 64 KiB"),
        (http(b"", status=b"404 Not Found"), "HTTP 404"),
        (http(b"", b"Location: http://127.0.0.1:1/", status=b"302 Found"), "HTTP 302"),
        (saying(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"), "its answer was cut off"),
        (saying(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), "its answer is not HTTP"),
        (saying(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n"), "its answer is not HTTP"),
        (saying(b"SSH-2.0-OpenSSH_9.2\r\n"), "its answer is not HTTP"),
        (silent, "no answer within 0.5 s"),
        (dripping, "no answer within 0.5 s"),
    ],
)
async def test_what_is_no_version_is_none_and_the_reason_is_said(asker: Asker, behaviour: Behaviour, why: str) -> None:
    async with serving(behaviour) as port:
        assert await asker.ask(question(port)) == Said(None, why)


async def test_an_answer_without_end_costs_no_more_than_its_bound(asker: Asker) -> None:
    sent = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"1000\r\n" + b"9" * 0x1000 + b"\r\n")
            sent += 0x1000
            await writer.drain()

    async with serving(endless) as port:
        assert await asker.ask(question(port, VersionIn.TEXT)) == Said(None, "its answer is longer than 64 KiB")
    assert sent < 64 << 20


async def test_a_server_that_closes_at_once_is_said_to(asker: Asker) -> None:
    async with serving(closing) as port:
        said = await asker.ask(question(port))
    assert said.why in {"closed without an answer", "connection reset by peer"}


async def test_nobody_there_and_no_such_header(asker: Asker) -> None:
    assert await asker.ask(question(closed_port())) == Said(None, "connection refused")
    async with serving(http(b"1")) as port:
        assert await asker.ask(question(port, VersionIn.HEADER, "X-Version")) == Said(None, "no header X-Version")
    async with serving(http(b"\xff\xfe")) as port:
        assert await asker.ask(question(port, VersionIn.TEXT)) == Said(None, "its answer is not text")


async def test_tls_servers_are_verified_as_for_health_checks(asker: Asker, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = authority.server_context("app.example")
    async with serving(http(b'{"version": "2"}'), tls=context) as port:
        good = ServerTls(str(authority.ca), "app.example")
        assert await asker.ask(question(port, tls=good)) == Said("2")
        said = await asker.ask(question(port, tls=ServerTls(str(authority.ca), "other.example")))
        assert said.version is None
        assert said.why.startswith("certificate verify failed: Hostname mismatch")
        missing = await asker.ask(question(port, tls=ServerTls(str(tmp_path / "none.pem"), "app.example")))
        assert missing.why.startswith("lbctl cannot read the CA file ")

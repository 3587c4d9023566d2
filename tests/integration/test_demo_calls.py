"""Toy servers that need another service: every answer is checked by the caller itself, nothing is lost or hidden."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from lbctl.demo.toypool import ToyPool
from lbctl.demo.upstream import Dependency
from tests.integration.test_demo_parts import get, raw


@asynccontextmanager
async def pair(version: str, speaks: str, background_s: float = 0.0) -> AsyncIterator[tuple[ToyPool, ToyPool]]:
    """A storefront server that calls one accounts server directly."""
    async with await ToyPool.start("blue", version, servers=1) as accounts:
        (host, port) = next(iter(accounts.servers.values()))
        calls = Dependency(host=host, port=port, speaks=frozenset({speaks}), background_s=background_s)
        async with await ToyPool.start("green", "1.0.0", servers=1, calls=calls) as storefront:
            yield accounts, storefront


async def ask(pool: ToyPool, path: str = "/") -> bytes:
    """The status line of one answer."""
    return (await raw(next(iter(pool.servers.values())), get(path))).partition(b"\r\n")[0]


async def calls(pool: ToyPool) -> tuple[Counter[str], Counter[str]]:
    """What became of the calls for users and of those in the background."""
    stats = await pool.stats()
    return Counter(stats.servers["green-1"].calls.users), Counter(stats.servers["green-1"].calls.background)


async def test_a_user_is_answered_once_the_service_behind_has_answered() -> None:
    async with pair("1.4.0", "1") as (accounts, storefront):
        assert await ask(storefront) == b"HTTP/1.1 200 OK"
        assert await calls(storefront) == ({"ok": 1}, {})
        assert (await accounts.stats()).user_requests == 1


async def test_a_slow_transaction_calls_at_its_start_and_at_its_end() -> None:
    async with pair("1.4.0", "1") as (accounts, storefront):
        assert await ask(storefront, "/slow?ms=50") == b"HTTP/1.1 200 OK"
        assert await calls(storefront) == ({"ok": 2}, {})
        assert (await accounts.stats()).user_requests == 2


async def test_an_answer_of_a_version_it_cannot_speak_with_is_a_mismatch_and_fails_the_user() -> None:
    async with pair("2.0.0", "1") as (_, storefront):
        assert await ask(storefront) == b"HTTP/1.1 502 Bad Gateway"
        assert await calls(storefront) == ({"mismatch": 1}, {})
        troubles = (await storefront.stats()).servers["green-1"].calls.troubles
        assert troubles == ["mismatch: 200 from blue-1 2.0.0"]


async def test_a_mismatch_is_one_also_where_the_answer_is_an_error() -> None:
    async with pair("2.0.0", "1") as (accounts, storefront):
        await accounts.fault(error_ratio=1.0)
        await ask(storefront)
        assert await calls(storefront) == ({"mismatch": 1}, {})


async def test_an_error_on_request_is_passed_on_as_one() -> None:
    async with pair("1.0.0", "1") as (accounts, storefront):
        await accounts.fault(error_ratio=1.0)
        answer = await raw(next(iter(storefront.servers.values())), get("/"))
        assert answer.startswith(b"HTTP/1.1 500 ")
        assert b"\r\nX-Toy-Fault: 1\r\n" in answer
        assert b"\r\nX-Server: green-1\r\n" in answer


async def test_a_call_that_nobody_answers_fails_the_user() -> None:
    async with pair("1.0.0", "1") as (accounts, storefront):
        await accounts.fault(refuse=True, cut=True)
        assert await ask(storefront) == b"HTTP/1.1 502 Bad Gateway"
        assert await calls(storefront) == ({"failed": 1}, {})


@pytest.mark.parametrize(("version", "word"), [("1.0.0", "ok"), ("2.0.0", "mismatch")])
async def test_a_server_calls_by_itself_while_no_user_comes(version: str, word: str) -> None:
    async with pair(version, "1", background_s=0.01) as (_, storefront):
        async with asyncio.timeout(5):
            while (await calls(storefront))[1][word] < 10:
                await asyncio.sleep(0.01)
        assert (await calls(storefront))[0] == {}

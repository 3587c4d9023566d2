"""Two pipelines that say `ready` at once, killed at random and started again: one release, one set, nothing lost."""

import asyncio
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from lbctl.demo.proxy import Proxy
from lbctl.demo.shop import ACCOUNTS, STOREFRONT, UNIT
from lbctl.demo.team import Team, Version, accounts, storefront
from tests.e2e.scene import events, one_of, proxies
from tests.e2e.shopping import SLOW, Town, town

ATTEMPTS = 10


async def said(socket: Path, team: Team, version: Version) -> bool:
    """Say ready as a job that may be killed at any moment; returns whether it lived to hear that all is well."""
    body = json.dumps({"unit": UNIT, "version": version.number, "build": build(team, version), **version.contract})
    head = f"POST /v1/services/{team.service}/ready HTTP/1.1\r\nHost: lbctl\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()
    killed_after = random.choice([None, None, len(request), random.randrange(1, len(request))])
    reader, writer = await asyncio.open_unix_connection(str(socket))
    try:
        writer.write(request[:killed_after])
        await writer.drain()
        if killed_after is not None:
            await asyncio.sleep(random.uniform(0, 0.005))
            writer.transport.abort()
            return False
        return b" 200 " in (await reader.read()).partition(b"\r\n")[0]
    finally:
        writer.close()


def build(team: Team, version: Version) -> str:
    """The job's own name."""
    return f"https://ci.test/{team.service}/{version.number}"


async def job(socket: Path, team: Team, version: Version) -> None:
    """A pipeline that is started again until it was answered: some of its lives overlap."""
    heard = await asyncio.gather(*(said(socket, team, version) for _ in range(ATTEMPTS)))
    while not any(heard):
        heard = [await said(socket, team, version)]


async def raced(shop: Town, number: int) -> None:
    """Both teams claim, both pipelines race; the set that goes is theirs, and goes once."""
    socket = shop.here.directory / "run" / "control.sock"
    before = (await shop.unit())["release"]
    pair = ((shop.storefront, storefront(f"6.0.{number}", 2)), (shop.accounts, accounts(f"2.0.{number}")))
    for team, _ in pair:
        await team.claim()
    await asyncio.gather(*(job(socket, team, version) for team, version in pair))
    release = await shop.release_after(before)
    found = await shop.release(release)
    assert {one["service"]: one["build"] for one in found["members"]} == {t.service: build(t, v) for t, v in pair}
    await asyncio.sleep(0.2)
    assert (await shop.unit())["release"] == release
    assert (await shop.unit())["board"] == {}


async def races(proxy: Proxy, rounds: int) -> None:
    async with town(proxy, SLOW) as shop:
        # A candidate that is not well keeps every release before its first traffic, where a newer claim ends it.
        await shop.here.shop.pools[ACCOUNTS, "green"].fault(health=False)
        for number in range(rounds):
            await raced(shop, number)
        started = [event for event in await events(shop.here) if event["kind"] == "release.started"]
        assert len(started) == rounds
        assert {event["service"] for event in started} == {STOREFRONT}


@pytest.mark.parametrize("proxy", one_of("envoy"))
async def test_two_pipelines_that_race_start_one_release_of_one_set(proxy: Callable[[], Proxy]) -> None:
    await races(proxy(), 4)


@pytest.mark.long
@pytest.mark.parametrize("proxy", proxies())
async def test_a_thousand_races_for_ready_lose_no_record(proxy: Callable[[], Proxy]) -> None:
    await races(proxy(), 1_000 // ATTEMPTS)

"""A pair that goes over while the load balancer is reloaded, lbctld is killed, or a person wants it back."""

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable

import pytest

from lbctl.demo.proxy import OwnHaproxy, Proxy
from lbctl.demo.shop import UNIT
from tests.bench.rows import Row, told
from tests.e2e.scene import haproxy, on_which, one_of, proxies
from tests.e2e.shopping import BRISK, SLOW, Town, people, town

Disturb = Callable[[Town], Awaitable[None]]


async def reload(shop: Town) -> None:
    """Reload the load balancer, as config management would."""
    proxy = shop.here.proxy
    assert isinstance(proxy, OwnHaproxy)
    assert proxy.pid is not None
    os.kill(proxy.pid, signal.SIGUSR2)


async def kill(shop: Town) -> None:
    """Kill lbctld, and start it again after a moment."""
    await shop.here.daemon.stop(signal.SIGKILL)
    await asyncio.sleep(random.uniform(0.05, 0.3))
    await shop.here.daemon.start()
    await shop.here.control.wait_up(20)


async def disturbed(shop: Town, release: str, disturb: Disturb, most: int = 3) -> None:
    """Disturb a release at random moments, then let it come to its end."""
    for _ in range(most):
        await asyncio.sleep(random.uniform(0.2, 1.5))
        await disturb(shop)
    assert (await shop.ended(release))["phase"] == "finished"


DISTURBANCES = [
    pytest.param(haproxy, reload, id="haproxy-reloads", marks=pytest.mark.haproxy),
    *[pytest.param(*one.values, kill, id=f"{one.id}-kills", marks=one.marks) for one in one_of("haproxy")],
]


@pytest.mark.parametrize(("proxy", "disturb"), DISTURBANCES)
async def test_a_pair_goes_over_under_reloads_and_kills_without_a_mismatched_call(
    proxy: Callable[[], Proxy], disturb: Disturb
) -> None:
    async with (
        town(proxy(), BRISK.replace("700ms", "1200ms")) as shop,
        await people(shop.here, websockets=2, slow=2, slow_ms=10_000) as users,
    ):
        await disturbed(shop, await shop.both(2), disturb)
        await shop.nothing_wrong(users)


@pytest.mark.parametrize("proxy", one_of("envoy"))
async def test_a_persons_rollback_in_mid_step_mixes_no_versions(proxy: Callable[[], Proxy]) -> None:
    async with town(proxy(), SLOW) as shop, await people(shop.here, slow=3, slow_ms=3_000) as users:
        release = await shop.both(2)
        await shop.share_is(500)
        await asyncio.sleep(1)
        await shop.here.control.post(f"/v1/releases/{UNIT}/rollback", {"reason": "test"})
        assert (await shop.ended(release))["back_by"] == "person"
        await asyncio.sleep(1)
        await shop.nothing_wrong(users)


@pytest.mark.long
@pytest.mark.parametrize("proxy", proxies())
async def test_a_hundred_thousand_requests_of_pair_after_pair(
    request: pytest.FixtureRequest, proxy: Callable[[], Proxy]
) -> None:
    async with town(proxy()) as shop, await people(shop.here, rate=500, sessions=200, visitors=0.4) as users:
        api = 2
        while (await users.snapshot()).requests < 100_000:
            await users.log_out()  # a pool that still serves sessions is not deployable
            async with await people(shop.here, rate=1, sessions=1, websockets=5, slow=5, slow_ms=10_000) as stays:
                release = await shop.both(api)
                disturb = reload if isinstance(shop.here.proxy, OwnHaproxy) and api % 2 else kill
                await disturbed(shop, release, disturb)
                report = await stays.stop()
                assert (report.websockets.cut, report.slow.cut) == (0, 0)
            api += 1
        calls = await shop.here.shop.calls()
        report = await users.snapshot()
        count = sum(calls.users.values()) + sum(calls.background.values())
        seen = f"{report.requests:,} requests, {count:,} calls, {api - 2} releases, each disturbed 3 times"
        rows = [
            Row("failed", "failed requests in pair after pair of the story", report.failed_requests, "", 0, seen=seen),
            Row(
                "mismatched", "calls of a version that the caller cannot speak with", calls.mismatched, "", 0, seen=seen
            ),
        ]
        told(f"pairs-{on_which(request)}", rows)
        await shop.nothing_wrong(users)

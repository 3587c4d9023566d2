"""A pair whose accounts fails: it comes back by itself and names who is at fault; a fault of both is held."""

import asyncio
import statistics
import time
from collections.abc import Callable

import pytest

from lbctl.demo.proxy import Proxy
from lbctl.demo.shop import ACCOUNTS
from tests.e2e.scene import events, one_of, proxies
from tests.e2e.shopping import BRISK, SLOW, people, town


@pytest.mark.parametrize("proxy", one_of("envoy"))
async def test_a_fault_of_accounts_brings_both_back_and_its_survivors_still_meet_each_other(
    proxy: Callable[[], Proxy],
) -> None:
    plan = SLOW + "on_rollback: {sessions: keep}\n"
    async with town(proxy(), plan) as shop, await people(shop.here, rate=500, visitors=0.6) as users:
        release = await shop.both(2)
        for share_bp in (500, 2_500):
            await shop.share_is(share_bp)
            await asyncio.sleep(0.5)
            if share_bp < 2_500:
                await shop.here.control.post(f"/v1/releases/{release}/promote", {"reason": "test"})
        await shop.here.shop.pools[ACCOUNTS, "green"].fault(error_ratio=1.0)
        await shop.share_is(0, 5)
        ended = await shop.ended(release)
        assert (ended["phase"], ended["back_by"]) == ("rolled_back", "itself")
        told = [event for event in await events(shop.here) if event["kind"] == "rollback.started"]
        assert [event["data"]["blamed"] for event in told] == [ACCOUNTS]
        await shop.here.shop.pools[ACCOUNTS, "green"].heal()
        before = await shop.requests(ACCOUNTS, "2.0.0")
        await asyncio.sleep(1.5)
        assert await shop.requests(ACCOUNTS, "2.0.0") > before  # sessions that stayed on the new storefront
        await shop.nothing_wrong(users)


@pytest.mark.parametrize("proxy", one_of("haproxy"))
async def test_a_fault_that_both_accounts_share_is_held(proxy: Callable[[], Proxy]) -> None:
    async with town(proxy(), BRISK.replace("700ms", "4s")) as shop, await people(shop.here, visitors=0.8):
        release = await shop.both(2)
        await shop.share_is(2_500)
        await asyncio.gather(*(shop.here.shop.pools[ACCOUNTS, one].fault(error_ratio=0.3) for one in ("blue", "green")))
        await asyncio.sleep(6)
        unit = await shop.unit()
        assert (unit["phase"], unit["observed_share_bp"]) == ("shifting", 2_500)
        assert unit["held"]["code"] in {"shared_fault", "active_fault"}, unit["held"]
        assert (await shop.release(release))["back_by"] is None


@pytest.mark.long
@pytest.mark.parametrize("proxy", proxies())
async def test_thirty_faults_of_accounts_bring_users_back_within_a_second(proxy: Callable[[], Proxy]) -> None:
    times: list[float] = []
    async with town(proxy(), SLOW) as shop, await people(shop.here, rate=600, visitors=0.6):
        for api in range(2, 32):
            release = await shop.both(api)
            await shop.share_is(500)
            await asyncio.sleep(0.3)
            await shop.here.control.post(f"/v1/releases/{release}/promote", {"reason": "test"})
            await shop.share_is(2_500)
            await asyncio.sleep(0.5)
            colour = (await shop.service(ACCOUNTS))["candidate"]
            pool = shop.here.shop.pools[ACCOUNTS, colour]
            await pool.fault(error_ratio=1.0)
            await shop.share_is(0, 10)
            first_bad = (await pool.stats()).first_bad_monotonic
            assert first_bad is not None
            times.append(time.monotonic() - first_bad)
            assert (await shop.ended(release))["phase"] == "rolled_back"
            told = [event for event in await events(shop.here) if event["kind"] == "rollback.started"]
            assert told[-1]["data"]["blamed"] == ACCOUNTS
            await pool.heal()
    print(f"\nfirst bad answer to share read back at 0: p50 {statistics.median(times):.3f} s, max {max(times):.3f} s")
    assert max(times) <= 1.0, times

"""Two services behind real load balancers, released as one: an old one never meets a new one, and nobody notices."""

import asyncio
import os
import random
import signal
import statistics
import time
from collections.abc import Awaitable, Callable

import pytest

from lbctl.demo.proxy import OwnHaproxy, Proxy
from lbctl.demo.shop import ACCOUNTS, STOREFRONT, UNIT
from lbctl.demo.team import accounts, storefront
from tests.e2e.scene import events, haproxy, proxies
from tests.e2e.shopping import BRISK, SLOW, Town, people, town

Disturb = Callable[[Town], Awaitable[None]]


@pytest.mark.parametrize("proxy", proxies())
async def test_a_breaking_pair_goes_over_together_and_a_second_one_comes_the_other_way(
    proxy: Callable[[], Proxy],
) -> None:
    async with town(proxy()) as shop, await people(shop.here, visitors=0.5) as users:
        async with await people(shop.here, rate=1, sessions=1, websockets=4, slow=4, slow_ms=10_000) as stays:
            release = await shop.both(2)
            assert (await shop.ended(release))["phase"] == "finished"
            assert (await users.snapshot()).colour_changes == 0
            report = await stays.stop()
            assert (report.websockets.cut, report.slow.cut) == (0, 0)
        release = await shop.both(3)
        assert (await shop.ended(release))["phase"] == "finished"
        for service in (ACCOUNTS, STOREFRONT):
            assert (await shop.service(service))["active"] == "blue"
        refused = (await shop.here.shop.calls()).background["refused"]
        assert refused > 0  # idle pools did call in the background
        await shop.nothing_wrong(users)


@pytest.mark.parametrize("proxy", proxies())
async def test_a_breaking_accounts_waits_while_a_storefront_that_fits_goes_alone(proxy: Callable[[], Proxy]) -> None:
    async with town(proxy()) as shop, await people(shop.here) as users:
        await shop.accounts.bring(accounts("2.0.0"))
        await shop.storefront.bring(storefront("5.0.1", 1))
        hotfix = await shop.release_after(None)
        ended = await shop.ended(hotfix)
        assert (ended["phase"], [one["service"] for one in ended["members"]]) == ("finished", [STOREFRONT])
        assert (await shop.service(ACCOUNTS))["board"]["waits"].startswith(f"waiting for {STOREFRONT}: ")
        assert await shop.requests(ACCOUNTS, "2.0.0") == 0
        await shop.storefront.bring(storefront("6.0.0", 2))
        together = await shop.ended(await shop.release_after(hotfix))
        assert together["phase"] == "finished"
        assert {one["service"] for one in together["members"]} == {ACCOUNTS, STOREFRONT}
        await shop.nothing_wrong(users)


@pytest.mark.parametrize("proxy", proxies())
async def test_an_accounts_that_breaks_nothing_goes_alone(proxy: Callable[[], Proxy]) -> None:
    async with town(proxy()) as shop, await people(shop.here) as users:
        await shop.accounts.bring(accounts("1.5.0"))
        ended = await shop.ended(await shop.release_after(None))
        assert (ended["phase"], ended["service"], ended["peak_bp"]) == ("finished", ACCOUNTS, 10_000)
        assert await shop.requests(ACCOUNTS, "1.5.0") > 50
        # Then a pair whose colours are opposite: accounts green → blue, storefront blue → green.
        pair = await shop.ended(await shop.both(2))
        assert pair["phase"] == "finished"
        assert {one["service"]: one["to"] for one in pair["members"]} == {ACCOUNTS: "blue", STOREFRONT: "green"}
        await shop.nothing_wrong(users)


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
    *[pytest.param(*one.values, kill, id=f"{one.id}-kills", marks=one.marks) for one in proxies()],
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


@pytest.mark.parametrize("proxy", proxies())
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


@pytest.mark.parametrize("proxy", proxies())
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


@pytest.mark.parametrize("proxy", proxies())
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
async def test_a_hundred_thousand_requests_of_pair_after_pair(proxy: Callable[[], Proxy]) -> None:
    async with town(proxy()) as shop, await people(shop.here, rate=500, sessions=200, visitors=0.4) as users:
        api = 2
        while (await users.snapshot()).requests < 100_000:
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
        print(f"\n{report.requests} requests, {count} calls, {api - 2} releases, each disturbed 3 times")
        await shop.nothing_wrong(users)


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

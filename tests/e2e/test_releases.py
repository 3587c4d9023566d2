"""Whole releases under load: nobody fails, nobody is moved against policy, the shares are what was asked for."""

import asyncio
from collections.abc import Callable

import pytest

from lbctl.demo.binomial import within_binomial
from lbctl.demo.proxy import Proxy
from tests.bench.rows import Row, told
from tests.e2e.scene import (
    QUICK,
    adopted,
    crowd,
    ended,
    events,
    on_which,
    one_of,
    proxies,
    proxies_and_forms,
    release,
    share_is,
    status,
)

STEPS = """steps: [10%, 50%, 100%]
hold: {min: 1500ms, max: 5m, then: ask}
bake: 1s
retain: 0s
"""


@pytest.mark.parametrize("proxy", proxies())
async def test_releases_in_both_directions_fail_nobody_and_move_no_session(proxy: Callable[[], Proxy]) -> None:
    async with (
        adopted(proxy(), STEPS) as here,
        await crowd(here, rate=150, visitors=0.5, websockets=2, slow=2) as users,
    ):
        for _ in range(2):
            await release(here)
            for share_bp in (1_000, 5_000):
                await share_is(here, share_bp)
                await users.reset_window()
                await asyncio.sleep(1.2)
                window = (await users.snapshot()).window
                to = (await status(here))["candidate"]
                assert within_binomial(window.get(to, 0), sum(window.values()), share_bp / 10_000), (to, window)
            assert (await ended(here))["phase"] == "finished"
        report = await users.stop()
        assert report.failed_requests == 0, report.first_failures
        assert report.colour_changes == 0
        assert report.server_changes == 0
        assert report.websockets.cut == 0
        assert report.slow.cut == 0
        assert (await status(here))["active"] == "blue"


@pytest.mark.parametrize("proxy", proxies())
async def test_a_candidate_with_five_percent_errors_is_brought_back_by_itself(proxy: Callable[[], Proxy]) -> None:
    plan = STEPS.replace("1500ms", "30s") + "judge: {dispersion: 1}\n"
    async with adopted(proxy(), plan) as here, await crowd(here, rate=1_000, visitors=0.8) as users:
        await release(here)
        await share_is(here, 1_000)
        await asyncio.sleep(1)
        await here.pools["green"].fault(error_ratio=0.05)
        status_after = await ended(here, 30)
        assert status_after["phase"] == "rolled_back"
        assert (await users.stop()).failed_requests == 0


@pytest.mark.parametrize("proxy", one_of("haproxy"))
async def test_both_pools_failing_alike_hold_the_release_and_never_move_it(proxy: Callable[[], Proxy]) -> None:
    async with adopted(proxy(), QUICK.replace("500ms", "4s")) as here, await crowd(here, rate=150, visitors=0.8):
        await release(here, steps=["50%", "100%"])
        await share_is(here, 5_000)
        await asyncio.gather(*(here.pools[colour].fault(error_ratio=0.3) for colour in ("blue", "green")))
        await asyncio.sleep(6)
        now = await status(here)
        assert now["phase"] == "shifting"
        assert now["observed_share_bp"] == 5_000
        assert now["held"] is not None
        assert now["held"]["code"] in {"shared_fault", "active_fault"}, now["held"]
        assert not [event for event in await events(here) if event["kind"] == "rollback.started"]


@pytest.mark.parametrize("proxy", proxies())
async def test_a_candidate_whose_servers_all_die_is_left_at_once(proxy: Callable[[], Proxy]) -> None:
    async with adopted(proxy(), QUICK.replace("500ms", "60s")) as here, await crowd(here, rate=120):
        await release(here)
        await share_is(here, 1_000)
        await asyncio.sleep(0.5)
        await here.pools["green"].fault(refuse=True, cut=True)
        assert (await ended(here, 15))["phase"] == "rolled_back"


@pytest.mark.parametrize("proxy", one_of("envoy"))
async def test_a_persons_rollback_leaves_sessions_where_they_are(proxy: Callable[[], Proxy]) -> None:
    async with adopted(proxy(), QUICK.replace("500ms", "60s")) as here:
        number = await release(here, steps=["50%", "100%"])
        await share_is(here, 5_000)
        async with await crowd(here, sessions=60, visitors=0.2) as users:
            await asyncio.sleep(2)
            before = await users.snapshot()
            assert before.sessions_by_pool.get("green", 0) > 10
            await here.control.post(f"/v1/releases/{number}/rollback", {"reason": "no fault at all"})
            assert (await ended(here))["phase"] == "rolled_back"
            await users.reset_window()
            await asyncio.sleep(1.5)
            report = await users.stop()
            assert report.window.get("green", 0) == 0
            assert report.colour_changes == 0
            assert report.failed_requests == 0


@pytest.mark.long
@pytest.mark.parametrize("proxy", proxies_and_forms())
async def test_a_hundred_thousand_requests_through_release_after_release(
    request: pytest.FixtureRequest, proxy: Callable[[], Proxy]
) -> None:
    async with (
        adopted(proxy(), STEPS) as here,
        await crowd(here, rate=1_000, sessions=200, visitors=0.4, websockets=5, slow=5, slow_ms=10_000) as users,
    ):
        count = 0
        while (await users.snapshot()).requests < 100_000:
            await release(here)
            assert (await ended(here))["phase"] == "finished"
            count += 1
        report = await users.stop()
        kept_as, seen = f"releases-{on_which(request)}", f"{report.requests:,} requests in {count} releases"
        cut = report.websockets.cut + report.slow.cut
        rows = [
            Row("failed", "failed requests in release after release", report.failed_requests, "", 0, seen=seen),
            Row("moved", "sessions that changed colour against policy", report.colour_changes, "", 0, seen=seen),
            Row("cut", "WebSockets and 10 s transactions cut off", cut, "", 0),
        ]
        told(kept_as, rows)
        assert report.failed_requests == 0, report.first_failures
        assert (report.colour_changes, report.websockets.cut, report.slow.cut) == (0, 0, 0)

"""How fast users are off a broken candidate: the promise in seconds, measured by the servers themselves."""

import asyncio
import statistics
import time
from collections.abc import Callable

import pytest

from lbctl.demo.proxy import Proxy
from lbctl.demo.stage import Stage
from tests.bench.rows import Row, told
from tests.e2e.scene import SLOW_STEP, adopted, crowd, ended, on_which, proxies_and_forms, release, share_is

PROMISE_P50_S = 0.6
PROMISE_MAX_S = 1.0
RATE = 1_000


async def off_the_candidate_s(here: Stage) -> float:
    """One run: from the first bad answer to the later of share and keep read back at 0, and the last user request."""
    await release(here)
    await share_is(here, 1_000)
    await asyncio.sleep(0.6)
    candidate = here.pools["green"]
    await candidate.fault(error_ratio=1.0)
    await share_is(here, 0, 10)
    read_back = time.monotonic()
    assert (await ended(here, 10))["phase"] == "rolled_back"
    await asyncio.sleep(0.3)
    stats = await candidate.stats()
    assert stats.first_bad_monotonic is not None
    assert stats.last_user_monotonic is not None
    await candidate.heal()
    await asyncio.sleep(1.2)
    return max(read_back, stats.last_user_monotonic) - stats.first_bad_monotonic


@pytest.mark.parametrize("proxy", proxies_and_forms())
async def test_users_are_off_a_dead_candidate_within_five_times_the_promise(proxy: Callable[[], Proxy]) -> None:
    async with adopted(proxy(), SLOW_STEP) as here, await crowd(here, rate=RATE, sessions=100, visitors=0.7) as users:
        times = [await off_the_candidate_s(here) for _ in range(3)]
        assert max(times) <= 5 * PROMISE_MAX_S, times
        assert (await users.stop()).failed_requests == 0


@pytest.mark.long
@pytest.mark.parametrize("proxy", proxies_and_forms())
async def test_users_are_off_a_dead_candidate_as_fast_as_promised(
    request: pytest.FixtureRequest, proxy: Callable[[], Proxy]
) -> None:
    async with adopted(proxy(), SLOW_STEP) as here, await crowd(here, rate=RATE, sessions=100, visitors=0.7) as users:
        times = [await off_the_candidate_s(here) for _ in range(50)]
        p50, worst = statistics.median(times), max(times)
        failed = (await users.stop()).failed_requests
        what = "first bad answer to users off the candidate and read back"
        rows = [
            Row("p50", f"{what}, p50 of {len(times)}", p50, "s", PROMISE_P50_S),
            Row("max", f"{what}, max of {len(times)}", worst, "s", PROMISE_MAX_S),
            Row("failed", "failed requests meanwhile", failed, "", 0),
        ]
        assert told(f"back-{on_which(request)}", rows) == 0

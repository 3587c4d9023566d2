"""How fast users are off a broken candidate: the promise in seconds, measured by the servers themselves."""

import asyncio
import statistics
import time
from collections.abc import Callable

import pytest

from lbctl.demo.proxy import Proxy
from lbctl.demo.stage import Stage
from tests.e2e.scene import SLOW_STEP, adopted, crowd, ended, proxies_and_forms, release, share_is

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
async def test_users_are_off_a_dead_candidate_as_fast_as_promised(proxy: Callable[[], Proxy]) -> None:
    async with adopted(proxy(), SLOW_STEP) as here, await crowd(here, rate=RATE, sessions=100, visitors=0.7) as users:
        times = [await off_the_candidate_s(here) for _ in range(50)]
        p50, worst = statistics.median(times), max(times)
        print(f"\nfirst bad answer to the last user and read-back: p50 {p50:.3f} s, max {worst:.3f} s of {len(times)}")
        assert p50 <= PROMISE_P50_S
        assert worst <= PROMISE_MAX_S
        assert (await users.stop()).failed_requests == 0

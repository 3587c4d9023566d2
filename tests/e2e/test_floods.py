"""Floods at the real daemon: ten thousand decisions, each with another reason, and chats that take none of them."""

import random
import string
from collections.abc import Callable

import psutil
import pytest

from lbctl.demo.proxy import Proxy
from lbctl.demo.stage import SERVICE, Stage
from tests.e2e.scene import adopted, crowd, one_of, release, share_is, status

PLAN = """steps: [10%, 100%]
hold: {min: 1h, max: 2h, then: ask}
bake: 1h
"""
GROWTH_MAX = 20 << 20
WARM = 600
ALERTS_MAX = 1_001
"""A thousand of them, and the summary of those that gave way."""
ALERTS = (
    "[{name: dead, exec: [/bin/sleep, '600'], on: [paused, started, step, finished, rollback, held, daemon, page]}]"
)


def memory(here: Stage) -> int:
    """What lbctld holds of its own."""
    return int(psutil.Process(here.daemon.pid).memory_full_info().uss)


async def reasons(here: Stage, count: int) -> None:
    """Pause and resume so often, with a reason that was never given before each time."""
    for number in range(count):
        verb = "resume" if number % 2 else "pause"
        text = f"{number} " + "".join(random.choices(string.ascii_letters, k=400))
        await here.control.post(f"/v1/releases/{SERVICE}/{verb}", {"reason": text})


async def grown(proxy: Proxy, count: int) -> int:
    """Return by how many bytes lbctld grew in a flood, after it was warm."""
    async with adopted(proxy, PLAN, alerts=ALERTS) as here, await crowd(here, rate=50) as users:
        await release(here)
        await share_is(here, 1_000)
        await reasons(here, WARM)
        before = memory(here)
        await reasons(here, count)
        now = memory(here)
        assert (await here.control.get("/v1/status"))["daemon"]["alerts_pending"] <= ALERTS_MAX
        assert (await status(here))["share_bp"] == 1_000
        assert (await users.stop()).failed_requests == 0
        return now - before


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("proxy", one_of("haproxy"))
async def test_ten_thousand_different_reasons_cost_bounded_memory(proxy: Callable[[], Proxy]) -> None:
    bytes_more = await grown(proxy(), 10_000)
    print(f"\n10,000 decisions with a reason of their own: {bytes_more / (1 << 20):+.1f} MB")
    assert bytes_more <= GROWTH_MAX

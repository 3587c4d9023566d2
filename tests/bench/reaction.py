"""How fast users are off a candidate that fails: 10 runs on real HAProxy and Envoy at 1,000 requests a second.

Run `python -m tests.bench.reaction`; it takes about two minutes. `make test-long ARGS='-k as_fast_as_promised'` makes
50 runs and is what is promised; this one says within a coffee break whether a change made it worse.
"""

import asyncio
import statistics
import sys

from lbctl.demo.proxy import Proxy
from tests.bench.rows import Row, told
from tests.e2e.scene import SLOW_STEP, adopted, crowd, envoy, haproxy
from tests.e2e.test_rollback_speed import PROMISE_MAX_S, PROMISE_P50_S, RATE, off_the_candidate_s

RUNS = 10


async def times(proxy: Proxy) -> tuple[list[float], int]:
    """All runs, and how many requests failed."""
    async with adopted(proxy, SLOW_STEP) as here, await crowd(here, rate=RATE, sessions=100, visitors=0.7) as users:
        found = [await off_the_candidate_s(here) for _ in range(RUNS)]
        return found, (await users.stop()).failed_requests


async def main() -> int:
    """Measure and print."""
    rows = []
    for proxy in (haproxy(), envoy()):
        what = f"{proxy.name}, candidate 100 % bad at 10 %: first bad answer to users off it and read back"
        seen, failed = await times(proxy)
        rows += [
            Row(f"p50_{proxy.driver}", f"{what}, p50 of {RUNS}", statistics.median(seen), "s", PROMISE_P50_S),
            Row(f"max_{proxy.driver}", f"{what}, max of {RUNS}", max(seen), "s", PROMISE_MAX_S),
            Row(f"failed_{proxy.driver}", f"{proxy.name}: failed requests meanwhile", failed, "", 0),
        ]
    return told("reaction", rows)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

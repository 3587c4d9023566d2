"""At the deadline of a policy that closes: exactly the connections of the old pool, at the rate, counted by users."""

from typing import Any

import pytest

from lbctl.telemetry.sockets.ending import why_not
from tests.e2e.scene import adopted, crowd, envoy, events, status, until
from tests.e2e.test_sessions import draining, logging, told

PLAN = """steps: [100%]
hold: {min: 300ms, max: 5m, then: ask}
bake: 300ms
retain: 1s
sessions: {policy: {move: 5/s}, deadline: 2s, at_deadline: close}
"""
DRAIN = "{quiet: 700ms, idle: 700ms, limit: 2m}"


@pytest.mark.parametrize(
    "proxy",
    [
        pytest.param(logging, id="haproxy", marks=pytest.mark.haproxy),
        pytest.param(envoy, id="envoy", marks=pytest.mark.envoy),
    ],
)
async def test_what_is_left_at_the_deadline_is_closed_and_the_old_pool_certified(proxy: Any) -> None:
    if proxy is envoy and (why := await why_not()):
        pytest.skip(why)
    async with adopted(proxy(), PLAN, drain=DRAIN) as here, await crowd(here, rate=1, sessions=1, websockets=12) as old:
        await draining(here)
        async with await crowd(here, rate=1, sessions=1, websockets=4) as new:
            await until(lambda: told(here, "connections.closed"), 60)

            async def finished() -> bool:
                return bool((await status(here))["phase"] == "finished")

            await until(finished, 40)
            assert (await new.stop()).websockets.cut == 0

        async def all_noticed() -> bool:
            return (await old.snapshot()).websockets.cut >= 12

        # Envoy tells a client a second later that its server is gone.
        await until(all_noticed, 5, 0.1)
        cut = (await old.stop()).websockets
        assert cut.cut == 12, "each once, and nobody who had come back to the new pool"
        took = max(cut.cut_monotonic) - min(cut.cut_monotonic)
        assert 1.5 <= took <= 4.0, f"12 at 5/s took {took:.1f} s"
        kinds = [one["kind"] for one in await events(here)]
        assert kinds.count("connections.closed") == 1
        told_last = [kinds[::-1].index(one) for one in ("pool.certified", "connections.closed", "sessions.closing")]
        assert told_last == sorted(told_last), kinds

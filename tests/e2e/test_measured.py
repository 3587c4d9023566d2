"""Measured shares on real load balancers: right ones are shown, and one that gives another share is held by name."""

from pathlib import Path
from typing import Any

import pytest

from lbctl.demo.proxy import OwnHaproxy
from lbctl.demo.stage import Stage
from tests.e2e.scene import SLOW_STEP, adopted, crowd, envoy, haproxy, reached, release, status, until
from tests.e2e.test_request_log import LoggingHaproxy, udp


class Crooked(LoggingHaproxy):
    """A load balancer that reads back the share it was told, and draws otherwise."""

    async def launch(self, directory: Path) -> None:
        """See `OwnHaproxy.launch`."""
        config = directory / "haproxy.cfg"
        config.write_text(config.read_text().replace("rand(10000),sub(txn.lb_green)", "rand(2000),sub(txn.lb_green)"))
        await super().launch(directory)


def logging(kind: type[LoggingHaproxy] = LoggingHaproxy) -> LoggingHaproxy:
    plain = haproxy()
    assert isinstance(plain, OwnHaproxy)
    return kind(plain._binary, udp())


async def measured(here: Stage) -> Any:
    (instance,) = (await status(here))["instances"].values()
    return instance["measured"]


@pytest.mark.parametrize(
    "proxy",
    [
        pytest.param(logging, id="haproxy", marks=pytest.mark.haproxy),
        pytest.param(envoy, id="envoy", marks=[pytest.mark.envoy, pytest.mark.long]),
    ],
)
async def test_what_users_get_is_shown_beside_what_is_set(proxy: Any) -> None:
    async with adopted(proxy(), SLOW_STEP) as here, await crowd(here, rate=300, visitors=0.8):
        await release(here, steps=["25%", "100%"])
        await reached(here, 2_500)

        async def enough() -> bool:
            found = await measured(here)
            return found is not None and found["requests"] >= 1_000

        await until(enough, 30, 0.2)
        found = await measured(here)
        assert found["request_share_bp"] == pytest.approx(2_500, abs=600), found
        # Sessions that began since the step are drawn, too; older ones stay.
        assert 0 <= found["session_share_bp"] < 4_000, found
        assert (await status(here))["held"] is None


@pytest.mark.haproxy
async def test_a_load_balancer_that_gives_another_share_than_it_reads_back_is_held_and_named() -> None:
    async with adopted(logging(Crooked), SLOW_STEP) as here, await crowd(here, rate=200, visitors=0.8):
        await release(here)
        await reached(here, 1_000)

        async def held() -> bool:
            view = await status(here)
            return view["held"] is not None and view["held"]["code"] == "share"

        await until(held, 40, 0.2)
        reason = (await status(here))["held"]["reason"]
        assert reason.startswith("edge/lb1 gave green "), reason
        assert reason.endswith("10 % is set and read back"), reason

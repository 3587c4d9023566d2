"""A load balancer that hangs is nobody else's: another service goes over and back, and its decisions are in time."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from lbctl.demo.ports import free_port
from lbctl.demo.proxy import OwnHaproxy, Proxy
from lbctl.demo.stage import SERVICE, Stage, configured
from tests.e2e.scene import adopted, crowd, ended, haproxy, one_of, release
from tests.e2e.test_daemon import hang_up
from tests.e2e.test_metrics import Values, scraped

LATE_S = 0.02
PLAN = """steps: [10%, 50%, 100%]
hold: {min: 1s, max: 5m, then: ask}
bake: 1s
retain: 0s
"""


@asynccontextmanager
async def hanging_neighbour(here: Stage, directory: Path) -> AsyncIterator[None]:
    """Configure another service on an HAProxy of its own, and stop that one, with connections to its sockets accepted
    and never answered."""
    other = haproxy()
    assert isinstance(other, OwnHaproxy)
    config = directory / "lbctl.yaml"
    config.write_text(configured(directory, other, free_port(), here.pools, PLAN))
    await other.begin(directory, config)
    try:
        await hang_up(
            here, _beside(here.config.read_text(), config.read_text(), other.plane(directory)), "config.reloaded"
        )
        assert other.pid is not None
        family = [psutil.Process(other.pid), *psutil.Process(other.pid).children()]
        for one in family:
            os.kill(one.pid, signal.SIGSTOP)
        await asyncio.sleep(1)
        yield
        for one in family:
            os.kill(one.pid, signal.SIGCONT)
    finally:
        await other.end(directory)


def _beside(text: str, other: str, plane: str) -> str:
    """Return the config with the other's service on a plane of its own."""
    service = other[other.index(f"  {SERVICE}:") :].replace(f"  {SERVICE}:", "  neighbour:", 1)
    head, rest = text.split("alerts:", 1)
    return f"{head}  next: {plane}\nalerts:{rest}\n" + service.replace("data_plane: edge", "data_plane: next")


def late_share(before: Values, after: Values, bound_s: float) -> float:
    """Which part of the decisions between two looks came later than the bound."""

    def grown(name: str, **labels: str) -> float:
        key = frozenset(labels.items())
        return after[f"lbctl_loop_lag_seconds_{name}"][key] - before[f"lbctl_loop_lag_seconds_{name}"][key]

    return 1 - grown("bucket", le=str(bound_s)) / grown("count")


async def decided(here: Stage, goes: int) -> float:
    """Release again and again; return which part of the decisions was later than promised."""
    before = await scraped(here)
    for _ in range(goes):
        await release(here)
        assert (await ended(here, 60))["phase"] == "finished"
    await asyncio.sleep(1)  # Scrapes within a second share one text.
    return late_share(before, await scraped(here), LATE_S)


async def beside_one_that_hangs(proxy: Proxy, directory: Path, goes: int) -> tuple[float, float]:
    """Return how many decisions were late without and with a neighbour that hangs."""
    async with adopted(proxy, PLAN) as here, await crowd(here, rate=100) as users:
        alone = await decided(here, goes)
        async with hanging_neighbour(here, directory):
            beside = await decided(here, goes)
        assert (await users.stop()).failed_requests == 0
    return alone, beside


@pytest.mark.long
@pytest.mark.haproxy
@pytest.mark.parametrize("proxy", one_of("haproxy"))
async def test_decisions_beside_a_load_balancer_that_hangs_are_in_time(
    proxy: Callable[[], Proxy], tmp_path: Path
) -> None:
    alone, beside = await beside_one_that_hangs(proxy(), tmp_path, 8)
    print(f"\nlater than {LATE_S * 1000:g} ms: {alone:.2%} of the decisions alone, {beside:.2%} beside one that hangs")
    assert beside <= min(0.9, max(0.01, 1.5 * alone))

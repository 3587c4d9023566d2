"""What a verdict can be trusted with, on real load balancers: hangs, single servers, latency, blindness."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from lbctl.demo.proxy import Proxy
from lbctl.demo.stage import SERVICE, Stage
from lbctl.model.names import ReleaseId
from lbctl.sim.replay import again
from lbctl.store.recording import lines, path_of
from tests.e2e.scene import (
    SLOW_STEP,
    adopted,
    crowd,
    ended,
    events,
    haproxy,
    one_of,
    release,
    share_is,
    status,
    until,
)

LOAD_BALANCERS_OWN_TIMEOUT_S = 30


async def rollback_text(here: Stage) -> str:
    """What was said when the release went back."""
    (told,) = [event for event in await events(here) if event["kind"] == "rollback.started"]
    text: str = told["text"]
    return text


@pytest.mark.parametrize("proxy", one_of("haproxy"))
async def test_a_candidate_that_stops_answering_is_found_before_the_load_balancer_gives_up(
    proxy: Callable[[], Proxy], tmp_path: Path
) -> None:
    plan = SLOW_STEP + "judge: {slow_limit: 2s}\n"
    async with adopted(proxy(), plan, state_dir=tmp_path) as here, await crowd(here, rate=120, visitors=0.8):
        await release(here)
        await share_is(here, 1_000)
        await asyncio.sleep(3)
        # Health checks are answered, users are not: nothing has failed yet that a counter of errors could show.
        await here.pools["green"].fault(delay_ms=60_000)
        took = await until(lambda: _phase_is(here, "rolled_back"), LOAD_BALANCERS_OWN_TIMEOUT_S)
        assert took < LOAD_BALANCERS_OWN_TIMEOUT_S / 3
        assert "still without an answer" in await rollback_text(here)
        await here.pools["green"].heal()
    # What was recorded on the way is judged again to the last digit.
    replayed = again(lines(path_of(tmp_path / "recordings", ReleaseId("1"))))
    assert replayed.exact == replayed.ticks > 10
    assert replayed.turns[-1].verdict.word.value == "rollback"


async def _phase_is(here: Stage, phase: str) -> bool:
    return bool((await status(here))["phase"] == phase)


@pytest.mark.parametrize("proxy", one_of("envoy"))
async def test_the_one_bad_server_of_seven_is_named(proxy: Callable[[], Proxy]) -> None:
    plan = SLOW_STEP + "judge: {dispersion: 1}\n"
    async with adopted(proxy(), plan, servers=7) as here, await crowd(here, rate=700, visitors=1.0):
        await release(here, steps=["50%", "100%"])
        await share_is(here, 5_000)
        await asyncio.sleep(1)
        await here.pools["green"].fault(server="green-3", error_ratio=0.5)
        assert (await ended(here, 30))["phase"] == "rolled_back"
        assert "green-3 alone sent" in await rollback_text(here)


@pytest.mark.parametrize("proxy", one_of("haproxy"))
async def test_one_bad_server_that_the_pool_can_bear_holds_and_is_named(proxy: Callable[[], Proxy]) -> None:
    plan = SLOW_STEP + "judge: {dispersion: 1, slo: 90%}\n"
    async with adopted(proxy(), plan, servers=7) as here, await crowd(here, rate=700, visitors=1.0):
        await release(here, steps=["50%", "100%"])
        await share_is(here, 5_000)
        await here.pools["green"].fault(server="green-3", error_ratio=0.5)
        await until(lambda: _held_by(here, "server_fault"), 60)
        held: Any = (await status(here))["held"]
        assert "green-3" in held["reason"]
        assert "green-4" not in held["reason"]
        assert (await status(here))["observed_share_bp"] == 5_000


async def _held_by(here: Stage, code: str) -> bool:
    held = (await status(here))["held"]
    return held is not None and held["code"] == code


def sockets(here: Stage) -> list[Path]:
    """The sockets by which lbctl reads HAProxy. (The connection to Envoy's stays open: it cannot be taken away.)"""
    return [here.directory / "haproxy.sock", here.directory / "master.sock"]


async def unreadable(here: Stage, seconds: float) -> None:
    """Take the sockets away for a while: users are served, lbctl sees nothing. They are found again afterwards."""
    away = [(path, path.with_suffix(".away")) for path in sockets(here)]
    for path, aside in away:
        path.rename(aside)
    try:
        await asyncio.sleep(seconds)
    finally:
        for path, aside in away:
            aside.rename(path)


async def blind_for(proxy: Proxy, seconds: float, tmp_path: Path) -> list[Any]:
    """Hide the counters in the middle of a step, and let the release go on. Returns the pages that people got."""
    pages = tmp_path / "pages"
    alerts = f"[{{name: ops, exec: [/bin/sh, -c, 'cat >> {pages}; echo >> {pages}'], on: [page]}}]"
    plan = SLOW_STEP.replace("min: 60s", "min: 4s").replace("bake: 60s", "bake: 1s")
    async with adopted(proxy, plan, alerts=alerts) as here, await crowd(here, rate=120) as users:
        await release(here)
        await share_is(here, 1_000)
        hiding = asyncio.create_task(unreadable(here, seconds))
        await until(lambda: _is_held(here), 10)
        await hiding
        share_then = (await status(here))["share_bp"]
        assert share_then == 1_000
        assert (await ended(here, 60))["phase"] == "finished"
        assert (await users.stop()).failed_requests == 0
    return pages.read_text().splitlines() if pages.exists() else []


async def _is_held(here: Stage) -> bool:
    return (await status(here))["held"] is not None


@pytest.mark.haproxy
async def test_counters_that_cannot_be_read_hold_and_the_release_goes_on_by_itself(tmp_path: Path) -> None:
    assert await blind_for(haproxy(), 6, tmp_path) == []


@pytest.mark.long
@pytest.mark.haproxy
async def test_five_minutes_without_counters_are_one_page_and_no_rollback(tmp_path: Path) -> None:
    pages = await blind_for(haproxy(), 300, tmp_path)
    assert len(pages) == 1, pages


PLANNED = """steps: [10%, 50%, 100%]
hold: {min: 200ms, max: 5m, then: ask}
bake: 300ms
retain: 0s
judge: {plan: auto, target_rate: 5%, dispersion: 1}
"""
RUNS = 20


@pytest.mark.long
@pytest.mark.haproxy
async def test_steps_at_a_thousand_requests_a_second_last_as_long_as_the_plan_says() -> None:
    async with adopted(haproxy(), PLANNED) as here, await crowd(here, rate=1_000, sessions=200, visitors=1.0):
        await asyncio.sleep(70)  # So long is traffic watched before the planner says anything about it.
        steps = (await here.control.post("/v1/plan", {"service": SERVICE}))["steps"]
        for _ in range(RUNS):
            await release(here)
            assert (await ended(here, 60))["phase"] == "finished"
        told = await events(here)
    for index, step in enumerate(steps[:2]):
        lasted = [_instant(after) - _instant(before) for before, after in _climbs(told, index)]
        assert len(lasted) == RUNS
        print(f"\n{step['share_bp'] / 100:g} %: planned {step['needed_s']:.2f} s, median {median(lasted):.2f} s")
        assert 0.7 * step["needed_s"] <= median(lasted) <= 1.3 * step["needed_s"], (step, sorted(lasted))


def _climbs(told: list[Any], index: int) -> list[tuple[Any, Any]]:
    """The beginnings of a step and of the next one, release by release."""
    found: dict[str, list[Any]] = {}
    for event in told:
        if event["kind"] == "step.started":
            found.setdefault(event["release"], []).append(event)
    return [(climbs[index], climbs[index + 1]) for climbs in found.values()]


def _instant(event: Any) -> float:
    return datetime.fromisoformat(event["wall"]).timestamp()

"""Whole releases with an Envoy that others run: lbctld and Envoy each die and come back in the middle of a step."""

import asyncio
import os
import signal
import time

import pytest
import yaml

from lbctl.demo.control import RefusedError
from lbctl.demo.stage import SERVICE, Stage
from tests.bench.rows import Row, told
from tests.e2e.attached import AttachedEnvoy
from tests.e2e.scene import (
    QUICK,
    SLOW_STEP,
    Json,
    adopted,
    crowd,
    ended,
    events,
    reached,
    release,
    share_is,
    status,
    until,
)

pytestmark = pytest.mark.envoy

PROMISE_S = 1.0


async def instance(here: Stage) -> Json:
    """What the daemon says of the only instance."""
    found: Json = (await status(here))["instances"]["edge/lb1"]
    return found


async def right_again(here: Stage, before: str) -> float:
    """How long until another life is read, and routes and file are what the record says."""

    async def right() -> bool:
        one, now = await instance(here), await status(here)
        return (
            bool(one["reachable"])
            and one["generation"] != before
            and one["routes"] == [one["boot"]]
            and one["boot"].startswith(f"{now['share_bp']}:")
        )

    return await until(right, 20, 0.01)


async def promoted(here: Stage) -> None:
    """Go to 100 % as soon as the daemon has read back where it is."""

    async def taken() -> bool:
        try:
            await here.control.post(f"/v1/releases/{SERVICE}/promote", {"reason": "test", "full": True})
        except RefusedError:
            return False
        return True

    await until(taken, 10)


async def restarts(proxy: AttachedEnvoy, here: Stage, count: int, number: signal.Signals) -> list[float]:
    """Let the owner restart Envoy so often; returns how long after it serves again lbctl reads back its record."""
    took: list[float] = []
    for _ in range(count):
        before = (await instance(here))["generation"]
        await proxy.owner.restart(number)
        took.append(await right_again(here, before))
    return took


async def test_a_release_and_a_way_back_leave_envoy_where_it_is() -> None:
    proxy = AttachedEnvoy()
    async with adopted(proxy, QUICK) as here, await crowd(here, rate=150, websockets=2, slow=2) as users:
        pid = proxy.owner.pid
        await release(here)
        assert (await ended(here))["phase"] == "finished"
        await release(here, hold="60s")
        await reached(here, 1_000)
        await here.pools["blue"].fault(error_ratio=1.0)
        assert (await ended(here))["phase"] == "rolled_back"
        assert (await status(here))["active"] == "green"
        await here.daemon.stop()
        os.kill(pid, 0)
        assert proxy.owner.pid == pid
        report = await users.stop()
        assert report.failed_requests == 0, report.first_failures
        assert report.websockets.cut == 0
        assert report.slow.cut == 0


async def test_lbctld_killed_in_mid_step_leaves_the_split_and_goes_on_from_its_record() -> None:
    async with adopted(AttachedEnvoy(), SLOW_STEP) as here, await crowd(here, rate=150, visitors=0.7) as users:
        await release(here)
        await reached(here, 1_000)
        await here.daemon.stop(signal.SIGKILL)
        await users.reset_window()
        await asyncio.sleep(1.5)
        window = (await users.snapshot()).window
        assert 0.03 < window.get("green", 0) / sum(window.values()) < 0.2
        await here.daemon.start()
        await here.control.wait_up(10)
        now = await status(here)
        assert (now["phase"], now["share_bp"]) == ("shifting", 1_000)
        await promoted(here)
        await share_is(here, 10_000)
        report = await users.stop()
        assert report.failed_requests == 0, report.first_failures
        assert report.colour_changes == 0


@pytest.mark.parametrize("number", [pytest.param(signal.SIGTERM, marks=pytest.mark.long), signal.SIGKILL])
async def test_envoy_restarted_by_its_owner_in_mid_step_keeps_the_split_and_is_read_back_at_once(
    number: signal.Signals,
) -> None:
    proxy = AttachedEnvoy()
    async with adopted(proxy, SLOW_STEP) as here:
        await release(here)
        await reached(here, 1_000)
        assert max(await restarts(proxy, here, 3, number)) <= 5 * PROMISE_S
        now = await status(here)
        assert (now["phase"], now["observed_share_bp"]) == ("shifting", 1_000)
        assert [event for event in await events(here) if event["kind"] == "instance.reloaded"]


@pytest.mark.long
async def test_forty_restarts_of_an_attached_envoy_are_read_back_as_fast_as_promised() -> None:
    proxy = AttachedEnvoy()
    async with adopted(proxy, SLOW_STEP) as here:
        await release(here)
        await reached(here, 1_000)
        took = [one for number in (signal.SIGTERM, signal.SIGKILL) for one in await restarts(proxy, here, 20, number)]
        took.sort()
        what = f"attached Envoy restarted in mid-step: serves again to read back, max of {len(took)}"
        row = Row("max", what, took[-1], "s", PROMISE_S, seen=f"p50 {took[20]:.2f} s")
        assert told("restarts-envoy", [row]) == 0
        assert (await status(here))["share_bp"] == 1_000


async def test_envoy_restarted_in_mid_step_while_lbctld_is_dead_serves_the_recorded_split() -> None:
    proxy = AttachedEnvoy()
    async with adopted(proxy, SLOW_STEP) as here:
        await release(here, steps=["50%", "100%"])
        await reached(here, 5_000)
        await here.daemon.stop(signal.SIGKILL)
        await proxy.owner.restart()
        async with await crowd(here, rate=150, visitors=1.0, sessions=1) as users:
            await asyncio.sleep(1.5)
            report = await users.stop()
        assert report.failed_requests == 0, report.first_failures
        assert 0.4 < report.window.get("green", 0) / sum(report.window.values()) < 0.6
        began = time.monotonic()
        await here.daemon.start()
        await here.control.wait_up(10)
        await share_is(here, 5_000)
        assert time.monotonic() - began <= 10
        assert (await status(here))["phase"] == "shifting"


async def test_a_hot_restart_in_mid_step_fails_nobody_and_the_release_knows_both_lives() -> None:
    proxy = AttachedEnvoy()
    async with adopted(proxy, SLOW_STEP) as here, await crowd(here, rate=150, visitors=0.7) as users:
        await release(here)
        await reached(here, 1_000)
        before = (await instance(here))["generation"]
        await proxy.owner.hot_restart()
        assert await right_again(here, before) <= 5 * PROMISE_S
        assert (await instance(here))["old_generations"] == 1
        await promoted(here)
        await share_is(here, 10_000)

        async def alone() -> bool:
            return bool((await instance(here))["old_generations"] == 0)

        await until(alone, 20)
        report = await users.stop()
        assert report.failed_requests == 0, report.first_failures
        assert report.colour_changes == 0


async def test_plan_says_what_an_envoy_lacks_that_its_owner_started_with_another_config() -> None:
    proxy = AttachedEnvoy()
    async with adopted(proxy, SLOW_STEP) as here:

        async def warned() -> set[str]:
            plan = await here.control.post("/v1/plan", {"service": SERVICE, "version": "2"})
            return {one["code"] for one in plan["warnings"]}

        assert "NO_HEALTH_CHECKS" not in await warned()
        await proxy.owner.stop()

        async def away() -> bool:
            return not (await instance(here))["reachable"]

        await until(away, 10)
        document = yaml.safe_load(proxy.owner.bootstrap.read_text())
        for cluster in document["static_resources"]["clusters"]:
            del cluster["health_checks"]
        proxy.owner.bootstrap.write_text(yaml.safe_dump(document))
        await proxy.owner.start()

        async def told() -> bool:
            return "NO_HEALTH_CHECKS" in await warned()

        await until(told, 15)

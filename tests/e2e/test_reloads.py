"""HAProxy reloaded, restarted and edited by other hands, in mid-release and with lbctld dead."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from lbctl.demo.proxy import OwnHaproxy
from lbctl.demo.stage import SERVICE, Stage
from tests.e2e.scene import SLOW_STEP, adopted, crowd, ended, events, haproxy, reached, release, share_is, status, until

pytestmark = pytest.mark.haproxy

PROMISE_S = 1.0
BRISK = SLOW_STEP.replace("min: 60s", "min: 1s").replace("bake: 60s", "bake: 1s")


@asynccontextmanager
async def on_haproxy(plan: str = SLOW_STEP) -> AsyncIterator[tuple[Stage, OwnHaproxy]]:
    """An adopted stage on HAProxy, and the HAProxy itself."""
    proxy = haproxy()
    assert isinstance(proxy, OwnHaproxy)
    async with adopted(proxy, plan) as here:
        yield here, proxy


def reload(proxy: OwnHaproxy) -> None:
    """What a person or config management does: SIGUSR2 to the master."""
    assert proxy.pid is not None
    os.kill(proxy.pid, signal.SIGUSR2)


def state_map(here: Stage) -> Path:
    """The map file of the stage's HAProxy."""
    return here.directory / "maps" / "state.map"


def rewrite(here: Stage, value: str) -> None:
    """Change the map file as config management would: a whole new file."""
    fresh = state_map(here).with_suffix(".new")
    fresh.write_text(f"{SERVICE} {value}\n")
    fresh.rename(state_map(here))


def at_runtime(here: Stage, value: str) -> None:
    """Change the running HAProxy by hand, through its socket."""
    with socket.socket(socket.AF_UNIX) as admin:
        admin.connect(str(here.directory / "haproxy.sock"))
        admin.sendall(f"set map {state_map(here)} {SERVICE} {value}\n".encode())
        admin.recv(100)


async def agreed(here: Stage) -> None:
    """Wait until runtime and boot value agree and nothing holds."""

    async def there() -> bool:
        _, routes, boot = await lives(here)
        return routes == [boot] and (await status(here))["held"] is None

    await until(there, 5)


async def lives(here: Stage) -> tuple[str, list[str], str]:
    """The generation that answers, what every worker routes, and the boot value."""
    one = (await status(here))["instances"]["edge/lb1"]
    return one["generation"], one["routes"], one["boot"]


async def reloaded_and_right(here: Stage, proxy: OwnHaproxy) -> float:
    """Reload; returns how long until a new worker answers and everything agrees with the record."""
    before, _, _ = await lives(here)
    began = time.monotonic()
    reload(proxy)

    async def right() -> bool:
        generation, routes, boot = await lives(here)
        target = (await status(here))["share_bp"]
        return generation != before and routes == [boot] and boot.startswith(f"{target}:")

    await until(right, 10)
    return time.monotonic() - began


async def test_a_reload_in_mid_step_changes_nothing_and_is_told() -> None:
    async with on_haproxy() as (here, proxy), await crowd(here, rate=150, sessions=60, websockets=2) as users:
        await release(here)
        await share_is(here, 1_000)
        took = await reloaded_and_right(here, proxy)
        assert took <= 5 * PROMISE_S
        assert (await status(here))["observed_share_bp"] == 1_000
        assert [event for event in await events(here) if event["kind"] == "instance.reloaded"]
        report = await users.stop()
        assert report.failed_requests == 0, report.first_failures
        assert report.websockets.cut == 0
        assert report.colour_changes == 0


async def test_a_reload_with_an_older_file_rebases_the_release_and_it_climbs_again() -> None:
    async with on_haproxy(BRISK) as (here, proxy), await crowd(here, rate=150, visitors=0.7) as users:
        await release(here, hold="20s", bake="1s", steps=["10%", "50%", "100%"])
        await reached(here, 1_000)
        await here.control.post(f"/v1/releases/{SERVICE}/promote", {"reason": "test"})
        await reached(here, 5_000)
        rewrite(here, "1000:10000:10000")
        took = await reloaded_and_right(here, proxy)
        assert took <= 5 * PROMISE_S
        now = await status(here)
        assert (now["phase"], now["share_bp"]) == ("shifting", 1_000)
        assert [event for event in await events(here) if event["kind"] == "drift.found"]
        await agreed(here)
        await here.control.post(f"/v1/releases/{SERVICE}/promote", {"reason": "climb again"})
        await share_is(here, 5_000)
        assert (await users.stop()).failed_requests == 0


async def test_a_reload_with_a_higher_file_is_lowered_at_once() -> None:
    async with on_haproxy() as (here, proxy), await crowd(here, rate=150, visitors=0.7) as users:
        await release(here)
        await share_is(here, 1_000)
        rewrite(here, "9000:10000:10000")
        took = await reloaded_and_right(here, proxy)
        assert took <= 5 * PROMISE_S
        now = await status(here)
        assert (now["share_bp"], now["observed_share_bp"]) == (1_000, 1_000)
        assert (await users.stop()).failed_requests == 0


async def test_a_share_lowered_by_hand_is_respected_until_somebody_resumes() -> None:
    async with on_haproxy(BRISK) as (here, _), await crowd(here, rate=150, visitors=0.7):
        await release(here, hold="20s")
        await reached(here, 1_000)
        at_runtime(here, "300:10000:10000")
        await share_is(here, 300, 5)

        async def held() -> bool:
            now = await status(here)
            return now["held"] is not None and now["held"]["code"] == "latched" and now["share_bp"] == 300

        await until(held, 5)
        await here.control.post(f"/v1/releases/{SERVICE}/resume", {"reason": "that was me"})
        await agreed(here)
        await here.control.post(f"/v1/releases/{SERVICE}/promote", {"reason": "go on"})
        await share_is(here, 1_000)


@pytest.mark.parametrize("moment", ["at 50 %", "after finished"])
async def test_an_haproxy_restarted_with_lbctl_dead_serves_the_last_share(moment: str) -> None:
    async with on_haproxy(BRISK) as (here, proxy):
        async with await crowd(here, rate=150, visitors=0.8) as users:
            await release(here, hold="1s" if moment == "after finished" else "60s", steps=["50%", "100%"])
            if moment == "after finished":
                assert (await ended(here))["phase"] == "finished"
            else:
                await share_is(here, 5_000)
                await asyncio.sleep(0.5)
            await here.daemon.stop(signal.SIGKILL)
            await users.stop()
        await proxy.end(here.directory)
        await proxy.launch(here.directory)
        await asyncio.sleep(1.5)
        async with await crowd(here, rate=150, visitors=1.0, sessions=1) as users:
            await asyncio.sleep(2)
            report = await users.stop()
        assert report.failed_requests == 0, report.first_failures
        green = report.window.get("green", 0) / sum(report.window.values())
        assert (0.4 < green < 0.6) if moment == "at 50 %" else green == 1.0
        await here.daemon.start()
        await here.control.wait_up(10)


async def test_at_rest_traffic_that_strays_is_brought_home_at_once() -> None:
    async with on_haproxy() as (here, _), await crowd(here, rate=100):
        at_runtime(here, "4000:10000:10000")
        await share_is(here, 0, 5)
        rewrite(here, "10000:10000:10000")

        async def file_right() -> bool:
            return state_map(here).read_text().split(SERVICE, 1)[1].split()[0] == "0:10000:10000"

        await until(file_right, 5)


async def test_what_an_instance_lacks_is_in_the_plan_until_it_is_mended() -> None:
    async with on_haproxy() as (here, proxy):
        await restarted(here, proxy, "level admin", "level operator")
        await here.daemon.stop()
        await here.daemon.start()
        await here.control.wait_up(20)

        async def unready(word: str) -> bool:
            plan = await here.control.post("/v1/plan", {"service": SERVICE})
            return word in " ".join(one["text"] for one in plan["unready"])

        await until(lambda: unready("has level operator: write `level admin`"))
        await restarted(here, proxy, "level operator", "level admin")

        async def ready() -> bool:
            plan = await here.control.post("/v1/plan", {"service": SERVICE})
            return not plan["unready"] and not plan["refusals"]

        await until(ready)


async def restarted(here: Stage, proxy: OwnHaproxy, old: str, new: str) -> None:
    """Change a word of HAProxy's configuration and restart it."""
    config = here.directory / "haproxy.cfg"
    config.write_text(config.read_text().replace(old, new))
    await proxy.end(here.directory)
    await proxy.launch(here.directory)


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_reloads_every_three_seconds_for_ten_minutes_are_read_back_as_fast_as_promised() -> None:
    """`MINUTES=2` makes it shorter."""
    minutes = float(os.environ.get("MINUTES", "10"))
    async with on_haproxy() as (here, proxy), await crowd(here, rate=200, sessions=40, websockets=1) as users:
        await release(here)
        await share_is(here, 1_000)
        # On a quiet host a reload interrupts no proof for long enough to keep the step from ending.
        await here.control.post(f"/v1/releases/{SERVICE}/pause", {"reason": "test"})
        times: list[float] = []
        until_s = time.monotonic() + 60 * minutes
        while time.monotonic() < until_s:
            times.append(await reloaded_and_right(here, proxy))
            await asyncio.sleep(max(0.0, 3 - times[-1]))
        p50, p99 = sorted(times)[len(times) // 2], sorted(times)[int(len(times) * 0.99)]
        print(f"\n{len(times)} reloads: right again p50 {p50:.2f} s, p99 {p99:.2f} s, max {max(times):.2f} s")
        assert (await status(here))["observed_share_bp"] == 1_000
        report = await users.stop()
        assert (report.failed_requests, report.colour_changes) == (0, 0)
        assert p99 <= PROMISE_S
        assert max(times) <= 3 * PROMISE_S

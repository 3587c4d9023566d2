"""Whole releases in HAProxy's form `weights`: shares, sessions, the way back, dead servers, reloads and restarts."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from lbctl.demo.proxy import OwnHaproxy
from lbctl.demo.stage import SERVICE, Stage
from tests.e2e.scene import SLOW_STEP, adopted, crowd, ended, events, reached, release, share_is, status, until, weights
from tests.e2e.test_releases import STEPS
from tests.e2e.test_reloads import lives, reloaded_and_right

pytestmark = pytest.mark.haproxy

BACKEND = f"{SERVICE}_servers"
EXACT = 0.03
"""What a window of a second may be off: the crowd's requests at its ends, and no more, because round robin is exact."""


@asynccontextmanager
async def on_weights(plan: str = SLOW_STEP) -> AsyncIterator[tuple[Stage, OwnHaproxy]]:
    """An adopted stage on one backend, and its HAProxy."""
    proxy = weights()
    assert isinstance(proxy, OwnHaproxy)
    async with adopted(proxy, plan) as here:
        yield here, proxy


def command(here: Stage, line: str) -> str:
    """What a person types into the admin socket."""
    with socket.socket(socket.AF_UNIX) as admin:
        admin.connect(str(here.directory / "haproxy.sock"))
        admin.sendall(f"{line}\n".encode())
        admin.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: admin.recv(65_536), b"")).decode()


async def test_releases_in_both_directions_fail_nobody_and_share_exactly() -> None:
    async with (
        on_weights(STEPS) as (here, _),
        await crowd(here, rate=150, visitors=0.5, websockets=2, slow=2) as users,
    ):
        for _ in range(2):
            await release(here)
            for share_bp in (1_000, 5_000):
                await share_is(here, share_bp)
                await users.reset_window()
                await asyncio.sleep(1.2)
                window = (await users.snapshot()).window
                to = (await status(here))["candidate"]
                assert abs(window.get(to, 0) / sum(window.values()) - share_bp / 10_000) < EXACT, (to, window)
            assert (await ended(here))["phase"] == "finished"
        report = await users.stop()
        assert report.failed_requests == 0, report.first_failures
        assert (report.colour_changes, report.server_changes) == (0, 0)
        assert (report.websockets.cut, report.slow.cut) == (0, 0)
        assert (await status(here))["active"] == "blue"


async def test_a_failing_candidate_is_left_at_once_and_its_sessions_go_back_with_everybody_once() -> None:
    async with on_weights() as (here, _):
        await release(here, steps=["50%", "100%"])
        await reached(here, 5_000)
        async with await crowd(here, rate=400, sessions=60, visitors=0.5) as users:
            await asyncio.sleep(1.5)
            assert (await users.snapshot()).sessions_by_pool.get("green", 0) > 10
            await here.pools["green"].fault(error_ratio=1.0)
            now = await ended(here, 15)
            assert now["phase"] == "rolled_back"
            assert (await lives(here))[1:] == (["0:10000:0"], "0:10000:0")
            await asyncio.sleep(1)
            await users.reset_window()
            await asyncio.sleep(1)
            report = await users.stop()
            assert report.window.get("green", 0) == 0
            assert report.sessions_by_pool.get("green", 0) == 0
            assert report.colour_changes <= 60, "each at most once"
        await here.pools["green"].heal()
        await release(here, steps=["50%", "100%"])
        await share_is(here, 5_000)
        assert (await lives(here))[1] == ["5000:10000:10000"], "sessions are honoured again"


async def test_a_persons_rollback_leaves_sessions_where_they_are() -> None:
    async with on_weights() as (here, _):
        number = await release(here, steps=["50%", "100%"])
        await share_is(here, 5_000)
        async with await crowd(here, sessions=60, visitors=0.2) as users:
            await asyncio.sleep(1.5)
            assert (await users.snapshot()).sessions_by_pool.get("green", 0) > 10
            await here.control.post(f"/v1/releases/{number}/rollback", {"reason": "no fault at all"})
            assert (await ended(here))["phase"] == "rolled_back"
            report = await users.stop()
            assert (report.colour_changes, report.failed_requests) == (0, 0)


async def test_an_active_server_that_dies_in_mid_step_does_not_leave_its_part_to_the_candidate() -> None:
    async with on_weights() as (here, _), await crowd(here, rate=400, visitors=1.0, sessions=1) as users:
        await release(here, steps=["50%", "100%"])
        await reached(here, 5_000)
        dead = next(name for name, one in (await status(here))["servers"].items() if one["pool"] == "blue")
        await here.pools["blue"].fault(server=dead, refuse=True)
        await known(here, dead, up=False)
        await users.reset_window()
        await asyncio.sleep(1.5)
        window = (await users.snapshot()).window
        assert abs(window["green"] / sum(window.values()) - 0.5) < EXACT, window
        now = await status(here)
        assert (now["phase"], now["observed_share_bp"]) == ("shifting", 5_000)
        await here.pools["blue"].heal()
        await known(here, dead, up=True)
        await users.reset_window()
        await asyncio.sleep(1.5)
        report = await users.stop()
        assert abs(report.window["green"] / sum(report.window.values()) - 0.5) < EXACT, report.window
        assert report.failed_requests == 0, report.first_failures
        assert not [event for event in await events(here) if event["kind"] == "drift.found"], "nobody's hand did it"


async def test_a_candidate_server_that_dies_in_mid_step_holds_and_is_no_drift() -> None:
    async with on_weights() as (here, _), await crowd(here, rate=150):
        await release(here, steps=["50%", "100%"])
        await reached(here, 5_000)
        dead = next(name for name, one in (await status(here))["servers"].items() if one["pool"] == "green")
        await here.pools["green"].fault(server=dead, refuse=True)
        await known(here, dead, up=False)
        await asyncio.sleep(1)
        now = await status(here)
        assert (now["phase"], now["share_bp"], now["held"]["code"]) == ("shifting", 5_000, "candidate")
        await here.pools["green"].heal()
        await known(here, dead, up=True)

        async def free() -> bool:
            return bool((await status(here))["held"] is None)

        await until(free, 10)
        assert not [event for event in await events(here) if event["kind"] == "drift.found"]


async def known(here: Stage, server: str, *, up: bool) -> None:
    """Wait until a server is seen as it is, and whatever follows has been ordered."""

    async def seen() -> bool:
        return bool((await status(here))["servers"][server]["up"] is up)

    await until(seen, 10)
    await asyncio.sleep(0.4)


async def test_a_reload_in_mid_step_keeps_the_split_and_fails_nobody() -> None:
    async with on_weights() as (here, proxy), await crowd(here, rate=150, sessions=60, websockets=2) as users:
        await release(here)
        await reached(here, 1_000)
        assert await reloaded_and_right(here, proxy) <= 5
        assert (await status(here))["observed_share_bp"] == 1_000
        assert [event for event in await events(here) if event["kind"] == "instance.reloaded"]
        assert not [event for event in await events(here) if event["kind"] == "drift.found"]
        report = await users.stop()
        assert report.failed_requests == 0, report.first_failures
        assert (report.websockets.cut, report.colour_changes) == (0, 0)


async def test_an_haproxy_restarted_with_lbctl_dead_serves_the_last_share() -> None:
    async with on_weights() as (here, proxy):
        async with await crowd(here, rate=150, visitors=0.8) as users:
            await release(here, steps=["50%", "100%"])
            await reached(here, 5_000)
            await here.daemon.stop(signal.SIGKILL)
            await users.stop()
        await proxy.end(here.directory)
        await proxy.launch(here.directory)
        await asyncio.sleep(1.5)
        async with await crowd(here, rate=150, visitors=1.0, sessions=1) as users:
            await asyncio.sleep(1.5)
            report = await users.stop()
        assert report.failed_requests == 0, report.first_failures
        assert abs(report.window.get("green", 0) / sum(report.window.values()) - 0.5) < EXACT
        await here.daemon.start()
        await here.control.wait_up(10)
        await share_is(here, 5_000)


async def test_weights_changed_by_hand_are_respected_in_mid_release_and_put_right_at_rest() -> None:
    async with on_weights() as (here, _), await crowd(here, rate=200, visitors=0.7):
        assert command(here, f"set server {BACKEND}/{(await servers(here, 'green'))[0]} weight 100").strip() == ""
        await share_is(here, 0, 5)
        await release(here, steps=["50%", "100%"])
        await reached(here, 5_000)
        for name in (await servers(here, "green"))[1:]:
            command(here, f"set server {BACKEND}/{name} weight 0")

        async def latched() -> bool:
            held = (await status(here))["held"]
            return held is not None and held["code"] == "latched"

        await until(latched, 5)
        now = await status(here)
        assert now["share_bp"] == now["observed_share_bp"] == 2_500


async def servers(here: Stage, pool: str) -> list[str]:
    """The names of a pool's servers."""
    return [name for name, one in (await status(here))["servers"].items() if one["pool"] == pool]


async def test_what_stands_in_the_way_is_told_by_plan_and_holds_a_release_before_first_traffic() -> None:
    async with on_weights() as (here, proxy), await crowd(here, rate=100):
        await until(lambda: refuses(here, [], steps=["50%", "100%"]), 10)
        await until(lambda: refuses(here, ["SHARE_FLOOR"], steps=["0.1%", "100%"]), 10)
        config = here.directory / "haproxy.cfg"
        config.write_text(config.read_text().replace("balance roundrobin", "balance leastconn"))
        assert proxy.pid is not None
        os.kill(proxy.pid, signal.SIGUSR2)
        await until(lambda: refuses(here, ["BALANCE_IGNORES_WEIGHTS"]), 10)
        await release(here)
        await asyncio.sleep(1)
        now = await status(here)
        assert (now["phase"], now["observed_share_bp"], now["held"]["code"]) == ("preflight", 0, "obstacle")


async def refuses(here: Stage, codes: list[str], **plan: object) -> bool:
    """Whether `lbctl plan` says just these reasons why a release would be refused or wait."""
    told = await here.control.post("/v1/plan", {"service": SERVICE, **plan})
    return [one["code"] for one in (*told["refusals"], *told["unready"])] == codes

"""lbctld killed, hung or without room on its disk: traffic stays where it is, and nothing that was decided is lost."""

import asyncio
import json
import os
import random
import signal
import statistics
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from lbctl.demo.control import RefusedError
from lbctl.demo.proxy import Proxy
from lbctl.demo.stage import SERVICE, Stage
from tests.bench.rows import Row, told
from tests.e2e.scene import (
    SLOW_STEP,
    adopted,
    crowd,
    ended,
    envoy,
    on_which,
    one_of,
    proxies,
    release,
    share_is,
    status,
    until,
)

RECOVERY_S = 2.0
CHURN = """steps: [5%, 10%, 20%, 30%, 40%, 50%, 60%, 70%, 80%, 90%, 100%]
hold: {min: 300ms, max: 5m, then: ask}
bake: 300ms
retain: 0s
"""


async def right_again(here: Stage) -> float:
    """How long after its start the daemon reads back what its record says, everywhere."""

    async def right() -> bool:
        try:
            now = await status(here)
        except OSError:
            return False
        instances = now["instances"].values()
        return all(one["reachable"] and one["routes"] == [one["boot"]] for one in instances)

    return await until(right, 20)


async def killed_and_started(here: Stage) -> float:
    """kill -9, a moment of absence, a new start; returns the time until all is right."""
    await here.daemon.stop(signal.SIGKILL)
    await asyncio.sleep(random.uniform(0.05, 0.3))
    began = time.monotonic()
    await here.daemon.start()
    await right_again(here)
    return time.monotonic() - began


async def killed_again_and_again(proxy: Proxy, kills: int) -> list[float]:
    """Kill lbctld at random moments of releases under load; returns the recovery times. Nobody may notice."""
    async with adopted(proxy, CHURN) as here, await crowd(here, rate=300) as users:
        recoveries: list[float] = []
        while len(recoveries) < kills:
            if (await status(here))["phase"] not in {"preflight", "shifting", "baking", "draining"}:
                await release(here)
            await asyncio.sleep(random.uniform(0.1, 1.2))
            recoveries.append(await killed_and_started(here))
        assert (await ended(here))["phase"] == "finished"
        report = await users.stop()
        assert report.failed_requests == 0, report.first_failures
        assert report.colour_changes == 0
        return recoveries


@pytest.mark.parametrize("proxy", one_of("haproxy"))
async def test_killing_lbctld_at_any_moment_harms_nobody_and_forgets_nothing(proxy: Callable[[], Proxy]) -> None:
    recoveries = await killed_again_and_again(proxy(), 4)
    assert max(recoveries) <= 5 * RECOVERY_S, recoveries


@pytest.mark.long
@pytest.mark.parametrize("proxy", proxies())
async def test_sixty_kills_are_recovered_from_as_fast_as_promised(
    request: pytest.FixtureRequest, proxy: Callable[[], Proxy]
) -> None:
    recoveries = await killed_again_and_again(proxy(), 60)
    what = "kill -9 at random moments under load: start to right again"
    rows = [
        Row("p50", f"{what}, p50 of {len(recoveries)}", statistics.median(recoveries), "s"),
        Row("max", f"{what}, max of {len(recoveries)}", max(recoveries), "s", RECOVERY_S),
    ]
    assert told(f"kills-{on_which(request)}", rows) == 0


@pytest.mark.parametrize("proxy", one_of("haproxy"))
async def test_the_split_stays_while_lbctld_is_dead(proxy: Callable[[], Proxy]) -> None:
    async with adopted(proxy(), SLOW_STEP) as here, await crowd(here, rate=150, visitors=0.7) as users:
        await release(here)
        await share_is(here, 1_000)
        await here.daemon.stop(signal.SIGKILL)
        await users.reset_window()
        await asyncio.sleep(2)
        report = await users.snapshot()
        assert 0.03 < report.window.get("green", 0) / sum(report.window.values()) < 0.2
        await here.daemon.start()
        await here.control.wait_up(10)
        now = await status(here)
        assert (now["phase"], now["share_bp"]) == ("shifting", 1_000)
        assert (await users.stop()).failed_requests == 0


@pytest.mark.parametrize("proxy", one_of("envoy"))
async def test_a_rollback_survives_a_kill_in_its_middle(proxy: Callable[[], Proxy]) -> None:
    async with adopted(proxy(), SLOW_STEP) as here, await crowd(here, rate=150):
        number = await release(here)
        await share_is(here, 1_000)
        asking = asyncio.create_task(here.control.post(f"/v1/releases/{number}/rollback", {"reason": "test"}))
        await asyncio.sleep(0.002)
        await here.daemon.stop(signal.SIGKILL)
        await asyncio.wait([asking])
        was_asked = asking.exception() is None
        await here.daemon.start()
        await right_again(here)
        now = await status(here)
        if was_asked or now["phase"] != "shifting":
            assert (await ended(here, 10))["phase"] == "rolled_back"
            await share_is(here, 0, 5)


@asynccontextmanager
async def small_disk(directory: Path, megabytes: int = 6) -> AsyncIterator[Path]:
    """A tiny tmpfs for the state directory, mounted by root only."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    directory.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "lbctl-test", str(directory)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {mounted.stderr.decode().strip()}")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)


def fill(directory: Path) -> None:
    """Take every byte that is left."""
    with (directory / "filler").open("ab", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4_096)
        except OSError:
            return


@pytest.mark.parametrize("proxy", one_of("haproxy"))
async def test_a_full_disk_never_stops_the_way_back(proxy: Callable[[], Proxy], tmp_path: Path) -> None:
    async with (
        small_disk(tmp_path / "state") as disk,
        adopted(proxy(), SLOW_STEP, state_dir=disk) as here,
        await crowd(here, rate=150, visitors=0.7) as users,
    ):
        await release(here)
        await share_is(here, 1_000)
        await asyncio.sleep(0.5)
        for _ in range(3):
            fill(disk)
            await asyncio.sleep(0.2)
        await spend_ballast(here, disk)
        await here.pools["green"].fault(error_ratio=1.0)
        began = time.monotonic()
        await share_is(here, 0, 10)
        assert time.monotonic() - began <= 5.0
        (disk / "filler").unlink()
        assert (await ended(here, 20))["phase"] == "rolled_back"
        assert (await users.stop()).failed_requests == 0


async def spend_ballast(here: Stage, disk: Path) -> None:
    """Write until the journal says that it cannot: its reserve is for the last decisions of a full disk."""
    refusal = ""
    for number in range(400):
        verb = "pause" if number % 2 == 0 else "resume"
        try:
            await here.control.post(f"/v1/releases/{SERVICE}/{verb}", {"reason": "x" * 400})
        except RefusedError as refused:
            refusal = str(refused)
            break
        fill(disk)
    assert "journal" in refusal, f"after {number} decisions: {refusal or 'never refused'}"


async def _green_is_down(here: Stage) -> bool:
    servers = (await status(here))["servers"].values()
    return not any(server["up"] for server in servers if server["pool"] == "green")


@pytest.mark.envoy
async def test_a_cancellation_that_cannot_be_recorded_is_not_refused_and_ends_the_release_when_it_can(
    tmp_path: Path,
) -> None:
    told = tmp_path / "told"
    alerts = f'[{{name: ops, exec: [/bin/sh, -c, "cat >> {told}; echo >> {told}"], on: [started, cancelled]}}]'
    async with (
        small_disk(tmp_path / "state") as disk,
        adopted(envoy(), SLOW_STEP, state_dir=disk, alerts=alerts) as here,
    ):
        await here.pools["green"].fault(refuse=True, cut=True)
        await until(lambda: _green_is_down(here), 10)
        number = await release(here)
        fill(disk)
        await spend_ballast(here, disk)
        answer = await here.control.post(f"/v1/releases/{number}/cancel", {"reason": "test"})
        assert answer["phase"] == "preflight"
        assert "cancelled as soon as the journal can be written" in answer["note"]
        await here.pools["green"].fault(refuse=False)
        await asyncio.sleep(3)
        assert (await status(here))["phase"] == "preflight"
        (disk / "filler").unlink()
        assert (await ended(here, 20))["phase"] == "cancelled"

        async def both() -> bool:
            return told.exists() and "release.cancelled" in told.read_text()

        await until(both, 10)
    assert [json.loads(line)["kind"] for line in told.read_text().splitlines() if line] == [
        "release.started",
        "release.cancelled",
    ]

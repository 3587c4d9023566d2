"""The real daemon on an unwell host: its disk, its directory of names and its clock delay no way back."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lbctl.demo.proxy import Proxy
from lbctl.demo.stage import SERVICE, Stage
from tests.e2e.outside import routes
from tests.e2e.scene import (
    SLOW_STEP,
    adopted,
    crowd,
    ended,
    envoy,
    events,
    haproxy,
    one_of,
    proxies_and_forms,
    reached,
    release,
    share_is,
    status,
    until,
)
from tests.e2e.unwell import Host, host
from tests.e2e.worst_day import ANSWER_S, BACK_S

DAY_S = 86_400


async def way_back_s(here: Stage) -> tuple[float, float]:
    """Ask for a rollback; return how long the answer took, and until new users go home."""
    began = time.monotonic()
    await here.control.post(f"/v1/releases/{SERVICE}/rollback", {"reason": "test"})
    answered = time.monotonic() - began

    async def home() -> bool:
        running, _ = await routes(here)
        return all(text.startswith("0:") for text in running)

    await until(home, 20, 0.01)
    return answered, time.monotonic() - began


async def step(here: Stage, unwell: Host) -> None:
    """Bring a release to its first step on that host."""
    await unwell.take(here)
    await release(here)
    await share_is(here, 1_000)


@pytest.mark.parametrize("proxy", one_of("envoy"))
async def test_a_disk_that_hangs_delays_neither_the_answer_nor_the_way_back(
    proxy: Callable[[], Proxy], tmp_path: Path
) -> None:
    unwell = host(tmp_path)
    async with adopted(proxy(), SLOW_STEP) as here, await crowd(here, rate=100) as users:
        await step(here, unwell)
        unwell.be(sync_ms=3_000)
        answer, back = await way_back_s(here)
        unwell.be()
        assert (await ended(here, 20))["phase"] == "rolled_back"
        assert (await users.stop()).failed_requests == 0
        assert answer <= 5 * ANSWER_S
        assert back <= 5 * BACK_S


async def written(files: Path) -> int:
    """When something was last written into a spare of these files: before it takes over, the disk must have it."""
    return max(spare.stat().st_mtime_ns for spare in files.glob(".*.spare"))


async def backs_of_raises(proxy: Proxy, directory: Path, rounds: int) -> list[float]:
    """Go back again and again while a raise waits for a disk that hangs under the load balancer's files; how long each
    took until new users went home, by what is read back and by the last request the candidate got."""
    unwell, backs = host(directory), []
    async with adopted(proxy, SLOW_STEP) as here, await crowd(here, rate=150) as users:
        files = next(one for place in ("**/rds", "maps") for one in here.directory.glob(place))
        await unwell.take(here, disk=files.parent if files.name == "rds" else files)
        for _ in range(rounds):
            await release(here)
            await reached(here, 1_000)
            unwell.be(sync_ms=5_000)
            before = await written(files)
            await here.control.post(f"/v1/releases/{SERVICE}/promote", {"reason": "test"})
            await until(lambda before=before: _later(files, before), 10, 0.002)  # type: ignore[misc]
            began = time.monotonic()
            await way_back_s(here)
            read_back = time.monotonic()
            await asyncio.sleep(0.3)
            last = (await here.pools["green"].stats()).last_user_monotonic or 0.0
            backs.append(max(read_back, last) - began)
            unwell.be()
            assert (await ended(here, 20))["phase"] == "rolled_back"
        assert (await users.stop()).failed_requests == 0
    return backs


async def _later(files: Path, before: int) -> bool:
    return await written(files) > before


@pytest.mark.parametrize("proxy", one_of("envoy"))
async def test_a_raise_that_a_disk_holds_up_delays_no_way_back(proxy: Callable[[], Proxy], tmp_path: Path) -> None:
    assert max(await backs_of_raises(proxy(), tmp_path, 2)) <= 5 * BACK_S


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("proxy", proxies_and_forms())
async def test_a_raise_that_a_disk_holds_up_delays_no_way_back_more_than_promised(
    proxy: Callable[[], Proxy], tmp_path: Path
) -> None:
    backs = sorted(await backs_of_raises(proxy(), tmp_path, 50))
    print(f"\nusers back while a raise hangs: p50 {backs[25] * 1000:.0f} ms, max {backs[-1] * 1000:.0f} ms of 50")
    assert backs[-1] <= BACK_S


@pytest.mark.envoy
async def test_names_that_nobody_answers_for_delay_no_way_back(tmp_path: Path) -> None:
    unwell = host(tmp_path)
    async with adopted(envoy(), SLOW_STEP) as here, await crowd(here, rate=100) as users:
        await step(here, unwell)
        unwell.be(names_ms=20_000)
        for number in range(12):
            await here.control.post(f"/v1/releases/{SERVICE}/{'resume' if number % 2 else 'pause'}", {"reason": "test"})
        _, back = await way_back_s(here)
        unwell.be()
        assert back <= 5 * BACK_S
        assert (await ended(here, 20))["phase"] == "rolled_back"
        assert (await users.stop()).failed_requests == 0


async def waits(here: Stage) -> dict[str, float]:
    """What the release waits for, and since when, in seconds."""
    lines = (await here.control.get(f"/v1/why/{SERVICE}"))["lines"]
    return {line["needs"]: line["since_ms"] / 1_000 for line in lines}


@pytest.mark.long
@pytest.mark.haproxy
async def test_a_wall_clock_that_jumps_a_day_decides_nothing(tmp_path: Path) -> None:
    """Neither what is decided, nor how long it takes, nor what is recorded follows it; only what is printed."""
    unwell = host(tmp_path)
    async with adopted(haproxy(), SLOW_STEP) as here, await crowd(here, rate=100) as users:
        await step(here, unwell)
        await reached(here, 1_000)
        before, began = await status(here), time.monotonic()
        waited_before = (await waits(here))["time"]
        for clock_s in (DAY_S, -DAY_S, 0):
            unwell.be(clock_s=clock_s)
            await asyncio.sleep(0.7)
            now = await status(here)
            assert [now[key] for key in ("phase", "share_bp", "release")] == ["shifting", 1_000, before["release"]]
            assert (now["held"], now["observed_share_bp"]) == (None, 1_000)
            assert await routes(here) == ({"1000:10000:10000"}, "1000:10000:10000")
            went_s = time.monotonic() - began
            assert abs((await waits(here))["time"] - waited_before - went_s) < 1, "the step's time is not its own"
            await here.control.post(f"/v1/releases/{SERVICE}/pause", {"reason": f"by {clock_s}"})
            await here.control.post(f"/v1/releases/{SERVICE}/resume", {"reason": f"by {clock_s}"})
        recorded = await events(here)
        marks = [one for one in recorded if "by " in one["text"]]
        days = {one["wall"][:10] for one in marks}
        assert len(days) == 3, f"people are told what the clock shows: {days}"
        numbers = [one["id"] for one in recorded]
        assert numbers == sorted(numbers), "the record keeps its order"
        _, back = await way_back_s(here)
        assert back <= 5 * BACK_S
        assert (await ended(here, 20))["phase"] == "rolled_back"
        assert (await users.stop()).failed_requests == 0

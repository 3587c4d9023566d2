"""A load balancer replaced by another version of itself, and back, in the middle of a release."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from lbctl.dataplane.envoy.binary import probe
from lbctl.demo.proxy import OwnHaproxy
from lbctl.demo.stage import SERVICE, Stage
from tests.e2e.attached import AttachedEnvoy
from tests.e2e.other_versions import other_envoy, other_haproxy, said_version
from tests.e2e.outside import routes, version
from tests.e2e.scene import SLOW_STEP, adopted, crowd, ended, events, haproxy, reached, release, status, until
from tests.e2e.test_attached import instance
from tests.e2e.test_attached import right_again as life_read_back
from tests.e2e.test_reloads import reloaded_and_right

pytestmark = pytest.mark.long

PROMISE_S = 1.0


@asynccontextmanager
async def upgradable(directory: Path) -> AsyncIterator[tuple[Stage, OwnHaproxy, Path, dict[str, Path]]]:
    """A stage whose HAProxy runs from a file that a package manager could replace; and both versions by their names."""
    directory.mkdir(exist_ok=True)
    haproxy()  # Or a skip that says why.
    installed = Path(shutil.which("haproxy") or "/usr/sbin/haproxy")
    versions = {said_version(one): one for one in (installed, other_haproxy(directory))}
    assert len(versions) == 2, "the same version twice proves nothing"
    place = directory / "haproxy"
    shutil.copy2(installed, place)
    proxy = OwnHaproxy(str(place))
    async with adopted(proxy, SLOW_STEP) as here:
        yield here, proxy, place, versions


def replace(place: Path, binary: Path) -> None:
    """Put it in the other's place, as a package manager does: a running process keeps the file it has."""
    fresh = place.with_suffix(".dpkg-new")
    shutil.copy2(binary, fresh)
    fresh.rename(place)


async def promoted(here: Stage, share_bp: int) -> None:
    """Go to the next step."""
    await here.control.post(f"/v1/releases/{SERVICE}/promote", {"reason": "test"})
    await reached(here, share_bp)


@pytest.mark.haproxy
async def test_an_haproxy_of_another_version_takes_over_by_a_reload_and_goes_back_again(tmp_path: Path) -> None:
    async with (
        upgradable(tmp_path / "own") as (here, proxy, place, versions),
        await crowd(here, rate=300, sessions=60, websockets=2) as users,
    ):
        await release(here)
        await reached(here, 1_000)
        for (name, binary), share_bp in zip([*versions.items()][::-1], (5_000, 10_000), strict=True):
            replace(place, binary)
            took_s = await reloaded_and_right(here, proxy)
            number = name.split()[2]
            print(f"\nreloaded into {number}: right again after {took_s:.2f} s")
            assert took_s <= 5 * PROMISE_S
            assert number.split("-")[0] in await version(here)
            await agreed(here)
            await promoted(here, share_bp)
        await here.control.post(f"/v1/releases/{SERVICE}/rollback", {"reason": "test"})
        assert (await ended(here))["phase"] == "rolled_back"
        report = await users.stop()
        assert (report.failed_requests, report.websockets.cut) == (0, 0), report.first_failures
        assert len([one for one in await events(here) if one["kind"] == "instance.reloaded"]) == 2


async def agreed(here: Stage) -> None:
    """Wait until nothing holds: old workers may be read for a while."""

    async def there() -> bool:
        return (await status(here))["held"] is None

    await until(there, 20)


@pytest.mark.haproxy
async def test_an_haproxy_of_another_version_that_is_started_in_the_others_place_routes_as_recorded(
    tmp_path: Path,
) -> None:
    async with upgradable(tmp_path / "own") as (here, proxy, place, versions):
        await release(here)
        await reached(here, 1_000)
        for binary in [*versions.values()][::-1]:
            before = (await instance(here))["generation"]
            await proxy.end(here.directory)
            replace(place, binary)
            await proxy.launch(here.directory)
            assert await life_read_back(here, before) <= 5 * PROMISE_S
            assert await routes(here) == ({"1000:10000:10000"}, "1000:10000:10000")
            assert (await status(here))["phase"] == "shifting"
        await here.control.post(f"/v1/releases/{SERVICE}/rollback", {"reason": "test"})
        assert (await ended(here))["phase"] == "rolled_back"


@pytest.mark.envoy
async def test_an_envoy_of_another_version_routes_as_recorded_and_plan_says_that_it_is_older(tmp_path: Path) -> None:
    older, proxy = other_envoy(tmp_path), AttachedEnvoy()
    async with adopted(proxy, SLOW_STEP) as here:
        newer = proxy.owner.binary
        await release(here)
        await reached(here, 1_000)
        for binary, known in ((older, True), (newer, False)):
            before = (await instance(here))["generation"]
            proxy.owner.binary = binary
            await proxy.owner.restart()
            assert await life_read_back(here, before) <= 5 * PROMISE_S
            assert await routes(here) == ({"1000:10000:10000"}, "1000:10000:10000")
            assert (await version(here)).endswith((await probe(str(binary))).version)
            await until(partial(_called_old, here, known), 30)
        await here.control.post(f"/v1/releases/{SERVICE}/rollback", {"reason": "test"})
        assert (await ended(here))["phase"] == "rolled_back"


async def _called_old(here: Stage, wanted: bool) -> bool:
    plan = await here.control.post("/v1/plan", {"service": SERVICE, "version": "2"})
    return ("OLD_ENVOY" in {one["code"] for one in plan["warnings"]}) is wanted

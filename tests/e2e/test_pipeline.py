"""What a pipeline does, with the real command line, daemon and load balancers: claim, ready, wait for the build."""

import json
from collections.abc import Callable

import pytest

from lbctl.demo.proxy import Proxy
from lbctl.demo.stage import SERVICE, Stage
from tests.e2e.scene import QUICK, adopted, crowd, one_of, status
from tests.integration.test_cli_commands import Done, run

FIRST = "https://ci.example/web/1"


async def lbctl(here: Stage, *words: str) -> Done:
    """Run the command line against the stage's daemon."""
    return await run(str(here.directory / "run" / "control.sock"), *words)


async def ready(here: Stage, build: str) -> Done:
    """Say that a build is ready."""
    return await lbctl(here, "release", "ready", SERVICE, "--service", SERVICE, "--version", "2", "--build", build)


@pytest.mark.parametrize("proxy", one_of("haproxy"))
async def test_a_claimed_pool_is_released_by_saying_ready_and_waited_for_by_its_build(
    proxy: Callable[[], Proxy],
) -> None:
    async with adopted(proxy(), QUICK) as here, await crowd(here, rate=120, visitors=0.7) as users:
        early = await ready(here, FIRST)
        assert early.code == 5
        assert f"lbctl claim {SERVICE} --wait" in early.err
        claimed = await lbctl(here, "claim", SERVICE, "--wait", "--timeout", "20s")
        assert (claimed.code, claimed.out) == (0, "green\n"), claimed.err
        assert (await status(here))["pools"]["green"]["state"] == "idle"
        said = await ready(here, FIRST)
        assert said.code == 0, said.err
        done = await lbctl(
            here, "release", "wait", "--build", FIRST, "--for", "baked", "--timeout", "60s", "-o", "json"
        )
        assert done.code == 0, done.err
        assert done.data["release"]["members"][0]["build"] == FIRST
        assert (await status(here))["active"] == "green"
        assert (await users.stop()).failed_requests == 0


@pytest.mark.parametrize("proxy", one_of("envoy"))
async def test_a_build_that_a_newer_claim_overtook_on_the_board_is_superseded(proxy: Callable[[], Proxy]) -> None:
    """While a release runs the next build waits; in maintenance nothing is cut, so it waits there as well."""
    async with adopted(proxy(), QUICK) as here:
        assert (await lbctl(here, "claim", SERVICE, "--wait", "--timeout", "20s")).code == 0
        assert (await lbctl(here, "maintenance", "on", SERVICE)).code == 0
        assert (await ready(here, FIRST)).code == 0
        waiting = await lbctl(here, "release", "wait", "--build", FIRST, "--timeout", "300ms")
        assert waiting.code == 26, waiting.err
        assert "ready" in (await lbctl(here, "status", SERVICE)).out
        assert (await lbctl(here, "claim", SERVICE)).code == 26
        overtaken = await lbctl(here, "release", "wait", "--build", FIRST, "--timeout", "5s", "-o", "json")
        assert overtaken.code == 25, overtaken.err
        assert json.loads(overtaken.out)["build"]["word"] == "superseded"

"""Gates with the real daemon, a real load balancer and real servers."""

from pathlib import Path
from typing import Any

import pytest

from lbctl.demo.stage import SERVICE, Stage
from tests.e2e.scene import QUICK, SLOW_STEP, adopted, crowd, ended, envoy, haproxy, release, share_is, status, until

VERSION = "version: {http: /version, json: version}\n"


async def held(here: Stage, code: str, words: str) -> Any:
    """Wait until the release is held by `code` in such words; returns the hold. Until servers are asked it says so."""

    async def is_held() -> bool:
        hold = (await status(here))["held"]
        return bool(hold and hold["code"] == code and words in hold["reason"])

    await until(is_held)
    return (await status(here))["held"]


@pytest.mark.haproxy
async def test_six_of_seven_attested_is_held_and_goes_on_when_the_seventh_is_deployed_to() -> None:
    async with adopted(haproxy(), QUICK + VERSION, servers=7) as here, await crowd(here) as users:
        await here.pools["green"].deploy("1.9.0", server="green-7")
        await release(here, version="2.0.0")
        found = await held(here, "attestation", " says ")
        assert found["reason"] == "6 of 7 candidate servers say 2.0.0: green-7 says 1.9.0"
        assert (await status(here))["observed_share_bp"] == 0
        assert (await here.pools["green"].stats()).user_requests == 0
        await here.pools["green"].deploy("2.0.0", server="green-7")
        assert (await ended(here))["phase"] == "finished"
        assert (await users.stop()).failed_requests == 0


@pytest.mark.envoy
async def test_a_server_that_is_deployed_to_in_mid_step_holds_the_next_one() -> None:
    async with (
        adopted(envoy(), SLOW_STEP.replace("min: 60s", "min: 5s").replace("bake: 60s", "bake: 1s") + VERSION) as here,
        await crowd(here),
    ):
        await here.pools["green"].deploy("3.0.0")
        await release(here, version="3.0.0", steps=["10%", "100%"])
        await share_is(here, 1_000)
        await here.pools["green"].deploy("3.0.1", server="green-2")
        found = await held(here, "attestation", " says ")
        assert found["reason"] == "2 of 3 candidate servers say 3.0.0: green-2 says 3.0.1"
        await here.pools["green"].deploy("3.0.0", server="green-2")
        assert (await ended(here))["phase"] == "finished"


@pytest.mark.envoy
async def test_a_switch_without_a_version_releases_what_the_servers_say() -> None:
    async with adopted(envoy(), QUICK + VERSION) as here, await crowd(here):
        answer = await here.control.post("/v1/releases", {"service": SERVICE, "reason": "test"})
        assert answer["members"] == {SERVICE: "2.0.0"}
        assert (await ended(here))["phase"] == "finished"


def program(folder: Path, text: str) -> Path:
    """Write a hook that notes every question before it answers."""
    path = folder / "hook"
    path.write_text(f"#!/bin/sh\necho $LBCTL_POINT $LBCTL_SHARE_BP $LBCTL_ID >> {folder}/asked\n{text}\n")
    path.chmod(0o755)
    return path


def asked(folder: Path) -> list[str]:
    """The questions in their order."""
    return (folder / "asked").read_text().splitlines() if (folder / "asked").exists() else []


def hooks(path: Path, *points: str) -> str:
    """The config's hooks."""
    return f"hooks: [{', '.join(f'{{at: {point}, exec: {path}}}' for point in points)}]\n"


EVERY = ("preflight", "before_step", "after_step", "rolled_back", "active", "released")


@pytest.mark.haproxy
async def test_a_hook_lets_the_first_step_go_takes_the_second_one_back_and_is_told_the_end(tmp_path: Path) -> None:
    path = program(tmp_path, '[ "$LBCTL_POINT $LBCTL_SHARE_BP" != "before_step 5000" ] || { echo too hot; exit 2; }')
    async with adopted(haproxy(), QUICK + hooks(path, *EVERY)) as here, await crowd(here) as users:
        await release(here)
        found = await ended(here)
        assert found["phase"] == "rolled_back"

        async def told() -> bool:
            return len(asked(tmp_path)) == 5

        await until(told)
        assert asked(tmp_path) == [
            "preflight 0 1/preflight/1/0",
            "before_step 1000 1/before_step/1/1",
            "after_step 1000 1/after_step/2/2",
            "before_step 5000 1/before_step/2/1",
            "rolled_back 0 1/rolled_back/3/3",
        ]
        shown = (await here.control.get("/v1/releases/1"))["release"]
        assert f"hook {path} at before_step: too hot" in str(shown)
        assert (await users.stop()).failed_requests == 0


@pytest.mark.envoy
async def test_a_hook_that_hangs_holds_the_release_and_delays_no_rollback(tmp_path: Path) -> None:
    path = program(tmp_path, "sleep 600")
    async with adopted(envoy(), QUICK + hooks(path, "after_step", "rolled_back")) as here, await crowd(here):
        number = await release(here)
        await share_is(here, 1_000)
        await held(here, "hook", "is asked since")
        await here.control.post(f"/v1/releases/{number}/rollback", {"reason": "test"})
        found = await ended(here, 5)
        assert found["phase"] == "rolled_back"

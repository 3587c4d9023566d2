"""Gates with the real daemon, a real load balancer and real servers."""

from typing import Any

import pytest

from lbctl.demo.stage import SERVICE, Stage
from tests.e2e.scene import QUICK, SLOW_STEP, adopted, crowd, ended, envoy, haproxy, release, share_is, status, until

VERSION = "version: {http: /version, json: version}\n"


async def held(here: Stage, code: str) -> Any:
    """Wait until the release is held by `code`; returns the hold."""

    async def is_held() -> bool:
        hold = (await status(here))["held"]
        return bool(hold and hold["code"] == code)

    await until(is_held)
    return (await status(here))["held"]


@pytest.mark.haproxy
async def test_six_of_seven_attested_is_held_and_goes_on_when_the_seventh_is_deployed_to() -> None:
    async with adopted(haproxy(), QUICK + VERSION, servers=7) as here, await crowd(here) as users:
        await here.pools["green"].deploy("1.9.0", server="green-7")
        await release(here, version="2.0.0")
        found = await held(here, "attestation")
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
        found = await held(here, "attestation")
        assert found["reason"] == "2 of 3 candidate servers say 3.0.0: green-2 says 3.0.1"
        await here.pools["green"].deploy("3.0.0", server="green-2")
        assert (await ended(here))["phase"] == "finished"


@pytest.mark.envoy
async def test_a_switch_without_a_version_releases_what_the_servers_say() -> None:
    async with adopted(envoy(), QUICK + VERSION) as here, await crowd(here):
        answer = await here.control.post("/v1/releases", {"service": SERVICE, "reason": "test"})
        assert answer["members"] == {SERVICE: "2.0.0"}
        assert (await ended(here))["phase"] == "finished"

"""The recipes under deploy/ bring a release through, each at a real daemon and a real load balancer."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from lbctl.demo.stage import SERVICE, Stage
from tests.e2e.scene import QUICK, adopted, crowd, haproxy, status
from tests.integration.test_cli_commands import Done
from tests.recipes.programs import Ci
from tests.recipes.shells import DEPLOY, Part, bitbucket, github, gitlab

pytestmark = pytest.mark.haproxy
BUILD = "https://ci.example/shop/{number}"


@asynccontextmanager
async def ci(directory: Path) -> AsyncIterator[tuple[Ci, Stage]]:
    async with adopted(haproxy(), QUICK) as here, await crowd(here, rate=120, visitors=1.0) as users:
        yield Ci(directory, here.directory / "run" / "control.sock"), here
        assert (await users.stop()).failed_requests == 0


async def done(ci: Ci, part: Part, **variables: str) -> Done:
    found = await ci.run(part, **variables)
    assert found.code == 0, f"{part.script}\n{found.out}\n{found.err}"
    return found


def as_shop(parts: list[Part]) -> list[Part]:
    """The recipes speak of accounts and storefront; the stage has one service, and no ssh before it."""
    names = {"LBCTL_SERVICE": SERVICE, "LBCTL_UNIT": SERVICE, "LBCTL_SSH": "", "LBCTL_REQUIRES": ""}
    return [
        Part(
            one.script,
            {**one.environment, **names} if "LBCTL_WORD" in one.environment else one.environment,
            one.shell,
            one.keeps,
        )
        for one in parts
    ]


async def test_the_one_script_claims_deploys_says_ready_and_waits(tmp_path: Path) -> None:
    async with ci(tmp_path) as (there, here):
        variables = {"LBCTL_SERVICE": SERVICE, "LBCTL_VERSION": "2 'a'", "LBCTL_BUILD": BUILD.format(number=1)}
        found = await done(there, Part("sh ci/release.sh all ./deploy-to"), **variables)
        assert there.deployed == ["green 2 'a'"]
        assert f"{SERVICE} 2 'a' goes to green" in found.err
        assert (await status(here))["active"] == "green"
        failed = await there.run(Part("sh ci/release.sh all false"), **variables)
        assert failed.code == 1
        assert "the deployment failed" in failed.err
        assert "is given back" in failed.err
        assert (await status(here))["claim"] is None
        assert (await status(here))["board"] is None


@pytest.mark.parametrize("jobs", [gitlab, bitbucket])
async def test_gitlab_and_bitbucket_bring_a_release_through(tmp_path: Path, jobs: Callable[[], list[Part]]) -> None:
    async with ci(tmp_path) as (there, here):
        variables = {"LBCTL_SERVICE": SERVICE, "LBCTL_PROVIDES": "shop-api=2 shop-api=3", "LBCTL_VERSION": "v2"}
        variables |= {"LBCTL_BUILD": BUILD.format(number=8), "BITBUCKET_TAG": "v2", "BITBUCKET_BUILD_NUMBER": "8"}
        variables |= {"BITBUCKET_GIT_HTTP_ORIGIN": "https://ci.example/shop"}
        for part in jobs():
            await done(there, part, **variables)
            handed_on = there.directory / "lbctl.env"
            if handed_on.exists():
                variables |= dict(line.split("=", 1) for line in handed_on.read_text().splitlines())
        assert there.deployed == ["green v2"]
        assert (await status(here))["active"] == "green"


async def test_the_github_action_brings_a_release_through(tmp_path: Path) -> None:
    async with ci(tmp_path) as (there, here):
        context = {"github.action_path": str(DEPLOY / "github"), "github.ref_name": "v2"}
        build = "format('{0}/{1}/actions/runs/{2}', github.server_url, github.repository, github.run_id)"
        context |= {build: BUILD.format(number=9), "steps.claim.outputs.colour": "the colour"}
        for part in as_shop(github(context)):
            environment = {key: value.replace("the colour", "green") for key, value in part.environment.items()}
            await done(there, Part(part.script, environment), GITHUB_REF_NAME="v2")
            if part.keeps:
                assert there.outputs()["colour"] == "green"
        assert there.outputs()["exit-code"] == "0"
        assert there.deployed == ["green v2"]
        assert (await status(here))["active"] == "green"

"""The recipes under deploy/ bring a release through, each at a real daemon and a real load balancer."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from lbctl.demo.stage import SERVICE, Stage
from tests.e2e.scene import QUICK, adopted, crowd, haproxy, status
from tests.integration.test_cli_commands import Done
from tests.recipes.shells import DEPLOY, Part, bitbucket, github, gitlab, jenkins

pytestmark = pytest.mark.haproxy
BUILD = "https://ci.example/shop/{number}"
DEPLOY_TO = '#!/bin/sh\nset -eu\necho "$1 $2" >> deployed\n'


class Ci:
    """One workspace of a pipeline beside a running lbctl, which it reaches as `lbctl` on its PATH."""

    def __init__(self, directory: Path, here: Stage) -> None:
        self.directory = directory
        self.variables = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "LBCTL_SOCKET": str(here.directory / "run" / "control.sock"),
            "GITHUB_OUTPUT": str(directory / "outputs"),
        }
        (directory / "ci").mkdir()
        shutil.copy(DEPLOY / "ci" / "release.sh", directory / "ci" / "release.sh")
        for name, text in (("deploy-to", DEPLOY_TO), ("build", "#!/bin/sh\n")):
            (directory / name).write_text(text)
            (directory / name).chmod(0o755)

    @property
    def deployed(self) -> list[str]:
        """What was deployed, oldest first: colour and version."""
        return (self.directory / "deployed").read_text().splitlines()

    async def run(self, part: Part, **variables: str) -> Done:
        """Run one shell part as its CI would."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *part.shell,
            part.script,
            cwd=self.directory,
            env={**self.variables, **variables, **part.environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
        )
        out, err = await asyncio.wait_for(process.communicate(), 100)
        assert process.returncode is not None
        return Done(process.returncode, out.decode(), err.decode())

    def outputs(self) -> dict[str, str]:
        """What the last step of GitHub has handed on."""
        lines = (self.directory / "outputs").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)


@asynccontextmanager
async def ci(directory: Path) -> AsyncIterator[tuple[Ci, Stage]]:
    async with adopted(haproxy(), QUICK) as here, await crowd(here, rate=200, visitors=0.7) as users:
        yield Ci(directory, here), here
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
        assert (await status(here))["board"] is None


@pytest.mark.parametrize("service", ["accounts", "storefront"])
async def test_a_jenkinsfile_brings_its_release_through(tmp_path: Path, service: str) -> None:
    async with ci(tmp_path) as (there, here):
        variables = {"VERSION": "2.0.7", "BUILD_URL": BUILD.format(number=7)}
        for part in as_shop(jenkins(service, variables)):
            found = await done(there, part, **variables)
            if part.keeps:
                variables[part.keeps] = found.out.strip()
        assert there.deployed == ["green 2.0.7"]
        assert (await status(here))["active"] == "green"


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

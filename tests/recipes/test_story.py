"""The story with real pipelines: two teams, a breaking change, one release; by two Jenkinsfiles, and by two plays."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from lbctl.demo.play import settled
from lbctl.demo.shop import ACCOUNTS, STOREFRONT, UNIT, ShopStage, shop_stage
from lbctl.demo.team import Team, accounts, storefront
from lbctl.demo.users import Users
from tests.e2e.scene import QUICK, haproxy, until
from tests.recipes.programs import Ansible, Ci
from tests.recipes.shells import jenkins

pytestmark = [pytest.mark.haproxy, pytest.mark.timeout(300)]
VERSIONS = {ACCOUNTS: "2.0.7", STOREFRONT: "5.1.7"}
SPEAKS = {ACCOUNTS: "", STOREFRONT: "2"}
# What becomes of the words of an ssh client: sshd runs the command of the key, one user for each pipeline.
SSH = """#!/bin/sh
for word; do host=$line line=$word; done
service=${host%@*}
SSH_ORIGINAL_COMMAND=$line exec lbctl gate --service "${service#ci-}"
"""
Play = Callable[[ShopStage, str], Awaitable[None]]


@asynccontextmanager
async def shop() -> AsyncIterator[ShopStage]:
    """Two services with users; at the end nobody has missed an answer, and no pool has met a wrong partner."""
    async with shop_stage(None, haproxy(), QUICK, drain="{quiet: 1s, idle: 1s, limit: 2m}") as here:
        await Team(here, ACCOUNTS).adopt("blue", accounts("1.4.0"))
        await Team(here, STOREFRONT).adopt("blue", storefront("5.0.0", 1))
        for service in (ACCOUNTS, STOREFRONT):
            await settled(here.control, here.port, service)
        async with await Users.start("127.0.0.1", here.port, rate=40, sessions=0, visitors=1.0) as users:
            yield here
            assert (await users.stop()).failed_requests == 0
        calls = await here.shop.calls()
        assert calls.mismatched == 0, calls.troubles
        assert calls.users.total() > 0


async def told(here: ShopStage, play: Play) -> None:
    """Accounts brings a breaking change, which waits; storefront brings what speaks it, and both go as one."""
    first = asyncio.create_task(play(here, ACCOUNTS))
    try:

        async def waits() -> bool:
            assert not first.done(), await first
            return bool((await here.control.service(ACCOUNTS))["board"])

        await until(waits, 90, pause_s=0.1)
        assert (await here.control.service(ACCOUNTS))["active"] == "blue"
        await play(here, STOREFRONT)
        await asyncio.wait_for(first, 60)
    finally:
        first.cancel()
        await asyncio.wait([first])
    for service in (ACCOUNTS, STOREFRONT):
        found = await here.control.service(service)
        assert (found["active"], found["pools"]["green"]["version"]) == ("green", VERSIONS[service])
    (release,) = (await here.control.get("/v1/history"))["releases"]
    assert {one["service"] for one in release["members"]} == {ACCOUNTS, STOREFRONT}
    assert (release["phase"], release["outcome"]) == ("finished", "")
    assert all(release["certificates"].values()), release["certificates"]


async def deploy(here: ShopStage, service: str, colour: str) -> None:
    """Do what a team's own program does."""
    await here.shop.deploy(service, colour, VERSIONS[service], speaks=SPEAKS[service])


async def test_two_jenkinsfiles_release_two_services_as_one_by_ssh(tmp_path: Path) -> None:
    async def pipeline(here: ShopStage, service: str) -> None:
        ci = Ci(tmp_path / service, here.directory / "run" / "control.sock")
        (ci.directory / "ssh").write_text(SSH)
        (ci.directory / "ssh").chmod(0o755)
        ci.variables["PATH"] = f"{ci.directory}:{ci.variables['PATH']}"
        variables = {"VERSION": VERSIONS[service], "BUILD_URL": f"https://ci.example/{service}/7"}
        for part in jenkins(service, variables):
            done = await ci.run(part, **variables)
            assert done.code == 0, f"{service}: {part.script}\n{done.out}\n{done.err}"
            if part.keeps:
                variables[part.keeps] = done.out.strip()
            elif "stop" in part.script:
                assert (ci.directory / "stopped").read_text() == "blue\n"
                await here.shop.retire(service, variables["OLD"])
            elif "deploy-to" in part.script:
                assert ci.deployed == [f"green {VERSIONS[service]}"]
                await deploy(here, service, variables["COLOUR"])

    async with shop() as here:
        await told(here, pipeline)


@pytest.mark.long
async def test_two_plays_release_two_services_as_one_and_change_nothing_the_second_time(tmp_path: Path) -> None:
    contracts: dict[str, Any] = {
        ACCOUNTS: {"provides": ["accounts-api=2"]},
        STOREFRONT: {"requires": ["accounts-api>=2,<3"]},
    }

    async def play(here: ShopStage, service: str) -> None:
        ansible = Ansible(tmp_path / service, here.directory / "run" / "control.sock")
        wish, done = ansible.directory / "wish", ansible.directory / "done"
        copy = {"content": "{{ colour }}", "dest": str(wish), "mode": "0644"}
        tasks = [{"ansible.builtin.copy": copy}, {"ansible.builtin.wait_for": {"path": str(done), "sleep": 1}}]
        (ansible.directory / "deploy.yml").write_text(yaml.safe_dump(tasks))
        old = ansible.directory / "old"
        copy = {"content": "{{ colour }}", "dest": str(old), "mode": "0644"}
        (ansible.directory / "stop.yml").write_text(yaml.safe_dump([{"ansible.builtin.copy": copy}]))
        given = {"service": service, "unit": UNIT, "version": VERSIONS[service], **contracts[service]}
        given |= {"build": f"https://ci.example/{service}/7", "deploy": str(ansible.directory / "deploy.yml")}
        given |= {"stop": str(ansible.directory / "stop.yml")}
        running = asyncio.create_task(ansible.play("lbctl.core.release", **given))

        async def deployable() -> bool:
            return running.done() or (wish.exists() and bool(wish.read_text()))

        await until(deployable, 90, pause_s=0.1)
        if not running.done():
            await deploy(here, service, wish.read_text())
            done.touch()

        async def certified() -> bool:
            return running.done() or (old.exists() and bool(old.read_text()))

        await until(certified, 90, pause_s=0.1)
        assert old.read_text() == "blue"
        first = await running
        await here.shop.retire(service, "blue")
        assert first.code == 0, first.out + first.err
        assert "changed=4" in first.out
        second = await ansible.play("lbctl.core.release", **given)
        assert second.code == 0, second.out + second.err
        assert "changed=0" in second.out

    async with shop() as here:
        await told(here, play)

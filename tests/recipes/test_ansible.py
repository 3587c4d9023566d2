"""The collection under deploy/ansible, by the real ansible-core, at a real daemon and a real load balancer."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from lbctl.demo.stage import SERVICE, Stage, stage
from tests.e2e.scene import QUICK, SLOW_STEP, adopted, crowd, haproxy, status
from tests.recipes.programs import Ansible
from tests.recipes.shells import DEPLOY

pytestmark = [pytest.mark.haproxy, pytest.mark.timeout(300)]
BUILD = "https://ci.example/shop/1"
Json = dict[str, Any]


@asynccontextmanager
async def scene(directory: Path, plan: str = QUICK) -> AsyncIterator[tuple[Ansible, Stage]]:
    """Ansible beside an adopted service with users."""
    async with adopted(haproxy(), plan) as here, await crowd(here, rate=120, visitors=0.7) as users:
        yield Ansible(directory, here.directory / "run" / "control.sock"), here
        assert (await users.stop()).failed_requests == 0


async def test_a_service_is_adopted_once(tmp_path: Path) -> None:
    async with stage(None, haproxy(), QUICK) as here:
        ansible = Ansible(tmp_path, here.directory / "run" / "control.sock")
        given = {"service": SERVICE, "active": "blue", "version": "1.0.0"}
        assert (await ansible.check("adopt", **given))["changed"]
        assert (await status(here))["active"] is None
        assert (await ansible.module("adopt", **given))["changed"]
        assert (await status(here))["active"] == "blue"
        again = await ansible.module("adopt", **{**given, "active": "green"})
        assert (again["changed"], again["active"]) == (False, "blue")


async def test_a_pipeline_of_modules_says_what_would_change_changes_it_and_does_nothing_the_second_time(
    tmp_path: Path,
) -> None:
    async with scene(tmp_path) as (ansible, here):
        claim = {"service": SERVICE, "build": BUILD, "timeout": 20}
        told = await ansible.check("claim", **claim)
        assert (told["changed"], told["colour"], told["granted"]) == (True, "green", False)
        nothing = {"claimed": None, "board": None}
        assert told["diff"] == {"before": nothing, "after": {**nothing, "claimed": "green"}}
        assert (await status(here))["claim"] is None
        claimed = await ansible.module("claim", **claim)
        assert (claimed["changed"], claimed["colour"], claimed["granted"]) == (True, "green", True)
        assert not (await ansible.module("claim", **claim))["changed"]

        ready = {"service": SERVICE, "version": "2.0.0", "build": BUILD, "provides": ["shop-api=2", "shop-api=1"]}
        told = await ansible.check("ready", **ready)
        assert told["diff"]["after"]["board"]["provides"] == {"shop-api": [1, 2]}
        assert (await status(here))["board"] is None
        said = await ansible.module("ready", **ready)
        assert (said["changed"], said["fate"]["build"]) == (True, BUILD)
        assert not (await ansible.module("ready", **ready))["changed"]

        baked = await ansible.module("release", build=BUILD, state="baked", timeout=60)
        assert (baked["changed"], baked["release"]["members"][0]["build"]) == (False, BUILD)
        assert (await status(here))["active"] == "green"
        assert not (await ansible.module("ready", **ready))["changed"]
        over = await ansible.module("claim", **claim)
        assert (over["changed"], over["needed"], over["fate"]["word"]) == (False, False, "released")
        read = await ansible.module("info", target=SERVICE, build=BUILD)
        assert read["services"][SERVICE]["active"] == "green"
        assert read["fate"]["word"] == "released"


async def test_what_waits_on_the_board_is_told_and_taken_back(tmp_path: Path) -> None:
    async with scene(tmp_path) as (ansible, here):
        requires = {"requires": ["ledger >= 2, <4", "ledger!=3"]}
        ready = {"service": SERVICE, "version": "2.0.0", "build": BUILD, **requires}
        refused = await ansible.module("ready", **ready)
        assert (refused["failed"], refused["code"], refused["exit_code"]) == (True, "not_claimed", 5)
        assert "lbctl claim" in refused["msg"]
        assert (await ansible.module("claim", service=SERVICE, timeout=20))["granted"]
        assert (await ansible.check("maintenance", target=SERVICE))["changed"]
        assert (await ansible.module("maintenance", target=SERVICE))["services"] == {SERVICE: "maintenance"}
        assert not (await ansible.module("maintenance", target=SERVICE))["changed"]
        assert (await ansible.module("ready", **ready))["changed"]
        assert not (await ansible.module("ready", **{**ready, "requires": ["ledger!=3,<4,>=2"]}))["changed"]
        waiting = await ansible.module("release", build=BUILD, timeout=1)
        assert (waiting["failed"], waiting["exit_code"], waiting["code"]) == (True, 26, "waiting")
        absent = {"service": SERVICE, "state": "absent"}
        assert not (await ansible.module("ready", build="https://ci.example/shop/2", **absent))["changed"]
        assert (await ansible.check("ready", build=BUILD, **absent))["changed"]
        assert (await status(here))["board"] is not None
        assert (await ansible.module("ready", build=BUILD, **absent))["changed"]
        assert not (await ansible.module("ready", build=BUILD, **absent))["changed"]
        withdrawn = await ansible.module("release", build=BUILD, timeout=1)
        assert (withdrawn["exit_code"], withdrawn["code"]) == (21, "withdrawn")
        assert (await ansible.module("maintenance", target=SERVICE, state="absent"))["changed"]
        assert (await status(here))["mode"] == "adopted"


async def test_a_release_is_started_paused_resumed_and_taken_back(tmp_path: Path) -> None:
    async with scene(tmp_path, SLOW_STEP) as (ansible, here):
        given = {"target": SERVICE, "version": "2.0.0", "reason": "by hand", "timeout": 30}
        assert (await ansible.check("release", **given, state="started"))["changed"]
        assert (await status(here))["release"] is None
        started = await ansible.module("release", **given, state="started")
        assert (started["changed"], started["release"]["phase"]) == (True, "shifting")
        again = await ansible.module("release", **given, state="started")
        assert (again["changed"], again["release"]["id"]) == (False, started["release"]["id"])
        late = await ansible.module("release", target=SERVICE, state="baked", timeout=1)
        assert (late["failed"], late["exit_code"]) == (True, 22)
        for state in ("paused", "resumed", "rolled_back"):
            steer = {"target": SERVICE, "state": state, "timeout": 30}
            assert (await ansible.check("release", **steer))["changed"], state
            assert (await ansible.module("release", **steer))["changed"], state
            assert not (await ansible.module("release", **steer))["changed"], state
        back = await ansible.module("release", target=SERVICE, state="baked", timeout=1)
        assert (back["exit_code"], back["code"]) == (21, "rolled_back")
        assert (await status(here))["active"] == "blue"


async def test_one_server_is_drained_until_it_is_empty_and_comes_back(tmp_path: Path) -> None:
    async with scene(tmp_path) as (ansible, here):
        place = {"service": SERVICE, "pool": "blue", "server": "blue-1"}
        assert (await ansible.check("drain", **place))["changed"]
        assert (await status(here))["servers"]["blue-1"]["drained"] is None
        drained = await ansible.module("drain", **place)
        assert (drained["changed"], drained["drained"]) == (True, True)
        assert not (await ansible.module("drain", **place))["changed"]
        refused = await ansible.module("drain", **{**place, "server": "blue-2"})
        assert (refused["failed"], refused["code"]) == (True, "last_capacity")
        back = await ansible.module("drain", **place, state="ready", timeout=20)
        assert (back["changed"], back["drained"]) == (True, False)
        assert not (await ansible.module("drain", **place, state="ready", timeout=20))["changed"]
        await here.control.post("/v1/maintenance", {"on": True})
        blind = await ansible.module("drain", **place, empty=True, quiet=1, timeout=3)
        assert (blind["failed"], blind["exit_code"]) == (True, 22)


async def test_a_freeze_window_is_opened_changed_and_removed_and_stops_a_release_meanwhile(tmp_path: Path) -> None:
    async with scene(tmp_path) as (ansible, here):
        sale = {"name": "sale", "target": SERVICE, "until": "2099-11-30 06:00", "reason": "Black Friday"}
        told = await ansible.check("freeze", **sale)
        wanted = {"target": SERVICE, "until": "2099-11-30 06:00", "zone": "UTC", "reason": "Black Friday"}
        assert (told["changed"], told["window"]) == (True, None)
        assert told["diff"] == {"before": {"sale": None}, "after": {"sale": wanted}}
        assert (await here.control.get("/v1/freezes"))["windows"] == []
        made = await ansible.module("freeze", **sale)
        assert (made["changed"], made["window"]["open"], made["window"]["services"]) == (True, True, [SERVICE])
        again = await ansible.module("freeze", **sale)
        assert (again["changed"], again["window"]) == (False, made["window"])
        held = await ansible.module("release", target=SERVICE, version="2.0.0", state="started", timeout=20)
        assert (held["failed"], held["code"]) == (True, "frozen")
        assert "Black Friday" in held["msg"]
        longer = await ansible.module("freeze", **{**sale, "until": ""})
        assert (longer["changed"], longer["window"]["until"]) == (True, "")
        wrong = await ansible.module("freeze", name="late", until="2020-01-01 00:00")
        assert (wrong["failed"], wrong["code"], wrong["exit_code"]) == (True, "bad_freeze", 2)
        absent = {"name": "sale", "state": "absent"}
        assert (await ansible.check("freeze", **absent))["diff"]["after"] == {"sale": None}
        gone = await ansible.module("freeze", **absent)
        assert (gone["changed"], gone["window"]) == (True, None)
        assert not (await ansible.module("freeze", **absent))["changed"]
        started = await ansible.module("release", target=SERVICE, version="2.0.0", state="started", timeout=30)
        assert started["changed"]


async def test_a_play_in_check_mode_deploys_nothing_and_one_whose_deployment_fails_gives_its_claim_back(
    tmp_path: Path,
) -> None:
    async with scene(tmp_path) as (ansible, here):
        deployed = tmp_path / "deployed"
        task = {"name": "Deploy", "ansible.builtin.copy": {"content": "", "dest": str(deployed), "mode": "0644"}}
        (tmp_path / "deploy.yml").write_text(yaml.safe_dump([task]))
        given = {"service": SERVICE, "version": "2.0.0", "build": BUILD, "deploy": str(tmp_path / "deploy.yml")}
        checked = await ansible.play("lbctl.core.release", "--check", "--diff", **given)
        assert checked.code == 0, checked.out + checked.err
        assert '+    "claimed": "green"' in checked.out
        assert not deployed.exists()
        assert (await status(here))["claim"] is None
        (tmp_path / "deploy.yml").write_text(yaml.safe_dump([{"name": "Deploy", "ansible.builtin.command": "false"}]))
        failed = await ansible.play("lbctl.core.release", **given)
        assert failed.code == 2
        assert "2.0.0 is not said to be ready" in failed.out
        found = await status(here)
        assert (found["claim"], found["board"]) == (None, None)
        assert not (await ansible.module("claim", service=SERVICE, build=BUILD, state="absent"))["changed"]


@pytest.mark.skipif(os.getuid() != 0, reason="the role gives its files to root")
async def test_the_role_writes_a_config_that_was_checked_and_the_unit_of_this_repository(tmp_path: Path) -> None:
    ansible = Ansible(tmp_path, tmp_path / "none.sock")
    role = {"name": "lbctl.core.agent", "tasks_from": "configure"}
    tasks = [{"name": "Configure", "ansible.builtin.include_role": role}]
    (tmp_path / "play.yml").write_text(yaml.safe_dump([{"hosts": "lbctl", "gather_facts": False, "tasks": tasks}]))
    config = tmp_path / "etc" / "lbctl.yaml"
    places = {"agent_home": str(Path(sys.executable).parents[1]), "agent_config_file": str(config)}
    given = {**places, "agent_user": "root", "agent_unit_dir": str(tmp_path), "agent_service": False}
    known = yaml.safe_load((DEPLOY.parent / "config" / "one-service.yaml").read_text())
    first = await ansible.play(tmp_path / "play.yml", **given, agent_config=known)
    assert first.code == 0, first.out + first.err
    assert yaml.safe_load(config.read_text()) == known
    again = await ansible.play(tmp_path / "play.yml", **given, agent_config=known)
    assert "changed=0" in again.out
    bad = await ansible.play(tmp_path / "play.yml", **given, agent_config={**known, "servces": {}})
    assert bad.code != 0
    assert "servces" in bad.out + bad.err
    assert yaml.safe_load(config.read_text()) == known
    unit, ours = (tmp_path / "lbctl.service").read_text(), DEPLOY.parent / "systemd" / "lbctl.service"
    own = {"ExecStart", "User", "Group"}
    packaged = unit.replace(f"{places['agent_home']}/bin/", "/usr/bin/").replace(str(config), "/etc/lbctl/lbctl.yaml")
    assert _lines(packaged, own) == _lines(ours.read_text(), own)
    assert f"ExecStart={places['agent_home']}/bin/lbctld --config {config}" in unit


def _lines(unit: str, without: set[str]) -> list[str]:
    return [line for line in unit.splitlines() if line.partition("=")[0] not in without]

"""`lbctl gate` as sshd runs it: a forced command line in `sh -c`, with what the client asked for beside it."""

import asyncio
import os
import shlex
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lbctl.model.request import Claim, GiveBack, Pause, Rollback, SayReady
from tests.fake_desk import FakeDesk, claimed, joint, release, served, shop, unit
from tests.integration.test_cli_commands import COMMAND, Done, ended

BUILD = "https://ci-a/118"
RELEASE = Path(__file__).parents[2] / "deploy" / "ci" / "release.sh"


@pytest.fixture
async def desk(path: str) -> AsyncIterator[FakeDesk]:
    desk = FakeDesk()
    desk.views, desk.units, desk.record = shop(), {"shop": unit()}, [joint()]
    async with served(desk, path):
        yield desk


async def asked(path: str, line: str, service: str = "accounts") -> Done:
    """Do what sshd does for a key with `command=`: the user's shell runs that, and the client's line is a variable."""
    forced = shlex.join([*COMMAND, "--socket", path, "gate", "--service", service])
    pipe = asyncio.subprocess.PIPE
    environ = {**os.environ, "PYTHONUTF8": "1", "SSH_ORIGINAL_COMMAND": line}
    process = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", forced, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe, env=environ
    )
    return await ended(process)


async def test_a_pipeline_claims_says_ready_and_follows_its_build(desk: FakeDesk, path: str) -> None:
    desk.views["accounts"]["claim"] = claimed()
    assert (await asked(path, "lbctl claim accounts --wait --timeout 20s")).out == "green\n"
    line = f"release ready shop --service accounts --version 2.0.0 --build {BUILD} --provides accounts-api=2"
    done = await asked(path, f"{line} --reason 'build 118; `id` $(id)'")
    assert done.code == 0, done.err
    claim, ready = desk.asked
    assert isinstance(claim, Claim)
    assert isinstance(ready, SayReady)
    assert (ready.service, ready.build, ready.reason) == ("accounts", BUILD, "build 118; `id` $(id)")


@pytest.mark.parametrize(("word", "code"), [("superseded", 25), ("withdrawn", 21), ("refused", 5), ("waiting", 26)])
async def test_exit_codes_pass_through(desk: FakeDesk, path: str, word: str, code: int) -> None:
    about = {"build": BUILD, "service": "accounts", "version": "2.0.0", "release": None, "unit": None}
    desk.fates[BUILD] = [{"word": word, "text": "a reason", **about}]
    done = await asked(path, f"release wait --build {BUILD} --timeout 200ms -o json")
    assert done.code == code, done.err
    assert done.data["exit_code"] == code


async def test_a_pipeline_stops_its_unit_by_the_name_of_either(desk: FakeDesk, path: str) -> None:
    assert (await asked(path, "pause accounts --reason 'database is being moved'")).code == 0
    assert (await asked(path, "rollback shop --reason 'smoke test failed'")).code == 0
    pause, rollback = desk.asked
    assert isinstance(pause, Pause)
    assert isinstance(rollback, Rollback)


@pytest.mark.parametrize("line", ["rollback web", "rollback storefront", "pause 'shop '", "why other"])
async def test_what_is_neither_the_service_nor_its_unit_is_refused(desk: FakeDesk, path: str, line: str) -> None:
    """Not even the unit's other service by its own name: what a key may say is as narrow as its work."""
    desk.units["other"] = unit(services=["web"])
    done = await asked(path, line)
    assert done.code == 6, done.err
    assert "is neither accounts nor its unit, nor a release of it" in done.err
    assert desk.asked == []


async def test_nothing_that_a_shell_would_do_is_done(desk: FakeDesk, path: str, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    touch = f"touch {trace}"
    for line in (
        f"claim accounts; {touch}",
        f"claim accounts && {touch}",
        f"claim accounts | {touch}",
        f"claim accounts\n{touch}",
        f"claim accounts $({touch})",
        f"claim `{touch}`",
        f"claim accounts > {trace}",
        f"pause accounts --reason '$({touch})'",
        touch,
    ):
        await asked(path, line)
    assert not trace.exists()
    (only,) = desk.asked
    assert isinstance(only, Pause)
    assert only.reason == f"$({touch})"


async def test_version_is_for_everybody_and_needs_no_name(desk: FakeDesk, path: str) -> None:
    done = await asked(path, "version --json")
    assert done.code == 0, done.err
    assert done.data["python"] == sys.version.split()[0]


async def test_the_script_of_a_pipeline_gets_every_word_through_ssh_as_it_was(
    desk: FakeDesk, path: str, tmp_path: Path
) -> None:
    """`ssh` hands its words on as one line; here it does with it what sshd does for a key with `command=`."""
    forced = shlex.join([*COMMAND, "--socket", path, "gate", "--service", "accounts"])
    ssh = tmp_path / "ssh"
    ssh.write_text(f'#!/bin/sh\nfor line; do :; done\nSSH_ORIGINAL_COMMAND=$line exec sh -c "{forced}"\n')
    ssh.chmod(0o755)
    version = "2.0 'beta'; $(id) `id` \\ \""
    variables = {"LBCTL_SERVICE": "accounts", "LBCTL_UNIT": "shop", "LBCTL_SSH": "-p 2222 ci@lb", "LBCTL_BUILD": BUILD}
    variables |= {"LBCTL_VERSION": version, "LBCTL_PROVIDES": "accounts-api=1 accounts-api=2"}
    variables |= {"LBCTL_REQUIRES": "ledger>=3,<5 ledger!=4", "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        "sh", str(RELEASE), "ready", stdout=pipe, stderr=pipe, env={**os.environ, **variables}
    )
    done = await ended(process)
    assert done.code == 0, done.err
    (ready,) = desk.asked
    assert isinstance(ready, SayReady)
    assert (ready.service, ready.version, ready.build) == ("accounts", version, BUILD)
    assert ready.contract.provides == {"accounts-api": (1, 2)}
    assert set(ready.contract.requires) == {"ledger"}


async def test_a_pipeline_gives_back_the_claim_of_its_build(desk: FakeDesk, path: str) -> None:
    done = await asked(path, f"claim accounts --give-back --build {BUILD} --reason failed")
    assert (done.code, done.out) == (0, "accounts   ○ green is given back: the next build may claim it\n")
    (request,) = desk.asked
    assert isinstance(request, GiveBack)
    assert (request.service, request.build, request.reason) == ("accounts", BUILD, "failed")
    assert (await asked(path, "claim accounts --give-back --wait")).code == 2
    assert (await asked(path, "claim storefront --give-back")).code == 6


async def test_what_lbctl_says_is_next_may_be_done(desk: FakeDesk, path: str) -> None:
    """Releases are named by their numbers there: those of the key's unit are for it, all others are not."""
    desk.record = [joint(), release(id="6")]
    for line in ("why 7", "explain shop", "release show 7", "release status 7", "rollback 7"):
        assert (await asked(path, line)).code == 0, line
    (rollback,) = desk.asked
    assert isinstance(rollback, Rollback)
    for line in ("why 6", "explain 6", "rollback 99", "rollback 6"):
        done = await asked(path, line)
        assert (done.code, "nor a release of it" in done.err) == (6, True), line

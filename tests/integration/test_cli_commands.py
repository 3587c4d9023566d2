"""The real command line against a real control socket."""

import asyncio
import json
import os
import pty
import shlex
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lbctl.control.listener import listen
from lbctl.control.server import ControlServer
from lbctl.model.errors import Refused
from lbctl.model.request import Adopt, Freeze, Maintenance, Pause, Promote, Rollback, Switch
from lbctl.model.units import SECOND
from tests.fake_desk import FakeDesk, event, release, served

COMMAND = (sys.executable, "-m", "lbctl.cli")


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
async def desk(path: str) -> AsyncIterator[FakeDesk]:
    desk = FakeDesk()
    async with served(desk, path):
        yield desk


async def start(path: str, *words: str, **more: Any) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    environ = {**os.environ, "PYTHONUTF8": "1"}
    return await asyncio.create_subprocess_exec(
        *COMMAND,
        "--socket",
        path,
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=pipe,
        stderr=pipe,
        env=environ,
        **more,
    )


async def ended(process: asyncio.subprocess.Process) -> Done:
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode is not None
    return Done(process.returncode, out.decode(), err.decode())


async def run(path: str, *words: str) -> Done:
    return await ended(await start(path, *words))


async def test_status_json_is_on_stdout_alone(desk: FakeDesk, path: str) -> None:
    for option in (("-o", "json"), ("--json",)):
        done = await run(path, "status", *option)
        assert (done.code, done.err) == (0, "")
        assert done.data["services"]["web"]["share_bp"] == 2500


async def test_the_switch_of_the_reference_works_exactly_so_and_waits_for_the_bake(desk: FakeDesk, path: str) -> None:
    desk.record = [release(phase="draining", baked=True, share_bp=10000)]
    desk.journal = [event(1, "release.started", "release 7: web blue → green"), event(2, release="6", text="older")]
    words = "switch web --to green --steps 5%,25%,50%,100% --hold 2s --wait --timeout 60s"
    done = await run(path, *words.split(), "--reason", "ticket 12", "-o", "json")
    assert done.code == 0, done.err
    asked = desk.asked[0]
    assert isinstance(asked, Switch)
    assert asked.plan.steps_bp == (500, 2500, 5000, 10000)
    assert (asked.plan.hold_min, asked.plan.bake) == (2 * SECOND, 2 * SECOND)
    assert (asked.to, asked.version, asked.reason) == ("green", "unknown", "ticket 12")
    assert asked.actor.startswith(f"uid {os.getuid()} (")
    assert len(asked.nonce) == 32
    assert asked.wall.endswith("Z")
    assert done.data["release"]["phase"] == "draining"
    assert "release 7: web blue → green" in done.err
    assert "older" not in done.err


async def test_the_command_a_plan_ends_with_is_the_release_that_was_planned(desk: FakeDesk, path: str) -> None:
    options = "--version", "2.0.0 beta", "--steps", "5%,100%", "--hold", "5s", "--bake", "1s", "--retain", "0s"
    for words in (("plan", "web"), ("switch", "web", "--dry-run")):
        done = await run(path, *words, *options)
        assert done.code == 0, done.err
        command = done.out.splitlines()[-1].partition("  next   lbctl ")[2]
        assert shlex.split(command) == ["switch", "web", "--to", "green", *options]
    assert (await run(path, "plan", "web")).out.endswith("  next   lbctl switch web --to green\n")


async def test_a_plan_that_would_wait_is_not_called_one_that_goes(desk: FakeDesk, path: str) -> None:
    words = "plan", "web", "--detailed-exitcode"
    assert (await run(path, *words)).code == 10
    desk.unready = [{"code": "candidate", "text": "candidate not healthy (1 of 2 up)"}]
    done = await run(path, *words)
    assert done.code == 5
    assert "not ready: candidate not healthy" in done.out
    assert "refused" not in done.out
    assert (await run(path, "plan", "web")).code == 0


async def test_a_reload_says_what_is_in_force_or_why_it_was_refused(desk: FakeDesk, path: str) -> None:
    done = await run(path, "config", "reload", "--reason", "steps\nof 5 %")
    assert (done.code, done.out) == (0, "● /etc/lbctl/lbctl.yaml is in force: web\n")
    assert desk.reloads[0].reason == "steps of 5 %"
    assert desk.reloads[0].actor.startswith(f"uid {os.getuid()} (")
    desk.config_fault = "/etc/lbctl/lbctl.yaml:2:9: daemon.dashboard: dashboard cannot change while lbctl runs"
    done = await run(path, "config", "reload")
    assert (done.code, done.out) == (4, "")
    assert f"  why   {desk.config_fault}" in done.err


async def test_retain_bake_and_version_are_taken(desk: FakeDesk, path: str) -> None:
    done = await run(path, "switch", "web", "--retain", "0s", "--bake", "2s", "--version", "2.0.1")
    assert done.code == 0, done.err
    asked = desk.asked[0]
    assert isinstance(asked, Switch)
    assert (asked.plan.retain, asked.plan.bake, asked.version) == (0, 2 * SECOND, "2.0.1")


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (release(phase="rolled_back", back_by="itself"), 20),
        (release(phase="rolled_back", back_by="person"), 21),
        (release(phase="cancelled"), 21),
        (release(phase="baking"), 22),
        (release(phase="finished", baked=True, outcome="unproven"), 0),
    ],
)
async def test_a_wait_ends_with_what_became_of_the_release(
    desk: FakeDesk, path: str, found: dict[str, Any], code: int
) -> None:
    desk.record = [found]
    done = await run(path, "release", "wait", "7", "--timeout", "1s")
    assert done.code == code, done.err
    assert done.out.startswith("release 7")
    assert found["outcome"] in done.out


async def test_a_wait_says_why_it_waits_and_how_to_go_on_without_traffic(desk: FakeDesk, path: str) -> None:
    done = await run(path, "release", "wait", "web", "--for", "finished", "--timeout", "5s")
    assert done.code == 22
    assert done.err.count("only 3 requests of 5 judged; needs traffic, or lbctl promote 7") == 1
    assert "release 7 goes on" in done.err


async def test_interrupting_a_wait_detaches(desk: FakeDesk, path: str) -> None:
    process = await start(path, "release", "wait", "7")
    assert process.stderr is not None
    first = await asyncio.wait_for(process.stderr.readline(), 20)
    assert b"waits" in first
    process.send_signal(signal.SIGINT)
    done = await ended(process)
    assert done.code == 130
    assert "release 7 goes on" in done.err
    assert desk.asked == []


async def test_a_wait_outlives_a_restart_of_the_daemon(path: str) -> None:
    first = ControlServer(FakeDesk(), listen(path))
    await first.start()
    process = await start(path, "release", "wait", "7", "--timeout", "20s")
    assert process.stderr is not None
    await asyncio.wait_for(process.stderr.readline(), 20)
    await first.stop()
    assert b"the daemon does not answer; traffic stays as it is" in await asyncio.wait_for(
        process.stderr.readline(), 20
    )
    desk = FakeDesk()
    desk.record = [release(phase="draining", baked=True)]
    second = ControlServer(desk, listen(path))
    await second.start()
    try:
        done = await ended(process)
        assert done.code == 0
        assert "the daemon is back" in done.err
    finally:
        await second.stop()


async def test_steering_reaches_the_desk_with_its_reason(desk: FakeDesk, path: str) -> None:
    for words in ("pause web", "promote 7", "rollback web", "adopt web --active green --settle", "maintenance on web"):
        done = await run(path, *words.split(), "--reason", "because\nof this")
        assert done.code == 0, done.err
    assert [type(one) for one in desk.asked] == [Pause, Promote, Rollback, Adopt, Maintenance]
    assert {one.reason for one in desk.asked} == {"because of this"}
    assert len({one.nonce for one in desk.asked}) == 5


async def test_without_a_terminal_nothing_ever_asks(desk: FakeDesk, path: str) -> None:
    for words in ("promote web --full", "promote web --full --yes", "rollback web"):
        assert (await run(path, *words.split())).code == 0
    assert len(desk.asked) == 3


async def test_promote_full_and_cancel_ask_on_a_terminal_and_a_rollback_never(desk: FakeDesk, path: str) -> None:
    for words, answer, count in (
        ("promote web --full", b"n\n", 0),
        ("promote web --full", b"y\n", 1),
        ("rollback web", b"", 2),
        ("release cancel web", b"n\n", 2),
        ("release cancel web --yes", b"", 3),
    ):
        ours, theirs = pty.openpty()
        process = await asyncio.create_subprocess_exec(
            *COMMAND, "--socket", path, *words.split(), stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.write(ours, answer)
        code = await asyncio.wait_for(process.wait(), 20)
        os.close(theirs)
        os.close(ours)
        assert (code == 5) == (answer == b"n\n")
        assert len(desk.asked) == count


async def test_a_refusal_is_what_why_next_with_the_daemons_exit_code(desk: FakeDesk, path: str) -> None:
    desk.refuse = Refused("in_release", "web is in release 7", why="it is unfinished", then="lbctl rollback 7")
    done = await run(path, "switch", "web")
    assert done.code == 5
    assert done.out == ""
    lines = done.err.splitlines()
    assert lines[0] == "error: web is in release 7 [in_release]"
    assert lines[1] == "  why   it is unfinished"
    assert lines[2].startswith("  next  lbctl rollback 7")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ("status nope", 7, "known are: web"),
        ("release show 99", 7, "lbctl release list"),
        ("switch web --steps 5%,50%", 2, "the last step is 50 %"),
        ("switch web --hold 2", 2, "'2' is not a duration"),
        ("switch web --timeout soon", 2, "--timeout"),
        ("switch web --to purple", 2, "'purple' is not one of"),
        ("statsu", 2, "did you mean status?"),
        ("notify test nobody", 7, "known are: ops"),
    ],
)
async def test_mistakes_are_told_with_the_next_step(
    desk: FakeDesk, path: str, words: str, code: int, says: str
) -> None:
    done = await run(path, *words.split())
    assert done.code == code
    assert says in done.err
    assert "Traceback" not in done.err
    assert desk.asked == []


async def test_without_a_daemon_the_sockets_tried_are_named(path: str) -> None:
    done = await run(path, "status")
    assert done.code == 3
    assert path in done.err


async def test_a_socket_that_is_not_lbctls_is_called_so(path: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"Unknown command: 'GET', but maybe one of the following ones is a better match:\n\n")
        writer.close()

    server = await asyncio.start_unix_server(answer, path)
    async with server:
        done = await run(path, "status")
    assert (done.code, done.out) == (3, "")
    assert "error: this is not lbctl's socket\n" in done.err
    assert "Unknown command: 'GET'" in done.err


async def test_plan_shows_refusals_and_its_detailed_exit_code(desk: FakeDesk, path: str) -> None:
    assert (await run(path, "plan", "web")).code == 0
    assert (await run(path, "plan", "web", "--detailed-exitcode")).code == 10
    desk.refusals = [{"code": "candidate", "text": "green-2 is down"}]
    done = await run(path, "plan", "web")
    assert (done.code, "green-2 is down" in done.out) == (0, True)
    assert (await run(path, "plan", "web", "--detailed-exitcode")).code == 5
    assert (await run(path, "switch", "web", "--dry-run")).code == 0
    assert desk.asked == []


async def test_events_follow_prints_what_comes(desk: FakeDesk, path: str) -> None:
    desk.journal = [event(1), event(2)]
    process = await start(path, "events", "--follow", "-n", "1", "-o", "json")
    assert process.stdout is not None
    assert json.loads(await asyncio.wait_for(process.stdout.readline(), 20))["id"] == 2
    while not desk.followers:
        await asyncio.sleep(0.01)
    desk.tell(event(3, text="evil\x1b[2J"))
    line = await asyncio.wait_for(process.stdout.readline(), 20)
    assert json.loads(line)["id"] == 3
    assert b"\x1b" not in line
    process.send_signal(signal.SIGINT)
    assert (await ended(process)).code == 130


async def test_watching_without_a_terminal_is_one_line_for_each_event(desk: FakeDesk, path: str) -> None:
    desk.journal = [event(number) for number in range(1, 12)]
    process = await start(path, "watch", "web", "--plain")
    assert process.stdout is not None
    lines = [await asyncio.wait_for(process.stdout.readline(), 20) for _ in range(8)]
    while not desk.followers:
        await asyncio.sleep(0.01)
    desk.tell(event(12, "release.paused"))
    lines.append(await asyncio.wait_for(process.stdout.readline(), 20))
    assert all(b" web 7 " in line for line in lines)
    assert b"release.paused" in lines[-1]
    process.send_signal(signal.SIGINT)
    assert (await ended(process)).code == 130


async def test_a_reader_that_goes_away_is_no_traceback(desk: FakeDesk, path: str) -> None:
    desk.journal = [event(number, text="x" * 2_000) for number in range(1, 200)]
    process = await start(path, "events", "-n", "199")
    assert process.stdout is not None
    await process.stdout.read(100)
    process.stdout._transport.close()
    assert process.stderr is not None
    err = await asyncio.wait_for(process.stderr.read(), 20)
    await process.wait()
    assert err == b""
    assert process.returncode == 141


async def test_a_window_is_opened_listed_and_removed(desk: FakeDesk, path: str) -> None:
    assert (await run(path, "freeze", "list")).out == "no freeze window\n"
    end = ("--until", "2099-11-30 06:00", "--zone", "Europe/Berlin")
    done = await run(path, "freeze", "add", "november", "web", *end, "--reason", "sale")
    assert (done.code, done.out) == (0, "freeze november is open\n")
    asked = desk.asked[0]
    assert isinstance(asked, Freeze)
    assert (asked.target, asked.until, asked.zone, asked.reason) == ("web", "2099-11-30 06:00", "Europe/Berlin", "sale")
    again = await run(path, "freeze", "add", "november", "web", *end)
    assert again.out == "freeze november is open as it was\n"
    shown = (await run(path, "freeze", "list", "web")).out
    assert "november  ✖ open  web  until 2099-11-30 06:00 UTC  anna (1000)  sale" in shown
    assert (await run(path, "freeze", "remove", "november")).out == "freeze november is removed\n"
    assert (await run(path, "freeze", "remove", "november")).out == "freeze november was not there\n"
    assert (await run(path, "freeze", "add", "november", "--for", "4h")).code == 0
    short = desk.asked[-1]
    assert isinstance(short, Freeze)
    left = datetime.fromisoformat(short.until).replace(tzinfo=UTC) - datetime.now(UTC)
    assert timedelta(hours=4) <= left <= timedelta(hours=4, minutes=1)
    assert short.zone == "UTC"

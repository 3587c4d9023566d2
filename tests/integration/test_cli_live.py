"""`lbctl watch` and `lbctl top` on a pseudo-terminal: what a person sees, types, and gets back."""

import asyncio
import fcntl
import json
import os
import pty
import re
import signal
import struct
import sys
import termios
from collections.abc import AsyncIterator, Callable
from typing import Any, Self

import pytest

from lbctl.cli.live.orders import Order, Prompt, pressed
from lbctl.cli.live.servers import Look, screen, state_of, top
from lbctl.cli.live.terminal import fitted
from lbctl.control.listener import listen
from lbctl.control.server import ControlServer
from lbctl.model.errors import Refused
from lbctl.model.request import Pause, Resume, Rollback
from tests.fake_desk import FakeDesk, event, served, service

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
HOME = "\x1b[H"
ALTERNATE, BACK = "\x1b[?1049h", "\x1b[?1049l"


class Screen:
    """A command on a terminal of its own."""

    def __init__(self, path: str, *words: str, size: tuple[int, int] = (30, 110), **environ: str) -> None:
        self.text = ""
        self._words = [sys.executable, "-m", "lbctl.cli", "--socket", path, *words]
        self._environ = {**os.environ, "PYTHONUTF8": "1", "TERM": "xterm", **environ}
        self._environ.pop("COLUMNS", None)
        self._environ.pop("LINES", None)
        self._size = size

    async def __aenter__(self) -> Self:
        self._master, slave = pty.openpty()
        os.set_blocking(self._master, False)
        self.resize(*self._size)
        self.before = termios.tcgetattr(slave)
        self._slave = slave
        self.process = await asyncio.create_subprocess_exec(
            *self._words, stdin=slave, stdout=slave, stderr=slave, env=self._environ, preexec_fn=_own_terminal
        )
        asyncio.get_running_loop().add_reader(self._master, self._read)
        return self

    async def __aexit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._master)
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        os.close(self._master)
        os.close(self._slave)

    def _read(self) -> None:
        try:
            self.text += os.read(self._master, 65_536).decode(errors="replace")
        except OSError:
            return

    def resize(self, lines: int, columns: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    @property
    def frame(self) -> list[str]:
        """The lines drawn last."""
        whole = self.text.split(HOME)[-1].split(BACK)[0]
        return ESCAPES.sub("", whole).replace("\r", "").split("\n")

    async def shows(self, words: str, *, absent: bool = False) -> None:
        await until(lambda: any(words in line for line in self.frame) is not absent, lambda: "\n".join(self.frame))

    async def ended(self) -> int:
        code = await asyncio.wait_for(self.process.wait(), 20)
        assert termios.tcgetattr(self._slave) == self.before, "the terminal is as it was"
        await until(lambda: BACK in self.text or ALTERNATE not in self.text, lambda: self.text[-200:])
        return code


def _own_terminal() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


async def until(holds: Callable[[], bool], told: Callable[[], str]) -> None:
    for _ in range(400):
        if holds():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(told())


@pytest.fixture
async def desk(path: str) -> AsyncIterator[FakeDesk]:
    desk = FakeDesk()
    desk.journal = [event(number) for number in range(1, 31)]
    async with served(desk, path):
        yield desk


async def test_watching_shows_the_status_the_newest_events_and_the_keys(desk: FakeDesk, path: str) -> None:
    async with Screen(path, "watch") as seen:
        await seen.shows("p pause   r resume   b roll back   q quit")
        await seen.shows("release 7")
        await seen.shows("event 30")
        assert not any("event 22" in line for line in seen.frame)
        desk.views["web"]["next"] = "something new"
        await seen.shows("something new")
        seen.type("q")
        assert await seen.ended() == 0


@pytest.mark.parametrize(
    ("key", "question", "kind"),
    [
        ("p", "Pause release 7 of web?", Pause),
        ("r", "Resume release 7 of web?", Resume),
        ("b", "Roll back release 7 of web?", Rollback),
    ],
)
async def test_a_key_asks_first_and_yes_does_it(
    desk: FakeDesk, path: str, key: str, question: str, kind: type[Any]
) -> None:
    async with Screen(path, "watch", "web") as seen:
        await seen.shows("q quit")
        seen.type(key)
        await seen.shows(question)
        seen.type("n")
        await seen.shows("nothing was changed")
        assert desk.asked == []
        seen.type(key)
        await seen.shows(question)
        seen.type("y")
        await until(lambda: [type(one) for one in desk.asked] == [kind], lambda: repr(desk.asked))
        assert desk.asked[0].reason == "by key in lbctl watch"
        await seen.shows(question, absent=True)
        seen.type("q")
        assert await seen.ended() == 0


async def test_who_may_not_is_told_why_and_what_helps(desk: FakeDesk, path: str) -> None:
    desk.refuse = Refused("not_authorised", "uid 5 may not do this", why="operate is for group x", then="join x",
                          exit_code=6)  # fmt: skip
    async with Screen(path, "watch") as seen:
        await seen.shows("q quit")
        seen.type("b")
        await seen.shows("Roll back release 7")
        seen.type("y")
        await seen.shows("✖ error: uid 5 may not do this")
        await seen.shows("why   operate is for group x")
        await seen.shows("next  join x")
        seen.type("q")
        assert await seen.ended() == 0


async def test_a_daemon_that_hangs_at_an_order_does_not_hold_the_screen_up(desk: FakeDesk, path: str) -> None:
    desk.slow = asyncio.Event()
    async with Screen(path, "watch") as seen:
        await seen.shows("q quit")
        seen.type("b")
        await seen.shows("Roll back release 7")
        seen.type("y")
        await seen.shows("asked to rollback release 7: no answer yet")
        desk.views["web"]["next"] = "something new"
        await seen.shows("something new")
        desk.slow.set()
        await seen.shows("no answer yet", absent=True)
        desk.slow = asyncio.Event()
        seen.type("b")
        await seen.shows("Roll back release 7")
        seen.type("y")
        await seen.shows("no answer yet")
        seen.type("q")
        assert await seen.ended() == 0
        desk.slow.set()


async def test_a_window_of_any_size_is_filled_and_never_overflows(desk: FakeDesk, path: str) -> None:
    async with Screen(path, "watch", size=(40, 160)) as seen:
        await seen.shows("event 30")
        for lines, columns in ((10, 40), (3, 12), (1, 1), (14, 80)):
            seen.resize(lines, columns)
            await until(
                lambda lines=lines, columns=columns: (
                    len(seen.frame) == lines  # type: ignore[misc]
                    and all(len(line.rstrip()) <= columns for line in seen.frame)
                ),
                lambda: repr((seen.process.returncode, seen.frame)),
            )
        await seen.shows("more lines: make the window larger")
        await seen.shows("q quit")
        seen.type("q")
        assert await seen.ended() == 0


async def test_a_daemon_that_goes_away_leaves_what_was_known_and_says_so(path: str) -> None:
    server = ControlServer(FakeDesk(), listen(path))
    await server.start()
    async with Screen(path, "watch") as seen:
        await seen.shows("release 7")
        await server.stop()
        await seen.shows("old: no lbctl daemon answers")
        await seen.shows("release 7")
        server = ControlServer(FakeDesk(), listen(path))
        await server.start()
        await seen.shows("old: no lbctl daemon answers", absent=True)
        await server.stop()
        seen.type("q")
        assert await seen.ended() == 0


@pytest.mark.parametrize(("number", "word"), [(signal.SIGINT, "watch"), (signal.SIGTERM, "top")])
async def test_a_signal_gives_the_terminal_back(desk: FakeDesk, path: str, number: int, word: str) -> None:
    async with Screen(path, word) as seen:
        await seen.shows("q quit")
        seen.process.send_signal(number)
        assert await seen.ended() == 130


async def test_no_daemon_at_the_beginning_is_an_error_as_everywhere(path: str) -> None:
    async with Screen(path, "watch") as seen:
        assert await seen.ended() == 3
        assert "error: no lbctl daemon answers" in seen.text


async def test_hostile_names_move_no_cursor(desk: FakeDesk, path: str) -> None:
    desk.views["web"]["servers"]["blue-1"]["up"] = False
    desk.views["web"]["servers"]["blue-1"]["detail"] = "\x1b[2J[red]\x9bHx"
    async with Screen(path, "watch") as seen:
        await seen.shows("\\x1b[2J[red]\\x9bHx")
        seen.type("q")
        assert await seen.ended() == 0


async def test_a_terminal_that_cannot_be_drawn_on_gets_lines(desk: FakeDesk, path: str) -> None:
    async with Screen(path, "watch", TERM="dumb") as seen:
        await until(lambda: "event 30" in seen.text, lambda: seen.text)
        assert ALTERNATE not in seen.text


async def test_top_shows_rates_live_and_sorts(desk: FakeDesk, path: str) -> None:
    async with Screen(path, "top", "--interval", "500ms") as seen:
        await seen.shows("sorted by name")
        for _ in range(4):
            desk.views["web"]["servers"]["green-2"]["requests"] += 1_000
            await asyncio.sleep(0.3)
        seen.type("s")
        await seen.shows("sorted by requests")
        rows = [line.split() for line in seen.frame if "green-2" in line]
        assert rows[0][3:5] == ["●", "up"]
        seen.type("q")
        assert await seen.ended() == 0


async def test_top_without_a_terminal_prints_once(desk: FakeDesk, path: str) -> None:
    call = [sys.executable, "-m", "lbctl.cli", "--socket", path, "top", "--interval", "500ms", "--json"]
    process = await asyncio.create_subprocess_exec(*call, stdout=asyncio.subprocess.PIPE)
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    found = json.loads(out)
    assert {one["server"] for one in found["servers"]} == {"blue-1", "blue-2", "green-1", "green-2"}
    assert found["servers"][0]["requests_per_s"] == 0.0
    assert 0.5 <= found["seconds"] < 10


# ---- what needs no terminal


def status(**changes: Any) -> dict[str, Any]:
    return {"services": {"web": service(**changes)}, "units": {}, "daemon": {}}


def test_keys_act_only_on_the_one_release_that_runs() -> None:
    prompt, order = pressed(Prompt(), "b", status(phase="finished"))
    assert (prompt.said, order) == (("◐ no release runs",), None)
    two = {"services": {"web": service(), "pay": service(release="8")}, "units": {}, "daemon": {}}
    prompt, order = pressed(Prompt(), "b", two)
    assert prompt.said[0].startswith("◐ 2 releases run: lbctl watch ")
    prompt, order = pressed(Prompt(), "x", status())
    assert (prompt, order) == (Prompt(), None)
    asked = Prompt(Order("rollback", "7", "web"))
    # The question stays about the release it named, whatever began meanwhile.
    assert pressed(asked, "y", status(release="9")) == (Prompt(), Order("rollback", "7", "web"))
    assert pressed(asked, "b", status())[1] is None


def test_rates_are_unknown_where_counters_began_anew() -> None:
    before, now = status(), status()
    now["services"]["web"]["servers"]["blue-1"] |= {"requests": 9_500, "errors": 28}
    now["services"]["web"]["servers"]["blue-2"] |= {"requests": 10, "errors": 0}
    now["services"]["web"]["servers"]["green-1"] |= {"up": None}
    found = {one["server"]: one for one in top(Look(before, 0.0), Look(now, 2.0))["servers"]}
    assert (found["blue-1"]["requests_per_s"], found["blue-1"]["errors_per_s"]) == (250.0, 12.5)
    assert found["blue-1"]["error_ratio"] == 0.05
    assert found["blue-2"]["requests_per_s"] is None
    assert found["green-1"]["state"] == "unknown"
    lines = screen(top(Look(before, 0.0), Look(now, 2.0)), "requests")
    assert lines[4].split()[:3] == ["SERVICE", "POOL", "SERVER"]
    assert "blue-1" in lines[5]


def test_what_a_look_could_not_read_has_no_rate_and_is_not_called_none() -> None:
    before, now = status(), status()
    unread = {"requests": None, "errors": None, "in_flight": None}
    now["services"]["web"]["pools"]["blue"] |= unread
    now["services"]["web"]["servers"]["blue-1"] |= unread
    for looks in ((before, now), (now, before)):
        found = top(Look(looks[0], 0.0), Look(looks[1], 2.0))
        rates = [one["requests_per_s"] for one in (*found["pools"], *found["servers"]) if "blue" in str(one)]
        assert rates[:2] == [None, None]
        assert "None" not in "\n".join(screen(found))


def test_a_drained_server_is_called_that() -> None:
    assert state_of({"up": True, "drained": {"by": "eva", "state": "drain"}}) == "drained"
    assert state_of({"up": False, "drained": None}) == "down"


def test_a_screen_is_cut_in_cells_not_in_characters() -> None:
    assert fitted(["日本語日本語"], [], 7, 1) == ["日本語…"]
    assert fitted(["a", "b", "c"], ["foot"], 40, 3) == ["a", "… 2 more lines: make the window larger", "foot"]
    assert fitted([], ["one", "two"], 3, 1) == ["two"]

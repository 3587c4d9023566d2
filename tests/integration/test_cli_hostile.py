"""Whatever servers, load balancers and people are called or say: no screen of the command line is commanded by it."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lbctl.cli.app import main
from lbctl.control.listener import listen
from lbctl.control.server import ControlServer
from lbctl.model.errors import Refused
from lbctl.model.request import Answer, Request
from tests.fake_desk import FakeDesk, event, joint, shop, unit, waiting

EVIL = "\x1b]0;t\x07\x1b[2J\x9b31m\r\u202e\u200b<!channel>\x00"
MOVES = frozenset("\x1b\x07\x9b\r\u202e\u200b\x00")
FOREIGN = frozenset(
    {
        "version", "detail", "text", "actor", "initiator", "outcome", "reason", "by", "waits", "next", "build", "held",
        "what", "why", "then", "zone", "until", "name", "since", "client", "server", "warnings", "boot", "generation",
        "said", "summary", "refusals", "note", "did", "holders",
    }
)  # fmt: skip
"""Keys under which stand texts of others, or texts made of them."""


def poisoned(value: Any, key: str = "") -> Any:
    """The same answer as strangers would have it, the names of servers included."""
    if isinstance(value, dict):
        names = key in {"servers", "instances"} and all(isinstance(one, dict) for one in value.values())
        return {f"{name}{EVIL}" if names else name: poisoned(one, name) for name, one in value.items()}
    if isinstance(value, list):
        return [poisoned(one, key) for one in value]
    return f"{value}{EVIL}" if isinstance(value, str) and key in FOREIGN and value not in {"blue", "green"} else value


class EvilDesk(FakeDesk):
    """A desk that tells of strangers only."""

    async def submit(self, request: Request) -> Answer:
        answer = await super().submit(request)
        return replace(answer, body=poisoned(answer.body))

    def status(self, name: str | None) -> dict[str, Any]:
        return poisoned(super().status(name))

    def releases(self, name: str | None) -> dict[str, Any]:
        return poisoned(super().releases(name))

    async def release(self, target: str) -> dict[str, Any]:
        return poisoned(await super().release(target))

    async def retired(self, target: str, service: str | None, pool: str | None = None) -> dict[str, Any]:
        return poisoned(await super().retired(target, service, pool))

    async def why(self, target: str) -> dict[str, Any]:
        return poisoned(await super().why(target))

    async def history(self, name: str | None, limit: int) -> dict[str, Any]:
        return poisoned(await super().history(name, limit))

    async def explain(self, release: str) -> dict[str, Any]:
        return poisoned(await super().explain(release))

    async def events(self, after: int, limit: int, name: str | None) -> list[dict[str, Any]]:
        return poisoned(await super().events(after, limit, name))

    async def test_alert(self, name: str) -> dict[str, Any]:
        return poisoned(await super().test_alert(name))

    def config_text(self) -> str:
        return super().config_text() + f"# {EVIL}\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EvilDesk, str]]:
    path = str(tmp_path_factory.mktemp("evil") / "run" / "control.sock")
    loop = asyncio.new_event_loop()
    desk = EvilDesk()
    views = shop()
    views["accounts"]["board"] = waiting()
    desk.views, desk.units, desk.record = {**desk.views, **views}, {"shop": unit()}, [joint()]
    desk.journal = [event(number) for number in range(1, 9)]
    desk.refusals = [{"code": "candidate", "text": f"green-2 {EVIL}"}]
    server = ControlServer(desk, listen(path))
    loop.run_until_complete(server.start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield desk, path
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


COMMANDS = (
    "status", "status shop", "plan web", "why 7", "why shop", "history", "events", "explain 7", "release show 7",
    "release list", "release status web", "top --interval 500ms", "pause 7", "rollback 7", "notify test ops",
    "freeze list", "claim accounts", "retired 7 --service accounts", "switch web --dry-run", "version",
    "adopt web --active blue",
)  # fmt: skip


@pytest.mark.parametrize("form", ["table", "json"])
@pytest.mark.parametrize("command", COMMANDS)
def test_no_screen_is_commanded_by_strangers(
    served: tuple[EvilDesk, str], command: str, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["--socket", served[1], *command.split(), "-o", form])
    told = capsys.readouterr()
    assert code in {0, 5, 7, 26}, told.err
    assert not MOVES & set(told.out + told.err), told
    assert told.out or told.err


def test_no_refusal_commands_it_either(served: tuple[EvilDesk, str], capsys: pytest.CaptureFixture[str]) -> None:
    desk, path = served
    desk.refuse = Refused("evil", f"no {EVIL}", why=EVIL, then=f"lbctl {EVIL}")
    try:
        assert main(["--socket", path, "pause", "7"]) == 5
    finally:
        desk.refuse = None
    told = capsys.readouterr()
    assert "no " in told.err
    assert not MOVES & set(told.out + told.err)


def test_what_a_daemon_prints_of_its_config_is_only_text(
    served: tuple[EvilDesk, str], capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--socket", served[1], "config", "show"])
    told = capsys.readouterr()
    assert not MOVES & set(told.out + told.err), told


def test_a_place_that_is_called_so_is_harmless_as_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--socket", f"{tmp_path}/{EVIL.rstrip(chr(0))}", "status"]) == 3
    told = capsys.readouterr()
    assert not MOVES & set(told.out + told.err)

"""Hooks for real: programs that answer, hang, flood and leave children behind; addresses that answer or do not."""

import asyncio
import json
import os
import time
from pathlib import Path

import pytest

from lbctl.gate.hook import ask
from lbctl.model.hook import Hook, Point, Word
from lbctl.model.units import Span
from tests.integration.probe_servers import Behaviour, closed_port, saying, serving, silent

FACTS = {
    "id": "42/before_step/3/0",
    "release": "42",
    "unit": "shop",
    "point": "before_step",
    "share_bp": 500,
    "versions": {"storefront": {"version_to": "5.0.1"}},
}


def program(folder: Path, text: str, *, timeout_ms: int = 5_000) -> Hook:
    path = folder / "hook"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return Hook(at=Point.BEFORE_STEP, argv=(str(path),), timeout=Span(timeout_ms))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("exit 0", (Word.YES, "")),
        ('echo; echo "  all good "; echo more', (Word.YES, "all good")),
        ("echo 'the db is being moved'; exit 1", (Word.NO, "the db is being moved")),
        ("exit 1", (Word.NO, "")),
        ("echo 'it leaks'; exit 2", (Word.BACK, "it leaks")),
        ("exit 3", (Word.NONE, "exit code 3")),
        ("kill -9 $$", (Word.NONE, "exit code -9")),
        ("printf 'a\\033[2Jb\\n'; exit 1", (Word.NO, "a?[2Jb")),
        ("echo oops >&2; exit 1", (Word.NO, "")),
    ],
)
async def test_a_program_answers_by_its_exit_code_and_its_first_line(
    tmp_path: Path, text: str, said: tuple[Word, str]
) -> None:
    assert await ask(program(tmp_path, text), FACTS) == said


async def test_a_program_gets_the_facts_and_nothing_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/secret")
    monkeypatch.setenv("LBCTL_SOCKET", "/secret")
    assert (await ask(program(tmp_path, f"env > {tmp_path}/env; cat > {tmp_path}/stdin"), FACTS))[0] is Word.YES
    found = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    told = {name: value for name, value in found.items() if name.startswith("LBCTL_")}
    assert told == {
        "LBCTL_ID": "42/before_step/3/0",
        "LBCTL_RELEASE": "42",
        "LBCTL_UNIT": "shop",
        "LBCTL_POINT": "before_step",
        "LBCTL_SHARE_BP": "500",
    }
    assert found.keys() - told.keys() <= {"PATH", "LANG", "PWD", "OLDPWD", "SHLVL", "_"}
    assert json.loads((tmp_path / "stdin").read_text()) == FACTS


async def test_a_program_that_hangs_is_killed_with_its_children_at_the_time_out(tmp_path: Path) -> None:
    hook = program(tmp_path, f"sleep 60 & echo $! > {tmp_path}/child; wait", timeout_ms=500)
    began = time.monotonic()
    assert await ask(hook, FACTS) == (Word.NONE, "no answer within 0.5 s")
    assert time.monotonic() - began < 5
    child = int((tmp_path / "child").read_text())
    for _ in range(100):
        if not _alive(child):
            break
        await asyncio.sleep(0.02)
    assert not _alive(child)


async def test_a_program_that_leaves_a_child_with_its_output_is_not_waited_for(tmp_path: Path) -> None:
    hook = program(tmp_path, f"echo done; sleep 5 & echo $! > {tmp_path}/child")
    began = time.monotonic()
    assert await ask(hook, FACTS) == (Word.YES, "done")
    assert time.monotonic() - began < 4
    os.kill(int((tmp_path / "child").read_text()), 9)


async def test_a_program_that_floods_is_read_to_its_end_and_kept_short(tmp_path: Path) -> None:
    word, line = await ask(program(tmp_path, "head -c 5000000 /dev/zero | tr '\\0' x; exit 1"), FACTS)
    assert word is Word.NO
    assert line == "x" * 200


async def test_what_cannot_be_run_is_no_answer(tmp_path: Path) -> None:
    missing = Hook(at=Point.PREFLIGHT, argv=(str(tmp_path / "none"),))
    assert await ask(missing, FACTS) == (Word.NONE, "it cannot be asked: No such file or directory")


def http(status: bytes, body: bytes = b"") -> Behaviour:
    return saying(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (http(b"204 No Content"), (Word.YES, "")),
        (http(b"200 OK", b"fine\nmore"), (Word.YES, "fine")),
        (http(b"409 Conflict", b"change window closed"), (Word.NO, "change window closed")),
        (http(b"403 Forbidden"), (Word.NO, "HTTP 403")),
        (http(b"500 Oops", b"trace"), (Word.NONE, "HTTP 500")),
        (http(b"302 Found"), (Word.NONE, "HTTP 302")),
        (http(b"409 Conflict", b"y" * 100_000), (Word.NO, "y" * 200)),
        (silent, (Word.NONE, "no answer within 0.5 s")),
    ],
)
async def test_an_address_answers_by_its_status(behaviour: Behaviour, said: tuple[Word, str]) -> None:
    async with serving(behaviour) as port:
        url = f"http://127.0.0.1:{port}/check?key=secret"
        assert await ask(Hook(at=Point.PREFLIGHT, url=url, timeout=Span(500)), FACTS) == said


async def test_an_address_that_nobody_serves_is_no_answer_and_its_path_is_not_repeated() -> None:
    hook = Hook(at=Point.PREFLIGHT, url=f"http://127.0.0.1:{closed_port()}/secret")
    word, why = await ask(hook, FACTS)
    assert word is Word.NONE
    assert "secret" not in why + hook.name


async def test_an_address_gets_the_facts_as_json_with_the_key_of_the_question() -> None:
    heard = b""

    async def listening(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heard
        heard = await reader.readuntil(b"\r\n\r\n")
        heard += await reader.readexactly(len(json.dumps(FACTS)))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()

    async with serving(listening) as port:
        assert (await ask(Hook(at=Point.PREFLIGHT, url=f"http://127.0.0.1:{port}/"), FACTS))[0] is Word.YES
    head, _, body = heard.partition(b"\r\n\r\n")
    assert b"Idempotency-Key: 42/before_step/3/0" in head
    assert json.loads(body) == FACTS


def _alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False

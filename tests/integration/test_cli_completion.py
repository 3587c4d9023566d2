"""Completion by real shells, with the names that a daemon knows."""

import asyncio
import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lbctl.cli.completing import SHELLS, script
from tests.fake_desk import FakeDesk, served

BIN = Path(sys.executable).parent


@pytest.fixture
async def socket(path: str) -> AsyncIterator[str]:
    async with served(FakeDesk(), path):
        yield path


async def ran(call: list[str], socket: str, **environ: str) -> str:
    env = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "LBCTL_SOCKET": socket, **environ}
    process = await asyncio.create_subprocess_exec(*call, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert err == b""
    return out.decode()


def shell(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed here")
    return found


async def completed(socket: str, line: str) -> list[str]:
    words = line.split(" ")
    asked = f"COMP_WORDS=({' '.join(words)} ) COMP_CWORD={len(words) - 1}\n_lbctl_completion lbctl"
    told = 'eval "$(lbctl completion bash)"\n' + asked + '\necho "${COMPREPLY[@]}"'
    return (await ran([shell("bash"), "-c", told], socket)).split()


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("lbctl sta", ["status"]),
        ("lbctl release wi", ["withdraw"]),
        ("lbctl switch --st", ["--steps"]),
        ("lbctl status w", ["web"]),
        ("lbctl rollback 7", ["7"]),
        ("lbctl status 7", []),
        ("lbctl completion f", ["fish"]),
    ],
)
async def test_bash_completes(socket: str, line: str, found: list[str]) -> None:
    assert await completed(socket, line) == found


async def test_without_a_daemon_nothing_is_shown_and_nothing_said(tmp_path: Path) -> None:
    assert await completed(str(tmp_path / "none.sock"), "lbctl status w") == []


@pytest.mark.parametrize("name", SHELLS)
def test_the_script_is_one_that_the_shell_understands(name: str) -> None:
    text = script(name)
    assert "_LBCTL_COMPLETE" in text
    done = subprocess.run([shell(name), "-n"], input=text, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["zsh", "fish"])
async def test_zsh_and_fish_ask_in_their_own_way(socket: str, name: str) -> None:
    environ = {"COMP_WORDS": "lbctl status w", "COMP_CWORD": "2" if name == "zsh" else "w"}
    out = await ran(["lbctl"], socket, _LBCTL_COMPLETE=f"{name}_complete", **environ)
    assert "web" in out


LINES = [
    ("lbctl sta", {"status"}),
    ("lbctl release wi", {"withdraw"}),
    ("lbctl status w", {"web"}),
    ("lbctl rollback 7", {"7"}),
    ("lbctl status 7", set()),
]


@pytest.mark.parametrize(("line", "found"), LINES, ids=[line for line, _ in LINES])
async def test_a_real_fish_completes(socket: str, line: str, found: set[str], tmp_path: Path) -> None:
    told = f"lbctl completion fish | source; complete -C '{line}'"
    out = await ran([shell("fish"), "--no-config", "-c", told], socket, HOME=str(tmp_path))
    assert {row.split("\t")[0] for row in out.splitlines()} == found


async def test_a_real_zsh_completes_what_is_typed(socket: str, tmp_path: Path) -> None:
    zsh = shell("zsh")
    (tmp_path / ".zshrc").write_text(
        "PS1='ready> '; unsetopt beep zle_bracketed_paste; autoload -U compinit; compinit -u -D\n"
        'eval "$(lbctl completion zsh)"\n'
    )
    typed = [(line, f"{line.rsplit(' ', 1)[0]} {word} ") for line, found in LINES for word in found]
    environ = {"HOME": str(tmp_path), "ZDOTDIR": str(tmp_path), "TERM": "dumb", "LBCTL_SOCKET": socket}
    said = await asyncio.to_thread(_typed_into, zsh, typed, environ)
    assert said == [whole for _, whole in typed]


def _typed_into(zsh: str, typed: list[tuple[str, str]], environ: dict[str, str]) -> list[str]:
    """Type each line and the Tab key into a shell of its own terminal; return what stood there after it, if it came."""
    terminal, inner = pty.openpty()
    environ = {"PATH": f"{BIN}:{os.environ['PATH']}", **environ}
    process = subprocess.Popen(["setsid", "-c", zsh, "-i"], stdin=inner, stdout=inner, stderr=inner, env=environ)
    os.close(inner)
    try:
        _seen(terminal, "ready> ")
        said = []
        for line, whole in typed:
            os.write(terminal, f"{line}\t".encode())
            said.append(_seen(terminal, whole))
            os.write(terminal, b"\x15\r")  # Leave the line empty for the next one.
            _seen(terminal, "ready> ")
        return said
    finally:
        process.kill()
        process.wait(30)
        os.close(terminal)


def _seen(terminal: int, wanted: str, within_s: float = 30.0) -> str:
    """Read until it was shown; return it, or all that came instead."""
    shown, until_s = "", time.monotonic() + within_s
    while wanted not in shown:
        if not select.select([terminal], [], [], max(0.0, until_s - time.monotonic()))[0]:
            return shown
        shown += os.read(terminal, 4_096).decode(errors="replace")
    return wanted


async def test_a_wrong_instruction_is_wrong_usage() -> None:
    for word in ("bash_source", "tcsh_complete", "x", "bash_complete"):
        env = {**os.environ, "_LBCTL_COMPLETE": word}
        done = subprocess.run([BIN / "lbctl"], env=env, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (2, "", "")

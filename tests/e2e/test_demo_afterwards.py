"""What the demo leaves with `--keep`: every line it prints does what it says, where it is pasted."""

import asyncio
import signal
from pathlib import Path

import pytest

from lbctl.demo.afterwards import next_lines
from lbctl.demo.ground import StageError
from lbctl.demo.stage import SERVICE, stage
from tests.e2e.scene import QUICK, adopt, crowd, ended, envoy, release, until

BARE = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "PYTHONUTF8": "1"}
"""A shell that knows nothing of the virtual environment."""


async def pasted(line: str) -> asyncio.subprocess.Process:
    """Start one line in a shell."""
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_shell(f"exec {line}", stdout=pipe, stderr=pipe, env=BARE)


async def said(line: str) -> str:
    """Run one line that must succeed; returns what it printed."""
    process = await pasted(line)
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, f"{line}: {err.decode()}"
    return out.decode()


@pytest.mark.envoy
async def test_the_lines_of_the_demo_work_as_they_are_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", BARE["PATH"])  # printed for the shell they are pasted into
    keep = tmp_path / "a b"
    proxy = envoy()
    async with stage(keep, proxy, QUICK) as here:
        await adopt(here)
        async with await crowd(here):
            for _ in range(2):
                await release(here)
                await ended(here)
    show, render, start, history, explain, stop = (
        line for line in next_lines(keep, proxy, {SERVICE: "blue"}) if line.startswith("  ")
    )
    assert f"{SERVICE}:" in await said(show)
    assert "static_resources" in await said(render)
    daemon = await pasted(start)
    try:
        await until(lambda: asyncio.to_thread((keep / "run" / "control.sock").exists))
        assert "finished" in await said(history)
        assert "release 2" in await said(explain)
        daemon.send_signal(signal.SIGINT)
        await asyncio.wait_for(daemon.communicate(), 20)
        assert daemon.returncode == 0
    finally:
        await said(stop)
        if daemon.returncode is None:
            daemon.kill()


@pytest.mark.parametrize("taken", ["a file", "a file/below"])
async def test_a_directory_that_cannot_be_made_is_told_with_the_next_step(taken: str, tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    with pytest.raises(StageError, match=r"cannot be used: .*: name a new directory"):
        async with stage(tmp_path / taken):
            pass

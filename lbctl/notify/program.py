"""One run of a program that delivers an alert: bounded in time and output, never through a shell, in its own group."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence

from lbctl.notify.plain import plain
from lbctl.notify.port import Delivery

TAIL_BYTES = 2_048
_KEPT = ("PATH", "LANG", "HOME", "TZ")


def inherited() -> dict[str, str]:
    """Return what every program gets of our environment: a few names, nothing secret."""
    return {name: os.environ[name] for name in _KEPT if name in os.environ}


async def run(
    argv: Sequence[str],
    content: bytes,
    environment: Mapping[str, str],
    timeout_s: float,
    *,
    stdout: int = asyncio.subprocess.DEVNULL,
) -> Delivery:
    """Run it with `content` on its stdin. Exit 0 is a delivery; after the time-out its whole group is killed.

    What it prints goes to the file `stdout`, which the caller reads and bounds; else nowhere.
    """
    # A pipe of our own: asyncio's would count the program as running while anything it left behind holds stderr.
    ours, theirs = os.pipe()
    words = await _LastWords.of(ours)
    try:
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=asyncio.subprocess.PIPE, stdout=stdout, stderr=theirs,
            start_new_session=True, cwd="/", env=dict(environment),
        )  # fmt: skip
    except (OSError, ValueError) as error:
        words.close()
        return Delivery(ok=False, detail=f"{argv[0]}: cannot be run: {error}")
    finally:
        os.close(theirs)
    try:
        return await _outcome(process, content, words, timeout_s)
    finally:
        words.close()
        await _ended(process)


async def _outcome(
    process: asyncio.subprocess.Process, content: bytes, words: "_LastWords", timeout_s: float
) -> Delivery:
    try:
        async with asyncio.timeout(timeout_s):
            await _write(process, content)
            await process.wait()
    except TimeoutError:
        return Delivery(ok=False, detail=f"no end within {timeout_s:g} s: killed{words.said()}")
    if process.returncode == 0:
        return Delivery(ok=True)
    # What it wrote before it ended is in the pipe; a turn or two of the loop brings it here.
    await asyncio.wait([words.over], timeout=0.2)
    return Delivery(ok=False, detail=f"exit code {process.returncode}{words.said()}")


class _LastWords(asyncio.Protocol):
    """The end of what a program wrote to stderr, however much that was."""

    def __init__(self) -> None:
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tail = bytearray()
        self._transport: asyncio.BaseTransport | None = None

    @classmethod
    async def of(cls, fd: int) -> "_LastWords":
        """Listen to the pipe `fd`, which is ours from now on."""
        _, words = await asyncio.get_running_loop().connect_read_pipe(cls, os.fdopen(fd, "rb", 0))
        return words

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._tail += data
        del self._tail[:-TAIL_BYTES]

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.over.done():
            self.over.set_result(None)

    def said(self) -> str:
        text = plain(self._tail.decode("utf-8", "replace"), 500)
        return f"; it said: {text}" if text else ""

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


async def _write(process: asyncio.subprocess.Process, content: bytes) -> None:
    assert process.stdin is not None
    # A program that does not read its stdin is fine: the environment says the same.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(content)
        await process.stdin.drain()
    process.stdin.close()


async def _ended(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    assert process.stdin is not None
    # What it never read must not be waited for, nor a child that left its group and still holds the pipe.
    if not process.stdin.is_closing():
        process.stdin.transport.abort()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1.0):
            await process.wait()

"""Alerts by a program of the operator's: JSON on its stdin, bounded in time and output, never through a shell."""

import asyncio
import contextlib
import json
import os
import signal

from lbctl.notify.plain import plain
from lbctl.notify.port import Delivery, ExecChannel, Message

TIMEOUT_S = 5.0
TAIL_BYTES = 2_048
_KEPT = ("PATH", "LANG", "HOME", "TZ")
_FACTS = (
    "severity", "service", "unit", "release", "phase", "summary", "next", "command", "version_from", "version_to",
    "host",
)  # fmt: skip


class CommandSender:
    """Runs the channel's program once per attempt, in a process group of its own. Exit 0 is a delivery."""

    def __init__(self, channel: ExecChannel, timeout_s: float = TIMEOUT_S) -> None:
        self._channel = channel
        self._timeout_s = timeout_s

    async def send(self, message: Message) -> Delivery:
        """Run it; after the time-out its whole process group is killed."""
        # A pipe of our own: asyncio's would count the program as running while anything it left behind holds stderr.
        ours, theirs = os.pipe()
        words = await _LastWords.of(ours)
        try:
            process = await asyncio.create_subprocess_exec(
                *self._channel.argv, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
                stderr=theirs, start_new_session=True, cwd="/", env=environment(message),
            )  # fmt: skip
        except (OSError, ValueError) as error:
            words.close()
            return Delivery(ok=False, detail=f"{self._channel.argv[0]}: cannot be run: {error}")
        finally:
            os.close(theirs)
        try:
            return await self._outcome(process, message, words)
        finally:
            words.close()
            await _ended(process)

    async def close(self) -> None:
        """Nothing is kept between alerts."""

    async def _outcome(self, process: asyncio.subprocess.Process, message: Message, words: "_LastWords") -> Delivery:
        try:
            async with asyncio.timeout(self._timeout_s):
                await _write(process, json.dumps(body(message)).encode())
                await process.wait()
        except TimeoutError:
            return Delivery(ok=False, detail=f"no end within {self._timeout_s:g} s: killed{words.said()}")
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


def body(message: Message) -> dict[str, object]:
    """Return what the program reads from stdin."""
    return {"id": message.id, "kind": message.kind, "time": message.wall, "text": message.text, **message.data}


def environment(message: Message) -> dict[str, str]:
    """Return the program's environment: a few names of ours, nothing secret, and the message's main facts."""
    ours = {name: os.environ[name] for name in _KEPT if name in os.environ}
    facts = {f"LBCTL_{name.upper()}": str(message.data.get(name) or "") for name in _FACTS}
    return ours | facts | {"LBCTL_ID": message.id, "LBCTL_KIND": message.kind, "LBCTL_TEXT": message.text}


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
        await asyncio.wait_for(process.wait(), 1.0)

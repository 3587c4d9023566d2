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
_FACTS = ("severity", "service", "release", "phase", "summary", "next", "command", "version_from", "version_to", "host")


class CommandSender:
    """Runs the channel's program once per attempt, in a process group of its own. Exit 0 is a delivery."""

    def __init__(self, channel: ExecChannel, timeout_s: float = TIMEOUT_S) -> None:
        self._channel = channel
        self._timeout_s = timeout_s

    async def send(self, message: Message) -> Delivery:
        """Run it; after the time-out its whole process group is killed."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._channel.argv, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE, start_new_session=True, cwd="/", env=environment(message),
            )  # fmt: skip
        except (OSError, ValueError) as error:
            return Delivery(ok=False, detail=f"{self._channel.argv[0]}: cannot be run: {error}")
        tail = bytearray()
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._talk(process, message, tail)
        except TimeoutError:
            return Delivery(ok=False, detail=f"no end within {self._timeout_s:g} s: killed{_said(tail)}")
        finally:
            await _ended(process)
        if process.returncode == 0:
            return Delivery(ok=True)
        return Delivery(ok=False, detail=f"exit code {process.returncode}{_said(tail)}")

    async def close(self) -> None:
        """Nothing is kept between alerts."""

    async def _talk(self, process: asyncio.subprocess.Process, message: Message, tail: bytearray) -> None:
        listening = asyncio.create_task(_listen(process, tail))
        try:
            await _write(process, json.dumps(body(message)).encode())
            await process.wait()
            # A program it left behind may keep the pipe open; its own last words are there already.
            await asyncio.wait([listening], timeout=0.2)
        finally:
            listening.cancel()
            await asyncio.wait([listening])


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


async def _listen(process: asyncio.subprocess.Process, tail: bytearray) -> None:
    assert process.stderr is not None
    while piece := await process.stderr.read(4_096):
        tail += piece
        del tail[:-TAIL_BYTES]


async def _ended(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    # asyncio closes its end of the pipes only when the other end is closed, which a program left behind never does.
    transport = getattr(process, "_transport", None)
    if transport is not None:
        transport.close()


def _said(tail: bytearray) -> str:
    text = plain(bytes(tail).decode("utf-8", "replace"), 500)
    return f"; it said: {text}" if text else ""

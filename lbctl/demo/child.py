"""The parent's end of the control channel: a child process that answers JSON lines, one for each order."""

import asyncio
import sys
from collections.abc import Sequence
from typing import Any, Self

import msgspec

_LINE_LIMIT = 64 * 1024 * 1024  # a final report carries its whole timeline


class ChildFailed(RuntimeError):
    """A child did not start, answer or obey. Its own stderr, which is the parent's, says more."""


class Child:
    """One child in a session of its own, so that Ctrl-C in a terminal reaches the parent first."""

    def __init__(self, module: str, process: asyncio.subprocess.Process) -> None:
        self._module = module
        self._process = process
        self._turn = asyncio.Lock()

    @classmethod
    async def start(cls, module: str, arguments: Sequence[str]) -> Self:
        """Start `python -m module`. Its first line is read with `read_line`."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
            limit=_LINE_LIMIT,
        )
        return cls(module, process)

    @property
    def pid(self) -> int:
        """The process id of the child."""
        return self._process.pid

    async def read_line(self, timeout_s: float = 15.0) -> bytes:
        """The next line of stdout. Raises ChildFailed where none comes in time."""
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(timeout_s):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise ChildFailed(f"{self._module} (pid {self.pid}) said nothing for {timeout_s:g} s") from None
        if not line.endswith(b"\n"):
            raise ChildFailed(f"{self._module} (pid {self.pid}) ended without an answer; see its message on stderr")
        return line

    async def ask(self, order: dict[str, Any], timeout_s: float = 15.0) -> bytes:
        """Send one order and return the line that answers it. Raises ChildFailed where the child refuses or is gone."""
        assert self._process.stdin is not None
        async with self._turn:
            try:
                self._process.stdin.write(msgspec.json.encode(order) + b"\n")
                await self._process.stdin.drain()
            except (BrokenPipeError, ConnectionResetError):
                raise ChildFailed(f"{self._module} (pid {self.pid}) is gone; nothing was ordered") from None
            line = await self.read_line(timeout_s)
        if line.startswith(b'{"error":'):
            raise ChildFailed(f"{self._module} refused {order}: {msgspec.json.decode(line)['error']}")
        return line

    async def stop(self, timeout_s: float = 5.0) -> None:
        """End the child by closing its stdin; kill it if it is still there after the time. Safe to call twice."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        # Not by asyncio.timeout: up to Python 3.11.2 it raises no TimeoutError in a task that is being cancelled.
        ended = asyncio.gather(self._process.stdout.read(), self._process.wait())
        try:
            await asyncio.wait({ended}, timeout=timeout_s)
        finally:
            if not ended.done():
                self._process.kill()
        await ended

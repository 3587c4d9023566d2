"""HAProxy's command line on a unix socket: one connection per batch, half-closed, bounded in time and size.

A connection per batch, because one that stays open over a reload goes on talking to the old process. A batch that was
sent and not answered is kept (`Pending`): what it holds may still be carried out, and nobody may forget that.
Source: HAProxy's management.txt, 9.3: a change that went through answers with an empty line, else with an error.
"""

import asyncio
import contextlib
import errno
from collections.abc import Sequence
from pathlib import Path

from lbctl.model.errors import Garbled, Unreachable

ANSWER_MAX = 32 << 20
BATCH_MAX = 8_000
"""Bytes of one batch. HAProxy cuts at its buffer size, *after* it has carried out the beginning."""


class Pending(Unreachable):
    """Sent, but not answered in time. `resolved` ends when HAProxy has answered or the connection has ended."""

    def __init__(self, text: str, resolved: "asyncio.Task[bytes]") -> None:
        super().__init__(text)
        self.resolved = resolved


async def ask(path: str, commands: Sequence[str], timeout_s: float) -> list[list[str]]:
    """Send commands in one batch and return the lines of each answer, in order.

    Raises:
        Unreachable: nothing answers at `path`; the text says why and what to do. Nothing was sent.
        Pending: sent, not answered within `timeout_s`.
        Garbled: the answer is not one block per command.
    """
    batch = (";".join(commands) + "\n").encode()
    if len(batch) > BATCH_MAX:
        raise Garbled(f"{path}: a batch of {len(batch)} bytes is longer than HAProxy takes")
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_unix_connection(path, limit=1 << 20), timeout_s)
    except (OSError, TimeoutError) as error:
        raise Unreachable(_why(path, error)) from None
    exchange = asyncio.create_task(_exchange(reader, writer, batch))
    done, _ = await asyncio.wait({exchange}, timeout=timeout_s)
    if not done:
        raise Pending(f"{path}: no answer within {timeout_s:g} s: is HAProxy stopped or overloaded?", exchange)
    try:
        return _blocks(path, exchange.result(), len(commands))
    except OSError as error:
        raise Unreachable(f"{path}: the connection broke: {error.strerror or error}") from None


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, batch: bytes) -> bytes:
    try:
        writer.write(batch)
        # The master's socket answers and then waits for more, unless it sees the end of the requests.
        writer.write_eof()
        answer = bytearray()
        while chunk := await reader.read(1 << 18):
            answer += chunk
            if len(answer) > ANSWER_MAX:
                raise OSError(errno.EMSGSIZE, "the answer is larger than 32 MB")
        return bytes(answer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _blocks(path: str, answer: bytes, count: int) -> list[list[str]]:
    """Cut the answer at its empty lines: every answer ends with one, and an empty answer is just that."""
    blocks: list[list[str]] = []
    lines: list[str] = []
    for line in answer.decode("utf-8", "replace").split("\n"):
        if line:
            lines.append(line)
        elif len(blocks) < count:
            blocks.append(lines)
            lines = []
    if len(blocks) != count:
        raise Garbled(f"{path}: {len(blocks)} answers to {count} commands")
    return blocks


def _why(path: str, error: Exception) -> str:
    match error:
        case FileNotFoundError():
            return f"{path} does not exist: start HAProxy, or set `socket` to its `stats socket`"
        case PermissionError():
            return (
                f"{path}: no right to open it ({_owner(path)}): run lbctld in that group, or change `mode` and `group`"
            )
        case ConnectionRefusedError():
            return f"{path}: nobody listens: HAProxy is not running, or is just being reloaded"
        case TimeoutError():
            return f"{path}: HAProxy takes no connection: is it stopped or overloaded?"
        case OSError() if error.errno in {errno.EAGAIN, errno.ENOTCONN}:
            return f"{path}: HAProxy is busy: too many connections wait at its socket"
        case _:
            return f"{path}: {error}"


def _owner(path: str) -> str:
    try:
        found = Path(path).stat()
    except OSError:
        return "its directory is closed to us"
    return f"owner {found.st_uid}, group {found.st_gid}, mode {found.st_mode & 0o777:04o}"

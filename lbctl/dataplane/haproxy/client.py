"""HAProxy's command line on a unix socket: one connection per batch, half-closed, bounded in time and size.

A connection per batch, because one that stays open over a reload goes on talking to the old process. A batch that was
sent and not answered may still be carried out later: whoever sends a change learns of its exchange before it begins.
Source: HAProxy's management.txt, 9.3: a change that went through answers with an empty line, else with an error.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

from lbctl.crash import Point, halves, passing
from lbctl.model.errors import Garbled, Unreachable

ANSWER_MAX = 32 << 20
BATCH_MAX = 8_000
"""Bytes of one batch. HAProxy cuts at its buffer size, *after* it has carried out the beginning."""
BUSY_PATIENCE_S = 0.2
BUSY_PAUSE_S = 0.02

Blocks = list[list[str]]
Exchange = asyncio.Task[Blocks]


async def ask(
    path: str, commands: Sequence[str], timeout_s: float, sending: Callable[[Exchange], None] | None = None
) -> Blocks:
    """Send commands in one batch and return the lines of each answer, in order.

    `sending` is called right before a batch that changes something goes out, and may raise to stop it. Its exchange
    goes on after the time-out or a cancellation; it ends well only when HAProxy has answered every command. Without
    `sending` the exchange is given up: a question leaves nothing behind.

    Raises:
        Unreachable: nothing answers at `path`, or not in time; the text says why and what to do.
        Garbled: the answer is not one block per command.
    """
    batch = (";".join(commands) + "\n").encode()
    if len(batch) > BATCH_MAX:
        raise Garbled(f"{path}: a batch of {len(batch)} bytes is longer than HAProxy takes")
    reader, writer = await _connected(path)
    exchange = asyncio.create_task(_exchange(path, reader, writer, batch, len(commands), changes=sending is not None))
    kept = False
    try:
        if sending is not None:
            sending(exchange)
            kept = True
            passing(Point.HAPROXY_BEFORE)
        done, _ = await asyncio.wait({exchange}, timeout=timeout_s)
    finally:
        if not kept:
            # An exchange that never began would not hang up by itself.
            exchange.cancel()
            writer.transport.abort()
    if not done:
        raise Unreachable(f"{path}: no answer within {timeout_s:g} s: is HAProxy stopped or overloaded?")
    if exchange.cancelled():
        raise Unreachable(f"{path}: the worker ended before it answered")
    return exchange.result()


async def _connected(path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect, and wait a little where HAProxy has no place for one more at this moment.

    A unix socket is connected at once or not at all. asyncio would take the EAGAIN of a full queue for "under way",
    and an unconnected socket, which is always ready, for a connected one.
    """
    give_up = asyncio.get_running_loop().time() + BUSY_PATIENCE_S
    while True:
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            channel.setblocking(False)
            channel.connect(path)
            return await asyncio.open_unix_connection(sock=channel)
        except BlockingIOError as error:
            channel.close()
            if asyncio.get_running_loop().time() >= give_up:
                raise Unreachable(_why(path, error)) from None
        except OSError as error:
            channel.close()
            raise Unreachable(_why(path, error)) from None
        await asyncio.sleep(BUSY_PAUSE_S)


async def _exchange(
    path: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, batch: bytes, count: int, *, changes: bool
) -> Blocks:
    try:
        if changes:
            _send(writer, batch)
        else:
            writer.write(batch)
        # The master's socket answers and then waits for more, unless it sees the end of the requests.
        writer.write_eof()
        if changes:
            passing(Point.HAPROXY_SENT)
        answer = bytearray()
        while chunk := await reader.read(1 << 18):
            answer += chunk
            if len(answer) > ANSWER_MAX:
                raise Garbled(f"{path}: the answer is larger than {ANSWER_MAX >> 20} MB")
    except OSError as error:
        raise Unreachable(f"{path}: the connection broke: {error.strerror or error}") from None
    finally:
        writer.transport.abort()
    return _blocks(path, bytes(answer), count)


def _send(writer: asyncio.StreamWriter, batch: bytes) -> None:
    first, *rest = halves(Point.HAPROXY_BETWEEN, batch)
    writer.write(first)
    for part in rest:
        passing(Point.HAPROXY_BETWEEN)
        writer.write(part)


def _blocks(path: str, answer: bytes, count: int) -> Blocks:
    """Cut the answer at its empty lines: every answer ends with one, and an empty answer is just that."""
    if not answer:
        raise Unreachable(f"{path}: the connection ended without an answer: HAProxy is ending or just being reloaded")
    blocks: Blocks = []
    lines: list[str] = []
    # What follows the last line's end is a line that was cut off, or nothing.
    for line in answer.decode("utf-8", "replace").split("\n")[:-1]:
        if line:
            lines.append(line)
        elif len(blocks) < count:
            blocks.append(lines)
            lines = []
    if len(blocks) != count:
        raise Garbled(f"{path}: {len(blocks)} answers to {count} commands")
    return blocks


def _why(path: str, error: OSError) -> str:
    match error:
        case FileNotFoundError():
            then = "correct the path: `socket` is its `stats socket`, `master_socket` what `-S` names"
            return f"{path} does not exist: start HAProxy, or {then}"
        case PermissionError():
            return (
                f"{path}: no right to open it ({_owner(path)}): run lbctld in that group, or write "
                f"`mode 660 group lbctl` at that `stats socket`, for a master socket `-S {path},mode,660,group,lbctl`"
            )
        case ConnectionRefusedError():
            return f"{path}: nobody listens: HAProxy is not running, or is just being reloaded"
        case BlockingIOError():
            return f"{path}: HAProxy is busy: too many connections wait at its socket: is it stopped or overloaded?"
        case _:
            return f"{path}: {error}"


def _owner(path: str) -> str:
    try:
        found = Path(path).stat()
    except OSError:
        return "its directory is closed to us"
    return f"owner {found.st_uid}, group {found.st_gid}, mode {found.st_mode & 0o777:04o}"

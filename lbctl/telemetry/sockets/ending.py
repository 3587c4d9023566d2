"""Ends single connections of this host, by the kernel: the process that has one sees an error, its peer a reset.

Each is named by its cookie, so that a later connection at the same ports is never hit. Needs CAP_NET_ADMIN.
"""

import asyncio
import itertools
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from lbctl.telemetry.sockets.answer import Again, Ended, Row, Unusable, walk
from lbctl.telemetry.sockets.question import AF_INET, ANY_COOKIE, destroy
from lbctl.telemetry.sockets.reader import Kernel, kernel

_GONE = 2
"""ENOENT: no socket with this cookie is left."""
_sequences = itertools.count(1)


@dataclass(slots=True)
class _Answer:
    sequence: int

    def take(self, chunk: memoryview) -> Ended:
        return walk(chunk, self.sequence, lambda _: None)


async def why_not() -> str:
    """Return why connections cannot be ended here, as `CODE: text`; empty if they can. Tried on one of our own."""
    return await asyncio.to_thread(_tried)


async def end(rows: Sequence[Row]) -> int:
    """End these connections and return how many there still were. Raises Unusable; some may have ended then."""
    return await asyncio.to_thread(_ended, rows)


def _ended(rows: Sequence[Row]) -> int:
    try:
        with kernel() as asked:
            return sum(_end(asked, row.family, row.socket_id) for row in rows)
    except Again as broken:
        raise Unusable("SOCKET_DIAG_FAILED", str(broken)) from None


def _end(asked: Kernel, family: int, socket_id: bytes) -> bool:
    sequence = next(_sequences) & 0xFFFFFFFF
    try:
        asked.ask(destroy(family, socket_id, sequence), _Answer(sequence))
    except Unusable as error:
        if error.number != _GONE:
            raise
        return False
    return True


def _tried() -> str:
    """Make a connection to ourselves and end it."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as one:
            one.settimeout(1)
            one.connect(listening.getsockname())
            with kernel() as asked:
                _end(asked, AF_INET, _own_id(one))
    except Unusable as error:
        return str(error)
    except (Again, OSError) as error:
        return f"SOCKET_DIAG_FAILED: it could not be tried: {error}"
    return ""


def _own_id(one: socket.socket) -> bytes:
    (here, port), (there, at) = one.getsockname(), one.getpeername()
    ports = port.to_bytes(2, "big") + at.to_bytes(2, "big")
    hosts = b"".join(socket.inet_aton(host).ljust(16, b"\0") for host in (here, there))
    return bytes(ports + hosts + bytes(4) + ANY_COOKIE)

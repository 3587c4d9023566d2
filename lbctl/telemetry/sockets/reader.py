"""One conversation with the kernel: asked and read to its end, in a thread, bounded in time and tries.

Every part of an answer is fetched by a system call that lets other threads run, and has at most some hundred rows: the
event loop never waits for more than the counting of one part, well below a millisecond.
"""

import itertools
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from lbctl.telemetry.sockets.answer import Again, Ended, Unusable
from lbctl.telemetry.sockets.question import Filter, dump

NETLINK_SOCK_DIAG = 4
BUFFER_BYTES = 1 << 16
"""The kernel fills at most 32 KiB at a time."""
ANSWER_S = 2
"""A list of 200,000 connections takes less. Whoever asks is told that it took too long."""
TRIES = 3
_NO_ROOM = 105
_FORBIDDEN = frozenset({1, 13, 93, 97})

_sequences = itertools.count(1)


class Taker(Protocol):
    """What takes the parts of an answer."""

    def take(self, chunk: memoryview) -> Ended:
        """Take one part; it is overwritten afterwards. Raises Again, Unusable."""


Took = TypeVar("Took", bound=Taker)


class Kernel:
    """A netlink socket. Not for two threads at once."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._buffer = bytearray(BUFFER_BYTES)

    def ask(self, request: bytes, taker: Taker) -> None:
        """Send a request and give every part of its answer to `taker`, until it says that one was the last.

        Raises:
            Again: the answer was cut off or overtaken; nothing of it counts.
            Unusable: the kernel refuses, or it took too long.
            OSError: see `kernel`.
        """
        until = time.monotonic() + ANSWER_S
        self._channel.sendto(request, (0, 0))
        while True:
            size, _, flags, sender = self._channel.recvmsg_into([self._buffer])
            if flags & socket.MSG_TRUNC:
                raise Again("a part of the answer was larger than the buffer")
            # Any process may send us something; only the kernel is port 0.
            if sender[0] == 0 and taker.take(memoryview(self._buffer)[:size]) is Ended.YES:
                return
            if time.monotonic() > until:
                raise Unusable("SOCKET_LIST_SLOW", f"it was not at its end after {ANSWER_S} s")


@contextmanager
def kernel() -> Iterator[Kernel]:
    """Open a conversation. Raises Unusable, Again: every OSError within it becomes one of these."""
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_SOCK_DIAG) as channel:
            channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", ANSWER_S, 0))
            channel.bind((0, 0))
            yield Kernel(channel)
    except BlockingIOError:
        raise Unusable("SOCKET_LIST_SLOW", f"the kernel gave no answer within {ANSWER_S} s") from None
    except OSError as error:
        if error.errno == _NO_ROOM:
            raise Again("the kernel had no room for its answer") from None
        then = ": under systemd, RestrictAddressFamilies must name AF_NETLINK" if error.errno in _FORBIDDEN else ""
        why = f"no netlink socket: {error.strerror or error}{then}"
        raise Unusable("NO_NETLINK", why, error.errno or 0) from None


def listed(wanted: Filter, fresh: Callable[[int], Took]) -> Took:
    """Read all sockets that the filter accepts, and return what took them. Blocks: for a thread.

    `fresh` makes what takes the answer to a sequence number, anew for every try: what a broken try counted is gone.

    Raises:
        Unusable: the text says why, and what to do.
    """
    for left in reversed(range(TRIES)):
        sequence = next(_sequences) & 0xFFFFFFFF
        taker = fresh(sequence)
        try:
            with kernel() as asked:
                asked.ask(dump(wanted, sequence), taker)
        except Again as broken:
            if not left:
                raise Unusable("SOCKET_LIST_UNSTEADY", f"{broken}, {TRIES} times in a row") from None
        else:
            return taker
    raise AssertionError("every last try returns or raises")

"""One target at work: the state of its current probe. Knows its socket, not the loop that watches it.

The loop calls `begin` when a probe is due, `advance` when the descriptor is ready, and `expire` at the time-out; each
may return a verdict, which ends the probe. `fd` and `wants` say what the loop is to watch.
"""

import errno
import select
import socket
import struct
from abc import ABC, abstractmethod
from enum import IntEnum

from lbctl.probe.schedule import patience_ms
from lbctl.probe.target import Target
from lbctl.probe.words import Verdict, failure

READ, WRITE = select.EPOLLIN, select.EPOLLOUT
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Phase(IntEnum):
    """Where a conversation stands. RESTING and REST are between probes: a kept connection, or unread rest of a body."""

    CLOSED = 0
    CONNECTING = 1
    SHAKING = 2
    ANSWERING = 3
    REST = 4
    RESTING = 5


class Endpoint(ABC):
    """A target and its probe. `late_ms` and `started_ms` are the loop's notes about the current probe."""

    __slots__ = (
        "busy",
        "due_tick",
        "fd",
        "gone",
        "index",
        "interval_ms",
        "late_ms",
        "patience_ms",
        "serial",
        "started_ms",
        "target",
        "timeout_ms",
        "wants",
        "watched",
    )
    cost = 1
    """What starting one probe weighs against the cap per slot; TLS and processes weigh more."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.interval_ms = target.interval_ms
        self.timeout_ms = target.timeout_ms
        self.patience_ms = patience_ms(target.timeout_ms)
        self.index = self.due_tick = self.serial = 0
        self.busy = self.gone = False
        self.started_ms = self.late_ms = 0.0
        self.fd = -1
        self.wants = self.watched = 0

    @abstractmethod
    def begin(self) -> Verdict | None:
        """Start a probe."""

    @abstractmethod
    def advance(self) -> Verdict | None:
        """Go on as far as possible without waiting. Safe to call when nothing is ready."""

    @abstractmethod
    def close(self) -> None:
        """Let go of everything the probe holds."""

    def expire(self) -> Verdict:
        """End a probe that had no answer in time."""
        self.close()
        return Verdict(False, f"timed out after {self.timeout_ms} ms", True)


class TcpEndpoint(Endpoint):
    """Connects, and closes by reset, so that thousands of checks leave no connection in TIME_WAIT on either side."""

    __slots__ = ("_address", "_family", "_sock", "phase")

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._family = target.family
        self._address = (target.ip, target.port)
        self._sock: socket.socket | None = None
        self.phase = Phase.CLOSED

    def begin(self) -> Verdict | None:
        try:
            self._connect()
        except OSError as error:
            return self._fail(error)
        return self.advance()

    def advance(self) -> Verdict | None:
        try:
            if not self._is_connected():
                return None
        except OSError as error:
            return self._fail(error)
        self.close()
        return Verdict(True, "connected")

    def close(self) -> None:
        if self._sock is not None:
            self._sock.close()
        self._sock = None
        self.fd = -1
        self.wants = self.watched = 0
        self.phase = Phase.CLOSED

    def _connect(self) -> socket.socket:
        """Open the socket and send the SYN. Raises OSError for what the kernel knows at once."""
        self._sock = sock = socket.socket(self._family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._prepare(sock)
        self.fd = sock.fileno()
        self.phase = Phase.CONNECTING
        self.wants = WRITE
        number = sock.connect_ex(self._address)
        if number not in {0, errno.EINPROGRESS}:
            raise OSError(number, "")
        return sock

    def _prepare(self, sock: socket.socket) -> None:
        """Set further options before connecting."""

    def _is_connected(self) -> bool:
        """Say whether the handshake is done. Raises OSError if it failed."""
        assert self._sock is not None
        number = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            raise OSError(number, "")
        try:
            self._sock.getpeername()
        except OSError:
            return False
        return True

    def _fail(self, error: OSError) -> Verdict:
        self.close()
        return failure(error)

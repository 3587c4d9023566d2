"""The prober process: `python -m lbctl.probe.worker` with a stream socket to the daemon as its standard input.

It reads whole sets of targets, writes reports, and ends when the socket does: a dead daemon leaves no prober behind.
Light on purpose: no asyncio, no third-party package.
"""

import gc
import resource
import socket
import sys
from collections import deque

from lbctl.probe.engine import Engine, now_ms
from lbctl.probe.frames import (
    REPORT_ROWS_MAX,
    TARGETS_FRAME_MAX,
    FrameError,
    Lines,
    Row,
    decode_set,
    encode,
)
from lbctl.probe.target import TARGETS_MAX, Target
from lbctl.probe.words import clean

REPORT_MS = 50
BEAT_MS = 150
BACKLOG_MAX = 200
"""Reports kept for a daemon that does not read. The oldest go first: they are stale."""
SPARE_FILES = 64


class Worker:
    """Carries sets in and reports out between the daemon's socket and the engine."""

    def __init__(self, control: socket.socket) -> None:
        control.setblocking(False)
        self._control = control
        self._engine = Engine(control, _files_allowed() - SPARE_FILES)
        self._lines = Lines(TARGETS_FRAME_MAX)
        self._set = 0
        self._backlog: deque[bytes] = deque()
        self._begun = b""
        self._dropped = 0
        self._reported_ms = now_ms()

    def run(self) -> int:
        """Work until the daemon's end of the socket is closed (0) or sends what cannot be understood (2)."""
        try:
            while True:
                if self._engine.turn() and not self._read():
                    return 0
                self._report_if_due()
                self._write()
        except FrameError as error:
            return self._end_with(str(error))
        except (BrokenPipeError, ConnectionResetError):
            return 0
        finally:
            self._engine.close()

    def _read(self) -> bool:
        """Take in what the daemon sent; False at its end."""
        try:
            data = self._control.recv(1 << 20)
        except BlockingIOError:
            return True
        for line in self._lines.feed(data):
            self._take_set(line)
        return bool(data)

    def _take_set(self, line: bytes) -> None:
        number, raw = decode_set(line)
        if len(raw) > TARGETS_MAX:
            raise FrameError(f"{len(raw)} targets are more than {TARGETS_MAX}")
        try:
            targets = [Target.from_wire(one) for one in raw]
        except ValueError as error:
            raise FrameError(str(error)) from None
        if len(set(targets)) != len(targets):
            raise FrameError("the same target is in the set twice")
        self._report()
        self._set = number
        self._engine.replace(targets)
        gc.collect()
        gc.freeze()  # The set lives long; later collections need not walk through it.

    def _report_if_due(self) -> None:
        rows = len(self._engine.rows)
        waited_ms = now_ms() - self._reported_ms
        if waited_ms >= BEAT_MS or rows >= REPORT_ROWS_MAX or (rows and waited_ms >= REPORT_MS):
            self._report()

    def _report(self) -> None:
        """Queue the heartbeat, with the results that there are."""
        rows, self._engine.rows = self._engine.rows, []
        self._reported_ms = now_ms()
        for start in range(0, max(1, len(rows)), REPORT_ROWS_MAX):
            self._backlog.append(self._frame(rows[start : start + REPORT_ROWS_MAX]))
        while len(self._backlog) > BACKLOG_MAX:
            self._backlog.popleft()
            self._dropped += 1

    def _frame(self, rows: list[Row]) -> bytes:
        engine = self._engine
        frame = encode(
            {
                "set": self._set,
                "at": int(self._reported_ms),
                "late": int(engine.lateness.take_worst()),
                "skipped": engine.skipped,
                "voided": engine.voided,
                "dropped": self._dropped,
                "in_flight": engine.in_flight,
                "rows": rows,
            }
        )
        engine.skipped = engine.voided = self._dropped = 0
        return frame

    def _write(self) -> None:
        was_stuck = bool(self._begun)
        try:
            while self._begun or self._backlog:
                self._begun = self._begun or self._backlog.popleft()
                self._begun = self._begun[self._control.send(self._begun) :]
        except BlockingIOError:
            pass  # The daemon reads slowly; the loop wakes up when there is room.
        if bool(self._begun) != was_stuck:
            self._engine.watch_control(to_write=bool(self._begun))

    def _end_with(self, reason: str) -> int:
        """Say why, to the daemon and to whoever reads the log."""
        sys.stderr.write(f"lbctl prober: ends because {clean(reason)}\n")
        try:
            self._control.setblocking(True)
            self._control.settimeout(1.0)
            self._control.sendall(self._begun + encode({"error": clean(reason)}))
        except OSError:
            return 2  # The daemon is gone too; the log has the reason.
        return 2


def _files_allowed() -> int:
    """Raise the limit of open files as far as allowed, and return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def main() -> int:
    """Run on the socket that is standard input; exit status 2 with a sentence if it is none."""
    try:
        control = socket.socket(fileno=sys.stdin.fileno())
    except OSError:
        sys.stderr.write("lbctl prober: standard input is not a socket; lbctld starts this process by itself\n")
        return 2
    return Worker(control).run()


if __name__ == "__main__":
    sys.exit(main())

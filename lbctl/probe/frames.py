"""Frames between the daemon and its prober: one JSON value a line, bounded, over one socket pair.

Daemon to worker: `{"set": N, "targets": [...]}`, always the whole set. Worker to daemon: a report, at least
every 250 ms, `{"set", "at", "late", "skipped", "voided", "dropped", "in_flight", "rows"}`, or `{"error": "…"}` before
it ends.
A row is `[index in the set, ok, detail, started ms, latency µs]`.
"""

import json
from typing import Any

TARGETS_FRAME_MAX = 16 << 20
REPORT_FRAME_MAX = 1 << 20
REPORT_ROWS_MAX = 500

Row = tuple[int, bool | None, str, int, int]


class FrameError(Exception):
    """The other side sent what cannot be understood. The conversation ends; the text says why."""


def encode(value: object) -> bytes:
    """Return one frame, line end included."""
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def decode_set(line: bytes) -> tuple[int, list[Any]]:
    """Return number and raw targets of a set frame.

    Raises:
        FrameError: it is not one.
    """
    try:
        value = json.loads(line)
        number, targets = value["set"], value["targets"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise FrameError(f"not a set of targets: {type(error).__name__} in {line[:60]!r}") from None
    if not isinstance(number, int) or not isinstance(targets, list):
        raise FrameError(f"not a set of targets: {line[:60]!r}")
    return number, targets


class Lines:
    """Cuts a stream into lines, holding at most `limit` bytes of an unfinished one."""

    __slots__ = ("_held", "_limit", "_searched")

    def __init__(self, limit: int) -> None:
        self._held = bytearray()
        self._searched = 0
        self._limit = limit

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that are complete now.

        Raises:
            FrameError: a line is longer than the limit.
        """
        self._held += data
        lines = []
        while (end := self._held.find(b"\n", self._searched)) >= 0:
            lines.append(bytes(self._held[:end]))
            del self._held[: end + 1]
            self._searched = 0
        self._searched = len(self._held)
        if self._searched > self._limit or any(len(line) > self._limit for line in lines):
            raise FrameError(f"a frame is longer than {self._limit} bytes")
        return lines

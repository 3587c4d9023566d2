"""lbctl time: milliseconds that never go back, over restarts and reboots, whatever happens to the wall clock.

Within a boot it is CLOCK_BOOTTIME (it runs on in suspend) plus an offset that stays; after a reboot the offset is
chosen so that time goes on from the last recorded instant. The offset is kept in the journal beside the record.
"""

import time
from dataclasses import dataclass
from pathlib import Path

from lbctl.model.units import Instant

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
META_KEY = "clock"
"""Where the origin is kept: `journal.set_meta(META_KEY, clock.origin)`."""


@dataclass(frozen=True, slots=True)
class Origin:
    """How lbctl time follows from the boot clock, valid within one boot."""

    boot: str
    offset_ms: int

    def __str__(self) -> str:
        return f"{self.boot} {self.offset_ms}"


def parsed(text: str | None) -> Origin | None:
    """Return the origin that `str(origin)` wrote; None for anything else."""
    boot, _, offset = (text or "").partition(" ")
    digits = offset.removeprefix("-")
    return Origin(boot, int(offset)) if boot and digits.isascii() and digits.isdigit() and len(digits) < 19 else None


def origin(boot: str, boot_ms: int, stored: Origin | None, last: Instant) -> Origin:
    """Return the origin for the boot `boot`, whose clock shows `boot_ms`, when `last` is the last recorded instant.

    The stored one holds within its boot. Otherwise time goes on from `last`; a new installation starts at the boot's
    own time. The resulting time is never before `last`.
    """
    if stored is not None and stored.boot == boot and stored.offset_ms + boot_ms >= last:
        return stored
    return Origin(boot, last - boot_ms if last else 0)


class Clock:
    """lbctl time of this process."""

    def __init__(self, last_recorded: Instant = Instant(0), stored: str | None = None) -> None:
        boot_ms = _boot_ms()
        self._origin = origin(_boot(), boot_ms, parsed(stored), last_recorded)
        self._latest = Instant(self._origin.offset_ms + boot_ms)

    @property
    def origin(self) -> str:
        """What to keep beside the record and to give as `stored` at the next start."""
        return str(self._origin)

    def now(self) -> Instant:
        """Return the time; never less than it returned before."""
        self._latest = max(self._latest, Instant(self._origin.offset_ms + _boot_ms()))
        return self._latest


def _boot_ms() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def _boot() -> str:
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        # Without it every start counts as a new boot: time then stands still while lbctld is down, but never goes back.
        return f"start-{time.clock_gettime_ns(time.CLOCK_BOOTTIME)}"

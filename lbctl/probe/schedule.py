"""When probes start and when they are overdue: a wheel of 10 ms slots, and an account of the checker's own lateness."""

from binascii import crc32
from typing import Generic, TypeVar

TICK_MS = 10
ALLOWANCE_MS = 10.0
"""Waking up this late is normal on a busy host and is not counted."""

Item = TypeVar("Item")


class Wheel(Generic[Item]):
    """Items by the absolute 10 ms slot at which they are due. Nothing is held per item but its place in a list."""

    __slots__ = ("_reached", "_slots")

    def __init__(self, reached: int) -> None:
        self._slots: dict[int, list[Item]] = {}
        self._reached = reached

    def add(self, tick: int, item: Item) -> None:
        """Put an item into a slot; a slot already passed means the next one."""
        tick = max(tick, self._reached + 1)
        slot = self._slots.get(tick)
        if slot is None:
            self._slots[tick] = [item]
        else:
            slot.append(item)

    def take(self, tick: int) -> list[Item]:
        """Return everything due up to and including `tick`, earliest first."""
        slots = self._slots
        if tick - self._reached <= 16:
            passed = [t for t in range(self._reached + 1, tick + 1) if t in slots]
        else:  # After a long stop it is cheaper to look at what there is than at every slot missed.
            passed = sorted(t for t in slots if t <= tick)
        self._reached = max(tick, self._reached)
        return [item for t in passed for item in slots.pop(t)]

    def next_tick(self, furthest: int) -> int:
        """Return the next slot with something in it, but not later than `furthest`."""
        return next((t for t in range(self._reached + 1, furthest) if t in self._slots), furthest)


def first_tick(identity: str, interval_ms: int, after_tick: int) -> int:
    """Return the first slot after `after_tick` for this identity: the same phase of the interval each time."""
    period = max(1, interval_ms // TICK_MS)
    phase = crc32(identity.encode(errors="replace")) % period
    return after_tick + 1 + (phase - after_tick - 1) % period


def next_due(due_tick: int, interval_ms: int, now_tick: int) -> int:
    """Return the next slot after `now_tick` in step with `due_tick`. Missed slots are skipped, never replayed."""
    period = max(1, interval_ms // TICK_MS)
    return due_tick + period * max(1, (now_tick - due_tick) // period + 1)


class Lateness:
    """How late this process was woken or got round to its work, in milliseconds: in total and at worst.

    A probe notes `total_ms` when it starts; the difference at its end is what the checker itself lost in its window.
    """

    __slots__ = ("total_ms", "worst_ms")

    def __init__(self) -> None:
        self.total_ms = 0.0
        self.worst_ms = 0.0

    def woke(self, planned_ms: float, now_ms: float) -> None:
        """Take note that the process meant to be back at `planned_ms` and is back now."""
        late_ms = now_ms - planned_ms - ALLOWANCE_MS
        if late_ms > 0:
            self.total_ms += late_ms
            self.worst_ms = max(self.worst_ms, late_ms)

    def take_worst(self) -> float:
        """Return the worst since the last call."""
        worst, self.worst_ms = self.worst_ms, 0.0
        return worst


def patience_ms(timeout_ms: int) -> float:
    """Return how much own lateness makes a probe's failure void: 100 ms, or a quarter of a short time-out."""
    return min(100.0, timeout_ms / 4)

"""What one channel still has to tell: filled from the journal behind a cursor, and from memory while the journal fails.

Pure bookkeeping: bounded, in order, and old alerts collapse to one summary.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from lbctl.model.entry import Entry
from lbctl.model.units import Instant
from lbctl.notify.port import Told
from lbctl.notify.retry import AGE_MAX_MS

WAITING_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Unstored:
    """An entry that the journal could not take: it has no id and lives only in memory."""

    wall: str
    entry: Entry
    id: int = 0


@dataclass(frozen=True, slots=True)
class Lost:
    """Alerts that are told by number only: how many, since when, and the last of their ids."""

    count: int = 0
    since_wall: str = ""
    last_id: int = 0

    def plus(self, told: Told) -> "Lost":
        """The same with one more."""
        return Lost(self.count + 1, self.since_wall or told.wall, max(self.last_id, told.id))


class Backlog:
    """The waiting alerts of one channel, oldest first. `fetched` is the id up to which the journal was read."""

    def __init__(self, fetched: int) -> None:
        self.fetched = fetched
        self.lost = Lost()
        self.dropped = 0
        """Alerts given up because too many waited or the receiver refused them."""
        self._waiting: deque[Told] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def room(self) -> int:
        """How many more are taken."""
        return max(0, WAITING_MAX - len(self._waiting))

    def take_stored(self, stored: Sequence[Told]) -> None:
        """Add what was read from the journal (at most `room`). Told in the order in which it happened."""
        self._waiting = deque(sorted([*self._waiting, *stored], key=lambda told: told.entry.at))

    def take_unstored(self, unstored: Unstored) -> None:
        """Add an entry the journal could not take; the oldest waiting alert is given up when there is no room."""
        if not self.room:
            self.give_up()
        self._waiting.append(unstored)

    def collapse(self, now: Instant) -> None:
        """Turn alerts that are too old into a number."""
        while self._waiting and now - self._waiting[0].entry.at > AGE_MAX_MS:
            self.lost = self.lost.plus(self._waiting.popleft())

    def head(self) -> Told | None:
        """The next alert to tell."""
        return self._waiting[0] if self._waiting else None

    def told(self, head: Told) -> int:
        """`head` was delivered (and may have been given up meanwhile); returns the id the cursor may move to, or 0."""
        if self._waiting and self._waiting[0] is head:
            self._waiting.popleft()
        return head.id

    def told_lost(self, lost: Lost) -> int:
        """The summary of `lost` was delivered; what was lost meanwhile stays. Returns the id the cursor may move to."""
        rest = self.lost.count - lost.count
        self.lost = Lost(rest, self.lost.since_wall, self.lost.last_id) if rest else Lost()
        return lost.last_id

    def give_up(self) -> None:
        """Count the head as lost; the next summary names it."""
        self.dropped += 1
        self.lost = self.lost.plus(self._waiting.popleft())

"""What one channel still has to tell: filled from the journal behind a cursor, and from memory while the journal fails.

Pure bookkeeping: bounded, in order, and old alerts collapse to one summary.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lbctl.model.entry import Entry
from lbctl.model.names import ReleaseId
from lbctl.model.units import Instant, Span, since
from lbctl.notify.incident import closes, opens
from lbctl.notify.port import Told
from lbctl.notify.retry import AGE_MAX_MS
from lbctl.notify.words import minor, superseded, urgent

WAITING_MAX = 1_000
LOST_IDS_MAX = 10_000
"""Of more alerts that only count any more, a restart before the summary may forget some."""
LATER_MAX = 20
"""How many later alerts of the same release are looked at to see whether an earlier one still matters."""


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
    """The waiting alerts of one channel, oldest first. `fetched` is the id up to which the journal was read, `beyond`
    are ids that are settled although others below them still wait."""

    def __init__(self, fetched: int, beyond: Iterable[int] = ()) -> None:
        self.fetched = fetched
        self.lost = Lost()
        self.dropped = 0
        """Alerts given up because too many waited or the receiver refused them."""
        self.rushed = False
        """Something urgent was taken since this was last set to False."""
        self.beyond = set(beyond)
        self.unsaved = False
        """Something was settled without being told: it was told already from memory, or what followed says it."""
        self._waiting: deque[Told] = deque()
        self._half_told: dict[int, Told] = {}
        """What people can read already, while an older message could not be brought up to date: nothing waits for it.
        By identity, held here so that no other gets it."""
        self._lost_ids: deque[int] = deque(maxlen=LOST_IDS_MAX)
        self._twins: dict[tuple[object, ...], int] = {}
        """What waits from memory and is in the journal by now: its id there."""
        self._from_memory: deque[tuple[object, ...]] = deque(maxlen=WAITING_MAX)

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_urgent(self) -> bool:
        """Whether something urgent waits."""
        return any(urgent(told.entry) for told in self._waiting)

    @property
    def has_news(self) -> bool:
        """Whether something waits, other than single steps, of which people can read nothing yet."""
        return any(not minor(told.entry) for told in self._waiting if id(told) not in self._half_told)

    @property
    def unstored(self) -> list[Unstored]:
        """What waits and is in no journal."""
        return [told for told in self._waiting if isinstance(told, Unstored)]

    @property
    def room(self) -> int:
        """How many more are taken."""
        return max(0, WAITING_MAX - len(self._waiting))

    def take_stored(self, stored: Sequence[Told]) -> None:
        """Add what was read from the journal (at most `room`). Told in the order in which it happened. What was taken
        from memory before it was durable is not told again, nor what was told before a restart."""
        stored = [told for told in stored if told.id not in self.beyond]
        waiting = {_fact(one.entry) for one in self._waiting if not one.id}
        twins = {told.id: _fact(told.entry) for told in stored if _fact(told.entry) in self._from_memory}
        self._twins |= {fact: number for number, fact in twins.items() if fact in waiting}
        self._settle(number for number, fact in twins.items() if fact not in waiting)
        stored = [told for told in stored if told.id not in twins]
        self._waiting = deque(sorted([*self._waiting, *stored], key=lambda told: told.entry.at))
        self.rushed = self.rushed or any(urgent(told.entry) for told in stored)

    def take_unstored(self, unstored: Unstored) -> None:
        """Add an entry the journal could not take; the oldest waiting alert is given up when there is no room."""
        if not self.room:
            self.give_up(self._waiting[0])
        self._from_memory.append(_fact(unstored.entry))
        self._waiting.append(unstored)
        self.rushed = self.rushed or urgent(unstored.entry)

    def collapse(self, now: Instant) -> None:
        """Turn alerts that are too old into a number."""
        while self._waiting and now - self._waiting[0].entry.at > AGE_MAX_MS:
            self._half_told.pop(id(self._waiting[0]), None)
            self._lose(self._waiting.popleft())

    def merge(self) -> None:
        """Forget what people need not be told of because of what happened since, and waits too."""
        kept: list[Told] = []
        dropped: list[Told] = []
        later: dict[ReleaseId | None, list[Told]] = {}
        for told in reversed(self._waiting):
            after = later.setdefault(told.entry.release, [])
            if any(superseded(told.entry, one.entry) for one in after):
                dropped.append(told)
                continue
            kept.append(told)
            after[:] = [told, *after[:LATER_MAX]]
        self._waiting = deque(reversed(kept))
        for told in dropped:
            self._half_told.pop(id(told), None)
        self._settle(map(self._spent, dropped))

    def oldest(self, now: Instant) -> Span:
        """How long the oldest alert has waited; 0: none waits. One that only counts any more is at the limit of age."""
        if self.lost.count:
            return Span(AGE_MAX_MS)
        return since(self._waiting[0].entry.at, now) if self._waiting else Span(0)

    def head(self) -> Told | None:
        """The next alert to tell, in the order in which they happened."""
        return self._waiting[0] if self._waiting else None

    def next_for_pager(self) -> Told | None:
        """The next alert to tell: the first that opens an incident, else that closes one, else the first."""
        for first in (opens, closes):
            for told in self._waiting:
                if first(told.entry):
                    return told
        return self.head()

    def next_for_people(self, *, steps_too: bool) -> Told | None:
        """The next alert to tell: the first urgent one, else the first; single steps only if `steps_too`. What is half
        told comes last."""
        calm = half = None
        for told in self._waiting:
            if id(told) in self._half_told:
                half = half or told
            elif urgent(told.entry):
                return told
            elif calm is None and (steps_too or not minor(told.entry)):
                calm = told
        return calm or half

    def half_told(self, item: Told) -> None:
        """People can read `item`; what it changes elsewhere is still to be shown."""
        self._half_told[id(item)] = item

    def told(self, item: Told) -> int:
        """`item` was delivered (and may have been given up meanwhile); returns the id the cursor may move to, or 0."""
        self._remove(item)
        self.beyond.add(self._spent(item))
        return self.settled(item.id)

    def told_lost(self, lost: Lost) -> int:
        """The summary of `lost` was delivered; what was lost meanwhile stays. Returns the id the cursor may move to."""
        rest = self.lost.count - lost.count
        self.lost = Lost(rest, self.lost.since_wall, self.lost.last_id) if rest else Lost()
        while len(self._lost_ids) > rest:
            self.beyond.add(self._lost_ids.popleft())
        return self.settled(lost.last_id)

    def give_up(self, item: Told) -> None:
        """Count `item` as lost, if it still waits; the next summary names it."""
        if self._remove(item):
            self.dropped += 1
            self._lose(item)

    def _remove(self, item: Told) -> bool:
        for index, one in enumerate(self._waiting):
            if one is item:
                del self._waiting[index]
                self._half_told.pop(id(item), None)
                return True
        return False

    def _lose(self, told: Told) -> None:
        self.lost = self.lost.plus(told)
        self._lost_ids.append(self._spent(told))

    def _spent(self, told: Told) -> int:
        """Return the id of what waits no more; 0: the journal does not have it."""
        return told.id or self._twins.pop(_fact(told.entry), 0)

    def _settle(self, untold: Iterable[int]) -> None:
        found = {one for one in untold if one}
        self.beyond |= found
        self.unsaved = self.unsaved or bool(found)

    def settled(self, entry_id: int = 0) -> int:
        """The highest id, not above `entry_id` or what was read, up to which nothing waits any more."""
        waiting = (one.id or self._twins.get(_fact(one.entry), 0) for one in self._waiting)
        at = min([max(entry_id, self.fetched), *(one - 1 for one in (*waiting, *self._lost_ids) if one)])
        self.beyond = {one for one in self.beyond if one > at}
        return at


def _fact(entry: Entry) -> tuple[object, ...]:
    """Return what makes an entry the same fact, whether the journal has it or not."""
    return entry.at, entry.kind, entry.service, entry.release, entry.text

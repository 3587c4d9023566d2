"""One channel's own line: fetches, sends, tries again, moves its cursor. Lanes share nothing but the journal."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from lbctl.crash import Point, passing
from lbctl.model.entry import Entry
from lbctl.model.errors import StoreError
from lbctl.model.record import Record, Release
from lbctl.model.units import Instant
from lbctl.notify.backlog import Backlog, Lost, Unstored
from lbctl.notify.bookmark import Bookmark
from lbctl.notify.incident import closes
from lbctl.notify.lasting import Lasting
from lbctl.notify.message import Composer
from lbctl.notify.port import Channel, Delivery, Manner, Message, Sender, Source, Told
from lbctl.notify.retry import pause_s
from lbctl.notify.words import minor, urgent, wanted

log = structlog.get_logger()

PAGE_ROWS = 200
LOOK_EVERY_S = 0.5
"""How often an idle lane compares the journal's newest id with its own, should nobody wake it."""
STEPS_EVERY_S = 5.0
"""How often people are told of single steps at most."""
URGENT_EVERY_S = 60.0
"""What is urgent is tried this often at least, whatever the receiver asked for: it does not decide who is paged."""
JOURNAL_RETRY_S = 5.0
RELEASES_BACK = 50
"""How many releases may follow within the time for which an alert is told."""
JOURNAL_WAIT_S = 1.0
"""A disk that hangs must not keep us from telling what is in memory."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What every lane may ask: the current record, lbctl time, wall time as it is printed, and randomness from 0 to 1
    for the pauses."""

    record: Callable[[], Record | None]
    now: Callable[[], Instant]
    wall: Callable[[], str]
    jitter: Callable[[], float]


class Lane:
    """Tells one channel everything it asked for, at least once. `run` ends only by cancellation.

    In order, but for people: in a chat single steps are merged, and what is urgent goes first; to a pager, what opens
    or closes an incident. To both it also waits for no pause but the one that the receiver asked for.
    """

    def __init__(
        self,
        channel: Channel,
        sender: Sender,
        source: Source,
        composer: Composer,
        facts: Facts,
        manner: Manner = Manner(),  # noqa: B008 - frozen
    ) -> None:
        self.channel = channel
        self.sender = sender
        self._manner = manner
        self._free_at_s = 0.0
        self._steps_at_s = 0.0
        self.sent = 0
        self.failed = 0
        self._source = source
        self._composer = composer
        self._facts = facts
        self._bookmark = Bookmark(channel.name, source)
        self.backlog = Backlog(self._bookmark.at, self._bookmark.beyond)
        self._lasting = Lasting(channel.name, source)
        self._attempt = 0
        self._wake = asyncio.Event()

    @property
    def pending(self) -> int:
        """How many alerts are known to wait, those of a summary included."""
        return len(self.backlog) + self.backlog.lost.count

    @property
    def behind(self) -> bool:
        """Whether something waits, or the journal holds what was not looked at yet."""
        return bool(self.pending) or self.backlog.fetched < self._source.newest

    def wake(self) -> None:
        """There may be something new."""
        self._wake.set()

    def offer(self, unstored: Unstored) -> None:
        """Take an entry that the journal could not; bounded, never waits."""
        if self._hears_of(unstored.entry):
            self.backlog.take_unstored(unstored)
            self._wake.set()

    def take_over(self, old: "Lane") -> None:
        """Go on for a lane of the same channel that has ended: its counts, and what only its memory holds."""
        self.sent, self.failed, self.backlog.dropped = old.sent, old.failed, old.backlog.dropped
        for unstored in old.backlog.unstored:
            self.offer(unstored)

    async def run(self) -> None:
        """Work until cancelled."""
        if self._bookmark.is_new:
            await self._bookmark.move(self._bookmark.at)
        await self._lasting.adopt(self._facts.now())
        while True:
            self._wake.clear()
            readable = await self._fill()
            self.backlog.collapse(self._facts.now())
            item = self._next()
            if item is not None and (early_s := self._free_at_s - asyncio.get_running_loop().time()) > 0:
                # Looked at again then: something urgent may have come meanwhile.
                await asyncio.sleep(early_s)
            elif item is not None:
                await self._try(item)
            elif self._manner.pages and (over := self._lasting.due(self._facts.now())) is not None:
                await self._end(over)
            else:
                await self._idle(LOOK_EVERY_S if readable else JOURNAL_RETRY_S)

    async def _fill(self) -> bool:
        """Read the journal as far as there is room. Returns whether it could be read."""
        backlog = self.backlog
        while backlog.room and backlog.fetched < self._source.newest:
            try:
                async with asyncio.timeout(JOURNAL_WAIT_S):
                    page = await self._source.entries(backlog.fetched, min(PAGE_ROWS, backlog.room))
            except (StoreError, TimeoutError) as error:
                log.warning("alert.journal_unreadable", alert=self.channel.name, reason=str(error))
                return False
            backlog.take_stored([told for told in page if self._hears_of(told.entry)])
            # An empty page below the newest id: the rows in between were trimmed or are damaged.
            backlog.fetched = page[-1].id if page else self._source.newest
        return True

    def _hears_of(self, entry: Entry) -> bool:
        return wanted(entry, self.channel.on) or (self._manner.pages and bool(closes(entry)))

    def _next(self) -> Lost | Told | None:
        if not self._manner.chat:
            head = self.backlog.next_for_pager() if self._manner.pages else self.backlog.head()
            return self.backlog.lost if self.backlog.lost.count else head
        self.backlog.merge()
        steps_too = asyncio.get_running_loop().time() >= self._steps_at_s
        item = self.backlog.next_for_people(steps_too=steps_too)
        lost = self.backlog.lost
        return lost if lost.count and (item is None or not urgent(item.entry)) else item

    async def _composed(self, item: Lost | Told) -> Message:
        if isinstance(item, Lost):
            return self._composer.summary(item.count, item.since_wall, item.last_id)
        message = self._composer.alert(item, await self._release(item.entry))
        return replace(message, wanted=wanted(item.entry, self.channel.on))

    async def _release(self, entry: Entry) -> Release | None:
        """Return the release an entry is about: the record's, or that of the journal once another has followed."""
        if entry.release is None:
            return None
        record = self._facts.record()
        latest = None if record is None or entry.service is None else record.latest(entry.service)
        if latest is not None and latest.id == entry.release:
            return latest
        try:
            async with asyncio.timeout(JOURNAL_WAIT_S):
                stored = await self._source.releases(None, RELEASES_BACK)
        except (StoreError, TimeoutError) as error:
            log.warning("alert.release_unreadable", alert=self.channel.name, reason=str(error))
            return None
        return next((one.release for one in stored if one.release.id == entry.release), None)

    async def _try(self, item: Lost | Told) -> None:
        message = await self._composed(item)
        self.backlog.rushed = False
        passing(Point.ALERT_BEFORE)
        delivery = await self.sender.send(message)
        if delivery.ok:
            passing(Point.ALERT_AFTER)
            if self._manner.pages:
                await self._lasting.note(message, self._facts.now())
            await self._delivered(item)
            return
        self.failed += 1
        self._attempt += 1
        name, reason = self.channel.name, delivery.detail
        log.warning("alert.failed", alert=name, id=message.id, attempt=self._attempt, reason=reason)
        if delivery.hopeless and not isinstance(item, Lost):
            self._attempt = 1
            self.backlog.give_up(item)
        elif delivery.said and not isinstance(item, Lost):
            self.backlog.half_told(item)
            self._free_at_s = asyncio.get_running_loop().time() + self._manner.pace_s
        await self._pause(delivery)

    async def _delivered(self, item: Lost | Told) -> None:
        self.sent += 1
        self._attempt = 0
        now_s = asyncio.get_running_loop().time()
        self._free_at_s = now_s + self._manner.pace_s
        if not isinstance(item, Lost) and minor(item.entry):
            self._steps_at_s = now_s + STEPS_EVERY_S
        await self._turn(self.backlog.told_lost(item) if isinstance(item, Lost) else self.backlog.told(item))

    async def _end(self, incident: str) -> None:
        """Tell the pager that an incident is over which nothing else ends."""
        delivery = await self.sender.send(self._composer.over(incident, self._facts.wall()))
        if delivery.ok:
            await self._lasting.over(incident)
            return
        log.warning("alert.incident_not_ended", alert=self.channel.name, incident=incident, reason=delivery.detail)
        await self._lasting.later(incident, self._facts.now())

    async def _pause(self, delivery: Delivery) -> None:
        """Wait before the next attempt. People are told of something urgent at once; where the receiver forbade it, and
        where all else is told in order before it, once a minute."""
        loop = asyncio.get_running_loop()
        tried_s = loop.time()
        until_s = tried_s + pause_s(self._attempt, self._facts.jitter(), delivery.retry_after_s)
        at_once = (self._manner.chat or self._manner.pages) and (delivery.said or not delivery.retry_after_s)
        look_s = LOOK_EVERY_S
        while not (at_once and (self.backlog.rushed or (delivery.said and self.backlog.has_news))):
            soonest_s = min(until_s, tried_s + URGENT_EVERY_S) if self.backlog.is_urgent else until_s
            if (left_s := soonest_s - loop.time()) <= 0:
                return
            if await self._woken(min(left_s, look_s)):
                self._wake.clear()
            look_s = LOOK_EVERY_S if await self._fill() else JOURNAL_RETRY_S

    async def _turn(self, at: int) -> None:
        """Remember how far this channel was told."""
        self.backlog.unsaved = False
        await self._bookmark.move(at, self.backlog.beyond)

    async def _idle(self, longest_s: float) -> None:
        backlog = self.backlog
        long_stretch = not len(backlog) and backlog.fetched >= self._bookmark.at + PAGE_ROWS
        if long_stretch or backlog.unsaved:
            # Nothing of it was wanted, or it was told before: remember that, so that a restart does not begin there.
            await self._turn(backlog.settled())
        await self._woken(longest_s)

    async def _woken(self, longest_s: float) -> bool:
        """Wait until somebody wakes this lane, at most so long; returns whether somebody did."""
        try:
            async with asyncio.timeout(longest_s):
                return await self._wake.wait()
        except TimeoutError:
            return False

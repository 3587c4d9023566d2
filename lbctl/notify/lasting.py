"""Which open incidents end by themselves, and when: kept over restarts, so that none stays open for ever."""

from lbctl.model.units import MINUTE, Instant
from lbctl.notify.incident import OPEN_OF, lasts, meant
from lbctl.notify.kept import OPEN_MAX, Kept
from lbctl.notify.port import Memory, Message

AGAIN_MS = 5 * MINUTE
"""So long after a failed attempt to say that one is over."""


class Lasting:
    """The one-offs of one channel. A message that opens one anew lets it last anew."""

    def __init__(self, channel: str, memory: Memory) -> None:
        self._until = Kept(f"lasting/{channel}", memory, OPEN_MAX)
        self._opened_before = Kept(OPEN_OF.format(channel), memory).names

    async def adopt(self, now: Instant) -> None:
        """Let what an earlier version opened without an end last from now on, unless something else ends it."""
        for name in self._opened_before:
            lasting_ms = lasts(name)
            if lasting_ms is not None and self._until.of(name) is None:
                await self._until.put(name, {"until": now + lasting_ms})
        self._opened_before = ()

    async def note(self, message: Message, now: Instant) -> None:
        """Remember what a message that was delivered has opened. What happened before that ends nothing: a page goes
        before what waits."""
        if message.opens:
            until = None if message.lasts_ms is None else {"until": now + message.lasts_ms, "seq": message.seq}
            await self._until.put(message.incident, until)
        for name in meant(message.closes, self._until.names):
            if self._until.after(name, message.seq) is not None:
                await self.over(name)

    def due(self, now: Instant) -> str | None:
        """Return the incident whose time has come, if there is one."""
        for name in self._until.names:
            until = (self._until.of(name) or {}).get("until")
            if not isinstance(until, int) or until <= now:
                return name
        return None

    async def over(self, name: str) -> None:
        """Forget one that is over."""
        await self._until.put(name, None)

    async def later(self, name: str, now: Instant) -> None:
        """Nobody could be told that it is over: try again after a while."""
        await self._until.put(name, {"until": now + AGAIN_MS})

"""Live events for followers of the control socket: bounded queues, so that a reader that sleeps costs nothing."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from lbctl.store.tables import StoredEntry

QUEUE_MAX = 256
Event = dict[str, Any]


def event_view(stored: StoredEntry) -> Event:
    """Return a journal entry as the API shows it."""
    entry = stored.entry
    return {
        "id": stored.id,
        "wall": stored.wall,
        "at_ms": entry.at,
        "kind": entry.kind.value,
        "severity": entry.severity.value,
        "service": entry.service,
        "release": entry.release,
        "text": entry.text,
        "actor": entry.actor,
        "data": dict(entry.data),
    }


class Feed:
    """Hands every durable entry to everyone who follows. A follower that falls 256 behind is told to read anew."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[Event | None]] = set()

    def tell(self, entries: Iterable[StoredEntry]) -> None:
        """Hand these on."""
        for stored in entries:
            event = event_view(stored)
            for queue in self._queues:
                if queue.qsize() >= QUEUE_MAX:
                    while not queue.empty():
                        queue.get_nowait()
                    queue.put_nowait(None)
                queue.put_nowait(event)

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[AsyncIterator[Event | None]]:
        """Follow live events; None means some were dropped."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue(QUEUE_MAX + 2)
        self._queues.add(queue)
        try:
            yield _events(queue)
        finally:
            self._queues.discard(queue)


async def _events(queue: "asyncio.Queue[Event | None]") -> AsyncIterator[Event | None]:
    while True:
        yield await queue.get()

"""Which message of a chat stands for which release: it is edited in place, and answered in a thread."""

import asyncio
import json
from dataclasses import asdict, dataclass
from typing import Any

import structlog

from lbctl.model.errors import StoreError
from lbctl.notify.port import Memory

log = structlog.get_logger()

THREADS_MAX = 50
"""Releases whose messages are remembered per channel; older ones have ended long ago."""
WAIT_S = 1.0


@dataclass(frozen=True, slots=True)
class Thread:
    """The message of one release: where it is, and the newest fact that it shows (0: unknown)."""

    channel: str
    ts: str
    seq: int = 0


class Threads:
    """The threads of one alert channel, kept over restarts. One that cannot be kept costs a second message."""

    def __init__(self, name: str, memory: Memory) -> None:
        self._key = f"threads/{name}"
        self._memory = memory
        self._threads = _read(memory.meta(self._key))

    def of(self, release: str) -> Thread | None:
        """Return the thread of a release."""
        return self._threads.get(release)

    async def put(self, release: str, thread: Thread | None) -> None:
        """Remember the thread of a release; None: forget it."""
        self._threads.pop(release, None)
        if thread is not None:
            self._threads[release] = thread
        while len(self._threads) > THREADS_MAX:
            del self._threads[next(iter(self._threads))]
        text = json.dumps({one: asdict(thread) for one, thread in self._threads.items()})
        try:
            async with asyncio.timeout(WAIT_S):
                await self._memory.set_meta(self._key, text)
        except (StoreError, TimeoutError) as error:
            log.warning("alert.thread_not_durable", key=self._key, reason=str(error))


def _read(text: str | None) -> dict[str, Thread]:
    """Read what an earlier life kept; what cannot be read is as good as nothing."""
    try:
        found: Any = json.loads(text or "{}")
        return {
            str(release): Thread(str(about["channel"]), str(about["ts"]), int(about["seq"]))
            for release, about in found.items()
        }
    except (ValueError, TypeError, AttributeError, KeyError):
        return {}

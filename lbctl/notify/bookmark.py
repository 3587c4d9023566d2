"""How far a channel was told, over restarts: everything up to `at`, and some of what follows."""

import asyncio
import json
from collections.abc import Iterable

import structlog

from lbctl.crash import Point, passing
from lbctl.model.errors import StoreError
from lbctl.notify.port import Source
from lbctl.notjson import NOT_JSON

log = structlog.get_logger()

BEYOND_MAX = 1_000
"""Ids that are remembered beyond `at`; of more the oldest may be told again after a restart."""
WAIT_S = 1.0


class Bookmark:
    """The place of one channel in the journal. What cannot be made durable holds until the process ends."""

    def __init__(self, channel: str, source: Source) -> None:
        self._channel = channel
        self._source = source
        self._cursor_name, self._beyond_name = f"alert/{channel}", f"alert/{channel}/beyond"
        cursor = source.cursor(self._cursor_name)
        self.is_new = cursor is None
        """It tells what happens from now on, not the whole past."""
        self.at = source.newest if cursor is None else cursor
        self.beyond = frozenset(one for one in _ids(source.meta(self._beyond_name)) if one > self.at)
        """Ids above `at` that were told already: what is urgent goes first."""

    async def move(self, at: int, beyond: Iterable[int] = ()) -> None:
        """Go on to `at`, never back. Waits a second for the disk at most."""
        self.at = max(self.at, at)
        kept = frozenset(sorted(one for one in beyond if one > self.at)[-BEYOND_MAX:])
        try:
            async with asyncio.timeout(WAIT_S):
                if kept != self.beyond:
                    # Before the cursor: between the two nothing is told again.
                    self.beyond = kept
                    await self._source.set_meta(self._beyond_name, json.dumps(sorted(kept)))
                await self._source.set_cursor(self._cursor_name, self.at)
            passing(Point.ALERT_TOLD)
        except (StoreError, TimeoutError) as error:
            # It has moved in memory, so nothing repeats while we live; a restart may tell the last alerts again.
            log.warning("alert.cursor_not_durable", alert=self._channel, reason=str(error))


def _ids(text: str | None) -> list[int]:
    """Read what an earlier life kept; what cannot be read is as good as nothing."""
    try:
        found = json.loads(text or "[]")
    except NOT_JSON:
        return []
    return [one for one in found if isinstance(one, int)] if isinstance(found, list) else []

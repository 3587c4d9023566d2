"""What a receiver must remember over restarts, by name: threads of a chat, incidents of a pager. Bounded."""

import asyncio
import json
from typing import Any

import structlog

from lbctl.model.errors import StoreError
from lbctl.notify.port import Memory
from lbctl.notjson import NOT_JSON

log = structlog.get_logger()

KEPT_MAX = 50
"""Names per channel; what belongs to older ones has ended long ago."""
OPEN_MAX = 1_000
"""The same of incidents: one that is forgotten is never resolved, and every service of a site may have one."""
WAIT_S = 1.0


class Kept:
    """Small facts by name. What cannot be made durable is known until the process ends."""

    def __init__(self, key: str, memory: Memory, most: int = KEPT_MAX) -> None:
        self._key = key
        self._most = most
        self._memory = memory
        self._facts = _read(memory.meta(key))

    def of(self, name: str) -> dict[str, Any] | None:
        """Return what is known of `name`."""
        return self._facts.get(name)

    def after(self, name: str, seq: int) -> dict[str, Any] | None:
        """Return what is known of `name`, unless it became known by something later than `seq` (0: unknown when)."""
        found = self._facts.get(name)
        known_seq = found.get("seq", 0) if found is not None else 0
        return None if seq and isinstance(known_seq, int) and seq < known_seq else found

    @property
    def names(self) -> tuple[str, ...]:
        """What something is known of, the oldest first."""
        return tuple(self._facts)

    async def put(self, name: str, facts: dict[str, Any] | None) -> None:
        """Remember it; None: forget it. Waits a second for the disk at most."""
        if facts is None and name not in self._facts:
            return
        self._facts.pop(name, None)
        if facts is not None:
            self._facts[name] = facts
        while len(self._facts) > self._most:
            del self._facts[next(iter(self._facts))]
        try:
            async with asyncio.timeout(WAIT_S):
                await self._memory.set_meta(self._key, json.dumps(self._facts))
        except (StoreError, TimeoutError) as error:
            log.warning("alert.memory_not_durable", key=self._key, reason=str(error))


def _read(text: str | None) -> dict[str, dict[str, Any]]:
    """Read what an earlier life kept; what cannot be read is as good as nothing."""
    try:
        found = json.loads(text or "{}")
    except NOT_JSON:
        return {}
    return {name: one for name, one in found.items() if isinstance(one, dict)} if isinstance(found, dict) else {}

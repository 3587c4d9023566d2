"""What the tests of chat receivers have in common: alerts of one release, and an outbox over a real journal."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lbctl.config.secret import Secret
from lbctl.config.words import ALERT_WORDS
from lbctl.model.entry import Entry, Kind, Severity
from lbctl.model.units import Instant
from lbctl.notify.backlog import Unstored
from lbctl.notify.message import Composer
from lbctl.notify.outbox import Outbox
from lbctl.notify.port import Channel, Message
from lbctl.store.journal import Journal
from tests.integration.test_store_journal import WALL, entry, release

EVERYTHING = frozenset(ALERT_WORDS)
CANARY = "c4nary-0123456789"
HOSTILE = "<!channel> @everyone <https://evil.example|click> [x](https://evil.example) \x1b[31mred\u202e &amp;"
FIGURES: dict[str, Any] = {
    "from": "green", "to": "blue", "candidate_total": 40, "candidate_bad": 5, "candidate_low": 0.0546,
    "candidate_high": 0.2611, "active_total": 400, "active_bad": 0, "since_s": 12.0, "duration_ms": 754_000,
}  # fmt: skip


def secret(value: str) -> Secret:
    """A secret as the config reads it."""
    return Secret(value, "credential of-a-test")


def fact(kind: Kind, text: str = "a fact", **changes: Any) -> Entry:
    """One entry about release 7, with numbers."""
    data = {**FIGURES, **changes.pop("data", {})}
    return replace(entry(text, kind, data=data), **changes)


def paged(text: str = "it needs a person", **changes: Any) -> Entry:
    """A hold that somebody must look at."""
    return fact(Kind.HOLD_PAGED, text, severity=Severity.PAGE, **changes)


def composed(told: Entry, number: int = 1) -> Message:
    """The message of an entry that the journal has as `number`."""
    return Composer("lb1", "1.2.3").alert(Unstored(WALL, told, number), release())


def outbox(journal: Journal, *channels: Channel, now: Callable[[], Instant] = lambda: Instant(1)) -> Outbox:
    """An outbox whose pauses are the shortest."""
    return Outbox(journal, channels, record=journal.latest, now=now, version="1.2.3", host="lb1", jitter=lambda: 0.0)


async def until(condition: Callable[[], object], within_s: float = 15.0) -> None:
    """Wait for it."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)

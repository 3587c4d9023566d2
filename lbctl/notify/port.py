"""What the outbox needs from others: settings of channels, a journal to read, a sender per channel."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from lbctl.config.settings import Receiver
from lbctl.model.entry import Entry
from lbctl.model.names import ReleaseId
from lbctl.model.record import Release
from lbctl.notify.words import DEFAULT


@dataclass(frozen=True, slots=True)
class ExecChannel:
    """Run `argv` (no shell) for each alert: JSON on stdin, the main facts as LBCTL_* in the environment."""

    name: str
    argv: tuple[str, ...]
    on: frozenset[str] = DEFAULT


@dataclass(frozen=True, slots=True)
class WebhookChannel:
    """POST each alert to `url`, signed with `secret`. Both are secrets: neither is ever printed."""

    name: str
    url: str = field(repr=False)
    secret: str = field(repr=False)
    on: frozenset[str] = DEFAULT


Channel = ExecChannel | WebhookChannel | Receiver
"""What is configured; settings that need no translation are taken as they are."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How receivers of one kind want to be told. Programs: everything, in order, as fast as it goes."""

    pace_s: float = 0.0
    """The least time between two messages."""
    chat: bool = False
    """People read it: single steps of a release are merged, and what is urgent goes before what waits."""
    pages: bool = False
    """It keeps incidents: it hears of everything that may close one, whatever `on` says."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """How one attempt ended. Not `ok`: `detail` says why, `retry_after_s` what the receiver asked for, `hopeless` that
    it refuses this very message, so that trying again is of no use, and `said` that only an older message could not be
    brought up to date: what is new is taken."""

    ok: bool
    detail: str = ""
    retry_after_s: float | None = None
    hopeless: bool = False
    said: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """One alert for any receiver. `id` is the same at every attempt; `text` is one line; `data` is JSON.

    `seq` rises with what happened; 0: unknown, because the journal could not take it. `minor`: a single step of a
    release; `urgent`: a way back, or a person must act. `incident` is the name of what it opens, `lasts_ms` after what
    time that is over by itself (None: something closes it), and `closes` what is over now (lbctl.notify.incident). Not
    `wanted`: the channel did not ask for it, and hears of it only for what it may close.
    """

    id: str
    kind: str
    wall: str
    text: str
    data: dict[str, Any]
    seq: int = 0
    minor: bool = False
    urgent: bool = False
    incident: str = ""
    opens: bool = False
    closes: tuple[str, ...] = ()
    lasts_ms: int | None = None
    wanted: bool = True


class Sender(Protocol):
    """Delivers one message. Bounded in time, and answers instead of raising."""

    async def send(self, message: Message) -> Delivery:
        """Try once."""
        ...

    async def close(self) -> None:
        """Give back connections."""
        ...


class Memory(Protocol):
    """Small named texts that outlive a restart (the journal's)."""

    def meta(self, key: str) -> str | None:
        """Return the text of that name."""
        ...

    def set_meta(self, key: str, value: str) -> Any:
        """Set it: at once in memory; awaiting the result raises StoreError when it is not durable."""
        ...


class Told(Protocol):
    """An entry as the journal stores it."""

    @property
    def id(self) -> int:
        """Rises with every entry."""
        ...

    @property
    def wall(self) -> str:
        """Wall time for people."""
        ...

    @property
    def entry(self) -> Entry:
        """What happened."""
        ...


class Ended(Protocol):
    """A release as the journal stores it."""

    @property
    def release(self) -> Release:
        """As last recorded."""
        ...


class Source(Memory, Protocol):
    """The journal as the outbox sees it (lbctl.store.journal.Journal fits)."""

    @property
    def newest(self) -> int:
        """The id of the last durable entry."""
        ...

    async def entries(self, after: int, limit: int, *, release: ReleaseId | None = None) -> Sequence[Told]:
        """Entries with ids above `after`, rising, of one release or of all. Raises StoreError."""
        ...

    async def releases(self, service: None, limit: int) -> Sequence[Ended]:
        """The newest releases, as last recorded. Raises StoreError."""
        ...

    def cursor(self, name: str) -> int | None:
        """How far the reader `name` has come."""
        ...

    def set_cursor(self, name: str, entry_id: int) -> Any:
        """Move it: at once in memory; awaiting the result raises StoreError when it is not durable."""
        ...

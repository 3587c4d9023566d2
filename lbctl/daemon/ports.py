"""What the daemon's parts need of each other, so that only `wiring` names concrete adapters."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Protocol

from lbctl.core.state import State
from lbctl.model.attested import Attested
from lbctl.model.census import Census, OpenSockets, Strangers
from lbctl.model.entry import Entry
from lbctl.model.names import InstanceName, ReleaseId, ServerName, ServiceName
from lbctl.model.reading import Health, InstanceReading, Observed, Timing, Token, Unreadable
from lbctl.model.record import Record
from lbctl.model.sessions import Attendance
from lbctl.model.topology import Address
from lbctl.model.units import Instant, Span
from lbctl.store.tables import StoredEntry

Now = Callable[[], Instant]
Silences = Callable[[Instant], Mapping[ServiceName, Span]]
"""By service with checks: for how long its server that was checked least lately was not."""


class Journal(Protocol):
    """The durable store. A failed append raises `StoreError`; nothing of it is then on disk."""

    def append(
        self, record: Record | None, entries: Sequence[Entry] = (), *, wall: str
    ) -> Awaitable[tuple[StoredEntry, ...]]:
        """Write a record (None: only entries) and its entries in one transaction, in the order of the calls."""


class Tokens(Protocol):
    """The go-tokens in the runtime directory. Synchronous: each call is one or two operations on tmpfs."""

    def make_go(self, release: ReleaseId, nonce: str) -> None:
        """Make a new token."""

    def mark_hold(self, release: ReleaseId, nonce: str) -> None:
        """Rename `go` to `hold`."""

    def mark_go_again(self, release: ReleaseId, nonce: str) -> None:
        """Rename `hold` to `go`."""

    def mark_back(self, release: ReleaseId, nonce: str) -> None:
        """Rename whatever is there to `back`, or make it."""

    def remove(self, release: ReleaseId, nonce: str) -> None:
        """Remove every token of this release and nonce."""

    def sweep(self, named: Mapping[ReleaseId, str]) -> Sequence[str]:
        """Remove every token that `named` (release to nonce) does not name."""

    def read(self, release: ReleaseId, nonce: str) -> Token:
        """Return what is there."""


class Outbox(Protocol):
    """Alerts. Reads the journal by itself; is handed what the journal could not take."""

    def offer(self, entries: Sequence[Entry], *, wall: str) -> None:
        """Tell these although they could not be stored."""

    def wake(self) -> None:
        """Say that the journal has something new."""


class Keeping(Protocol):
    """Keeps what the judge knows over restarts of the daemon."""

    def keep(self, state: State, now: Instant) -> None:
        """Save what changed. Never raises: less evidence is no reason to stop."""


class Checks(Protocol):
    """The prober's view of every server."""

    def health(self, now: Instant) -> Mapping[tuple[ServiceName, ServerName], Health]:
        """Return what is known of every server."""

    def suspects(self, now: Instant) -> Mapping[ServiceName, str]:
        """Return the services for which the checker itself is suspect, and why."""


class Versions(Protocol):
    """What candidate servers say they run."""

    def attested(self, record: Record) -> Mapping[tuple[ServiceName, ServerName], Attested]:
        """Return the last answers. Takes no time and waits for nothing: who is due is asked beside it."""


class HostConnections(Protocol):
    """The kernel's list of this host's connections. Never raises: what it cannot tell is said in the answer."""

    async def census(self, servers: Collection[Address]) -> Census:
        """Count the connections to each of these servers."""

    async def sockets(self, servers: Collection[Address]) -> OpenSockets:
        """Name the connections to these servers and who has them."""

    async def strangers(self, servers: Collection[Address], balancers: Collection[int]) -> Strangers:
        """Say who else than these processes, by the numbers that they know themselves by, is connected to them."""


class Alerts(Protocol):
    """The outbox, as whoever counts alerts sees it."""

    def counters(self) -> Mapping[str, Mapping[str, int]]:
        """Return by channel what was `sent`, `failed` and `dropped`."""

    def oldest(self, now: Instant) -> Span:
        """Return how long the oldest alert has waited; 0: none waits."""


class RequestTimes(Protocol):
    """The request logs, as the observer sees them. Takes no time and waits for nothing."""

    def timing(
        self, readings: Mapping[InstanceName, InstanceReading | Unreadable], now: Instant
    ) -> Mapping[tuple[InstanceName, ServiceName], Timing]:
        """Return what every logged service's requests took until now; `readings` tell how many lines to expect."""

    def sessions(self, now: Instant) -> Mapping[tuple[InstanceName, ServiceName], Attendance]:
        """Return which sessions came back lately; asked after `timing`."""


class Eyes(Protocol):
    """The observer, as the loop sees it."""

    def observed(self, record: Record) -> Observed:
        """Return all that is known now."""

    def poke(self, instance: InstanceName) -> None:
        """Read this instance again at once."""

    def pace(self, busy: frozenset[InstanceName]) -> None:
        """Read these instances at the pace of a release, the others at rest."""

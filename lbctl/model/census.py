"""What the kernel of this host knows of the connections to a pool's servers. Facts, for a cross-check and for names."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from lbctl.model.topology import Address
from lbctl.model.units import Instant


@dataclass(frozen=True, slots=True)
class Connections:
    """TCP connections to one server. `opening` has no answer yet, `closing` was ended by one of its two ends.

    An established one may be idle: load balancers keep connections for later requests.
    """

    opening: int = 0
    established: int = 0
    closing: int = 0

    @property
    def count(self) -> int:
        """All of them."""
        return self.opening + self.established + self.closing

    def plus(self, other: "Connections") -> "Connections":
        """The sum of both."""
        return Connections(
            self.opening + other.opening, self.established + other.established, self.closing + other.closing
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program with established connections. `pid` None: only the user is known that it runs as.

    `inner` are the numbers that it knows itself by in its containers.
    """

    process: str
    pid: int | None
    uid: int
    count: int
    inner: tuple[int, ...] = ()

    @property
    def pids(self) -> frozenset[int]:
        """Every number that it is known by."""
        return frozenset(self.inner if self.pid is None else (self.pid, *self.inner))

    def __str__(self) -> str:
        who = f"a program of uid {self.uid}" if self.pid is None else f"{self.process or 'a program'} (pid {self.pid})"
        return f"{who} has {self.count} connections" if self.count > 1 else f"{who} has a connection"


@dataclass(frozen=True, slots=True, kw_only=True)
class Strangers:
    """Who else than some load balancers has established connections to servers. `unnamed`: so many more that may be
    theirs or not: nobody may look. `cannot`, as of `Census`. `looked_at`: when the look was over."""

    programs: tuple[Program, ...] = ()
    unnamed: int = 0
    cannot: str = ""
    looked_at: Instant = Instant(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """Connections from this host to servers, by server; every server that was asked about has an entry.

    `cannot` is why nothing is known, as `CODE: text`; `servers` is empty then. Connections from other hosts are never
    seen, nor those of other network namespaces (containers), nor lbctl's own health checks. Those that live shorter
    than the time between two censuses may never be seen.

    `strangers` have some of the established ones and are no load balancer of the service; None: nobody looked.
    """

    taken_at: Instant
    servers: Mapping[Address, Connections] = field(default_factory=dict)
    cannot: str = ""
    strangers: Strangers | None = None

    def total(self, addresses: Iterable[Address]) -> Connections | None:
        """Return the sum over these servers; None: one of them was not counted."""
        sum_ = Connections()
        for address in addresses:
            if address not in self.servers:
                return None
            sum_ = sum_.plus(self.servers[address])
        return sum_


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose connections: one program's processes, and the user it runs as."""

    pids: tuple[int, ...]
    uid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSocket:
    """One connection, and who has it. `pid` None: it may not be known, or it has no owner any more.

    `unread_bytes` and `unsent_bytes` are what waits in its two queues.
    """

    local: Address
    remote: Address
    state: str
    uid: int
    inode: int
    unread_bytes: int
    unsent_bytes: int
    cookie: int
    pid: int | None = None
    process: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSockets:
    """The connections to some servers one by one, at most `SOCKETS_MAX`; `left_out` are the others."""

    taken_at: Instant
    sockets: tuple[OpenSocket, ...] = ()
    left_out: int = 0
    cannot: str = ""

    def pids(self) -> Collection[int]:
        """The processes that are known to hold some."""
        return sorted({one.pid for one in self.sockets if one.pid is not None})

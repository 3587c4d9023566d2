"""What HAProxy counts: `show stat` as CSV into readings. Columns are found by name, whatever the version has.

A thousand servers are read ten times a second, so a line is cut only as far as needed, and a server whose figures did
not change is not made anew.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter

from lbctl.model.digits import COUNT_MAX, count
from lbctl.model.errors import Garbled
from lbctl.model.names import ServerName
from lbctl.model.reading import Admin, PoolReading, ServerReading
from lbctl.model.topology import Protocol

ANSWERS = ("hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx", "hrsp_other")
WANTED = ("status", "qcur", "scur", "stot", "econ", "eresp", "wretr", "wredis", "weight", "srv_abrt", *ANSWERS)
SERVING = ("UP", "no check")
UP = (*SERVING, "DRAIN", "NOLB")
BACKEND = "BACKEND"

Row = tuple[str, ...]
"""The wanted fields of a line, in the order of `WANTED`."""
Known = tuple[dict[str, Row], dict[ServerName, ServerReading], dict[str, int]]


@lru_cache(maxsize=16)
def _columns(header: str) -> tuple[int, Callable[[Sequence[str]], Row], int | None]:
    """Return how far to cut a line, what to take of it, and where `last_chk` is. Raises Garbled."""
    names = header[2:].split(",")
    if missing := [name for name in WANTED if name not in names]:
        raise Garbled(f"HAProxy's `show stat` has no column {missing[0]}: 2.4 or newer is needed")
    places = [names.index(name) for name in WANTED]
    return max(places) + 1, itemgetter(*places), names.index("last_chk") if "last_chk" in names else None


class Table:
    """One `show stat` answer about one backend: rows by server name. The backend's own row is `own`."""

    def __init__(self, backend: str, lines: Sequence[str]) -> None:
        if not lines or not lines[0].startswith("# pxname,svname,"):
            said = lines[0][:100] if lines else "nothing"
            then = "is the backend in its config? `lbctl config render haproxy` prints it"
            raise Garbled(f"HAProxy answers {said!r} to `show stat {backend}`: {then}")
        depth, take, self._check_at = _columns(lines[0])
        self.rows: dict[str, Row] = {}
        self._unwell: dict[str, str] = {}
        for line in lines[1:]:
            fields = line.split(",", depth)
            if len(fields) > depth and fields[0] == backend:
                name = fields[1]
                self.rows[name] = row = take(fields)
                if row[0] not in SERVING:
                    self._unwell[name] = line
        if BACKEND not in self.rows:
            raise Garbled(f"HAProxy has no backend {backend}: `lbctl config render haproxy` prints it")
        self.own = self.rows.pop(BACKEND)

    @classmethod
    def of(cls, backend: str, lines: Sequence[str]) -> "Table | None":
        """Return the table of an older worker; None if its config did not have this backend."""
        return cls(backend, lines) if lines and lines[0].startswith("#") else None

    @property
    def taken(self) -> int:
        """How many requests, or connections, the backend was ever given: each counts when it comes."""
        return Figures(self.own).total

    def last_check(self, server: str) -> str:
        """Return what HAProxy's own check said last; empty if it checks nothing."""
        line = self._unwell.get(server)
        if self._check_at is None or line is None:
            return ""
        fields = line.split(",", self._check_at + 1)
        return fields[self._check_at].strip('"') if len(fields) > self._check_at else ""


class Servers:
    """Makes readings of server rows, and remembers those whose figures stay as they are.

    `weighed`: a server with weight 0 gets no request. Where weights make the share that is the share's doing, and says
    nothing about the server.
    """

    def __init__(self, *, weighed: bool = True) -> None:
        self._weighed = weighed
        self._known: dict[str, Known] = {}

    def reading(
        self, key: str, newest: Table, older: Sequence[Table]
    ) -> tuple[dict[ServerName, ServerReading], dict[str, int]]:
        """Return the servers of a table, and how many good answers each began. Only with older workers, whose gauges
        are added, every server is made anew."""
        rows, readings, answered = self._known.get(key, ({}, {}, {}))
        found: dict[ServerName, ServerReading] = {}
        good: dict[str, int] = {}
        for name, row in newest.rows.items():
            same = rows.get(name) == row
            good[name] = answered[name] if same else Figures(row).good
            before = readings.get(ServerName(name)) if same and not older else None
            if before is None or before.detail:
                # What its check says is not of the row.
                others = [Figures(table.rows[name]) for table in older if name in table.rows]
                before = _server(row, others, newest.last_check(name), weighed=self._weighed)
            found[ServerName(name)] = before
        self._known[key] = (newest.rows, {} if older else found, good)
        return found, good


class Pools:
    """Makes readings of pools that are whole backends."""

    def __init__(self, protocol: Protocol = Protocol.HTTP) -> None:
        self._tcp = protocol is Protocol.TCP
        self._servers = Servers()

    def reading(self, backend: str, tables: Sequence[Table]) -> PoolReading:
        """Return a pool from the tables of all workers, the newest first: counters are its own, gauges are summed."""
        servers, good = self._servers.reading(backend, tables[0], tables[1:])
        own = [Figures(table.own) for table in tables]
        in_flight = sum(figures.running + figures.queued for figures in own)
        if self._tcp:
            return _connections(servers, own[0], in_flight)
        return _answers(servers, own[0], in_flight, sum(good.values()))


def _answers(servers: Mapping[ServerName, ServerReading], own: "Figures", in_flight: int, answered: int) -> PoolReading:
    """A server's answer counts with its head, the backend's when the stream ends: the difference is under way to the
    user, or a WebSocket. Only classes that HAProxy never answers by itself."""
    ended = sum(own.answers)
    flowing = min(own.running, max(0, answered - own.good))
    return PoolReading(
        servers=servers,
        requests=ended,
        # The backend's own row also has what HAProxy answered itself: 503 without a server, 502, 504. An answer
        # that its server broke off counts by its status line, which the user got, and as an abort of the server.
        errors=own.failures + own.aborts,
        in_flight=in_flight,
        retries=sum(server.retries for server in servers.values()),
        started=ended + own.running + own.queued,
        answered=ended + flowing,
    )


def _connections(servers: Mapping[ServerName, ServerReading], own: "Figures", in_flight: int) -> PoolReading:
    """Without HTTP a connection counts when it begins, and there is no answer to wait for. It fails if no server takes
    it or its server breaks it off; what goes wrong inside it nobody here can see."""
    return PoolReading(
        servers=servers,
        requests=own.total,
        errors=own.refused + own.aborts,
        in_flight=in_flight,
        retries=sum(server.retries for server in servers.values()),
        started=own.total,
        answered=own.total,
    )


class Figures:
    """The counts of a row; 0 where this kind of row has none."""

    __slots__ = (
        "aborts", "answers", "errors", "failures", "good", "queued", "refused", "retries", "running", "total", "weight",
    )  # fmt: skip

    def __init__(self, row: Row) -> None:
        try:
            numbers = [*map(int, row[1:])]
        except ValueError:
            numbers = [-1]
        if min(numbers) < 0 or max(numbers) > COUNT_MAX:
            numbers = [*map(count, row[1:])]
        (
            self.queued,
            self.running,
            self.total,
            self.refused,
            eresp,
            wretr,
            wredis,
            self.weight,
            self.aborts,
            *self.answers,
        ) = numbers
        self.good = sum(self.answers[:3])
        self.failures = self.answers[4]
        self.errors = self.failures + self.refused + eresp
        # An attempt that failed and went to another server is a redispatch. One that an answer decided (`retry-on` with
        # more than connections) is a retry as well, and must not count twice. Of what was first repeated on its own
        # server and then moved, at most half is missed.
        self.retries = max(wretr, wredis)


def _server(row: Row, older: Sequence[Figures], last_check: str, *, weighed: bool) -> ServerReading:
    """`requests` are the attempts: HAProxy counts each that it sent to this server, whatever came of it. One that was
    repeated elsewhere is no error in its row, but it failed."""
    newest, status = Figures(row), row[0]
    serving = is_serving(status)
    return ServerReading(
        up=status.startswith(UP),
        usable=serving and (newest.weight > 0 or not weighed),
        weight=newest.weight,
        requests=newest.total,
        errors=newest.errors + newest.retries,
        retries=newest.retries,
        in_flight=newest.running + sum(one.running for one in older),
        queued=newest.queued + sum(one.queued for one in older),
        detail="" if serving else " ".join(part for part in (status, last_check) if part),
        admin=_admin(status, newest.weight),
    )


def _admin(status: str, weight: int) -> Admin:
    """A server without weight reads as drained, too: there the weight says so, and nobody's order."""
    if status.startswith("MAINT"):
        return Admin.MAINT
    return Admin.DRAIN if status.startswith("DRAIN") and weight else Admin.READY


def is_serving(status: str) -> bool:
    """Whether HAProxy gives requests to a server of this status."""
    return status.startswith(SERVING)

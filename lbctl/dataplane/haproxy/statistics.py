"""What HAProxy counts: `show stat` as CSV into readings. Columns are found by name, whatever the version has.

A thousand servers are read ten times a second, so a line is cut only as far as needed, and a server whose figures did
not change is not made anew.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter

from lbctl.model.errors import Garbled
from lbctl.model.names import ServerName
from lbctl.model.reading import PoolReading, ServerReading

ANSWERS = ("hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx", "hrsp_other")
WANTED = ("status", "qcur", "scur", "stot", "econ", "eresp", "wretr", "wredis", "weight", "srv_abrt", *ANSWERS)
SERVING = ("UP", "no check")
UP = (*SERVING, "DRAIN", "NOLB")
BACKEND = "BACKEND"

Row = tuple[str, ...]
"""The wanted fields of a line, in the order of `WANTED`."""


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
        self._lines: dict[str, str] = {}
        for line in lines[1:]:
            fields = line.split(",", depth)
            if len(fields) > depth and fields[0] == backend:
                self.rows[fields[1]] = take(fields)
                self._lines[fields[1]] = line
        if BACKEND not in self.rows:
            raise Garbled(f"HAProxy has no backend {backend}: `lbctl config render haproxy` prints it")
        self.own = self.rows.pop(BACKEND)

    @classmethod
    def of(cls, backend: str, lines: Sequence[str]) -> "Table | None":
        """Return the table of an older worker; None if its config did not have this backend."""
        return cls(backend, lines) if lines and lines[0].startswith("#") else None

    def last_check(self, server: str) -> str:
        """Return what HAProxy's own check said last; empty if it checks nothing."""
        if self._check_at is None:
            return ""
        fields = self._lines[server].split(",", self._check_at + 1)
        return fields[self._check_at].strip('"') if len(fields) > self._check_at else ""


class Pools:
    """Makes readings of tables, and remembers those of servers whose figures stay as they are."""

    def __init__(self) -> None:
        self._known: dict[str, Mapping[str, tuple[list[Row], ServerReading]]] = {}

    def reading(self, backend: str, tables: Sequence[Table]) -> PoolReading:
        """Return a pool from the tables of all workers, the newest first: counters are its own, gauges are summed."""
        known = self._known.get(backend, {})
        now: dict[str, tuple[list[Row], ServerReading]] = {}
        for name, row in tables[0].rows.items():
            rows = [row, *(table.rows[name] for table in tables[1:] if name in table.rows)]
            before = known.get(name)
            same = before is not None and before[0] == rows and before[1].usable
            now[name] = before if before is not None and same else (rows, _server(tables[0], name, rows))
        self._known[backend] = now
        own = _numbers(tables[0].own)
        return PoolReading(
            servers={ServerName(name): one for name, (_, one) in now.items()},
            requests=sum(own[name] for name in ANSWERS),
            # The backend's own row also has what HAProxy answered itself: 503 without a server, 502, 504. An answer
            # that its server broke off counts by its status line, which the user got, and as an abort of the server.
            errors=own["hrsp_5xx"] + own["srv_abrt"],
            in_flight=_total((table.own for table in tables), "scur", "qcur"),
        )


def _server(table: Table, name: str, rows: Sequence[Row]) -> ServerReading:
    """`requests` are the attempts: HAProxy counts each that it sent to this server, whatever came of it."""
    newest = _numbers(rows[0])
    status = rows[0][0]
    serving = status.startswith(SERVING)
    return ServerReading(
        up=status.startswith(UP),
        usable=serving and newest["weight"] > 0,
        weight=newest["weight"],
        requests=newest["stot"],
        errors=newest["hrsp_5xx"] + newest["eresp"] + newest["econ"],
        retries=newest["wretr"] + newest["wredis"],
        in_flight=_total(rows, "scur"),
        queued=_total(rows, "qcur"),
        detail="" if serving else " ".join(part for part in (status, table.last_check(name)) if part),
    )


def _numbers(row: Row) -> dict[str, int]:
    """Return the counts of a row; 0 where this kind of row has none."""
    return {name: int(text) if text.isascii() and text.isdigit() else 0 for name, text in zip(WANTED, row, strict=True)}


def _total(rows: Iterable[Row], *names: str) -> int:
    return sum(_numbers(row)[name] for row in rows for name in names)

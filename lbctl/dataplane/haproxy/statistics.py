"""What HAProxy counts: `show stat` as CSV into readings. Columns are found by name, whatever the version has."""

from collections.abc import Sequence

from lbctl.model.errors import Garbled
from lbctl.model.names import ServerName
from lbctl.model.reading import PoolReading, ServerReading

ANSWERS = ("hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx", "hrsp_other")
SERVING = ("UP", "no check")


class Table:
    """The rows of one `show stat` answer, by server name. The backend's own row is `BACKEND`."""

    def __init__(self, backend: str, lines: Sequence[str]) -> None:
        if not lines or not lines[0].startswith("# pxname,svname,"):
            said = lines[0][:100] if lines else "nothing"
            raise Garbled(f"HAProxy answers {said!r} to `show stat {backend}`: is the backend in its config?")
        self._columns = {name: index for index, name in enumerate(lines[0][2:].split(","))}
        rows = (line.split(",") for line in lines[1:])
        self.rows = {row[1]: row for row in rows if len(row) >= len(self._columns) - 1 and row[0] == backend}
        if "BACKEND" not in self.rows:
            raise Garbled(f"HAProxy has no backend {backend}: `lbctl config render haproxy` prints it")

    def text(self, row: Sequence[str], name: str) -> str:
        """Return a field; empty where this version has none."""
        index = self._columns.get(name)
        return row[index] if index is not None and index < len(row) else ""

    def number(self, row: Sequence[str], name: str) -> int:
        """Return a count; 0 where this row or version has none."""
        text = self.text(row, name)
        return int(text) if text.isascii() and text.isdigit() else 0

    def answered(self, row: Sequence[str]) -> int:
        """Return how many requests were answered, by any status."""
        return sum(self.number(row, name) for name in ANSWERS)


def pool_reading(tables: Sequence[Table]) -> PoolReading:
    """Return a pool from the tables of all workers, the newest first: counters are its own, gauges are summed."""
    newest = tables[0]
    backend = newest.rows["BACKEND"]
    servers = {ServerName(name): _server(tables, name) for name in newest.rows if name != "BACKEND"}
    return PoolReading(
        servers=servers,
        requests=newest.answered(backend),
        # The backend's own row also has what HAProxy answered itself: 503 without a server, 502, 504.
        errors=newest.number(backend, "hrsp_5xx"),
        in_flight=sum(table.number(table.rows["BACKEND"], name) for table in tables for name in ("scur", "qcur")),
    )


def _server(tables: Sequence[Table], name: str) -> ServerReading:
    newest, row = tables[0], tables[0].rows[name]
    status, weight = newest.text(row, "status"), newest.number(row, "weight")
    serving = status.startswith(SERVING)
    detail = "" if serving else " ".join(part for part in (status, newest.text(row, "last_chk")) if part)
    return ServerReading(
        up=serving or status.startswith(("DRAIN", "NOLB")),
        usable=serving and weight > 0,
        weight=weight,
        requests=newest.answered(row),
        errors=sum(newest.number(row, column) for column in ("hrsp_5xx", "eresp", "econ")),
        retries=sum(newest.number(row, column) for column in ("wretr", "wredis")),
        in_flight=sum(table.number(table.rows[name], "scur") for table in tables if name in table.rows),
        queued=sum(table.number(table.rows[name], "qcur") for table in tables if name in table.rows),
        detail=detail,
    )

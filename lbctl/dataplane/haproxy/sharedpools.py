"""What each colour did where both share one backend: from the rows of its servers, and what no server saw."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from lbctl.dataplane.haproxy.statistics import Figures, Servers, Table
from lbctl.model.names import Colour, Generation, ServerName
from lbctl.model.reading import PoolReading, Rows, ServerReading
from lbctl.model.route import Route
from lbctl.model.units import BP_FULL


@dataclass(slots=True)
class Unserved:
    """Failures that HAProxy answered without a server, by the colour that had all new traffic when they were seen."""

    life: Generation | None = None
    seen: int = 0
    by_colour: dict[Colour, int] = field(default_factory=dict)

    def take(self, life: Generation, count: int, route: Route) -> None:
        """Take in how many there are in all. A server's own failure is counted there before it is counted here, so
        the number may fall for a moment and rise again."""
        if life != self.life:
            self.life, self.seen, self.by_colour = life, count, {}
        fresh = max(0, count - self.seen)
        self.seen += fresh
        whole = next((colour for colour in Colour if route.share_bp(colour) == BP_FULL), None)
        if whole is not None:
            self.by_colour[whole] = self.by_colour.get(whole, 0) + fresh


class SharedPools:
    """Makes readings of two pools in one backend."""

    def __init__(self, backend: str, pools: Mapping[Colour, Iterable[ServerName]]) -> None:
        self._backend = backend
        self._names = {colour: frozenset(names) for colour, names in pools.items()}
        self._servers = Servers(weighed=False)
        self._unserved = Unserved()

    def reading(self, life: Generation, tables: Sequence[Table], route: Route) -> dict[Colour, PoolReading]:
        """Return both pools from the tables of all workers, the newest first; `route` is what that one routes."""
        servers, good = self._servers.reading(self._backend, tables[0], tables[1:])
        rows = {colour: self._rows(tables, names) for colour, names in self._names.items()}
        own = Figures(tables[0].own)
        counted = sum(one.errors for newest, _ in rows.values() for one in newest)
        self._unserved.take(life, own.failures + own.aborts - counted, route)
        flowing = max(0, sum(good.values()) - own.good)
        found = {}
        for colour, (newest, older) in rows.items():
            named = {name: one for name, one in servers.items() if name in self._names[colour]}
            found[colour] = _pool(named, newest, older, flowing, self._unserved.by_colour.get(colour, 0))
        return found

    def _rows(self, tables: Sequence[Table], names: frozenset[ServerName]) -> tuple[list[Figures], list[Figures]]:
        found = [[Figures(row) for name, row in table.rows.items() if ServerName(name) in names] for table in tables]
        return found[0], [figures for rest in found[1:] for figures in rest]

    def given(self, colour: Colour, tables: Mapping[Generation, Table]) -> Rows:
        """Return how many requests each server of a pool was ever given, by worker. A worker from before a reload may
        have servers that the newest one lacks."""
        return {
            life: {
                server: Figures(row).total
                for name, row in table.rows.items()
                if (server := ServerName(name)) in self._names[colour]
            }
            for life, table in tables.items()
        }


def _pool(
    servers: Mapping[ServerName, ServerReading],
    newest: Sequence[Figures],
    older: Sequence[Figures],
    flowing: int,
    unserved: int,
) -> PoolReading:
    """A request counts with the head of its answer. A server's failed answer is none in its row; one that broke off is
    there twice, and counts twice among the requests. Whose the answers under way are nobody knows: each pool's."""
    requests = unserved + sum(sum(one.answers) + one.errors - one.failures for one in newest)
    waiting = max(0, sum(one.running + one.queued for one in newest) - flowing)
    return PoolReading(
        servers=servers,
        requests=requests,
        errors=unserved + sum(one.errors for one in newest),
        in_flight=sum(one.running + one.queued for one in (*newest, *older)),
        retries=sum(one.retries for one in newest),
        started=requests + waiting,
        answered=requests,
    )

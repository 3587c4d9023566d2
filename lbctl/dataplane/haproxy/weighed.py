"""A backend with the servers of both colours: whose weight is what in one worker, and which route that is. Pure."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from lbctl.dataplane.haproxy.apportion import Units, apportion
from lbctl.dataplane.haproxy.statemap import DEFAULT, parse_value
from lbctl.dataplane.haproxy.statistics import BACKEND, is_serving
from lbctl.model.digits import count
from lbctl.model.errors import Garbled
from lbctl.model.names import Colour, ServerName
from lbctl.model.route import Route
from lbctl.model.topology import Service
from lbctl.model.units import BP_FULL

COLUMNS = ("status", "uweight", "lastchg", "agent_status", "cookie", "bck", "algo", "mode")
TOLERANCE_BP = 0.5
"""A share nearer than this to the best one that whole weights can make is that one."""
NOBODY_BP = BP_FULL // 2
"""What is read where no server has any weight: no route that lbctl wants at rest, so it is put right."""

Weights = Mapping[ServerName, int]
Pools = Mapping[Colour, Mapping[ServerName, "Weighed"]]


@dataclass(frozen=True, slots=True)
class Weighed:
    """One server row. `weight` is the one that was ordered, without a slow start; `agent` an agent check's status."""

    serving: bool
    weight: int
    unchanged_s: int = 0
    agent: str = ""
    cookie: str = ""
    backup: bool = False


@dataclass(frozen=True, slots=True)
class Backend:
    """One `show stat` answer: every row by name, and what the backend's own row says of the whole."""

    rows: Mapping[ServerName, Weighed]
    algorithm: str
    cookie: str
    mode: str

    def of(self, service: Service, colour: Colour) -> dict[ServerName, Weighed]:
        """The rows of one pool, in the order of the config; what HAProxy does not have is missing."""
        named = (server.name for server in service.pool(colour).servers)
        return {name: self.rows[name] for name in named if name in self.rows}


def parse_backend(backend: str, lines: Sequence[str]) -> Backend:
    """Return what `show stat` says about a backend. Raises Garbled."""
    if not lines or not lines[0].startswith("# "):
        raise Garbled(f"HAProxy has no backend {backend}: `lbctl config render haproxy` prints it")
    header = lines[0][2:].split(",")
    if missing := [column for column in COLUMNS if column not in header]:
        raise Garbled(f"HAProxy's `show stat` has no column {missing[0]}: 2.4 or newer is needed")
    places = [header.index(column) for column in COLUMNS]
    found = {}
    for line in lines[1:]:
        fields = line.split(",")
        if len(fields) > max(places) and fields[0] == backend:
            found[fields[1]] = [fields[place] for place in places]
    own = found.pop(BACKEND, None)
    if own is None:
        raise Garbled(f"HAProxy has no backend {backend}: `lbctl config render haproxy` prints it")
    rows = {
        ServerName(name): Weighed(is_serving(status), count(weight), count(unchanged), agent, cookie, backup == "1")
        for name, (status, weight, unchanged, agent, cookie, backup, *_) in found.items()
    }
    return Backend(rows, algorithm=own[6], cookie=own[4], mode=own[7])


def seal(weights: Weights) -> str:
    """Return what stands for exactly these weights: a change by any other hand breaks it."""
    text = ",".join(f"{name}={weight}" for name, weight in sorted(weights.items()))
    return f"{zlib.crc32(text.encode()):08x}"


def pools_of(service: Service, backend: Backend) -> dict[Colour, dict[ServerName, Weighed]]:
    """Return the rows of both pools."""
    return {colour: backend.of(service, colour) for colour in Colour}


def all_weights(pools: Pools) -> dict[ServerName, int]:
    """Return the weights of both pools."""
    return {name: row.weight for rows in pools.values() for name, row in rows.items()}


def route_of(value: str, pools: Pools) -> tuple[Route, Route | None]:
    """Return what a worker routes by its map value and its weights, and what it does instead where servers died.

    With an unbroken seal the weights are those that were ordered for the value's route. Else the weights alone say
    what new traffic gets, to the nearest basis point; the keeps are always the value's.
    """
    ordered, sealed = parse_value(value)
    usable = _units(pools, lambda row: row.weight if row.serving else 0)
    if ordered is None or not sealed or sealed != seal(all_weights(pools)):
        if usable.blue + usable.green == 0:
            usable = _units(pools, lambda row: row.weight)
        return replace(ordered or DEFAULT, green_bp=_share(usable)), None
    alive = [sum(row.serving for row in pools[colour].values()) for colour in (Colour.BLUE, Colour.GREEN)]
    return ordered, _skew(ordered, usable, *alive)


def _skew(ordered: Route, usable: Units, blue_count: int, green_count: int) -> Route | None:
    if ordered.green_bp in {0, BP_FULL} or not blue_count or not green_count:
        # One pool has it all, whoever of it lives; or there is nobody left to share with.
        return None
    best = apportion(ordered.green_bp, blue_count, green_count)
    off = abs(usable.green_bp - ordered.green_bp) - abs(best.green_bp - ordered.green_bp)
    return replace(ordered, green_bp=_share(usable)) if off > TOLERANCE_BP else None


def _share(units: Units) -> int:
    """To the nearest basis point; a pool that gets anything is never said to get nothing."""
    if not units.blue + units.green:
        return NOBODY_BP
    return min(max(round(units.green_bp), units.green > 0), BP_FULL - (units.blue > 0))


def _units(pools: Pools, weight: Callable[[Weighed], int]) -> Units:
    blue, green = (sum(map(weight, pools[colour].values())) for colour in (Colour.BLUE, Colour.GREEN))
    return Units(blue, green)

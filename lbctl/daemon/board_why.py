"""Why a version that is ready does not go yet, in the words of `lbctl why`. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from lbctl.core.holds import UNKNOWN_CALLER
from lbctl.core.matching import strangers
from lbctl.core.matrix import recent
from lbctl.core.state import State
from lbctl.daemon.why_line import why_line
from lbctl.model.topology import Unit
from lbctl.model.units import Instant, since

Json = dict[str, Any]


def board_lines(board: Mapping[str, Json]) -> list[Json]:
    """Return a line for every version on the board."""
    return [
        why_line(
            "board",
            f"{name} {ready['version']} is ready: {ready['waits']}{_doubted(ready)}",
            ready["since_ms"],
            "what it waits for; it then goes by itself",
        )
        for name, ready in board.items()
    ]


def _doubted(ready: Json) -> str:
    return f"; but {ready['doubt']}: a release would wait for that in preflight" if ready.get("doubt") else ""


def caller_lines(state: State, units: Iterable[Unit], now: Instant) -> list[Json]:
    """Return a line for every service of these units that somebody calls who is nobody's pool."""
    return [
        why_line(
            UNKNOWN_CALLER,
            f"{found[0]}: no release takes {name} together with another service",
            since(recent(state.matrix[name].unknown, now)[0][0], now),
            found[1],
        )
        for unit in units
        for name in unit.services
        if len(unit.services) > 1 and (found := strangers(state.topology.services[name], state.matrix.get(name), now))
    ]


def board_why(target: str, lines: list[Json]) -> Json:
    """Return the answer for a service or unit that had no release yet."""
    return {"service": target, "unit": None, "release": None, "phase": None, "lines": lines}

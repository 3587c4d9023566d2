"""Servers by what they do now: rates from two looks at the counters. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lbctl.cli.screens.lines import columns

Json = dict[str, Any]
HEAD = ("SERVICE", "POOL", "SERVER", "STATE", "TRIES/S", "FAILED/S", "FAILED", "IN-FLIGHT", "WEIGHT", "DETAIL")
POOL_HEAD = ("SERVICE", "POOL", "STATE", "UP", "SHARE", "REQ/S", "ERR/S", "ERRORS", "IN-FLIGHT", "SESSIONS")


@dataclass(frozen=True, slots=True)
class Look:
    """A status, and when it was taken, in seconds of a steady clock."""

    status: Json
    at_s: float


def top(before: Look, now: Look) -> Json:
    """Return every pool and every server with its rates between the two looks; null: not known."""
    span_s = now.at_s - before.at_s
    pools, servers = [], []
    for service, view in now.status["services"].items():
        old = before.status["services"].get(service, {"pools": {}, "servers": {}})
        for colour, pool in view["pools"].items():
            pools.append({"service": service, "pool": colour, **_pool(view, colour, pool),
                          **_rates(old["pools"].get(colour), pool, span_s)})  # fmt: skip
        for name, server in view["servers"].items():
            servers.append({"service": service, "server": name, **_server(server),
                            **_rates(old["servers"].get(name), server, span_s)})  # fmt: skip
    return {"seconds": round(span_s, 3), "pools": pools, "servers": servers}


def _rates(before: Mapping[str, Any] | None, now: Mapping[str, Any], span_s: float) -> Json:
    requests, errors = _grown(before, now, "requests"), _grown(before, now, "errors")
    if requests is None or errors is None or span_s <= 0:
        return {"requests_per_s": None, "errors_per_s": None, "error_ratio": None}
    ratio = min(1.0, errors / requests) if requests else None
    return {
        "requests_per_s": round(requests / span_s, 3),
        "errors_per_s": round(errors / span_s, 3),
        "error_ratio": None if ratio is None else round(ratio, 6),
    }


def _grown(before: Mapping[str, Any] | None, now: Mapping[str, Any], counter: str) -> int | None:
    """None where a look could not read it, or where it fell: a load balancer's new life counts from nothing."""
    old = None if before is None else before[counter]
    new = now[counter]
    return None if old is None or new is None or new < old else new - old


def _pool(view: Json, colour: str, pool: Json) -> Json:
    sessions = view.get("sessions", {}).get(colour, {})
    shares = [int(route.split(":")[0]) for one in view["instances"].values() for route in one["routes"]]
    green = shares[0] if len(set(shares)) == 1 else None
    share = None if green is None else green if colour == "green" else 10_000 - green
    return {
        "state": pool["state"],
        "up_count": pool["up_count"],
        "server_count": pool["server_count"],
        "share_bp": share,
        "in_flight": pool["in_flight"],
        "sessions": sessions.get("count"),
    }


def _server(server: Json) -> Json:
    return {
        "pool": server["pool"],
        "state": state_of(server),
        "in_flight": server["in_flight"],
        "weight": server["weight"],
        "detail": server["detail"],
    }


def state_of(server: Json) -> str:
    """Return one word for what a server is."""
    drained = server.get("drained")
    if drained and server["up"] is not False:
        return "drained" if drained["state"] == "drain" else "undrained"
    if server.get("draining"):
        return "drained"
    return {True: "up", False: "down", None: "unknown"}[server["up"]]


ORDERS = ("name", "requests", "errors", "in flight")
_KEYS = {"requests": "requests_per_s", "errors": "errors_per_s", "in flight": "in_flight"}
GLYPHS = {"up": "●", "down": "✖", "unknown": "?", "drained": "◐", "undrained": "◐"}


def screen(found: Json, order: str = "name") -> list[str]:
    """Return the pools, then the servers; by name, or the busiest first."""
    servers = list(found["servers"])
    if order in _KEYS:
        servers.sort(key=lambda one: -(one[_KEYS[order]] or 0))
    pools = columns([POOL_HEAD, *map(_pool_row, found["pools"])])
    return [*pools, "", *columns([HEAD, *map(_server_row, servers)])]


def _pool_row(one: Json) -> tuple[str, ...]:
    share = "?" if one["share_bp"] is None else f"{one['share_bp'] / 100:g} %"
    up = f"{one['up_count']}/{one['server_count']}"
    rates = (_number(one["requests_per_s"]), _number(one["errors_per_s"]), _ratio(one["error_ratio"]))
    return (one["service"], one["pool"], one["state"] or "-", up, share, *rates, _whole(one["in_flight"]),
            _whole(one["sessions"]))  # fmt: skip


def _server_row(one: Json) -> tuple[str, ...]:
    rates = (_number(one["requests_per_s"]), _number(one["errors_per_s"]), _ratio(one["error_ratio"]))
    return (one["service"], one["pool"], one["server"], f"{GLYPHS[one['state']]} {one['state']}", *rates,
            _whole(one["in_flight"]), _whole(one["weight"]), one["detail"])  # fmt: skip


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.1f}"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.3g} %"


def _whole(value: int | None) -> str:
    return "?" if value is None else str(value)

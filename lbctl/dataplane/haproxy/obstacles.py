"""What keeps weights from making a share: other hands on them, or a backend that does not follow them. Pure."""

from collections.abc import Iterator

from lbctl.dataplane.haproxy.serverstate import States
from lbctl.dataplane.haproxy.weighed import Backend, Pools
from lbctl.model.names import Colour
from lbctl.model.topology import Service

FOLLOWS = "roundrobin"
"""The only algorithm that gives exactly the share of the weights. Measured at 5 %: `random` 8 %, `leastconn` 70 %."""
LOADED_MARGIN_S = 5
NEVER_CHANGED_S = 1


def obstacles(service: Service, backend: Backend, pools: Pools, states: States, uptime_s: int) -> tuple[str, ...]:
    """Return, as `CODE: text`, why nothing may go forward with this service as its backend stands."""
    name = service.haproxy.backends[Colour.BLUE] if service.haproxy is not None else service.name
    return (
        *_algorithm(name, backend),
        *_strangers(name, backend, pools),
        *_agents(name, pools),
        *_backups(name, pools),
        *_cookies(name, backend, pools),
        *_uneven(name, pools, states),
        *_undurable(name, pools, uptime_s),
    )


def _algorithm(name: str, backend: Backend) -> Iterator[str]:
    if backend.algorithm not in {FOLLOWS, ""}:
        yield (
            f"BALANCE_IGNORES_WEIGHTS: backend {name} has `balance {backend.algorithm}`, which does not give every "
            f"server its weight's part: write `balance {FOLLOWS}`, or use form `map`"
        )


def _strangers(name: str, backend: Backend, pools: Pools) -> Iterator[str]:
    known = {server for rows in pools.values() for server in rows}
    if strangers := sorted(set(backend.rows) - known):
        yield f"UNKNOWN_SERVER: {name}/{strangers[0]} is in no pool, and takes its part of the traffic: add it to one"
    for colour, rows in pools.items():
        if not rows:
            yield f"NO_SERVER: backend {name} has no server of pool {colour}: are the names HAProxy's own?"


def _agents(name: str, pools: Pools) -> Iterator[str]:
    for rows in pools.values():
        for server, row in rows.items():
            if row.agent:
                yield (
                    f"AGENT_OWNS_WEIGHT: {name}/{server} has an agent check, which sets its weight anew at every "
                    "answer: remove `agent-check`, or use form `map`"
                )


def _backups(name: str, pools: Pools) -> Iterator[str]:
    for rows in pools.values():
        for server, row in rows.items():
            if row.backup:
                then = "which gets nothing while others live: delete the word"
                yield f"BACKUP_SERVER: {name}/{server} is a `backup`, {then}"


def _cookies(name: str, backend: Backend, pools: Pools) -> Iterator[str]:
    for rows in pools.values():
        for server, row in rows.items():
            if backend.cookie and not row.cookie:
                yield (
                    f"SERVER_WITHOUT_COOKIE: {name}/{server} has no cookie value, so its users change server and pool "
                    "at every request (a server added at run time cannot have one): write it into the config and reload"
                )


def _uneven(name: str, pools: Pools, states: States) -> Iterator[str]:
    for colour, rows in pools.items():
        configured = {states[server].configured for server in rows if server in states}
        if len(configured) > 1:
            yield (
                f"UNEVEN_WEIGHTS: the servers of pool {colour} in {name} are configured with weights from "
                f"{min(configured)} to {max(configured)}, and form `weights` would make them equal: use form `map`"
            )


def _undurable(name: str, pools: Pools, uptime_s: int) -> Iterator[str]:
    """A server cannot be in its state for longer than its process lives, unless a state file said so.

    Where every server has changed its state since the start nothing can be said, and nothing is.
    """
    since = [row.unchanged_s for rows in pools.values() for row in rows.values()]
    loaded = any(one >= uptime_s + LOADED_MARGIN_S for one in since)
    if not loaded and any(abs(one - uptime_s) <= NEVER_CHANGED_S for one in since):
        yield (
            f"NOT_DURABLE: backend {name} did not load lbctl's server-state file, and a reload would bring back the "
            "configured weights: include the two lines about it that `lbctl config render haproxy` prints, and reload"
        )

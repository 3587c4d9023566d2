"""What Envoy counts, read as pools and servers. What each figure means was checked on the real process."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address
from urllib.parse import quote

import msgspec

from lbctl.dataplane.envoy import calls
from lbctl.dataplane.envoy.clusters import DRAINING
from lbctl.dataplane.envoy.layout import cell_name, cluster_name, preview_name
from lbctl.dataplane.envoy.times import DETAILED, HISTOGRAM
from lbctl.dataplane.envoy.version import Written, parse
from lbctl.model.digits import count
from lbctl.model.errors import Garbled
from lbctl.model.names import Colour, ServerName
from lbctl.model.reading import Admin, PoolReading, ServerReading
from lbctl.model.route import Cell
from lbctl.model.topology import Address, Pool, Protocol, Service
from lbctl.notjson import NOT_JSON

CLUSTERS = "/clusters?format=json"
_USE = ("total", "active", "pending_active")
"""Figures that every cluster has from its beginning; the others come with the first answer."""
Stats = Mapping[str, str]


class _Health(msgspec.Struct):
    eds_health_status: str = "HEALTHY"
    failed_active_health_check: bool = False
    failed_outlier_check: bool = False
    pending_active_hc: bool = False
    active_hc_timeout: bool = False


class _Stat(msgspec.Struct):
    name: str = ""
    value: str | int = 0


class _SocketAddress(msgspec.Struct):
    address: str = ""
    port_value: int = 0


class _Address(msgspec.Struct):
    socket_address: _SocketAddress = msgspec.field(default_factory=_SocketAddress)


class Host(msgspec.Struct):
    """One server as `/clusters` shows it."""

    address: _Address = msgspec.field(default_factory=_Address)
    stats: list[_Stat] = msgspec.field(default_factory=list)
    health_status: _Health = msgspec.field(default_factory=_Health)
    weight: int = 1


class _Cluster(msgspec.Struct):
    name: str = ""
    host_statuses: list[Host] = msgspec.field(default_factory=list)


class _Clusters(msgspec.Struct):
    cluster_statuses: list[_Cluster] = msgspec.field(default_factory=list)


Hosts = Mapping[str, Mapping[tuple[str, int], Host]]
_CLUSTERS = msgspec.json.Decoder(_Clusters)


def stats_target(services: Sequence[Service], *, times: bool = False) -> str:
    """Return the one request that brings every figure needed of `services`, with `times` also their histograms."""
    names = _any(service.name for service in services)
    histogram = f"|{HISTOGRAM}" if times else ""
    figures = [
        rf"cluster\.{names}_(blue|green)\.(upstream_rq_(active|pending_active|total|completed|5xx|retry){histogram})"
    ]
    previewed = [service.name for service in services if service.preview]
    if previewed:
        figures.append(
            rf"cluster\.{_any(previewed)}/preview/(blue|green)\.upstream_rq_(active|pending_active|total|completed)"
        )
    called = [service.name for service in services if service.protocol is Protocol.GRPC]
    if called:
        wanted = _any([*calls.NAMES, *(f"upstream_rq_{status}" for status in calls.STATUSES), "upstream_rq_total"])
        figures.append(rf"cluster\.{_any(called)}_(blue|green)\.{wanted}")
    consumed = [service.name for service in services if service.consumers]
    if consumed:
        figures.append(rf"vhost\.{_any(consumed)}\.route\..+_to_(blue|green)\.upstream_rq_total")
    figures.append(rf"http\..+\.rds\.{names}\.(version_text|update_rejected|update_failure)")
    return f"/stats?filter={quote(f'^({_any_of(figures)})$', safe='')}{DETAILED if times else ''}"


def _any(texts: Iterable[str]) -> str:
    return f"({_any_of(re.escape(text) for text in texts)})"


def _any_of(patterns: Iterable[str]) -> str:
    return "|".join(patterns)


def read_stats(body: bytes) -> Stats:
    """Return name → value of a text answer of `/stats`."""
    lines = (line.partition(": ") for line in body.decode("utf-8", "replace").splitlines())
    return {name: value.strip('"') for name, _, value in lines}


def read_hosts(body: bytes) -> Hosts:
    """Return cluster → (address, port) → server. Raises Garbled for what is no such answer."""
    try:
        clusters = _CLUSTERS.decode(body).cluster_statuses
    except NOT_JSON as error:
        raise Garbled(f"envoy's /clusters cannot be understood: {error}") from error
    return {cluster.name: {_where(host): host for host in cluster.host_statuses} for cluster in clusters}


def is_routed(service: Service, stats: Stats) -> bool:
    """Whether Envoy takes the routes of that service from anywhere."""
    return any(True for _ in _told(service, stats, "version_text"))


def running_route(service: Service, stats: Stats) -> Written | None:
    """Return the route configuration that Envoy confirms, None where it has none of lbctl's, or is just changing."""
    running = {parse(text) for text in _told(service, stats, "version_text")}
    return running.pop() if len(running) == 1 else None


def refusals(service: Service, stats: Stats) -> int:
    """Return how often Envoy refused a route file: wrong in meaning, or no JSON."""
    told = (*_told(service, stats, "update_rejected"), *_told(service, stats, "update_failure"))
    return sum(map(count, told))


def counts_calls(service: Service, cells: Sequence[Cell], stats: Stats) -> bool:
    """Whether Envoy shows every cell: what its `stats_config` hides would look like no calls."""
    return all(_cell(service, cell) in stats for cell in cells)


def matrix(service: Service, cells: Sequence[Cell], stats: Stats) -> dict[Cell, int]:
    """Return the calls of every cell that has any: they count when a server gets them, not when it has answered."""
    return {cell: count for cell in cells if (count := _number(stats, _cell(service, cell)))}


def _cell(service: Service, cell: Cell) -> str:
    return f"vhost.{service.name}.route.{cell_name(cell)}.upstream_rq_total"


def pool_reading(service: Service, colour: Colour, stats: Stats, hosts: Hosts) -> PoolReading:
    """Return one pool. `completed` and `5xx` hold what Envoy answered itself: no usable server, no connection.

    Neither holds an attempt that was repeated, be it a connection or an answer that a retry policy did not take: those
    are in `retry`.
    """
    name = cluster_name(service.name, colour)
    scope = f"cluster.{name}.upstream_rq"
    counted = [_counted(host) for host in hosts.get(name, {}).values()]
    pool = PoolReading(
        servers=_servers(service.pool(colour), hosts.get(name, {})),
        started=sum(stats.get("rq_total", 0) for stats in counted),
        # A failed connection is an error without having been handed out: too high by those, which only hides.
        answered=sum(stats.get("rq_success", 0) + stats.get("rq_error", 0) for stats in counted),
        requests=_number(stats, f"{scope}_completed"),
        errors=_number(stats, f"{scope}_5xx"),
        in_flight=_in_flight(stats, name) + _in_flight(stats, preview_name(service.name, colour)),
        retries=_number(stats, f"{scope}_retry"),
    )
    return _called(pool, stats, f"cluster.{name}") if service.protocol is Protocol.GRPC else pool


def arrived(service: Service, colour: Colour, stats: Stats) -> int:
    """Return what grows with every request or preview that comes to a pool: when a server gets it, and, of those that
    Envoy answers without one, when it is answered. A witness and no count: most requests are in both figures."""
    names = (cluster_name(service.name, colour), preview_name(service.name, colour))
    return sum(_number(stats, f"cluster.{one}.upstream_rq_{word}") for one in names for word in ("total", "completed"))


def tells_use(service: Service, colour: Colour, stats: Stats) -> bool:
    """Whether Envoy shows what comes to a pool and is in flight there: what it hides would look like nobody."""
    names = [cluster_name(service.name, colour)]
    names += [preview_name(service.name, colour)] if service.preview else []
    return all(f"cluster.{one}.upstream_rq_{word}" in stats for one in names for word in _USE)


def served(service: Service, colour: Colour, stats: Stats) -> int:
    """Return how many requests and previews of a pool were answered: each once, also what Envoy answered itself."""
    names = (cluster_name(service.name, colour), preview_name(service.name, colour))
    return sum(_number(stats, f"cluster.{one}.upstream_rq_completed") for one in names)


def _in_flight(stats: Stats, cluster: str) -> int:
    return sum(_number(stats, f"cluster.{cluster}.upstream_rq_{word}") for word in ("active", "pending_active"))


def _called(pool: PoolReading, stats: Stats, scope: str) -> PoolReading:
    """A gRPC call is good or bad by how it ends. A server's own figures tell of it only then, so that a stream would
    seem to wait for its answer: those of the pool tell when it begins."""
    ended = _calls(stats, scope)
    return replace(
        pool,
        requests=ended.ended,
        errors=ended.failed,
        started=_number(stats, f"{scope}.upstream_rq_total"),
        answered=_number(stats, f"{scope}.upstream_rq_completed") + pool.retries,
    )


def _calls(stats: Stats, cluster: str) -> calls.Calls:
    names = (*calls.NAMES, *(f"upstream_rq_{status}" for status in calls.STATUSES))
    return calls.calls({name: _number(stats, f"{cluster}.{name}") for name in names})


def _servers(pool: Pool, hosts: Mapping[tuple[str, int], Host]) -> dict[ServerName, ServerReading]:
    return {server.name: _server(hosts.get(_key(server.address))) for server in pool.servers}


def _server(host: Host | None) -> ServerReading:
    """`rq_error` also counts connections that failed, `rq_total` does not: attempts are what ended well or badly."""
    if host is None:
        gone = "Envoy does not know this server (yet)"
        return ServerReading(
            up=False, usable=False, weight=0, requests=0, errors=0, retries=0, in_flight=0, detail=gone
        )
    counted = _counted(host)
    errors = counted.get("rq_error", 0)
    detail = _why_down(host.health_status)
    return ServerReading(
        up=not detail,
        usable=not detail and host.health_status.eds_health_status in {"HEALTHY", "UNKNOWN"},
        weight=host.weight,
        requests=counted.get("rq_success", 0) + errors,
        errors=errors,
        retries=0,
        in_flight=counted.get("rq_active", 0),
        detail=detail or ("drained" if _is_drained(host) else ""),
        admin=Admin.DRAIN if _is_drained(host) else Admin.READY,
    )


def _is_drained(host: Host) -> bool:
    return host.health_status.eds_health_status == DRAINING


def _counted(host: Host) -> dict[str, int]:
    return {stat.name: count(str(stat.value)) for stat in host.stats}


def _why_down(health: _Health) -> str:
    if health.failed_active_health_check:
        late = health.active_hc_timeout
        waiting = health.pending_active_hc
        return "not checked yet" if waiting else "its health check times out" if late else "its health check fails"
    return "ejected after errors" if health.failed_outlier_check else ""


def _where(host: Host) -> tuple[str, int]:
    return _normal(host.address.socket_address.address), host.address.socket_address.port_value


def _key(address: Address) -> tuple[str, int]:
    return _normal(address.host), address.port


def _normal(host: str) -> str:
    try:
        return ip_address(host).compressed
    except ValueError:
        return host


def _told(service: Service, stats: Stats, word: str) -> Iterator[str]:
    """By whichever listeners that route this service: those that read from one file share one subscription."""
    end = f".rds.{service.name}.{word}"
    return (value for name, value in stats.items() if name.startswith("http.") and name.endswith(end))


def _number(stats: Stats, name: str) -> int:
    return count(stats.get(name, ""))

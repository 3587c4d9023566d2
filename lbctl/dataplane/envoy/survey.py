"""What an Envoy that others configured lacks for lbctl, read from its `/config_dump`. Pure: JSON in, sentences out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lbctl.dataplane.envoy import stamps
from lbctl.dataplane.envoy.dump import at, in_force, listed, text
from lbctl.dataplane.envoy.layout import Layout, cluster_name, preview_name
from lbctl.dataplane.envoy.render import FLUSH_INTERVAL
from lbctl.model.names import Colour, ServiceName
from lbctl.model.topology import Protocol, Service

RENDER = "compare with what `lbctl config render envoy` prints"
_MANAGER = "HttpConnectionManager"
_STATEFUL, _GRPC_STATS = "StatefulSession", "grpc_stats.v3.FilterConfig"
_STARTED_WITH = "BootstrapConfigDump"
FLUSH_DEFAULT = "5s"
FLUSH_MAX_S = 1.0


@dataclass(slots=True)
class Survey:
    """`faults`: it cannot be driven like this. `lacking`: it can, but not with everything."""

    faults: list[str] = field(default_factory=list)
    lacking: dict[ServiceName, list[str]] = field(default_factory=dict)

    def fault(self, service: Service, what: str) -> None:
        """Note a fault; the same service may have several listeners, all with the same one."""
        text = f"{service.name}: {what}"
        if text not in self.faults:
            self.faults.append(text)

    def lacks(self, service: Service, code: str, what: str) -> None:
        """Note what cannot be done."""
        text = f"{code}: {service.name}: {what}"
        found = self.lacking.setdefault(service.name, [])
        if text not in found:
            found.append(text)


def survey(dump: Any, services: Sequence[Service], layout: Layout) -> Survey:
    """Return what `services` lack in the Envoy that told `dump`."""
    found = Survey()
    managers = list(in_force(dump, "ListenersConfigDump", _MANAGER))
    proxies = list(in_force(dump, "ListenersConfigDump", "TcpProxy"))
    clusters = {text(one, "name"): one for one in _clusters(dump)}
    late = _late(dump)
    for service in services:
        if late and service.protocol is not Protocol.TCP:
            found.lacks(service, "LATE_TIMES", late)
        mine = [one for one in managers if text(one, "rds", "route_config_name") == service.name]
        _routes(service, mine, layout, found)
        _sessions(service, mine, found)
        for problem in stamps.faults(service, mine, proxies) if mine else ():
            found.fault(service, f"{problem}; {RENDER}")
        for colour in Colour:
            _pool(service, colour, clusters.get(cluster_name(service.name, colour)), found)
            name = preview_name(service.name, colour)
            if service.preview and name not in clusters:
                found.fault(service, f"this Envoy has no cluster {name}, which answers previews: add it; {RENDER}")
    return found


def reads_servers_from(dump: Any, layout: Layout) -> frozenset[str]:
    """Return the clusters whose servers come from lbctl's own file."""
    return frozenset(
        name
        for one in _clusters(dump)
        if (name := text(one, "name"))
        and text(one, "eds_cluster_config", "eds_config", "path_config_source", "path") == str(layout.endpoints(name))
    )


def _routes(service: Service, managers: Sequence[Any], layout: Layout, found: Survey) -> None:
    if not managers:
        missing = f"no listener of this Envoy takes its routes by `rds: {{route_config_name: {service.name}, …}}`"
        found.fault(service, f"{missing}; {RENDER}")
    for manager in managers:
        problem = _source_fault(at(manager, "rds", "config_source"), layout.routes(service.name))
        if problem:
            found.fault(service, problem)


def _source_fault(source: Any, wanted: Path) -> str:
    """Why Envoy does not take what lbctl writes to `wanted`."""
    path = text(source, "path_config_source", "path") or text(source, "path")
    if not path:
        return f"its routes do not come from a file: set `path_config_source: {{path: {wanted}}}`"
    if Path(path) != wanted:
        return f"Envoy reads its routes from {path}, and lbctl writes them to {wanted}: make them one"
    watched = text(source, "path_config_source", "watched_directory", "path")
    if watched and Path(watched) != wanted.parent:
        return f"Envoy watches {watched}, where nothing changes: leave `watched_directory` out, or set {wanted.parent}"
    return ""


def _sessions(service: Service, managers: Sequence[Any], found: Survey) -> None:
    """What the listener must do so that the rules in the routes mean what they say."""
    if service.protocol is Protocol.TCP:
        return
    for manager in managers:
        filters = [text(one, "typed_config", "@type") for one in listed(at(manager, "http_filters"))]
        if not any(kind.endswith(_STATEFUL) for kind in filters):
            found.lacks(
                service,
                "NO_SERVER_SESSIONS",
                "no filter envoy.filters.http.stateful_session: a session keeps its colour, not its server",
            )
        if at(manager, "generate_request_id") is False:
            found.lacks(service, "NO_SESSIONS", "without generate_request_id no session can be known again")
        if at(manager, "use_remote_address") is not True:
            what = "without `use_remote_address: true` a client can choose when its session moves"
            found.lacks(service, "FORGEABLE_BUCKETS", what)
        if service.protocol is Protocol.GRPC and not any(kind.endswith(_GRPC_STATS) for kind in filters):
            what = "no filter envoy.filters.http.grpc_stats: a call that failed counts as good"
            found.lacks(service, "GRPC_STATUS_UNSEEN", what)


def _pool(service: Service, colour: Colour, cluster: Any, found: Survey) -> None:
    name = cluster_name(service.name, colour)
    if cluster is None:
        found.fault(service, f"this Envoy has no cluster {name}: add it; {RENDER}")
        return
    if service.protocol is Protocol.GRPC and not _speaks_http2(cluster):
        found.fault(service, f"cluster {name} does not speak HTTP/2 to its servers: gRPC needs it")
    panic = at(cluster, "common_lb_config", "healthy_panic_threshold")
    if not isinstance(panic, Mapping) or panic.get("value", 0) != 0:
        what = f"{name} uses dead servers when most are dead: set `healthy_panic_threshold: {{value: 0}}`"
        found.lacks(service, "PANIC_THRESHOLD", what)
    if text(cluster, "common_lb_config", "update_merge_window") not in {"0s", "0.0s", "0.000s"}:
        what = f"{name} may use a server up to 1 s before or after its health says so: set `update_merge_window: 0s`"
        found.lacks(service, "LATE_HEALTH", what)
    if not listed(at(cluster, "health_checks")) and at(cluster, "outlier_detection") is None:
        what = f"{name} has no health_checks: a dead server stays in use, also while lbctl is dead"
        found.lacks(service, "NO_HEALTH_CHECKS", what)
    if not listed(at(cluster, "circuit_breakers", "thresholds")):
        what = f"{name} has Envoy's default circuit_breakers: more than 1,024 requests at once are refused"
        found.lacks(service, "DEFAULT_LIMITS", what)


def _speaks_http2(cluster: Any) -> bool:
    options = at(cluster, "typed_extension_protocol_options")
    upstream = next(iter(options.values()), None) if isinstance(options, Mapping) else None
    ways = (("explicit_http_config", "http2_protocol_options"), ("auto_config",), ("use_downstream_protocol_config",))
    return any(at(upstream, *way) is not None for way in ways) or at(cluster, "http2_protocol_options") is not None


def _late(dump: Any) -> str:
    """Why times of requests come late, empty where they do not."""
    started = next((one for one in listed(at(dump, "configs")) if text(one, "@type").endswith(_STARTED_WITH)), None)
    interval = text(started, "bootstrap", "stats_flush_interval") or FLUSH_DEFAULT
    try:
        is_late = float(interval.removesuffix("s")) > FLUSH_MAX_S
    except ValueError:
        is_late = True
    return f"Envoy shows times every {interval}: set `stats_flush_interval: {FLUSH_INTERVAL}`" if is_late else ""


def _clusters(dump: Any) -> Iterator[Mapping[str, Any]]:
    return in_force(dump, "ClustersConfigDump", "config.cluster.v3.Cluster")

"""CDS and EDS: the pools. Envoy checks health itself, so that a dead lbctl leaves no dead server in use."""

from collections.abc import Collection
from typing import Any

from lbctl.dataplane.envoy.layout import Layout, check_names, cluster_name, preview_name, tunnel_name
from lbctl.model.errors import Garbled
from lbctl.model.names import Colour, ServerName
from lbctl.model.topology import HealthCheck, Probe, Protocol, Server, Service
from lbctl.model.units import Span

Json = dict[str, Any]
_API = "type.googleapis.com/envoy"
_CONNECT_ONLY = HealthCheck(kind=Probe.TCP)
DRAINING = "DRAINING"
_MANY = 65_536
_MOST = {"max_connections": _MANY, "max_pending_requests": _MANY, "max_requests": _MANY, "max_retries": 1_024}
LIMITS: Json = {"thresholds": [{"priority": "DEFAULT", **_MOST}]}
"""Envoy's own circuit breakers of 1,024 would refuse users; what bounds a pool is the pool."""


def cluster(service: Service, colour: Colour, layout: Layout | None) -> Json:
    """Return the cluster of one pool; with `layout` its servers come from an EDS file, else they are part of it.

    Raises:
        Garbled: health over TLS without `tls:`; the text names the service.
    """
    check_names(service)
    name = cluster_name(service.name, colour)
    head: Json = {"@type": f"{_API}.config.cluster.v3.Cluster", "name": name, "connect_timeout": "1s"}
    return head | _members(service, colour, layout) | _conduct(service)


def clusters(service: Service, layout: Layout | None) -> list[Json]:
    """Return all clusters of a service: both pools, those for previews, for TCP the way to the inner end of its tunnel.

    Raises Garbled as `cluster`.
    """
    pools = [cluster(service, colour, layout) for colour in Colour]
    previews = [preview(service, colour, layout) for colour in Colour] if service.preview else []
    return [*pools, *previews, *([tunnel(service)] if service.protocol is Protocol.TCP else [])]


def preview(service: Service, colour: Colour, layout: Layout | None) -> Json:
    """Return the cluster that answers previews of a pool: its servers, without checks of its own, so that nobody is
    checked twice. One that refuses is passed over. Raises Garbled as `cluster`."""
    whole = cluster(service, colour, layout)
    unchecked = {key: value for key, value in whole.items() if key != "health_checks"}
    if layout is not None:
        unchecked["eds_cluster_config"] = whole["eds_cluster_config"] | {"service_name": whole["name"]}
    return unchecked | {"name": preview_name(service.name, colour)}


def tunnel(service: Service) -> Json:
    """Return the cluster through which users' TCP connections reach the listener that knows the routes."""
    name = tunnel_name(service.name)
    kind = f"{_API}.extensions.transport_sockets"
    plain = {"name": "envoy.transport_sockets.raw_buffer", "typed_config": {"@type": f"{kind}.raw_buffer.v3.RawBuffer"}}
    inside = {"@type": f"{kind}.internal_upstream.v3.InternalUpstreamTransport", "transport_socket": plain}
    end = {"address": {"envoy_internal_address": {"server_listener_name": name}}}
    return {
        "@type": f"{_API}.config.cluster.v3.Cluster",
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "circuit_breakers": LIMITS,
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": end}]}]},
        "transport_socket": {"name": "envoy.transport_sockets.internal_upstream", "typed_config": inside},
        **http_protocol({"explicit_http_config": {"http2_protocol_options": {}}}),
    }


def assignment(service: Service, colour: Colour, drained: Collection[ServerName] = ()) -> Json:
    """Return the servers of one pool; those that are drained keep their sessions and get no new ones."""
    endpoints = [
        _endpoint(service, server) | ({"health_status": DRAINING} if server.name in drained else {})
        for server in service.pool(colour).servers
    ]
    return {
        "@type": f"{_API}.config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": cluster_name(service.name, colour),
        "endpoints": [{"lb_endpoints": endpoints}],
    }


def _members(service: Service, colour: Colour, layout: Layout | None) -> Json:
    if layout is None:
        inline = {key: value for key, value in assignment(service, colour).items() if key != "@type"}
        return {"type": "STATIC", "load_assignment": inline}
    path = str(layout.endpoints(cluster_name(service.name, colour)))
    source = {"resource_api_version": "V3", "path_config_source": {"path": path}}
    return {"type": "EDS", "eds_cluster_config": {"eds_config": source}}


def _conduct(service: Service) -> Json:
    """How Envoy treats the servers; a panic threshold of 0 because a dead pool must say 503, not use dead servers."""
    conduct: Json = {
        "lb_policy": "LEAST_REQUEST",
        "common_lb_config": {
            "healthy_panic_threshold": {"value": 0},
            # Envoy tells its workers of servers' health at most once a second unless told 0, while its admin socket,
            # which lbctl reads, says at once that they are healthy: a pool got its first traffic before that.
            "update_merge_window": "0s",
            # A server that is being drained keeps its sessions and gets no new ones.
            "override_host_status": {"statuses": ["UNKNOWN", "HEALTHY", "DEGRADED", "DRAINING"]},
        },
        "circuit_breakers": LIMITS,
        "health_checks": [_health_check(service)],
        # A server taken out of the config is left at once, not only when it fails its checks.
        "ignore_health_on_host_removal": True,
        **_protocol(service.protocol),
    }
    if _over_tls(service):
        conduct["transport_socket"] = _tls(service)
    return conduct


def _protocol(protocol: Protocol) -> Json:
    """What is spoken to the servers. HTTP/1 connections that idle are left before common servers (5 s and more) close
    them under the next request; those of HTTP/2 say good-bye, and are asked whether they still live."""
    match protocol:
        case Protocol.TCP:
            return {}
        case Protocol.HTTP:
            return http_protocol({"common_http_protocol_options": {"idle_timeout": "4s"}, **_HTTP1})
        case Protocol.GRPC:
            return http_protocol({"explicit_http_config": {"http2_protocol_options": {"connection_keepalive": _ALIVE}}})


def http_protocol(options: Json) -> Json:
    """Return the part of a cluster that says how it speaks HTTP."""
    kind = f"{_API}.extensions.upstreams.http.v3.HttpProtocolOptions"
    name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    return {"typed_extension_protocol_options": {name: {"@type": kind, **options}}}


_HTTP1: Json = {"explicit_http_config": {"http_protocol_options": {}}}
_ALIVE: Json = {"interval": "30s", "timeout": "5s"}


def _endpoint(service: Service, server: Server) -> Json:
    health = service.health
    check: Json = {"hostname": (health and health.host) or str(server.address)}
    if health is not None and health.port is not None:
        check["port_value"] = health.port
    address = {"address": server.address.host, "port_value": server.address.port}
    return {"endpoint": {"address": {"socket_address": address}, "hostname": server.name, "health_check_config": check}}


def _health_check(service: Service) -> Json:
    """The service's own check; a command cannot run inside Envoy, so there only the connection is checked."""
    health = service.health or _CONNECT_ONLY
    interval = _duration(health.interval)
    check: Json = {
        "timeout": _duration(health.timeout),
        "interval": interval,
        "no_traffic_interval": interval,
        "interval_jitter_percent": 10,
        "unhealthy_threshold": health.fall,
        "healthy_threshold": health.rise,
        "reuse_connection": health.keep_alive,
    }
    if health.kind in {Probe.HTTP, Probe.HTTPS}:
        low, high = health.status
        expected = [{"start": str(low), "end": str(high + 1)}]
        check["http_health_check"] = {"path": health.path, "expected_statuses": expected}
        # Servers that are called by HTTP/2 are asked for their health by HTTP/1, as lbctl's own prober asks.
        return check | ({"tls_options": {"alpn_protocols": ["http/1.1"]}} if _over_tls(service) else {})
    return check | {"tcp_health_check": {}}


def _over_tls(service: Service) -> bool:
    """Whether the servers speak TLS: when their check does, or when `tls:` is given and the check is not plain HTTP."""
    kind = service.health.kind if service.health else None
    return kind is Probe.HTTPS or (service.tls is not None and kind is not Probe.HTTP)


def _tls(service: Service) -> Json:
    if service.tls is None:
        raise Garbled(f"envoy: {service.name}: servers over TLS need `tls: {{ca: FILE, name: HOST}}` to be verified")
    names = [{"san_type": kind, "matcher": {"exact": service.tls.name}} for kind in ("DNS", "IP_ADDRESS")]
    trust = {"trusted_ca": {"filename": service.tls.ca}, "match_typed_subject_alt_names": names}
    context = {
        "@type": f"{_API}.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "sni": service.tls.name,
        "common_tls_context": {
            "validation_context": trust,
            **({"alpn_protocols": ["h2"]} if service.protocol is Protocol.GRPC else {}),
        },
    }
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def _duration(span: Span) -> str:
    return f"{span / 1000:.3f}s"

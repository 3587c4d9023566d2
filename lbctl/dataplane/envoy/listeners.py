"""LDS: one listener per service and one for each consumer pool that calls it by an address of its own; for TCP one
more. Nothing that may change in a release lives here: where a caller goes stands in the routes of its service."""

from collections.abc import Sequence
from typing import Any

from lbctl.dataplane.envoy.attendance import bucket_filter, counts_sessions, session_log
from lbctl.dataplane.envoy.callers import DIRECT, OVERWRITE, SOURCE, STAMP, callers_of, listener_name, listening
from lbctl.dataplane.envoy.layout import Layout, check_names, tunnel_name
from lbctl.dataplane.envoy.routes import STATEFUL_SESSION, route_configuration
from lbctl.dataplane.envoy.version import Written
from lbctl.model.errors import Garbled
from lbctl.model.route import Caller
from lbctl.model.topology import Address, Protocol, Service

Json = dict[str, Any]
_API = "type.googleapis.com/envoy"


def listeners(
    service: Service, services: Sequence[Service], routes: Layout | Written, *, counting: bool = False
) -> list[Json]:
    """Return the listeners of a service; its routes come from the RDS file, or are part of each. `counting`: they also
    count who comes back.

    Raises:
        Garbled: the service has no `listen` address, or its callers cannot be told apart.
    """
    check_names(service)
    way = _way(service, services, routes) | (_counting(service) if counting and counts_sessions(service) else {})
    doors = [_door(service, None, way), *(_door(service, caller, way) for caller, _ in listening(service))]
    if service.protocol is Protocol.TCP:
        return [*doors, tunnel_end(service, connection_manager(service, way))]
    return doors


def _counting(service: Service) -> Json:
    return {
        "access_log": [session_log(service)],
        "http_filters": [bucket_filter(service), *_by_protocol(service.protocol)["http_filters"]],
    }


def doors(service: Service) -> dict[str, Address]:
    """Return where a service listens, by the names of its listeners. Raises as `listen_of`."""
    own = {listener_name(service, caller): address for caller, address in listening(service)}
    return {str(service.name): listen_of(service), **own}


def _way(service: Service, services: Sequence[Service], routes: Layout | Written) -> Json:
    if isinstance(routes, Layout):
        source = {"resource_api_version": "V3", "path_config_source": {"path": str(routes.routes(service.name))}}
        return {"rds": {"route_config_name": service.name, "config_source": source}}
    inline = route_configuration(service, routes, callers_of(service, services))
    return {"route_config": {key: value for key, value in inline.items() if key != "@type"}}


def _door(service: Service, caller: Caller | None, way: Json) -> Json:
    """Where anybody comes in, or only the servers of one consumer pool."""
    name = str(service.name) if caller is None else listener_name(service, caller)
    is_tcp = service.protocol is Protocol.TCP
    network_filter = tcp_proxy(service, caller) if is_tcp else connection_manager(service, way, stamped(caller))
    return {
        "@type": f"{_API}.config.listener.v3.Listener",
        "name": name,
        "address": {"socket_address": _socket_address(doors(service)[name])},
        # With it a second Envoy would take half of the connections instead of failing to start.
        "enable_reuse_port": False,
        "filter_chains": [{"filters": [network_filter]}],
    }


def listen_of(service: Service) -> Address:
    """Return where the service listens.

    Raises:
        Garbled: it has no `listen` address.
    """
    if service.listen is None:
        raise Garbled(f"envoy: {service.name} has no `listen: ADDRESS:PORT`, where Envoy would take its users")
    return service.listen


def _socket_address(address: Address) -> Json:
    return {"address": address.host, "port_value": address.port}


def connection_manager(service: Service, way: Json, more: Json | None = None) -> Json:
    """Return the HTTP side of a listener.

    `use_remote_address` without any `internal_address_config` (an empty one would trust private addresses) makes
    every client an outsider: Envoy replaces its request id and drops its `x-envoy-*` orders.
    """
    manager = {
        "@type": f"{_API}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": service.name,
        "use_remote_address": True,
        "generate_request_id": True,
        "always_set_request_id_in_response": False,
        "server_header_transformation": "PASS_THROUGH",
        "stream_idle_timeout": "3600s",
        "request_headers_timeout": "30s",
        "http_protocol_options": {"accept_http_10": True, "default_host_for_http_10": service.name},
        **_by_protocol(service.protocol),
        **way,
        **(more or {}),
    }
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}


def _by_protocol(protocol: Protocol) -> Json:
    match protocol:
        case Protocol.HTTP:
            return {"http_filters": [_STATEFUL_SESSION, _ROUTER]}
        case Protocol.GRPC:
            return {"http_filters": [_GRPC_STATS, _STATEFUL_SESSION, _ROUTER]}
        case Protocol.TCP:
            # The inner end of the tunnel: one request is one user's connection, which may idle as long as it likes.
            return {
                "codec_type": "HTTP2",
                "http2_protocol_options": {"allow_connect": True},
                "upgrade_configs": [{"upgrade_type": "CONNECT"}],
                "stream_idle_timeout": "0s",
                "http_filters": [_ROUTER],
            }


def stamped(caller: Caller | None) -> Json:
    """Return the part of a connection manager that says who calls, before a route is chosen and whatever a client said.

    It is the same with and without consumers: whoever gets one need not change a listener that has users.
    """
    said = [_set(STAMP, str(caller))] if caller is not None else []
    mutation = {
        "@type": f"{_API}.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
        "mutations": [
            {"remove": STAMP},
            {"remove": SOURCE},
            *({"append": one} for one in [_set(SOURCE, DIRECT), *said]),
        ],
    }
    name = "envoy.http.early_header_mutation.header_mutation"
    return {"early_header_mutation_extensions": [{"name": name, "typed_config": mutation}]}


def _set(header: str, value: str) -> Json:
    return {"header": {"key": header, "value": value}, "append_action": OVERWRITE}


def tcp_proxy(service: Service, caller: Caller | None) -> Json:
    """Return the filter that sends a user's TCP connection, as one CONNECT request, through the routes of RDS.

    A share in `tcp_proxy` itself would be part of a listener, and a changed listener cuts connections. The request is
    Envoy's own, so it says who calls as `stamped` does.
    """
    said = [_set(STAMP, str(caller))] if caller is not None else []
    proxy = {
        "@type": f"{_API}.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": service.name,
        "cluster": tunnel_name(service.name),
        "idle_timeout": "0s",
        "tunneling_config": {"hostname": f"{service.name}:1", "headers_to_add": [_set(SOURCE, DIRECT), *said]},
    }
    return {"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy}


def tunnel_end(service: Service, manager: Json) -> Json:
    """Return the listener inside Envoy where the tunnel of a TCP service ends; nobody else can reach it."""
    return {
        "@type": f"{_API}.config.listener.v3.Listener",
        "name": tunnel_name(service.name),
        "internal_listener": {},
        "filter_chains": [{"filters": [manager]}],
    }


# Empty: the cookie is named per service in RDS, which can change without touching a listener.
_STATEFUL_SESSION: Json = {
    "name": STATEFUL_SESSION,
    "typed_config": {"@type": f"{_API}.extensions.filters.http.stateful_session.v3.StatefulSession"},
}
# Counts how calls ended, per pool: an HTTP status of 200 says nothing about that.
_GRPC_STATS: Json = {
    "name": "envoy.filters.http.grpc_stats",
    "typed_config": {
        "@type": f"{_API}.extensions.filters.http.grpc_stats.v3.FilterConfig",
        "stats_for_all_methods": False,
    },
}
_ROUTER: Json = {
    "name": "envoy.filters.http.router",
    "typed_config": {
        "@type": f"{_API}.extensions.filters.http.router.v3.Router",
        "suppress_envoy_headers": True,
    },
}

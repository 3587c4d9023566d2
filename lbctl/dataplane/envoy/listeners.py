"""LDS: one listener per service. Nothing that may change in a release lives here."""

from typing import Any

from lbctl.dataplane.envoy.layout import Layout, check_names
from lbctl.dataplane.envoy.routes import STATEFUL_SESSION, route_configuration
from lbctl.dataplane.envoy.version import Written
from lbctl.model.errors import Garbled
from lbctl.model.topology import Address, Service

Json = dict[str, Any]
_API = "type.googleapis.com/envoy"


def listener(service: Service, routes: Layout | Written) -> Json:
    """Return the listener of a service; its routes come from the RDS file, or are part of it.

    Raises:
        Garbled: the service has no `listen` address.
    """
    check_names(service)
    if isinstance(routes, Layout):
        source = {"resource_api_version": "V3", "path_config_source": {"path": str(routes.routes(service.name))}}
        way: Json = {"rds": {"route_config_name": service.name, "config_source": source}}
    else:
        inline = route_configuration(service, routes)
        way = {"route_config": {key: value for key, value in inline.items() if key != "@type"}}
    return {
        "@type": f"{_API}.config.listener.v3.Listener",
        "name": service.name,
        "address": {"socket_address": _socket_address(service)},
        # With it a second Envoy would take half of the connections instead of failing to start.
        "enable_reuse_port": False,
        "filter_chains": [{"filters": [_connection_manager(service, way)]}],
    }


def listen_of(service: Service) -> Address:
    """Return where the service listens.

    Raises:
        Garbled: it has no `listen` address.
    """
    if service.listen is None:
        raise Garbled(f"envoy: {service.name} has no `listen: ADDRESS:PORT`, where Envoy would take its users")
    return service.listen


def _socket_address(service: Service) -> Json:
    listen = listen_of(service)
    return {"address": listen.host, "port_value": listen.port}


def _connection_manager(service: Service, way: Json) -> Json:
    """The HTTP side of a listener.

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
        "http_filters": [_STATEFUL_SESSION, _ROUTER],
        **way,
    }
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}


# Empty: the cookie is named per service in RDS, which can change without touching a listener.
_STATEFUL_SESSION: Json = {
    "name": STATEFUL_SESSION,
    "typed_config": {"@type": f"{_API}.extensions.filters.http.stateful_session.v3.StatefulSession"},
}
_ROUTER: Json = {
    "name": "envoy.filters.http.router",
    "typed_config": {
        "@type": f"{_API}.extensions.filters.http.router.v3.Router",
        "suppress_envoy_headers": True,
    },
}

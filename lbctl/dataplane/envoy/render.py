"""Everything Envoy reads, as text: the discovery files, the bootstrap, and one static document for people."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from lbctl.dataplane.envoy.callers import Callers
from lbctl.dataplane.envoy.clusters import assignment, clusters
from lbctl.dataplane.envoy.layout import Layout
from lbctl.dataplane.envoy.listeners import listeners
from lbctl.dataplane.envoy.routes import route_configuration
from lbctl.dataplane.envoy.version import NOT_ADOPTED, Written
from lbctl.model.names import Colour, ServerName, ServiceName
from lbctl.model.route import Route
from lbctl.model.topology import Service

Json = dict[str, Any]
FLUSH_INTERVAL = "0.200s"


def bootstrap(layout: Layout) -> str:
    """Return what Envoy is started with: the admin socket for its owner only, and where the rest is found.

    Histograms are merged at each flush: five times a second costs nothing that can be measured, and a decision on
    latency comes in one second instead of three.
    """
    return _text(
        {
            "node": {"id": "lbctl", "cluster": "lbctl"},
            "stats_flush_interval": FLUSH_INTERVAL,
            "admin": _admin(str(layout.admin_socket)),
            "bootstrap_extensions": [INTERNAL_LISTENERS],
            "dynamic_resources": {"cds_config": _file(layout.clusters), "lds_config": _file(layout.listeners)},
        }
    )


def listeners_file(services: Sequence[Service], layout: Layout) -> str:
    """Return LDS. The same services give the same bytes, so that it is not written without need."""
    return _discovery([one for service in services for one in listeners(service, services, layout, counting=True)])


def clusters_file(services: Sequence[Service], layout: Layout) -> str:
    """Return CDS: both pools of every service."""
    return _discovery([one for service in services for one in clusters(service, layout)])


def endpoints_file(service: Service, colour: Colour, drained: Collection[ServerName] = ()) -> str:
    """Return EDS of one pool."""
    return _discovery([assignment(service, colour, drained)])


def routes_file(service: Service, written: Written, callers: Callers) -> str:
    """Return RDS of one service; its version text is `FENCE;GREEN:KEEP_BLUE:KEEP_GREEN` and all pins."""
    return _text({"version_info": str(written), "resources": [route_configuration(service, written, callers)]})


def render_static(services: Sequence[Service], routes: Mapping[ServiceName, Route]) -> str:
    """Return one document that `envoy --mode validate` accepts and that needs no other file.

    A service without a route answers 503 and names `lbctl adopt`. For reading and comparing: lbctl itself drives
    Envoy through files it can replace one by one.

    Raises:
        Garbled: a service without `listen`, or with a name that Envoy must not see.
    """
    ways = {name: Written(0, route) for name, route in routes.items()}
    return json.dumps(
        {
            "admin": _admin("/run/lbctl/envoy-static.sock"),
            "bootstrap_extensions": [INTERNAL_LISTENERS],
            "static_resources": {
                "listeners": [
                    plain(found)
                    for one in services
                    for found in listeners(one, services, ways.get(one.name, NOT_ADOPTED))
                ],
                "clusters": [plain(found) for one in services for found in clusters(one, None)],
            },
        },
        indent=2,
    )


def _admin(socket: str) -> Json:
    return {"address": {"pipe": {"path": socket, "mode": 0o600}}}


def _file(path: object) -> Json:
    return {"resource_api_version": "V3", "path_config_source": {"path": str(path)}}


INTERNAL_LISTENERS: Json = {
    "name": "envoy.bootstrap.internal_listener",
    "typed_config": {"@type": "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener"},
}
"""What the tunnel of a TCP service needs; always there, because a bootstrap cannot change while Envoy runs."""


def plain(resource: Json) -> Json:
    """Return a resource as a part of a bootstrap has it, without its type."""
    return {key: value for key, value in resource.items() if key != "@type"}


def _discovery(resources: list[Json]) -> str:
    digest = hashlib.sha256(_text({"resources": resources}).encode()).hexdigest()[:16]
    return _text({"version_info": digest, "resources": resources})


def _text(document: Json) -> str:
    return json.dumps(document, separators=(",", ":"))

"""The bootstrap that an attached Envoy could have, for the people who run it: whole, or to take pieces from.

YAML, because it can say why a line is there. lbctl never reads it back: `survey` looks at what Envoy runs.
"""

from collections.abc import Iterator, Sequence
from textwrap import indent
from typing import Any

import yaml

from lbctl.dataplane.envoy.clusters import clusters
from lbctl.dataplane.envoy.layout import Layout, colour_cookie
from lbctl.dataplane.envoy.listeners import listeners
from lbctl.dataplane.envoy.render import FLUSH_INTERVAL, INTERNAL_LISTENERS, plain
from lbctl.model.names import InstanceName
from lbctl.model.topology import Protocol, Service

Json = dict[str, Any]

HEAD = """\
# Rendered by lbctl for {name}. It is whole: `envoy -c THIS.yaml` runs it. In a bootstrap of your own keep your TLS,
# logging and other listeners, and take the pieces (1) to (4).
#
# Envoy does not start while a file named below is missing. Make them first, and before every start, as the user of
# lbctld: lbctl envoy prepare --config FILE --active {active}
# Afterwards `lbctl envoy status --config FILE` says what lbctl still misses.
#
# Restarts are yours. With hot restarts set --drain-time-s and --parent-shutdown-time-s to a minute or two: for so long
# an older Envoy goes on routing, and a release waits for it.

# Routes and servers from files need a node with both names; any will do. Five flushes a second cost nothing that can
# be measured, and lbctl sees a slow pool in one second instead of several.
"""
FROZEN = """\
# Rendered by lbctl for {name}, to go on without it. It is whole: `envoy -c THIS.yaml` runs it. Its split and servers
# are what the files named below say, which nobody moves. Envoy makes its admin socket beside them: give their
# directory to the user of Envoy.

# Routes and servers from files need a node with both names; any will do.
"""
ADMIN = """
# (1) lbctl reads what Envoy runs and counts here. The socket asks for no password: never TCP. 384 is 0600, for one
# user; where lbctld runs as another user than Envoy write 432 (0660), and let the directory's group be one of both.
"""
EXTENSION = """
# (2) For the tunnel of TCP services.
"""
LISTENERS = """
static_resources:
  # (3) A listener needs of lbctl's: `rds` as it stands here, with the service's name as route_config_name. The file
  # is replaced by rename, so no `watched_directory` is needed; if you set one, it must be the directory of that file.
  # Nothing that lbctl changes in a release is in a listener: a changed listener cuts WebSockets.
  listeners:
"""
HTTP = """\
# {name}: the cookies {colour_cookie} (its colour) and {cookie} (its server) make a session; the routes set them.
# use_remote_address makes every client an outsider whose request id is replaced: buckets of sessions come from it.
# stateful_session keeps a session on its server; it must stay empty here, the routes say the rest.{tls}
"""
CALLERS = """\
# early_header_mutation (TCP: headers_to_add) says who calls, for the pins in the routes, whatever a client wrote.
# A listener {name}/POOL is for the servers of that pool only: they call {name} by this address.
"""
GRPC = """\
# grpc_stats, without a service of its own in `stats_for_all_methods`, tells how calls ended: without it every call
# that was answered counts as good.
"""
TCP = """\
# {name}: TCP. A share inside tcp_proxy would be part of this listener. So each connection goes as one CONNECT request
# to the listener below, inside Envoy, whose routes come from the file: about half as much CPU again per byte.{tls}
"""
TLS = """
# Users come by TLS: add your transport_socket to its filter chain."""
CLUSTERS = """
  # (4) Two clusters a service, with these names, and with `preview:` two more that answer previews. The servers come
  # from lbctl's config; a list of your own (`type: STATIC` and so on) works too, then lbctl leaves it alone. What must
  # stay: healthy_panic_threshold 0 (a pool whose servers are all dead answers 503, it does not use dead ones),
  # update_merge_window 0s (what Envoy says of a server's health is true of its workers), override_host_status (a server
  # that is drained keeps its sessions), health_checks (they work while lbctl is dead) and circuit_breakers that bound
  # nothing.
  clusters:
"""


def proposal(name: InstanceName, layout: Layout, services: Sequence[Service], head: str = HEAD) -> str:
    """Return a bootstrap with everything lbctl needs, as `envoy --mode validate` takes it once its files are there.
    `head` is the comment at its top: FROZEN where it goes on without lbctl.

    Raises:
        Garbled: a service without `listen`, or with a name that Envoy must not see.
    """
    active = " --active ".join(f"{service.name}=blue" for service in services)
    return "".join([head.format(name=name, active=active), *_parts(layout, services)])


def _parts(layout: Layout, services: Sequence[Service]) -> Iterator[str]:
    yield _yaml({"node": {"id": "lbctl", "cluster": "lbctl"}, "stats_flush_interval": FLUSH_INTERVAL})
    yield ADMIN
    yield _yaml({"admin": {"address": {"pipe": {"path": str(layout.admin_socket), "mode": 0o600}}}})
    if any(service.protocol is Protocol.TCP for service in services):
        yield EXTENSION
        yield _yaml({"bootstrap_extensions": [INTERNAL_LISTENERS]})
    yield LISTENERS
    for service in services:
        yield indent(_about(service) + _yaml([plain(one) for one in listeners(service, services, layout)]), "    ")
    yield CLUSTERS
    for service in services:
        yield indent(_yaml([plain(one) for one in clusters(service, layout)]), "    ")


def _about(service: Service) -> str:
    text = TCP if service.protocol is Protocol.TCP else HTTP
    tls = TLS if service.listen_tls else ""
    said = text.format(name=service.name, colour_cookie=colour_cookie(service.name), cookie=service.cookie, tls=tls)
    return (
        said
        + (CALLERS.format(name=service.name) if service.consumers else "")
        + (GRPC if service.protocol is Protocol.GRPC else "")
    )


class _Plain(yaml.SafeDumper):
    """Writes what stands in two places twice: a piece that is copied elsewhere must be whole."""

    def ignore_aliases(self, data: Any) -> bool:
        """See yaml."""
        del data
        return True


def _yaml(document: Json | list[Json]) -> str:
    text: str = yaml.dump(document, Dumper=_Plain, sort_keys=False, width=118)
    return text

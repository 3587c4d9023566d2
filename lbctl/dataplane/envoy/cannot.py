"""What cannot be done with an Envoy, as `CODE: text` for people: `lbctl plan` says it before a release."""

from collections.abc import Sequence

from lbctl.dataplane.envoy.version import version_of
from lbctl.model.topology import Protocol, Service

TESTED = (1, 40)
CANNOT = ("NO_FORCED_CLOSE: Envoy cuts no connection of a pool; what is left ends when its server stops",)
OF_REQUESTS = (
    "KEEP_NEW_SESSIONS_WHILE_SPLIT: with a keep between 0 and 100 % a new session may be moved once, at its second "
    "request",
    "TRUNCATED_ANSWERS_UNSEEN: an answer that breaks off after its head counts as answered",
)


OF_CONNECTIONS = (
    "TCP_PAYLOAD_UNSEEN: what goes through a TCP connection is not seen: only one that no server took is an error",
    "TCP_CONNECTIONS_STAY: an open TCP connection stays where it is until it ends; only new ones follow the share",
)


def of_protocols(services: Sequence[Service]) -> tuple[str, ...]:
    """Return what no Envoy can do for these services."""
    spoken = {service.protocol for service in services}
    requests = OF_REQUESTS if spoken & {Protocol.HTTP, Protocol.GRPC} else ()
    return (*CANNOT, *requests, *(OF_CONNECTIONS if Protocol.TCP in spoken else ()))


def of_age(version: str) -> tuple[str, ...]:
    """Return a word about an Envoy that was not tried."""
    return () if version_of(version) >= TESTED else (f"OLD_ENVOY: {version} is older than what lbctl was tested with",)

"""What cannot be seen or done with an Envoy, as `CODE: text` for people: `lbctl plan` says it beforehand. Pure."""

from collections.abc import Mapping, Sequence

from lbctl.dataplane.envoy.callers import Callers
from lbctl.dataplane.envoy.version import version_of
from lbctl.model.names import ServiceName
from lbctl.model.operation import Ability, Stickiness
from lbctl.model.topology import Protocol, Service

TESTED = (1, 40)
_TRUNCATED = "TRUNCATED_ANSWERS_UNSEEN: {name}: an answer that breaks off after its head counts as answered"
OF_PROTOCOL: Mapping[Protocol, tuple[str, ...]] = {
    Protocol.HTTP: (_TRUNCATED,),
    Protocol.GRPC: (
        "TRUNCATED_ANSWERS_UNSEEN: {name}: a call that breaks off without a `grpc-status` is not counted",
        "GRPC_NO_SESSIONS: {name}: gRPC clients keep no cookies: every call goes by the split",
    ),
    Protocol.TCP: (
        "TCP_PAYLOAD_UNSEEN: {name}: what goes wrong inside a connection cannot be seen: connections are counted, and "
        "judged by whether a server took them",
        "TCP_CONNECTIONS_STAY: {name}: a connection stays with its server until it ends: the split is of new ones, and "
        "a rollback moves none",
    ),
}
"""What the protocol hides."""
CLOSES = "TCP_REFUSED_CLOSES: {name}: a connection that a pin refuses is taken and closed, not reset"


def ability(service: Service, lacking: Sequence[str], callers: Callers) -> Ability:
    """Return what can be done with a service; `lacking` is what the Envoy at hand lacks beside that."""
    lacking = (*lacking, *dict.fromkeys(callers.untold.values()))
    known = [text.format(name=service.name) for text in OF_PROTOCOL[service.protocol]]
    if service.consumers and service.protocol is Protocol.TCP:
        known.append(CLOSES.format(name=service.name))
    sticky = (Stickiness.COOKIE,) if service.protocol is Protocol.HTTP else ()
    return Ability(stickiness=sticky, cannot=(*known, *lacking))


def of_any(version: str) -> tuple[str, ...]:
    """Return what cannot be done with any service of this Envoy."""
    old = f"OLD_ENVOY: {version} is older than what lbctl was tested with"
    return () if version_of(version) >= TESTED else (old,)


Lacking = Mapping[ServiceName, Sequence[str]]
"""What an Envoy lacks by service, as `CODE: text`."""

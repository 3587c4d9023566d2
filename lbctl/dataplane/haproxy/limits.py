"""What lbctl cannot see or do with a service as HAProxy has it: `CODE: text` for people. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from lbctl.dataplane.haproxy.weighed import Backend
from lbctl.model.operation import Stickiness
from lbctl.model.topology import HaproxyForm, Protocol, Service

OF_PROTOCOL: Mapping[Protocol, tuple[str, ...]] = {
    Protocol.HTTP: (),
    Protocol.GRPC: (
        "GRPC_STATUS_UNSEEN: {name}: a gRPC error is an HTTP 200 with `grpc-status` behind it, which HAProxy counts as "
        "good: only HTTP errors, resets and refused connections are judged",
        "GRPC_NO_SESSIONS: {name}: gRPC clients keep no cookies: every call goes by the split",
    ),
    Protocol.TCP: (
        "TCP_PAYLOAD_UNSEEN: {name}: what goes wrong inside a connection cannot be seen: connections are counted, and "
        "judged by whether a server took them and did not break them off",
        "TCP_CONNECTIONS_STAY: {name}: a connection stays with its server until it ends: the split is of new ones, and "
        "a rollback moves none",
    ),
}
"""What the protocol hides."""

OF_WEIGHTS = (
    "CANNOT_MOVE_WHILE_SPLIT: {name}: the sessions of a pool move only while its share is 0",
    "SHARE_NOT_ATOMIC: {name}: a share is several weights, changed one after the other within milliseconds",
    "OLD_WORKERS_KEEP_WEIGHTS: {name}: after a reload, connections from before it follow the old weights, idle ones "
    "with at most one request; form `map` has no such gap",
    "UNSERVED_UNASSIGNED: {name}: an answer that HAProxy gave without any server (503) counts for the pool that has "
    "all new traffic, and while it is split for neither",
)
"""What one backend with both colours costs."""

WEIGHTS_WITH_CONSUMERS = (
    "NO_PINS: {name}: one backend with both colours cannot send its callers to one of them: write `form: map`",
)

IN_TABLE: Mapping[HaproxyForm, str] = {
    HaproxyForm.MAP: "STICK_TABLE: {name}: a stick table binds users inside a pool only: while new traffic is split, "
    "those without the session cookie are drawn anew at every request",
    HaproxyForm.WEIGHTS: "STICK_TABLE: {name}: users in a stick table stay on their server while new traffic is split: "
    "they move when their pool gets nothing new, by clearing their entries; where a cookie binds them too, the rate is "
    "that of the cookies",
}


def stickiness(backends: Iterable[str], seen: Sequence[Backend], tables: Mapping[str, bool]) -> tuple[Stickiness, ...]:
    """Return by what HAProxy brings users back. A stick table of another proxy that `stick` rules use is not seen."""
    by = []
    if any(backend.cookie for backend in seen):
        by.append(Stickiness.COOKIE)
    if any(tables.get(name) for name in backends):
        by.append(Stickiness.TABLE)
    return tuple(by)


def limits(service: Service, sticky: Sequence[Stickiness]) -> tuple[str, ...]:
    """Return what cannot be seen or done with this service."""
    form = HaproxyForm.MAP if service.haproxy is None else service.haproxy.form
    found = [*OF_PROTOCOL[service.protocol]]
    if form is HaproxyForm.WEIGHTS:
        found += OF_WEIGHTS + (WEIGHTS_WITH_CONSUMERS if service.consumers else ())
    if Stickiness.TABLE in sticky:
        found.append(IN_TABLE[form])
    return tuple(text.format(name=service.name) for text in found)


def wrong_mode(service: Service, backends: Iterable[str], seen: Sequence[Backend]) -> tuple[str, ...]:
    """Return why HAProxy speaks another protocol with this service than the config says."""
    wanted = "tcp" if service.protocol is Protocol.TCP else "http"
    return tuple(
        f"WRONG_MODE: {service.name}: backend {name} is `mode {backend.mode}`, and `protocol: {service.protocol}` "
        f"needs `mode {wanted}`: its figures would mean something else"
        for name, backend in zip(backends, seen, strict=True)
        if backend.mode not in {wanted, ""}
    )

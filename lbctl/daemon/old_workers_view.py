"""What is shown of old workers of a load balancer: since when they are old, and who keeps them alive. Pure."""

from datetime import UTC, datetime
from typing import Any

from lbctl.core.emptiness import holder_words
from lbctl.core.oldworkers import kept_by, old_since_s
from lbctl.core.state import State
from lbctl.model.names import Generation, InstanceName, ServiceName, pid_of
from lbctl.model.reading import InstanceReading
from lbctl.model.topology import Driver

Json = dict[str, Any]
NAMED_MAX = 3


def old_workers(state: State, name: ServiceName, instance: InstanceName, reading: InstanceReading) -> list[Json]:
    """Return the old workers of a service's instance that still hold work, of whichever service that is."""
    ours = state.topology.planes[state.topology.services[name].plane].driver is Driver.HAPROXY
    return [_one(reading, instance, life, haproxy=ours) for life in reading.draining_generations]


def _one(reading: InstanceReading, instance: InstanceName, life: Generation, *, haproxy: bool) -> Json:
    at_s, found = old_since_s(reading, life) if haproxy else None, kept_by(reading, life)
    since = "" if at_s is None else datetime.fromtimestamp(at_s, UTC).isoformat(timespec="seconds")
    view: Json = {
        "generation": life,
        "old_since_wall": since,
        "kept_by": [
            {"service": name, "client": one.client, "server": one.server, "age_ms": one.age} for name, one in found
        ],
    }
    who = [f"{holder_words(one)} ({name})" for name, one in found]
    return {**view, "text": f"{life}{since and f', old since {since[11:19]}Z,'} {_kept(life, who, haproxy=haproxy)}"}


def _kept(life: Generation, who: list[str], *, haproxy: bool) -> str:
    if not who:
        # Who is in flight is asked of pools only that get nothing new.
        ask = f"; `@!{pid_of(life)} show sess` at its master socket tells whom" if haproxy else ""
        return f"still holds work, whose is not known{ask}"
    more = f", and {len(who) - NAMED_MAX} more" if len(who) > NAMED_MAX else ""
    return f"is kept by {', '.join(who[:NAMED_MAX])}{more}"

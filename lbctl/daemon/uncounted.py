"""Where nobody counts the sessions of a service: why, and what would. Pure."""

from typing import Any

from lbctl.core.seating import WATCHED_MIN
from lbctl.core.state import State
from lbctl.model.names import ServiceName
from lbctl.model.topology import Driver, EnvoyMode, Protocol, Service
from lbctl.model.units import seconds

Json = dict[str, Any]


def uncounted(state: State, name: ServiceName) -> str:
    """Return why nobody counts the sessions of a service; empty where somebody does."""
    missing = [one for one in state.topology.instances_of(name) if (one, name) not in state.observed.sessions]
    if not missing:
        return ""
    plane = state.topology.planes[state.topology.services[name].plane]
    if plane.driver is Driver.HAPROXY and plane.request_log is None:
        return f"data plane {plane.name} has no request_log"
    if plane.driver is Driver.ENVOY and plane.envoy_mode is EnvoyMode.ATTACHED:
        return f"the Envoy of data plane {plane.name} is attached"
    return f"{', '.join(missing)} {'tells' if len(missing) == 1 else 'tell'} nothing of who comes now"


def uncounted_warning(state: State, service: Service) -> list[Json]:
    """Return as a warning of a plan that the rate of a move cannot be kept, for nobody counts; empty if it can."""
    policy, why = service.sessions, uncounted(state, service.name)
    if policy.per_second is None or service.protocol is not Protocol.HTTP or not why:
        return []
    parts = f"they go in equal parts until the deadline, {seconds(policy.deadline)} after the bake, and no rate is kept"
    plane = state.topology.planes[service.plane]
    lacks_log = plane.driver is Driver.HAPROXY and plane.request_log is None
    out = f"; set request_log of data plane {service.plane}" if lacks_log else ""
    text = f"nobody counts the sessions of {service.name} ({why}): with move {policy.per_second}/s {parts}{out}"
    return [{"code": "SESSIONS_NOT_COUNTED", "text": text}]


def parts_words(why: str, ends_in_ms: int, *, closing: bool) -> str:
    """Return how sessions go that nobody counts, for people."""
    when = f"the last in {seconds(ends_in_ms)}" if closing else f"the last at the deadline in {seconds(ends_in_ms)}"
    # Just after a start nobody counts either, for a moment: it ends by itself.
    reason = why or f"who comes was not watched for {seconds(WATCHED_MIN)} yet"
    return f"nobody counts them ({reason}), so in equal parts: {when}"

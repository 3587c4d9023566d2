"""What is not ready for a release: nothing refuses it, but a switch would start and wait for it. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from lbctl.core.state import State
from lbctl.model.names import Colour, InstanceName
from lbctl.model.operation import Capabilities
from lbctl.model.reading import InstanceReading, Unreadable
from lbctl.model.sessions import AtDeadline
from lbctl.model.topology import Service

Json = dict[str, Any]
FORBIDDING = frozenset({"NOT_DURABLE", "NOT_FENCED", "WRONG_MODE"})
"""What a release cannot do without; every other lack is only told."""


def unready(
    state: State, service: Service, candidate: Colour, able: Mapping[InstanceName, Capabilities | str]
) -> list[Json]:
    """Return what a release of `service` would wait for now, or could not rely on."""
    names = state.topology.instances_of(service.name)
    found = [one for name in names for one in _instance(state, service, name, able.get(name))]
    well = state.wells[service.name, candidate]
    if not well.well:
        text = f"candidate not healthy ({well.up_count} of {well.server_count} up): {well.trouble()}"
        found.append({"code": "candidate", "text": text})
    return found


def unready_now(state: State, service: Service, able: Mapping[InstanceName, Capabilities | str]) -> list[Json]:
    """Return what of its load balancers a release of `service` would wait for, for `status`: not what that says of
    them anyway, nor what was only not asked yet."""
    names = [name for name in state.topology.instances_of(service.name) if name in able]
    found = [one for name in names for one in _instance(state, service, name, able[name])]
    return [one for one in found if one["code"] != "unreachable"]


def lacks(state: State, service: Service, name: InstanceName, able: Capabilities | str | None) -> list[Json]:
    """Return what an instance says that it cannot do or see, and that no release waits for."""
    reading = state.observed.instances.get(name)
    seen = reading.warnings if isinstance(reading, InstanceReading) else ()
    told = [_told(name, text) for text in dict.fromkeys((*_cannot(service, able), *seen))]
    return [one for one in told if one["code"] not in FORBIDDING]


def _instance(state: State, service: Service, name: InstanceName, able: Capabilities | str | None) -> Iterator[Json]:
    reading = state.observed.instances.get(name)
    if not isinstance(reading, InstanceReading):
        why = reading.reason if isinstance(reading, Unreadable) else "it was not read yet"
        yield {"code": "unreachable", "text": f"{name} cannot be read: {why}"}
        return
    if not isinstance(able, Capabilities):
        # It answers, but may not do what it will be told to: that must not be found out in mid-step.
        why = able or "it was not asked yet"
        yield {"code": "not_known", "text": f"{name}: nobody knows what it can do: {why}"}
    obstacles = reading.services[service.name].obstacles if service.name in reading.services else ()
    forbidding = [text for text in _cannot(service, able) if text.partition(": ")[0] in FORBIDDING]
    forbidding += _uncloseable(service, able)
    yield from (_told(name, text) for text in dict.fromkeys((*forbidding, *obstacles)))


def _uncloseable(service: Service, able: Capabilities | str | None) -> list[str]:
    """Return why what is left at the deadline cannot be closed, where that is the policy."""
    why = able.of(service.name).no_closing if isinstance(able, Capabilities) else ""
    return [f"{why}; or write `at_deadline: keep`"] if why and service.sessions.at_deadline is AtDeadline.CLOSE else []


def _cannot(service: Service, able: Capabilities | str | None) -> tuple[str, ...]:
    return (*able.cannot, *able.of(service.name).cannot) if isinstance(able, Capabilities) else ()


def _told(name: InstanceName, text: str) -> Json:
    code, _, rest = text.partition(": ")
    return {"code": code, "text": f"{name}: {rest}"}

"""What is not ready for a release: nothing refuses it, but a switch would start and wait for it. Pure."""

from collections.abc import Iterator
from typing import Any

from lbctl.core.state import State
from lbctl.core.wellness import wellness
from lbctl.model.names import Colour, InstanceName, ServiceName
from lbctl.model.operation import Capabilities
from lbctl.model.reading import InstanceReading, Unreadable
from lbctl.model.topology import Service

Json = dict[str, Any]


def unready(
    state: State, service: Service, candidate: Colour, able: dict[InstanceName, Capabilities | str]
) -> list[Json]:
    """Return what a release of `service` would wait for now, or could not rely on."""
    found = [
        one for name in state.topology.instances_of(service.name) for one in _instance(state, name, able.get(name))
    ]
    well = wellness(service, candidate, state.observed, state.topology)
    if not well.well:
        text = f"candidate not healthy ({well.up_count} of {well.server_count} up): {well.trouble()}"
        found.append({"code": "candidate", "text": text})
    return found


def lacks(state: State, service: ServiceName, name: InstanceName, able: Capabilities | str | None) -> Iterator[Json]:
    """Yield what an instance says that it cannot do or see of a service: when it was asked, and when it was read."""
    reading = state.observed.instances.get(name)
    told = (*able.cannot, *able.of(service).cannot) if isinstance(able, Capabilities) else ()
    seen = reading.warnings if isinstance(reading, InstanceReading) else ()
    for one in dict.fromkeys((*told, *seen)):
        yield _told(name, one)


def obstacles(state: State, service: ServiceName, name: InstanceName) -> Iterator[Json]:
    """Yield what stands in the way of every write of this service on an instance, as it was read last."""
    reading = state.observed.instances.get(name)
    if isinstance(reading, InstanceReading) and service in reading.services:
        for one in reading.services[service].obstacles:
            yield _told(name, one)


def _told(name: InstanceName, one: str) -> Json:
    code, _, text = one.partition(": ")
    return {"code": code, "text": f"{name}: {text}"}


def _instance(state: State, name: InstanceName, able: Capabilities | str | None) -> Iterator[Json]:
    reading = state.observed.instances.get(name)
    if not isinstance(reading, InstanceReading):
        why = reading.reason if isinstance(reading, Unreadable) else "it was not read yet"
        yield {"code": "unreachable", "text": f"{name} cannot be read: {why}"}
    elif not isinstance(able, Capabilities):
        # It answers, but may not do what it will be told to: that must not be found out in mid-step.
        why = able or "it was not asked yet"
        yield {"code": "not_known", "text": f"{name}: nobody knows what it can do: {why}"}

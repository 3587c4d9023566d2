"""What a reading may be used for: was it taken late enough, and can nothing that was sent still land. Pure."""

from lbctl.core.state import Lane, State
from lbctl.model.names import InstanceName, ServiceName
from lbctl.model.reading import InstanceReading, Unreadable
from lbctl.model.units import Instant


def under_way(lane: Lane | None, name: ServiceName, reading: InstanceReading | Unreadable | None) -> bool:
    """Whether an operation for this service is on its way, or ended after this reading was taken."""
    if lane is None or name not in lane.services:
        return False
    return lane.busy or (isinstance(reading, InstanceReading) and reading.taken_at <= lane.ended_at)


def read_since(state: State, instance: InstanceName, name: ServiceName, at: Instant) -> InstanceReading | None:
    """Return the reading of an instance if it was taken since then, and nothing sent can still land."""
    reading, lane = state.observed.instances.get(instance), state.lanes[instance]
    if lane.unresolved or under_way(lane, name, reading) or not isinstance(reading, InstanceReading):
        return None
    return reading if reading.taken_at > at and name in reading.services else None

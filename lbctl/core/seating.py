"""Who came back to a pool lately, by all of its load balancers together. Pure."""

from lbctl.core.parting import Seats, seats
from lbctl.core.state import State
from lbctl.model.names import Colour, ServiceName
from lbctl.model.units import Instant


def seats_of(state: State, name: ServiceName, colour: Colour, now: Instant) -> Seats | None:
    """Return the occupied buckets of a pool; None: an instance cannot tell."""
    instances = state.topology.instances_of(name)
    seen = [state.observed.sessions[i, name] for i in instances if (i, name) in state.observed.sessions]
    return seats(seen, colour, now) if len(seen) == len(instances) else None

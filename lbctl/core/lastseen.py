"""When the sessions of a pool are over: who came a while ago may only be reading a page. Pure."""

from lbctl.core.rollcall import REMEMBERED
from lbctl.core.seating import seats_of
from lbctl.core.state import State
from lbctl.model.names import Colour, ServiceName
from lbctl.model.topology import Protocol
from lbctl.model.units import Instant, Span


def over_after(state: State, name: ServiceName, colour: Colour, now: Instant) -> Span:
    """Return after how long without a request no session of a pool is there any more: `drain.idle`, or only
    `drain.quiet` where it can have none."""
    drain = state.topology.services[name].drain
    return max(drain.quiet, drain.idle) if _may_have(state, name, colour, now) else drain.quiet


def _may_have(state: State, name: ServiceName, colour: Colour, now: Instant) -> bool:
    """Whether somebody may have a session there. The calls of a follower's old pool are pinned, and no sessions."""
    latest, pool = state.record.latest(name), state.record.services[name].pool(colour)
    carries = latest is None or latest.service == name
    plain = state.topology.services[name].protocol is Protocol.HTTP
    return carries and plain and pool.keep_bp > 0 and not _nobody(state, name, colour, now)


def _nobody(state: State, name: ServiceName, colour: Colour, now: Instant) -> bool:
    """Whether the load balancers have watched for long enough to know that nobody with a session came."""
    seen, pool = seats_of(state, name, colour, now), state.record.services[name].pool(colour)
    idle = state.topology.services[name].drain.idle
    if seen is None or idle > REMEMBERED or seen.watched < idle:
        return False
    return not seen.unplaced and not seen.below(pool.keep_bp).in_memory.occupied

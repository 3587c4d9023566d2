"""What the record wants of the data planes. Pure: the record decides, the config only says who calls whom."""

from lbctl.model.names import Colour, ServiceName
from lbctl.model.record import PoolState, Record
from lbctl.model.route import Caller, Pin, Route
from lbctl.model.topology import Topology
from lbctl.model.units import BP_FULL


def target(topology: Topology, record: Record, service: ServiceName) -> Route | None:
    """Return where `service`'s traffic belongs; None for a service in observe mode, which is never written."""
    adopted = record.services.get(service)
    if adopted is None:
        return None
    pins = tuple((caller, pin(record, service, caller)) for caller in topology.callers_of(service))
    keeps = Route(0, keep_blue_bp=adopted.blue.keep_bp, keep_green_bp=adopted.green.keep_bp, pins=pins)
    release = record.running(service)
    if release is None:
        return keeps.with_share(adopted.active, BP_FULL)
    if service == release.service:
        return keeps.with_share(release.to, release.share_bp)
    follower = release.followers[service]
    return keeps.with_share(follower.to, BP_FULL if follower.flipped else 0)


def pin(record: Record, provider: ServiceName, caller: Caller) -> Pin:
    """Return where the calls of one consumer pool go.

    In a release every pool of the consumer goes to the provider pool that it is paired with: active to active,
    candidate to candidate; a pin of a pool that may still call never changes. A consumer that goes alone pins only its
    candidate, to the provider's active pool. At rest active callers follow the split (so that the provider alone can
    be shifted), idle ones are refused (they must not meet a provider that they do not know), and a draining pool stays
    with its partner.
    """
    consumer = record.services.get(caller.service)
    if consumer is None:
        return Pin.SPLIT
    pool = consumer.pool(caller.colour)
    partner = pool.paired.get(provider)
    towards = Pin.SPLIT if partner is None else Pin(partner.value)
    release = record.running(caller.service)
    member = None if release is None else release.members[caller.service]
    if release is not None and member is not None and (provider in release.members or caller.colour is member.to):
        return towards
    match pool.state:
        case PoolState.ACTIVE | PoolState.CANDIDATE:
            return Pin.SPLIT
        case PoolState.IDLE:
            return Pin.NONE
        case PoolState.DRAINING:
            return towards


def exposed(record: Record, service: ServiceName) -> Colour:
    """Return the colour that must never get more traffic than the target says.

    In a release that is the candidate until it has become active; at rest and while the old pool drains it is the
    pool that is not active. More traffic for it is a *raise*, less is a *lowering*.
    """
    release = record.running(service)
    if release is not None and not release.phase.swapped:
        return release.members[service].to
    return record.services[service].active.other

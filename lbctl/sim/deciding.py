"""A decision of the process under the eyes of the watch: with what was durable, what was read, and what is so."""

from typing import TYPE_CHECKING

from lbctl.model.names import Colour, InstanceName
from lbctl.model.reading import InstanceReading, Token, Unreadable
from lbctl.model.record import Phase, Record
from lbctl.sim.site import SERVICE

if TYPE_CHECKING:
    from lbctl.sim.world import World


def decided(world: "World", record: Record) -> None:
    """Let the watch look at a decision that is about to be written."""
    assert world.process is not None
    durable = world.disk.record
    release = durable.latest(SERVICE)
    token = Token.NONE if release is None else world.tokens.read(release.id, release.nonce)
    before = _taken_back(world.process.before, record, durable)
    was = before.latest(SERVICE)
    readings = dict(world.process.state.observed.instances)
    world.watch.save(before, record, readings, durable, token)
    new = record.latest(SERVICE)
    _certified(world, before, record, readings)
    if new is not None and new.phase is Phase.ROLLED_BACK and (was is None or was.phase is not new.phase):
        for name, balancer in world.balancers.items():
            world.watch.ending(name, balancer, readings, new.to)


def _certified(
    world: "World", before: Record, record: Record, readings: dict[InstanceName, InstanceReading | Unreadable]
) -> None:
    for colour in Colour:
        was, new = (one.services.get(SERVICE) for one in (before, record))
        found = None if new is None else new.pool(colour).certificate
        if found is None or (was is not None and was.pool(colour).certificate == found):
            continue
        for name, balancer in world.balancers.items():
            world.watch.certified(name, balancer, readings.get(name), colour, found)


def _taken_back(before: Record, record: Record, durable: Record) -> Record:
    """A first certificate that never got to the disk is taken back by the step that goes back."""
    was, new, known = (one.latest(SERVICE) for one in (before, record, durable))
    if was is None or new is None or known is None or was.phase is not Phase.RETIRING:
        return before
    unwritten = known.id == was.id and known.phase is Phase.DRAINING
    return durable if unwritten and new.phase in {Phase.DRAINING, Phase.ROLLING_BACK} else before

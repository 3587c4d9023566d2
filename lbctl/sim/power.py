"""What a power cut does beside ending everything: the end of the journal is torn, and the clock goes back.

A torn end is a decision that was acknowledged and is gone: found, told, and gone on before, as `store.tables` does.
"""

from typing import TYPE_CHECKING

from lbctl.model.units import Instant
from lbctl.sim.balancer import Balancer
from lbctl.sim.site import SERVICE
from lbctl.store.tables import lifted

if TYPE_CHECKING:
    from lbctl.sim.world import World


def cut(world: "World") -> None:
    """Let what a reboot may do beside happen to the disk and the clock."""
    dice, rates = world.power, world.rates
    if rates.torn and dice.random() < rates.torn and world.disk.record.rev != world.disk.before.rev:
        _torn(world)
    if rates.set_back and dice.random() < rates.set_back:
        _set_back(world)


def _torn(world: "World") -> None:
    """The last record is damaged. Whoever was told of what it says was told of what nobody knows any more."""
    world.watch.count("reboot, the end of the journal is torn")
    lost = world.disk.record.latest(SERVICE)
    world.disk.record = world.disk.before = lifted(world.disk.before)
    if lost is not None:
        world.watch.told_certified.discard(lost.id)
        world.watch.full_promoted.discard(lost.id)


def _set_back(world: "World") -> None:
    """The new boot's clock says nothing of the old one's: lbctl time goes on from the last record, as `store.clock`."""
    back = world.now - world.disk.record.clock
    if back <= 0:
        return
    world.watch.count("reboot, the clock goes back")
    world.now = Instant(world.now - back)
    for balancer in (part for one in world.balancers.values() for part in one.parts):
        _earlier(balancer, back)
    world.users.moves = [Instant(at - back) for at in world.users.moves]
    world.users.cut_off_until = Instant(world.users.cut_off_until - back)
    world.users.came_at = {colour: Instant(at - back) for colour, at in world.users.came_at.items()}
    world.watch.parked_since.clear()


def _earlier(balancer: Balancer, back: int) -> None:
    """Name the same moments by the new clock."""
    balancer.unreadable_until = Instant(balancer.unreadable_until - back)
    balancer.stalled_until = Instant(balancer.stalled_until - back)
    balancer.untold_until = Instant(balancer.untold_until - back)
    balancer.disturbed_at = Instant(balancer.disturbed_at - back)
    balancer.served_at = {colour: Instant(at - back) for colour, at in balancer.served_at.items()}
    balancer.open_at = {colour: Instant(at - back) for colour, at in balancer.open_at.items()}
    for one in balancer.pending:
        one.sent_at = Instant(one.sent_at - back)
        one.land_at = None if one.land_at is None else Instant(one.land_at - back)

"""Faults and interfering hands, and their ends."""

from collections.abc import Callable
from functools import partial
from random import Random

from lbctl.model.names import Colour
from lbctl.model.record import Phase
from lbctl.model.route import Route
from lbctl.model.units import Instant
from lbctl.sim import jobs
from lbctl.sim.balancer import Balancer
from lbctl.sim.host import Host
from lbctl.sim.site import SERVERS, SERVICE
from lbctl.sim.world import World

SHARES = (0, 100, 700, 2_500, 5_000, 9_000, 10_000)


def happen(world: World) -> None:
    """Let this tick's troubles begin, and perhaps an older one end."""
    rates, dice = world.rates, world.chance.random
    for balancer in world.balancers.values():
        befall(world, balancer, partial(_hand, world.chance, balancer))
    count = world.watch.count
    if dice() < rates.full:
        world.disk.full = True
        count("disk full")
    if dice() < rates.server_dies:
        count("server dies")
        world.up.discard(world.chance.choice([*SERVERS[Colour.BLUE], *SERVERS[Colour.GREEN]]))
    if dice() < rates.pool_dies:
        count("pool dies")
        world.up -= set(SERVERS[world.chance.choice(tuple(Colour))])
    if dice() < rates.errors:
        whose = world.chance.choice(((Colour.BLUE,), (Colour.GREEN,), tuple(Colour)))
        count(f"errors of {whose[0] if len(whose) == 1 else 'both'}")
        for colour in whose:
            world.error_ratio[colour] = world.chance.choice((0.02, 0.3, 1.0))
    if dice() < rates.checker:
        world.checker = world.chance.choice(("late", "suspect"))
        count(f"checker {world.checker}")
    if dice() < rates.heal:
        ease(world, world.chance)
    _cut_off(world)
    if rates.suspended and world.mishaps.random() < rates.suspended:
        world.sleep(world.mishaps.randint(1_000, 600_000))
    jobs.work(world)
    if dice() < rates.person and world.process is not None:
        count("person asks")
        world.ask(world.asking.anything(world.process.state.record))
    release = None if world.process is None else world.process.state.record.running(SERVICE)
    if release is not None and release.phase is Phase.RETIRING and world.guests.random() < rates.regret:
        count("person regrets")
        world.ask(world.asking.rollback(release.id))


def _cut_off(world: World) -> None:
    """Perhaps let the line of the users fail; one of them has another."""
    rate = world.rates.cut_off
    if rate and world.users.users and world.lines.random() < rate:
        world.users.cut_off_until = Instant(world.now + world.lines.randint(5_000, 60_000))
        world.watch.count("users cut off")


def befall(world: Host, balancer: Balancer, hand: Callable[[], tuple[Balancer, Route]]) -> None:
    """Let a load balancer's troubles of this tick begin. `hand`: what a person changes where, if one does."""
    rates, chance, now = world.rates, world.chance, world.now
    if chance.random() < rates.unreadable:
        balancer.unreadable_until = Instant(now + chance.randint(100, 15_000))
        world.count("load balancer unreadable")
        if chance.random() < 0.5:
            world.count("load balancer stalled")
            balancer.stalled_until = balancer.unreadable_until
    if chance.random() < rates.reload:
        world.reload(balancer, keep_old=True)
        world.count("reload")
        if rates.untold and world.lives.random() < rates.untold:
            balancer.untold_until = Instant(now + world.lives.randint(100, 1_500))
            world.count("reload, no routes told yet")
    if chance.random() < rates.restart:
        world.reload(balancer, keep_old=False)
        world.count("restart")
    if chance.random() < rates.edit:
        world.edit(*hand())
        world.count("edit")
    if chance.random() < rates.edit_boot:
        world.edit(*hand(), boot=True)
        world.count("edit of the boot value")
    if len(balancer.runtime) > 1 and chance.random() < rates.heal:
        balancer.old_gone()


def _hand(chance: Random, balancer: Balancer) -> tuple[Balancer, Route]:
    return balancer, _route(chance)


def _route(chance: Random) -> Route:
    return Route(chance.choice(SHARES), chance.choice((10_000, 10_000, 0)), chance.choice((10_000, 10_000, 0)))


def ease(world: World, chance: Random) -> None:
    """End one kind of trouble."""
    match chance.randint(0, 3):
        case 0:
            world.disk.full = False
        case 1:
            world.up |= {name for names in SERVERS.values() for name in names}
        case 2:
            world.error_ratio = dict.fromkeys(Colour, 0.0)
        case _:
            world.checker = ""


def end_all(world: World) -> None:
    """From now on everything works."""
    world.disk.full = False
    world.up |= {name for names in SERVERS.values() for name in names}
    world.error_ratio = dict.fromkeys(Colour, 0.0)
    world.checker = ""
    world.users.cut_off_until = Instant(-1)
    for balancer in world.balancers.values():
        quieten(balancer, world.now)


def quieten(balancer: Balancer, now: Instant) -> None:
    """End what troubles one load balancer; whoever stayed goes."""
    balancer.unreadable_until = balancer.stalled_until = Instant(-1)
    balancer.old_gone()
    for part in balancer.parts:
        part.let_go(now)

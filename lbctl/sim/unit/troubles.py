"""Faults and interfering hands in the unit's world, and their ends."""

from functools import partial
from typing import TYPE_CHECKING

from lbctl.model.names import Colour
from lbctl.model.record import Phase
from lbctl.model.route import Pin, Route
from lbctl.model.units import Instant
from lbctl.sim.balancer import Balancer
from lbctl.sim.troubles import SHARES, befall, quieten
from lbctl.sim.unit import people, teams
from lbctl.sim.unit.site import CALLERS, SERVERS, SERVICES, A

if TYPE_CHECKING:
    from lbctl.sim.unit.world import UnitWorld


def happen(world: "UnitWorld") -> None:
    """Let this tick's troubles begin, and perhaps an older one end."""
    rates, dice, count = world.rates, world.chance.random, world.count
    for balancer in world.balancers.values():
        befall(world, balancer, partial(_hand, world, balancer))
    if dice() < rates.full:
        world.disk.full = True
        count("disk full")
    _servers(world)
    if dice() < rates.checker:
        world.checker = world.chance.choice(("late", "suspect"))
        count(f"checker {world.checker}")
    if dice() < rates.heal:
        ease(world)
    if rates.suspended and dice() < rates.suspended:
        world.sleep(world.chance.randint(1_000, 600_000))
    _hands(world)


def _servers(world: "UnitWorld") -> None:
    rates, chance, count = world.rates, world.chance, world.count
    if chance.random() < rates.server_dies:
        count("server dies")
        world.fleet.dead.add(chance.choice(chance.choice([*SERVERS.values()])))
    if chance.random() < rates.pool_dies:
        count("pool dies")
        world.fleet.dead |= set(chance.choice([*SERVERS.values()]))
    if chance.random() < rates.errors:
        name, whose = chance.choice(SERVICES), chance.choice(((Colour.BLUE,), (Colour.GREEN,), tuple(Colour)))
        count(f"errors of {whose[0] if len(whose) == 1 else 'both'}")
        for colour in whose:
            world.error_ratio[name, colour] = chance.choice((0.02, 0.3, 1.0))


def _hands(world: "UnitWorld") -> None:
    """What CI and people do. Their dice are their own."""
    rates, dice = world.rates, world.people.random
    for name in SERVICES:
        if rates.meddles and dice() < rates.meddles:
            teams.meddle(world, name)
    people.stop_old(world)
    if dice() < rates.person and world.process is not None:
        world.count("person asks")
        people.ask_anything(world)
    release = people.running(world)
    if release is not None and release.phase is Phase.RETIRING and dice() < rates.regret:
        world.count("person regrets")
        people.roll_back(world, release)


def _hand(world: "UnitWorld", balancer: Balancer) -> tuple[Balancer, Route]:
    """Return what a person who knows nothing of units changes, and where."""
    chance = world.chance
    part = balancer.part(chance.choice(SERVICES))
    keeps = chance.choice((10_000, 10_000, 0)), chance.choice((10_000, 10_000, 0))
    pins = tuple((caller, chance.choice(tuple(Pin))) for caller in CALLERS.values()) if part.service == A else ()
    return part, Route(chance.choice(SHARES), *keeps, pins)


def ease(world: "UnitWorld") -> None:
    """End one kind of trouble."""
    match world.chance.randint(0, 3):
        case 0:
            world.disk.full = False
        case 1:
            world.fleet.dead.clear()
        case 2:
            world.error_ratio = dict.fromkeys(SERVERS, 0.0)
        case _:
            world.checker = ""


def end_all(world: "UnitWorld") -> None:
    """From now on everything works."""
    world.disk.full, world.checker = False, ""
    world.fleet.dead.clear()
    world.error_ratio = dict.fromkeys(SERVERS, 0.0)
    for balancer in world.balancers.values():
        balancer.untold_until = Instant(-1)
        quieten(balancer, world.now)

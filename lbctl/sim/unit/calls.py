"""Users of storefront, and the calls of its servers to accounts: what they cause, and what they could meet now."""

from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING

from lbctl.model.names import Colour, Generation
from lbctl.model.route import Cell, Pin, Route
from lbctl.model.units import BP_FULL
from lbctl.sim.balancer import Balancer
from lbctl.sim.guests import stay
from lbctl.sim.unit.fleet import Key, Life
from lbctl.sim.unit.site import CALLERS, A, B
from lbctl.sim.watch import ViolationError

if TYPE_CHECKING:
    from lbctl.sim.unit.world import UnitWorld

TRAFFIC = 20
"""Users' requests by every load balancer in a tick."""
IN_BACKGROUND = 0.1
"""The chance that the servers of a pool call accounts by themselves in a tick."""


def pin_of(route: Route, colour: Colour) -> Pin:
    """Return where the calls of a storefront pool go."""
    return dict(route.pins)[CALLERS[colour]]


def targets(route: Route, colour: Colour) -> set[Colour]:
    """Return which pools of accounts could answer a call of this storefront pool; none where it is refused."""
    match pin_of(route, colour):
        case Pin.NONE:
            return set()
        case Pin.SPLIT:
            return {one for one in Colour if route.share_bp(one)}
        case pin:
            return {Colour(pin.value)}


def come(world: "UnitWorld") -> None:
    """Let users come to every load balancer, and let storefront call for them and by itself."""
    before = _came(world)
    for balancer in world.balancers.values():
        part = balancer.part(B)
        _users(world, part)
        held = Counter(part.held)
        stay(part, world.sessions, world.rates, world.guests, world.now)
        before -= held - Counter(part.held)  # A long request calls once more at its end.
        if world.guests.random() < world.rates.leaves:
            balancer.part(A).let_go(world.now)
    grown = _came(world)
    grown.subtract(before)
    for colour in Colour:
        if world.fleet.serves(B, colour):
            count = grown[colour] + (world.guests.random() < IN_BACKGROUND)
            if count:
                _call(world, colour, count)


def check_users(world: "UnitWorld") -> None:
    """Nobody is sent to a storefront that is not there, or that nothing answers whatever it calls."""
    for balancer in world.balancers.values():
        part, provider = balancer.part(B), balancer.part(A)
        sent = [route for life, route in part.runtime.items() if life not in part.by_hand]
        called = [route for life, route in provider.runtime.items() if life not in provider.by_hand]
        for colour in Colour:
            if any(route.share_bp(colour) for route in sent):
                life = world.fleet.runs[B, colour].life
                if life is not Life.SERVES:
                    raise ViolationError(f"users are sent to {colour} of {B}, which {life}, by {part.name}")
                if not all(targets(route, colour) for route in called):
                    raise ViolationError(f"the calls of {colour} of {B}, which users are sent to, are refused")


def _came(world: "UnitWorld") -> Counter[Colour]:
    found = Counter[Colour]()
    for balancer in world.balancers.values():
        for counts in balancer.part(B).came.values():
            found.update(counts)
    return found


def _users(world: "UnitWorld", balancer: Balancer) -> None:
    dice = world.chance
    green = int(TRAFFIC * balancer.routes.green_bp / BP_FULL + dice.random())
    for colour, requests in ((Colour.GREEN, green), (Colour.BLUE, TRAFFIC - green)):
        if requests:
            balancer.serve(colour, requests, _errors(world, (B, colour), requests), world.now)


def _errors(world: "UnitWorld", key: Key, requests: int) -> int:
    name, colour = key
    alive = any(server in world.up for server in world.servers(name, colour))
    ratio = world.error_ratio[key] if alive else 1.0
    return int(requests * ratio + world.chance.random() if ratio else 0)


def _call(world: "UnitWorld", colour: Colour, count: int) -> None:
    """Call accounts through the load balancers, the newest life of each, and now and then through an older one."""
    for one in world.balancers.values():
        balancer, part = one.part(A), -(-count // len(world.balancers))
        lives = [life for life in balancer.runtime if life != balancer.newest]
        for life, calls in ((balancer.newest, part), *((old, 1) for old in lives)):
            for called, number in _dealt(balancer.runtime[life], colour, calls, world.guests).items():
                errors = _errors(world, (A, called), number)
                if world.guests.random() < world.rates.stays * world.rates.visit:
                    world.count("call stays")
                    balancer.held[called] += 1
                balancer.serve(called, number, errors, world.now, life)
                _counted(balancer, life, Cell(CALLERS[colour], called), number)


def _dealt(route: Route, colour: Colour, count: int, dice: Random) -> dict[Colour, int]:
    match pin_of(route, colour):
        case Pin.NONE:
            return {}
        case Pin.SPLIT:
            green = min(count, int(count * route.green_bp / BP_FULL + dice.random()))
            return {one: number for one, number in ((Colour.GREEN, green), (Colour.BLUE, count - green)) if number}
        case pin:
            return {Colour(pin.value): count}


def _counted(balancer: Balancer, life: Generation, cell: Cell, number: int) -> None:
    counts = balancer.calls.setdefault(life, {})
    counts[cell] = counts.get(cell, 0) + number


def check(world: "UnitWorld") -> None:
    """Nobody calls, or could call by any worker of any load balancer, whom it cannot speak with or who is not there.

    What a person routed by hand is that person's doing, until lbctl has written there.
    """
    check_users(world)
    for why in _wrongs(world):
        raise ViolationError(why)


def _wrongs(world: "UnitWorld") -> Iterator[str]:
    for balancer in world.balancers.values():
        part = balancer.part(A)
        for life, route in part.runtime.items():
            for colour in Colour if life not in part.by_hand else ():
                yield from _wrong(world, colour, route, f"{part.name} {life}")


def _wrong(world: "UnitWorld", colour: Colour, route: Route, where: str) -> Iterator[str]:
    fleet = world.fleet
    caller = fleet.runs[B, colour]
    for called in targets(route, colour) if caller.life is Life.SERVES else ():
        callee = fleet.runs[A, called]
        if callee.life is not Life.SERVES:
            yield f"{colour} of {B} calls {called} of {A}, which {callee.life}, by {where}: {route}"
        elif not caller.version.speaks_with(callee.version):
            yield (
                f"mismatched call: {B} {caller.version.number} ({colour}) calls {A} {callee.version.number} ({called}) "
                f"by {where}: {route}"
            )

"""What people ask for in the unit's world: anything, at any time; and CI that stops what it was told that it may."""

from typing import TYPE_CHECKING, Any

from lbctl.model.record import Phase, Record, Release
from lbctl.model.request import Cancel, Maintenance, Pause, Promote, Resume, Rollback, SayStopped, Undo
from lbctl.sim.unit.fleet import Key, Life
from lbctl.sim.unit.site import SERVERS, SERVICES, SHOP

if TYPE_CHECKING:
    from lbctl.sim.unit.world import UnitWorld

ON_RELEASE: tuple[Any, ...] = (Pause, Resume, Resume, Resume, Promote, Promote, Rollback, Cancel, Undo, Maintenance)
UNDONE = 0.3
MAINTAINED = 0.05


def running(world: "UnitWorld") -> Release | None:
    """Return the release that has not ended; none while nobody could tell."""
    release = None if world.process is None else world.process.state.record.releases.get(SHOP)
    return None if release is None or release.phase.ended else release


def ask_anything(world: "UnitWorld") -> None:
    """Ask for something that somebody could ask for now; it may well be refused."""
    assert world.process is not None
    release, dice = running(world), world.people
    if release is None:
        _at_rest(world, world.process.state.record)
        return
    kind = dice.choice(ON_RELEASE)
    world.count(f"person asks for {kind.__name__}")
    if kind is Undo:
        _undo(world)
    elif kind is Maintenance:
        maintain(world, on=dice.random() < 0.3, every=dice.random() < 0.5)
    elif kind is Promote:
        world.ask(Promote(release=release.id, full=dice.random() < 0.3, **world.request()))
    else:
        world.ask(kind(release=release.id, **world.request()))


def _at_rest(world: "UnitWorld", record: Record) -> None:
    dice = world.people.random
    if record.maintenance or any(one.maintenance for one in record.services.values()):
        maintain(world, on=False, every=record.maintenance)
    elif dice() < MAINTAINED:
        maintain(world, on=True, every=dice() < 0.5)
    elif dice() < UNDONE:
        world.count("person undoes")
        _undo(world)


def lift_maintenance(world: "UnitWorld", record: Record) -> None:
    """Allow writes again, of all services and then of each."""
    name = None if record.maintenance else next(one for one, it in record.services.items() if it.maintenance)
    world.ask(Maintenance(service=name, on=False, **world.request()))


def maintain(world: "UnitWorld", *, on: bool, every: bool) -> None:
    """Stop or allow writes."""
    name = None if every else world.people.choice(SERVICES)
    world.ask(Maintenance(service=name, on=on, **world.request()))


def roll_back(world: "UnitWorld", release: Release) -> None:
    """Ask to go back."""
    world.ask(Rollback(release=release.id, **world.request()))


def _undo(world: "UnitWorld") -> None:
    """Start what was stopped of the last release, if that is through, and go back to it."""
    release = world.disk.record.releases.get(SHOP)
    if release is not None and release.phase is Phase.FINISHED:
        for name, member in release.members.items():
            key, claimed = (name, member.origin), name in world.disk.record.claims
            if world.fleet.runs[key].life is Life.STOPPED and not claimed:
                world.count("stopped pool is started again")
                world.begin(key)
    world.ask(Undo(unit=SHOP, plan=world.plan, **world.request()))


def stop_old(world: "UnitWorld") -> None:
    """Stop an old pool that CI was told is certified, now and then, and perhaps say so."""
    rates, dice = world.rates, world.people.random
    for key in SERVERS if rates.stops_old else ():
        if world.fleet.serves(*key) and _certified(world, key) and dice() < rates.stops_old:
            world.count("old pool is stopped")
            world.stop(key)
            release = running(world)
            if release is not None and dice() < 0.3:
                world.count("job says stopped")
                world.said_stopped.add(key)
                world.ask(SayStopped(release=release.id, service=key[0], **world.request()))


def _certified(world: "UnitWorld", key: Key) -> bool:
    """Whether CI was told: on disk, and nothing newer has taken it back."""
    name, colour = key
    if world.process is None:
        return False
    known, newest = world.process.state.durable, world.process.state.record
    return all(
        name in one.services and one.services[name].pool(colour).certificate is not None for one in (known, newest)
    )

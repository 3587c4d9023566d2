"""Run a seed of the unit's world; with `liveness` the faults then stop, and everything must come to rest."""

from collections import deque

from lbctl.core.targets import target
from lbctl.model.record import Record
from lbctl.model.request import Resume
from lbctl.sim.chance import NONE, Rates
from lbctl.sim.core import REAL, Core
from lbctl.sim.run import LOG_LINES, OPERATOR_EVERY, PATIENCE_TICKS, SUSPICIONS, Report
from lbctl.sim.unit import people, teams
from lbctl.sim.unit.site import SERVICES, A, B
from lbctl.sim.unit.troubles import end_all, happen
from lbctl.sim.unit.world import UnitWorld
from lbctl.sim.watch import ViolationError

PEACE_TICKS_MAX = 1_500
ADOPTED_EVERY = 20
"""So many ticks after it was asked for in vain it is asked for again."""


def run_unit(
    seed: int, ticks: int, *, core: Core = REAL, rates: Rates, liveness: bool = False, log: bool = False
) -> Report:
    """Return the report of one run; the same seed, ticks and rates give the same run."""
    lines: deque[str] = deque(maxlen=LOG_LINES)
    world = UnitWorld(core, seed, rates)
    if log:
        world.log = lambda what, fact: lines.append(f"{world.now:>8} {what} {fact}")
    try:
        for tick in range(ticks):
            go_on(world, tick)
        spent = ticks + (peace(world) if liveness else 0)
    except (ViolationError, core.broken) as violation:
        said = f"{type(violation).__name__}: {violation}"
        return Report(seed, world.now // 100, said, world.watch.counts, tuple(lines))
    return Report(seed, spent, "", world.watch.counts, tuple(lines))


def go_on(world: UnitWorld, tick: int) -> None:
    """Let a tick pass, with whatever befalls."""
    happen(world)
    _at_work(world, tick)
    world.tick()


def _at_work(world: UnitWorld, tick: int) -> None:
    if world.adopted:
        teams.work(world)
    elif tick % ADOPTED_EVERY == 1:
        world.adopt()


def peace(world: UnitWorld) -> int:
    """Everything ends once the faults stop: releases, claims, proofs; and what could go from the board has gone."""
    world.rates = NONE
    end_all(world)
    for tick in range(PEACE_TICKS_MAX):
        _at_work(world, tick)
        world.tick()
        if tick % OPERATOR_EVERY == OPERATOR_EVERY - 1:
            _operate(world, tick)
        if tick > 100 and not unsettled(world):
            return tick
    raise ViolationError(f"not at rest {PEACE_TICKS_MAX} ticks after the last fault: {unsettled(world)}")


def _operate(world: UnitWorld, tick: int) -> None:
    """Do what a diligent operator would: lift what a person must lift, and take back what stays suspected."""
    process = world.process
    if process is None:
        return
    record, release = process.state.record, people.running(world)
    if record.maintenance or any(one.maintenance for one in record.services.values()):
        people.lift_maintenance(world, record)
        return
    if release is None:
        return
    progress = process.state.progress.get(release.id)
    codes = {hold.code for hold in progress.holds} if progress is not None else set[str]()
    if release.paused_by is not None or release.latched or "token" in codes:
        world.ask(Resume(release=release.id, **world.request()))
    elif codes & SUSPICIONS and tick > PATIENCE_TICKS:
        people.roll_back(world, release)


def unsettled(world: UnitWorld) -> str:
    """Return what is not at rest yet, for people; empty if everything is."""
    process, record = world.process, world.disk.record
    if process is None or not world.adopted or process.state.record.rev != record.rev:
        return "lbctld is not there, or has decided more than is on disk"
    release = people.running(world)
    if release is not None:
        progress = process.state.progress.get(release.id)
        return f"{release}: {progress.holds if progress is not None else ''}"
    for name in SERVICES:
        want = target(world.topology, record, name)
        for part in (one.part(name) for one in world.balancers.values()):
            if any(route != want for route in (*part.runtime.values(), part.boot)):
                return f"{part.name} routes {[*map(str, part.runtime.values())]}/{part.boot}, not {want}"
    return next(
        (f"{i}: {one.unresolved}" for i, one in process.state.lanes.items() if one.unresolved), _kept(world, record)
    )


def _kept(world: UnitWorld, record: Record) -> str:
    """Return which claim is not granted, which pool not proved unused, or which versions could go and do not."""
    for name, held in record.claims.items():
        if not held.granted:
            return f"the claim of {name} is not granted: {held}"
        if name not in record.board:
            return f"nobody goes on with the claim of {name}: {held}"
    for name in SERVICES:
        adopted = record.services[name]
        colour = adopted.active.other
        pool = adopted.pool(colour)
        # One that was voided by a late request needs a longer time than anybody waits for here.
        if name not in record.claims and pool.certificate is None and pool.voided is None:
            return f"{colour} of {name} is not proved unused: {pool}"
    return _parked(world, record)


def _parked(world: UnitWorld, record: Record) -> str:
    """Return which two versions can speak with each other, and do not although nothing keeps them from it."""
    active = {name: world.fleet.runs[name, record.services[name].active].version for name in SERVICES}
    ready = {name: world.fleet.runs[name, record.claims[name].colour].version for name in record.board}
    for provider in {active[A], ready.get(A, active[A])}:
        for consumer in {active[B], ready.get(B, active[B])}:
            if (provider, consumer) != (active[A], active[B]) and consumer.speaks_with(provider):
                return f"{B} {consumer.number} and {A} {provider.number} could go"
    return ""

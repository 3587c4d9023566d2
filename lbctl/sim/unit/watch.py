"""What must never happen to the unit. It trusts nothing that the core says of itself."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lbctl.core.invariants import check
from lbctl.core.reconcile import routed
from lbctl.core.targets import target
from lbctl.model.certificate import Certificate
from lbctl.model.names import Colour, ReleaseId, ServiceName
from lbctl.model.reading import InstanceReading
from lbctl.model.record import Phase, Record, Release
from lbctl.sim.balancer import Balancer
from lbctl.sim.unit.calls import pin_of, targets
from lbctl.sim.unit.fleet import Life
from lbctl.sim.unit.site import CALLERS, SERVICES, SHOP, A, B
from lbctl.sim.watch import ViolationError

if TYPE_CHECKING:
    from lbctl.sim.unit.world import UnitWorld

OPEN = {Phase.SHIFTING, Phase.BAKING}


@dataclass(slots=True)
class UnitWatch:
    """Everything that must be remembered to judge the next event."""

    counts: dict[str, int] = field(default_factory=dict)
    ended: set[ReleaseId] = field(default_factory=set)

    def count(self, what: str) -> None:
        """Count an event for the report."""
        self.counts[what] = self.counts.get(what, 0) + 1

    def durable(self, record: Record) -> None:
        """A record reached the disk."""
        release = record.releases.get(SHOP)
        if release is not None and release.phase.ended and release.id not in self.ended:
            self.ended.add(release.id)
            self.count(f"{kind_of(release)} {release.phase.value}")

    def save(self, world: "UnitWorld", before: Record, record: Record) -> None:
        """A decision was taken and is about to be written."""
        if record.rev == before.rev:
            return
        check(before, record)
        together(record)
        for name in SERVICES:
            for colour in Colour:
                _granted(world, name, colour, before, record)
                _certified(world, name, colour, before, record)
        _ended(world, before, record)


def kind_of(release: Release) -> str:
    """Return what goes: both, or one of them alone."""
    return "joint" if release.followers else f"{release.service} alone"


def claim(holds: bool, otherwise: str) -> None:
    """Raises ViolationError if it does not hold."""
    if not holds:
        raise ViolationError(otherwise)


def together(record: Record) -> None:
    """Both are on their old pools, or both on their new ones: never one of them alone."""
    release = record.releases.get(SHOP)
    if release is None or release.phase.ended:
        return
    moved = {record.services[name].active is member.to for name, member in release.members.items()}
    claim(len(moved) == 1, f"the services of release {release.id} are apart")


def _granted(world: "UnitWorld", name: ServiceName, colour: Colour, before: Record, record: Record) -> None:
    """A pool that is granted is used by nobody, and calls nobody."""
    was, held = before.claims.get(name), record.claims.get(name)
    if held is None or not held.granted or held.colour is not colour or (was is not None and was.granted):
        return
    world.watch.count("granted")
    for why in used(world, name, colour):
        raise ViolationError(f"{colour} of {name} was granted, and {why}")


def used(world: "UnitWorld", name: ServiceName, colour: Colour) -> "list[str]":
    """Return who uses a pool, or could, and whom it calls. What changed since the last reading nobody could know."""
    found = []
    for instance, balancer in world.balancers.items():
        part, reading = balancer.part(name), world.seen(instance)
        if reading is None:
            found.append(f"{instance} was not read")
            continue
        if balancer.touched_at >= reading.taken_at:
            continue
        for life, route in (*part.runtime.items(), ("boot", part.boot)):
            if route.share_bp(colour) or route.keep_bp(colour):
                found.append(f"{instance} {life} sends users there: {route}")
        if part.held[colour] and part.served_at[colour] <= reading.taken_at:
            found.append(f"{part.held[colour]} are in flight there on {instance}")
        provider = balancer.part(A)
        for life, route in (*provider.runtime.items(), ("boot", provider.boot)):
            if name == B and targets(route, colour):
                found.append(f"{instance} {life} lets it call {A}: {route}")
            callers = [one for one in Colour if name == A and pin_of(route, one).value == colour.value]
            found += [f"{instance} {life} sends {CALLERS[one]} there" for one in callers]
    return found


def _certified(world: "UnitWorld", name: ServiceName, colour: Colour, before: Record, record: Record) -> None:
    """A pool that is certified is unused, whoever looks."""
    was, found = (
        one.services[name].pool(colour).certificate if name in one.services else None for one in (before, record)
    )
    if found is None or found == was:
        return
    world.watch.count("certified")
    for instance, balancer in world.balancers.items():
        part, reading = balancer.part(name), world.seen(instance)
        claim(reading is not None, f"certified while {instance} could not be read")
        assert reading is not None
        _unused(world, name, colour, found, part, reading)


def _unused(
    world: "UnitWorld", name: ServiceName, colour: Colour, found: Certificate, part: Balancer, reading: InstanceReading
) -> None:
    whose, quiet = f"{colour} of {name} on {part.name}", world.topology.services[name].drain.quiet
    claim(reading.taken_at - found.since >= quiet, f"{whose} was certified before it was quiet for long enough")
    late = found.since < part.served_at[colour] <= reading.taken_at
    claim(not late, f"{whose} was certified as unused since {found.since}, and served at {part.served_at[colour]}")
    if part.served_at[colour] <= reading.taken_at:
        claim(not part.held[colour], f"{whose} was certified with {part.held[colour]} in flight")
    if world.balancers[part.name].touched_at < reading.taken_at:
        for route in (*part.runtime.values(), part.boot):
            open_to = route.share_bp(colour) or route.keep_bp(colour)
            claim(not open_to, f"{whose} was certified while it routes {route}")
        if name == A:
            _uncalled(world, colour, part)


def _uncalled(world: "UnitWorld", colour: Colour, part: Balancer) -> None:
    """An old accounts is kept until whoever is pinned to it is stopped."""
    for caller in Colour:
        may_call = world.fleet.runs[B, caller].life is not Life.STOPPED
        for route in (*part.runtime.values(), part.boot) if may_call else ():
            pinned = pin_of(route, caller).value == colour.value
            claim(not pinned, f"{colour} of {A} was certified, and {part.name} sends {CALLERS[caller]} there: {route}")


def _ended(world: "UnitWorld", before: Record, record: Record) -> None:
    """An end is decided when it is read back everywhere, for every service of the release."""
    old, new = before.releases.get(SHOP), record.releases.get(SHOP)
    if old is None or new is None or old.id != new.id or old.phase is new.phase:
        return
    if new.phase in {Phase.ROLLED_BACK, Phase.FINISHED}:
        for name in new.members:
            want = target(world.topology, before, name)
            assert want is not None
            for instance in world.balancers:
                reading = world.seen(instance)
                read = reading is not None and routed(reading, name, want)
                claim(read, f"{new.phase.value}, and {instance} does not read back {name} {want}")

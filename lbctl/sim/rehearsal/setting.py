"""Where a rehearsal begins: the services that go, at rest, and what lbctl has learned of them by then."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random

from lbctl.core.coupling import carrier, providers_of
from lbctl.core.judge import Counts, Learned
from lbctl.model import sketch
from lbctl.model.names import Colour, ServiceName, UnitName
from lbctl.model.record import Adopted, Pool, PoolState, Record
from lbctl.model.topology import Approvals, Driver, Plan, Service, Topology
from lbctl.model.units import DAY, HOUR, MINUTE, Span
from lbctl.sim.rehearsal.dice import hits, slots_of, times
from lbctl.sim.rehearsal.script import Trouble

OLD, NEW = "old", "new"
"""The versions: their names do not matter here."""
TIMED = HOUR
"""Times of requests fade within minutes: only so much of the past is made up."""
TIMES_MAX = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One rehearsal. `rate` are users' requests a second; ratios and times are what both versions do without faults.

    `watched`: how long lbctl has known the services. `topology` has only what takes part, without hooks, approvals
    and freeze windows.
    """

    topology: Topology
    carrier: ServiceName
    followers: tuple[ServiceName, ...]
    active: Colour
    plan: Plan
    troubles: tuple[Trouble, ...] = ()
    rate: float = 100.0
    usual_errors: float = 0.0005
    usual_ms: float = 50.0
    watched: Span = Span(DAY)
    seed: int = 1
    assumed: tuple[str, ...] = ()

    @property
    def members(self) -> tuple[ServiceName, ...]:
        """The services that are released."""
        return (self.carrier, *self.followers)

    def timed(self, name: ServiceName) -> bool:
        """Whether anybody tells how long requests of this service take."""
        plane = self.topology.planes[self.topology.services[name].plane]
        return plane.driver is Driver.ENVOY or plane.request_log is not None

    @property
    def latency_judged(self) -> bool:
        """Whether a slow candidate can be seen at all."""
        return all(self.timed(name) for name in self.members)


def taking_part(topology: Topology, target: str) -> tuple[Topology, ServiceName, tuple[ServiceName, ...], list[str]]:
    """Return what takes part in a release of `target` (a service or unit), its carrier and followers, and what is
    taken for granted.

    Raises:
        KeyError: there is no such service or unit.
        Refused: its services cannot go together.
    """
    unit = topology.units.get(UnitName(target))
    members = (ServiceName(target),) if unit is None else unit.services
    if unit is None:
        unit = topology.unit_of(members[0]) if members[0] in topology.services else None
    if unit is None:
        raise KeyError(target)
    leads = carrier(topology, members)
    near = _near(topology, members)
    assumed = []
    if any(topology.services[name].hooks for name in members) or unit.hooks:
        assumed.append("hooks say yes")
    if unit.plan.approvals.count:
        assumed.append("approvals are given")
    if unit.freeze or any(topology.services[name].freeze for name in members):
        assumed.append("no freeze window is open")
    services = {name: _undisturbed(topology.services[name]) for name in topology.services if name in near}
    planes = {name: one for name, one in topology.planes.items() if any(s.plane == name for s in services.values())}
    units = {
        name: replace(one, hooks=(), freeze=(), plan=replace(one.plan, approvals=Approvals()))
        for name, one in topology.units.items()
        if set(one.services) <= set(services)
    }
    followers = tuple(name for name in members if name != leads)
    return Topology(planes, services, units), leads, followers, assumed


def _near(topology: Topology, members: tuple[ServiceName, ...]) -> set[ServiceName]:
    """The services that go, the rest of their unit, and everybody who calls or is called."""
    near = set(members) | {other for one in members for other in topology.unit_of(one).services}
    while True:
        called = {provider for one in near for provider in providers_of(topology, one)}
        calling = {consumer for one in near for consumer in topology.services[one].consumers}
        if called | calling <= near:
            return near
        near |= called | calling


def _undisturbed(service: Service) -> Service:
    return replace(service, hooks=(), freeze=(), plan=replace(service.plan, approvals=Approvals()))


def at_rest(setting: Setting) -> Record:
    """Return the record before the release: one pool active, the other one proved unused and deployed to."""
    old = Pool(state=PoolState.ACTIVE, version=OLD)
    new = Pool(state=PoolState.IDLE, version=NEW, keep_bp=0)
    pools = {setting.active: old, setting.active.other: new}
    adopted = Adopted(active=setting.active, blue=pools[Colour.BLUE], green=pools[Colour.GREEN])
    return Record(rev=1, services=dict.fromkeys(setting.topology.services, adopted))


def known(setting: Setting, chance: Random) -> Mapping[ServiceName, Learned]:
    """Return what was learned of every service that goes: all of them did the same."""
    slots = tuple(sketch.bucket_of(ms) for ms in slots_of(chance, setting.usual_ms, 0.0))
    found = {name: Learned() for name in setting.members}
    count = round(setting.rate * MINUTE / 1_000)
    for minute in range(setting.watched // MINUTE):
        late = setting.watched - minute * MINUTE <= TIMED
        for name, learned in found.items():
            counts = Counts(count, hits(chance, count, setting.usual_errors))
            drawn = times(chance, min(count, TIMES_MAX), slots) if late and setting.timed(name) else None
            found[name] = learned.after(counts, MINUTE / 1_000, drawn)
    return found

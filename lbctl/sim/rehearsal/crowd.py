"""Users and what becomes of their requests: each goes to a server of some pool, which calls its providers."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random

from lbctl.core.coupling import providers_of
from lbctl.model import sketch
from lbctl.model.names import Colour, InstanceName, ServerName, ServiceName
from lbctl.model.route import Caller
from lbctl.model.topology import Server
from lbctl.model.units import Instant
from lbctl.sim.rehearsal.dice import Carry, hits, slots_of, times
from lbctl.sim.rehearsal.edge import Edge, Key
from lbctl.sim.rehearsal.script import Kind, Trouble
from lbctl.sim.rehearsal.setting import Setting


@dataclass(frozen=True, slots=True)
class Fate:
    """How many of some requests failed, how many of those would not have without the faults, and how many a fault
    slowed, at the server itself or at a provider that it called."""

    failed: int = 0
    by_fault: int = 0
    slowed: int = 0

    def __add__(self, other: "Fate") -> "Fate":
        return Fate(self.failed + other.failed, self.by_fault + other.by_fault, self.slowed + other.slowed)


@dataclass(slots=True)
class Harm:
    """What users got up to now, by the pool that answered."""

    requests: Counter[Colour] = field(default_factory=Counter)
    failed: Counter[Colour] = field(default_factory=Counter)
    by_fault: Counter[Colour] = field(default_factory=Counter)
    slowed: Counter[Colour] = field(default_factory=Counter)
    first_at: Instant | None = None
    """When the first user was harmed by a fault."""


class Crowd:
    """All users together. `troubles` are those of this moment; `down` are servers that load balancers leave out."""

    def __init__(self, setting: Setting, chance: Random) -> None:
        self._setting = setting
        self._chance = chance
        self._topology = setting.topology
        self._comes: dict[str, Carry] = {}
        self._providers = {name: providers_of(self._topology, name) for name in self._topology.services}
        self._slots: dict[float, tuple[int, ...]] = {}
        self._times = slots_of(chance, setting.usual_ms, 0.0)
        self._turns: Counter[Key] = Counter()
        self.troubles: tuple[Trouble, ...] = ()
        self.down: dict[Key, set[ServerName]] = {}
        self.harm = Harm()

    def come(self, edges: Mapping[InstanceName, Edge], now: Instant, span_s: float) -> None:
        """Let the users of a span of time come, by all load balancers alike."""
        here = [edges[name] for name in self._topology.instances_of(self._setting.carrier)]
        for edge in here:
            amount = self._setting.rate * span_s / len(here)
            count = self._comes.setdefault(edge.name, Carry()).take(amount)
            for colour, part in edge.split(self._setting.carrier, count, None).items():
                edge.called(self._setting.carrier, None, colour, part)
                self._note(colour, part, self._served(edge, edges, self._setting.carrier, colour, part), now)

    def _note(self, colour: Colour, count: int, fate: Fate, now: Instant) -> None:
        harm = self.harm
        harm.requests[colour] += count
        harm.failed[colour] += fate.failed
        harm.by_fault[colour] += fate.by_fault
        harm.slowed[colour] += fate.slowed
        if fate.by_fault or fate.slowed:
            harm.first_at = now if harm.first_at is None else harm.first_at

    def _served(
        self, edge: Edge, edges: Mapping[InstanceName, Edge], name: ServiceName, colour: Colour, count: int
    ) -> Fate:
        """Have one pool answer, and return what became of the requests."""
        if not count:
            return Fate()
        down = self.down.get((name, colour), set())
        servers = [one for one in self._topology.services[name].pool(colour).servers if one.name not in down]
        counted = edge.counted[name, colour]
        if not servers:
            counted.add(None, count, count)
            return Fate(count, count)
        total = Fate()
        for server, part in self._dealt((name, colour), servers, count):
            fate = self._answered(edge, edges, name, colour, server.name, part)
            counted.add(server.name, part, fate.failed)
            if self._setting.timed(name):
                counted.times.update(times(self._chance, part, self._slots_for(name, colour, server.name)))
            slow = part if self._slower(name, colour, server.name) else min(part, fate.slowed)
            total = total + replace(fate, slowed=slow)
        return total

    def _dealt(self, pool: Key, servers: list[Server], count: int) -> list[tuple[Server, int]]:
        """Deal requests out in turn, as round robin does over a long time."""
        each, rest = divmod(count, len(servers))
        self._turns[pool] += rest
        extra = {(self._turns[pool] - one) % len(servers) for one in range(rest)}
        shares = [(server, each + (index in extra)) for index, server in enumerate(servers)]
        return [(server, part) for server, part in shares if part]

    def _answered(
        self,
        edge: Edge,
        edges: Mapping[InstanceName, Edge],
        name: ServiceName,
        colour: Colour,
        server: ServerName,
        count: int,
    ) -> Fate:
        total = Fate()
        for provider in self._providers[name]:
            total = total + self._call(edge, edges, provider, Caller(name, colour), count - total.failed)
        usual = hits(self._chance, count - total.failed, self._setting.usual_errors)
        total = total + Fate(usual)
        for trouble in self.troubles:
            if trouble.kind in {Kind.ERRORS, Kind.DEAD} and _meets(trouble, name, colour, server):
                ratio = 1.0 if trouble.kind is Kind.DEAD else trouble.amount
                more = hits(self._chance, count - total.failed, ratio)
                total = total + Fate(more, more)
        return total

    def _call(
        self, edge: Edge, edges: Mapping[InstanceName, Edge], provider: ServiceName, caller: Caller, count: int
    ) -> Fate:
        """Each request of a consumer's server needs one call of each provider."""
        if provider not in edge.services:
            edge = edges[self._topology.instances_of(provider)[0]]
        total, parts = Fate(), edge.split(provider, count, caller)
        for colour, part in parts.items():
            edge.called(provider, caller, colour, part)
            total = total + self._served(edge, edges, provider, colour, part)
        refused = count - sum(parts.values())
        return total + Fate(refused)

    def _slower(self, name: ServiceName, colour: Colour, server: ServerName) -> float:
        here = (one for one in self.troubles if one.kind is Kind.LATENCY)
        return sum(one.amount for one in here if _meets(one, name, colour, server))

    def _slots_for(self, name: ServiceName, colour: Colour, server: ServerName) -> tuple[int, ...]:
        extra = self._slower(name, colour, server)
        if extra not in self._slots:
            self._slots[extra] = tuple(sketch.bucket_of(ms + extra) for ms in self._times)
        return self._slots[extra]


def _meets(trouble: Trouble, name: ServiceName, colour: Colour, server: ServerName) -> bool:
    whom = trouble.whom
    return whom is not None and (whom.service, whom.colour) == (name, colour) and whom.server in {None, server}

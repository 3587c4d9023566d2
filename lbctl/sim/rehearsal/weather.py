"""What goes wrong in a rehearsal as time passes, and what lbctl then sees of servers and load balancers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from lbctl.model.attested import Attested
from lbctl.model.names import Colour, InstanceName, ServerName, ServiceName
from lbctl.model.reading import Health, InstanceReading, Observed, Unreadable
from lbctl.model.record import Phase, Release
from lbctl.model.units import Instant, since
from lbctl.sim.rehearsal.edge import Edge, Key
from lbctl.sim.rehearsal.script import Kind, Moment, Trouble, When
from lbctl.sim.rehearsal.setting import NEW, OLD, Setting
from lbctl.sim.site import unconnected


@dataclass(slots=True)
class Weather:
    """The troubles of one rehearsal: which have begun and which are over, and what they did."""

    setting: Setting
    edges: Mapping[InstanceName, Edge]
    begun: dict[Trouble, Instant] = field(default_factory=dict)
    over: set[Trouble] = field(default_factory=set)
    down: dict[Key, set[ServerName]] = field(default_factory=dict)
    """Servers that load balancers leave out."""
    stopped: dict[Key, Instant] = field(default_factory=dict)
    """Pools that CI stopped, and since when."""
    _dead_since: dict[tuple[ServiceName, ServerName], Instant] = field(default_factory=dict)
    _deaf_since: dict[InstanceName, Instant] = field(default_factory=dict)

    @property
    def here(self) -> tuple[Trouble, ...]:
        """The troubles of this moment."""
        return tuple(one for one in self.setting.troubles if one in self.begun and one not in self.over)

    @property
    def unmet(self) -> tuple[Trouble, ...]:
        """Those whose moment never came."""
        return tuple(one for one in self.setting.troubles if one not in self.begun)

    @property
    def settled(self) -> bool:
        """Whether nothing will end by itself any more."""
        return all(one.length is None or one in self.over for one in self.begun)

    def changes(self, release: Release | None, began: Instant | None, now: Instant) -> Iterator[tuple[Trouble, bool]]:
        """Yield what begins now (True) and what ends now, and carry it out at the load balancers."""
        for trouble in self.setting.troubles:
            if trouble not in self.begun and self._is_time(trouble.begins, release, began, now):
                self.begun[trouble] = now
                self._begin(trouble, now)
                yield trouble, True
            ends = None if trouble.length is None or trouble not in self.begun else self.begun[trouble] + trouble.length
            if ends is not None and now >= ends and trouble not in self.over:
                self.over.add(trouble)
                if trouble.kind is Kind.UNREADABLE and trouble.instance is not None:
                    self.edges[trouble.instance].deaf = False
                yield trouble, False

    def _is_time(self, when: When, release: Release | None, began: Instant | None, now: Instant) -> bool:
        if when == When():
            return True
        if began is None or release is None:
            return False
        match when.moment:
            case Moment.START:
                return since(began, now) >= when.after
            case Moment.STEP:
                return release.peak_bp >= self.setting.plan.steps_bp[when.number - 1]
            case Moment.BAKE:
                return release.phase is Phase.BAKING
            case Moment.DRAIN:
                return release.phase.swapped

    def _begin(self, trouble: Trouble, now: Instant) -> None:
        if trouble.kind is Kind.RELOAD and trouble.instance is not None:
            self.edges[trouble.instance].reload()
            self.over.add(trouble)
        if trouble.kind is Kind.UNREADABLE and trouble.instance is not None:
            self.edges[trouble.instance].deaf = True
            self._deaf_since[trouble.instance] = now

    def check(self, now: Instant) -> bool:
        """Leave out the servers that failed as many checks as it takes; returns whether there are others than before.

        Load balancers and the prober are taken to find it at the same time.
        """
        services = self.setting.topology.services
        self._dead_since = {
            (name, server): self._dead_since.get((name, server), now) for name, _, server in self._dead()
        }
        down = {key: {server.name for server in services[key[0]].pool(key[1]).servers} for key in self.stopped}
        for name, colour, server in self._dead():
            check = services[name].health
            found_after = 0 if check is None else check.fall * check.interval
            if since(self._dead_since[name, server], now) >= found_after:
                down.setdefault((name, colour), set()).add(server)
        before, self.down = self.down, down
        return before != down

    def _dead(self) -> Iterator[tuple[ServiceName, Colour, ServerName]]:
        for trouble in self.here:
            whom = trouble.whom
            if trouble.kind is not Kind.DEAD or whom is None:
                continue
            for server in self.setting.topology.services[whom.service].pool(whom.colour).servers:
                if whom.server in {None, server.name}:
                    yield whom.service, whom.colour, server.name

    # ---- what is seen

    def observed(self, now: Instant) -> Observed:
        """Return what the daemon's eyes know now."""
        timed = {name for name in self.setting.members if self.setting.timed(name)}
        readings: dict[InstanceName, InstanceReading | Unreadable] = {
            name: Unreadable(self._deaf_since[name], "no answer")
            if edge.deaf
            else edge.read(Instant(now - 1), self.down, timed)
            for name, edge in self.edges.items()
        }
        timing = {
            (name, service): one
            for name, reading in readings.items()
            if isinstance(reading, InstanceReading)
            for service, one in reading.timing.items()
        }
        health = {(name, server): one for name, _, server, one in self._health()}
        said = {
            (name, server): Attested(OLD if colour is self.setting.active else NEW, "", now)
            for name, colour, server, _ in self._health()
        }
        census = unconnected(self.setting.topology, now)
        return Observed(readings, health, timing=timing, attested=said, census=census)

    def _health(self) -> Iterator[tuple[ServiceName, Colour, ServerName, Health]]:
        for service in self.setting.topology.services.values():
            for colour in Colour:
                down, refused = self.down.get((service.name, colour), set()), self.stopped.get((service.name, colour))
                for server in service.pool(colour).servers:
                    at = self._dead_since.get((service.name, server.name), Instant(0))
                    bad = server.name in down
                    yield service.name, colour, server.name, Health(not bad, at, "refused" * bad, refused)

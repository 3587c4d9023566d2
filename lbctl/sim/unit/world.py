"""The simulated world of a unit: storefront before accounts on the same load balancers."""

from random import Random
from typing import Any

from lbctl.model.hook import HookAnswer, HookKey
from lbctl.model.names import Colour, InstanceName, ServerName, ServiceName
from lbctl.model.operation import Place
from lbctl.model.reading import Health, InstanceReading, Observed
from lbctl.model.record import Record
from lbctl.model.request import Adopt, Answer, Request
from lbctl.model.route import Route
from lbctl.model.units import Instant
from lbctl.sim.balancer import Balancer, Landed, Pending
from lbctl.sim.chance import Rates
from lbctl.sim.core import Core
from lbctl.sim.host import Host
from lbctl.sim.people import plan
from lbctl.sim.process import Crash, Process
from lbctl.sim.site import unconnected
from lbctl.sim.unit import calls
from lbctl.sim.unit.fleet import FIRST, Fleet, Key, Life, Version
from lbctl.sim.unit.site import SERVERS, SERVICES, UNPINNED, A, B, topology
from lbctl.sim.unit.teams import Job
from lbctl.sim.unit.watch import UnitWatch


class UnitWorld(Host):
    """Two services, their users and servers, and what everybody was told."""

    def __init__(self, core: Core, seed: int, rates: Rates) -> None:
        super().__init__(core, seed, rates)
        self.guests, self.jobs, self.people = Random(seed), Random(seed), Random(seed)  # noqa: S311
        names = tuple(InstanceName(f"edge/lb{number}") for number in (1, 2))
        self.plan = plan(self.people)
        self.topology = topology(names, self.plan)
        self.balancers = self._balancers(names)
        self.fleet = Fleet()
        self.up = self.fleet.up
        self.error_ratio: dict[Key, float] = dict.fromkeys(SERVERS, 0.0)
        self.sessions = dict.fromkeys(Colour, False)
        self.checker = ""
        """`late`, `suspect`, or empty."""
        self.said_stopped: set[Key] = set()
        """Pools of which somebody said that they are stopped."""
        self.watch = UnitWatch()
        self.answers: dict[int, Answer] = {}
        """What was said to whoever asked, by the number of the request."""
        self.asked = self.builds = 0
        self.running: list[Job] = []
        """The CI jobs that are at work."""
        self.start()

    def _balancers(self, names: tuple[InstanceName, ...]) -> dict[InstanceName, Balancer]:
        one_file = self.lives.random() < 0.3
        keeps_fence = self.lives.random() >= self.rates.keeps_no_fence
        return {name: self._balancer(name, one_file=one_file, keeps_fence=keeps_fence) for name in names}

    def _balancer(self, name: InstanceName, *, one_file: bool, keeps_fence: bool) -> Balancer:
        made: Balancer | None = None
        for service in SERVICES:
            servers = {colour: SERVERS[service, colour] for colour in Colour}
            made = Balancer(
                name, service, servers, UNPINNED[service], one_file=one_file, keeps_fence=keeps_fence, beside=made
            )
            made.count = self.count
        assert made is not None
        return made

    # ---- the process

    def start(self) -> None:
        """Start lbctld from what is on the disk."""
        self.life += 1
        record = self.disk.record
        self.tokens.sweep(record)
        self.readings = {}
        accounts = {
            one.id: self.disk.accounts[one.id]
            for one in record.releases.values()
            if not one.phase.ended and one.id in self.disk.accounts
        }
        state = self.core.start(record, self.topology, self.now, accounts, {}, self.disk.tallies)
        self.process = Process(self.core, self, state)

    def stepped(self, process: Process) -> None:
        """Keep the matrix of calls, as the keeper does, and see whether a call could go wrong."""
        self.disk.tallies = dict(process.state.matrix)
        calls.check(self)

    def ask(self, request: Request) -> None:
        """Let somebody ask; nobody answers while lbctld is down."""
        if self.process is None:
            return
        if self.log is not None:
            self.log("ask", request)
        try:
            self.process.ask(request, self.now)
        except Crash as crash:
            self.crashed(crash)

    def request(self) -> dict[str, Any]:
        """Return what every request has: the next number, and a nonce of its own."""
        self.asked += 1
        return {"id": self.asked, "actor": "someone", "nonce": f"{self.asked:x}", "wall": ""}

    def deploy(self, key: Key, version: Version, done: Instant) -> None:
        """Bring another version to a pool; nobody may meet it until it is there."""
        self.said_stopped.discard(key)
        self.fleet.deploy(key, version, self.now, done)
        self.up = self.fleet.up
        calls.check(self)

    def stop(self, key: Key) -> None:
        """Nothing of a pool listens or calls any more."""
        self.fleet.stop(key, self.now)
        self.up = self.fleet.up
        calls.check(self)

    def begin(self, key: Key) -> None:
        """Start again what a pool ran."""
        self.said_stopped.discard(key)
        self.fleet.begin(key, self.now)
        self.up = self.fleet.up
        calls.check(self)

    def adopt(self) -> None:
        """Ask to drive what is not driven yet. In an orderly way both are asked for at once."""
        for name in SERVICES:
            if name not in self.disk.record.services:
                contract = FIRST.contract(name)
                asked = self.request()
                self.ask(Adopt(service=name, active=Colour.BLUE, version="1", contract=contract, settle=True, **asked))

    @property
    def adopted(self) -> bool:
        """Whether both services are driven."""
        return self.disk.record.services.keys() == {*SERVICES}

    # ---- what a host leaves to its world

    def count(self, what: str) -> None:
        """Count an event for the report."""
        self.watch.count(what)

    def durable(self) -> None:
        """The disk may hold another record than before."""
        self.watch.durable(self.disk.record)

    def cut(self) -> None:
        """The power of the host went."""

    def live(self) -> None:
        """Let deployments end and users come."""
        self.fleet.pass_time(self.now)
        self.up = self.fleet.up
        calls.check(self)
        calls.come(self)

    def reload(self, balancer: Balancer, *, keep_old: bool) -> None:
        """A reload (or a restart) of a load balancer."""
        balancer.reload(self.now, keep_old=keep_old)
        calls.check(self)

    def edit(self, balancer: Balancer, route: Route, *, boot: bool = False) -> None:
        """A person changes a route, or config management a boot value."""
        (balancer.edit_boot if boot else balancer.edit)(self.now, route)

    def sent(self, service: ServiceName, *, unknown: bool) -> object:
        """Return nothing: what an operation of a unit may do is seen when it lands."""
        del service, unknown
        return None

    def landed(self, balancer: Balancer, pending: Pending, before: Route, changes: list[Landed]) -> None:
        """See whether a call could go wrong from now on."""
        del balancer, pending, before
        if any(one.place is Place.RUNTIME and one.before != one.after for one in changes):
            self.count("landed")
        calls.check(self)

    def told(self, what: str, fact: Any) -> None:
        """Let the watch look at what the process is about to do, and whoever asked hear the answer."""
        if what == "save":
            assert self.process is not None
            self.watch.save(self, self.before(fact.record), fact.record)
        elif what == "reply":
            self.answers[fact.answer.request_id] = fact.answer
        if self.log is not None:
            self.log(what, fact)

    def before(self, record: Record) -> Record:
        """Return the decision that `record` follows."""
        assert self.process is not None
        del record
        return self.process.before

    def ask_hook(self, key: HookKey) -> None:
        """Nobody has hooks here."""

    def heard(self, answer: HookAnswer) -> None:
        """Nobody has hooks here."""

    def servers(self, name: ServiceName, colour: Colour) -> tuple[ServerName, ...]:
        """Return the servers of a pool."""
        return SERVERS[name, colour]

    def seen(self, instance: InstanceName) -> InstanceReading | None:
        """Return the reading by which the process decides."""
        assert self.process is not None
        reading = self.process.state.observed.instances.get(instance)
        return reading if isinstance(reading, InstanceReading) else None

    # ---- what the daemon's eyes know

    def observed(self) -> Observed:
        """Return readings, health, and the kernel's count."""
        health = {
            (name, server): self._health((name, c), server)
            for (name, c), all_of in SERVERS.items()
            for server in all_of
        }
        suspect = dict.fromkeys(SERVICES, "most of both pools look dead") if self.checker == "suspect" else {}
        return Observed(
            dict(self.readings), health, checker_suspect=suspect, census=unconnected(self.topology, self.now)
        )

    def _health(self, key: Key, server: ServerName) -> Health:
        runs = self.fleet.runs[key]
        if self.checker == "late":
            return Health(None, self.now, "late")
        if runs.life is Life.STOPPED:
            return Health(False, runs.since, "refused", runs.since)
        return Health(server in self.up, runs.since)


__all__ = ["A", "B", "UnitWorld"]

"""The simulated host and its load balancers, whatever services are behind them: time, a process that may die, a disk, a
token directory, operations on their way. What the services are, who uses them and what must never happen to them is the
matter of the world that is built on it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from random import Random
from typing import Any

from lbctl.model.hook import HookAnswer, HookKey
from lbctl.model.names import InstanceName, ServerName, ServiceName
from lbctl.model.operation import Operation
from lbctl.model.reading import InstanceReading, Observed, Unreadable
from lbctl.model.record import Record
from lbctl.model.route import Route
from lbctl.model.units import Instant
from lbctl.sim.balancer import Balancer, Landed, Pending
from lbctl.sim.chance import Rates
from lbctl.sim.core import Core
from lbctl.sim.disk import Disk, Tokens
from lbctl.sim.process import Crash, Process

TICK_MS = 100
FOREVER = Instant(1 << 60)


class Host(ABC):
    """Everything outside the core that does not know what a service is. Deterministic: all chance is seeded."""

    def __init__(self, core: Core, seed: int, rates: Rates, *, orderly: bool = False) -> None:
        self.chance = Random(seed)  # noqa: S311 - a simulation must be repeatable, not secret
        self.lives, self.power = Random(seed), Random(seed)  # noqa: S311 - of faults that came later
        self.rates = rates
        self.core = core
        self.now = Instant(1_000)
        self.log: Callable[[str, Any], None] | None = None
        """Told everything that happens: a word and the fact."""
        self.orderly = orderly
        """No chance at all: for scenarios."""
        self.crash_at = ""
        """The boundary at which the process dies, once."""
        self.balancers: dict[InstanceName, Balancer] = {}
        self.disk = Disk()
        self.journal_takes = 0  # milliseconds
        self.tokens = Tokens()
        self.readings: dict[InstanceName, InstanceReading | Unreadable] = {}
        self.up: set[ServerName] = set()
        """The servers that serve."""
        self.hook_answers: list[HookAnswer] = []
        self.process: Process | None = None
        self.life = 0
        self.down_until = Instant(0)

    # ---- what a world adds

    @abstractmethod
    def count(self, what: str) -> None:
        """Count an event for the report."""

    @abstractmethod
    def start(self) -> None:
        """Start lbctld from what is on the disk, as the wiring does."""

    @abstractmethod
    def durable(self) -> None:
        """The disk may hold another record than before."""

    @abstractmethod
    def cut(self) -> None:
        """The power of the host went."""

    @abstractmethod
    def live(self) -> None:
        """Let users and servers live for a tick."""

    @abstractmethod
    def stepped(self, process: Process) -> None:
        """The process has done its tick."""

    @abstractmethod
    def reload(self, balancer: Balancer, *, keep_old: bool) -> None:
        """Reload (or restart) a load balancer."""

    @abstractmethod
    def edit(self, balancer: Balancer, route: Route, *, boot: bool = False) -> None:
        """Let a person change a route, or config management a boot value."""

    @abstractmethod
    def sent(self, service: ServiceName, *, unknown: bool) -> object:
        """Return what was true when an operation was sent. `unknown`: an earlier one may still land."""

    @abstractmethod
    def landed(self, balancer: Balancer, pending: Pending, before: Any, changes: list[Landed]) -> None:
        """An operation was carried out, or objected to. `before`: what new connections met until then."""

    @abstractmethod
    def observed(self) -> Observed:
        """Return what the daemon's eyes know now."""

    @abstractmethod
    def told(self, what: str, fact: Any) -> None:
        """Look at what the process is about to do."""

    @abstractmethod
    def ask_hook(self, key: HookKey) -> None:
        """A hook is asked, or told."""

    @abstractmethod
    def heard(self, answer: HookAnswer) -> None:
        """A hook said something."""

    # ---- the process

    def kill(self, *, reboot: bool = False) -> None:
        """kill -9 at this very moment, or the power of the whole host."""
        self.process = None
        self.count("reboot" if reboot else "crash")
        writes, kept = len(self.disk.writes), self.disk.record
        under_way = 0 if self.orderly else len(self.disk.writes)
        self.disk.crash(self.chance.randint(0, under_way) if under_way else 0)
        if writes:
            fate = "is there" if self.disk.record is not kept else "is lost"
            self.count(f"crash, a write under way {fate}")
        if reboot:
            self.cut()
        self.disk.durable_at = self.now
        self.durable()
        for balancer in self.balancers.values():
            self._orphan(balancer, reboot=reboot)
            balancer.forget()
        self.hook_answers.clear()
        if reboot:
            self.count("tokens gone")
            self.tokens.files.clear()
        self.down_until = FOREVER if self.orderly else Instant(self.now + self.chance.choice((0, 100, 500, 2_000)))

    def _orphan(self, balancer: Balancer, *, reboot: bool) -> None:
        """What a dead process had sent lands within the time-out, or never; a reboot takes everything with it."""
        for pending in (one for part in balancer.parts for one in part.pending):
            pending.heard = False
            if pending.land_at is not None:
                pending.land_at = Instant(min(pending.land_at, self.now + self.chance.randint(0, 900)))
        if reboot and (self.orderly or self.chance.random() < 0.5):
            # Else only the runtime directory was emptied, and the load balancer lives on.
            for part in balancer.parts:
                part.pending.clear()
            self.reload(balancer, keep_old=False)
        elif reboot:
            self.count("reboot, the load balancers live on")

    def crashed(self, crash: Crash) -> None:
        """The process died at a boundary, and perhaps the whole host with it."""
        if self.log is not None:
            self.log("crash", str(crash))
        self.count(f"crash {crash}")
        self.kill(reboot=self.chance.random() < self.rates.reboot)

    def sleep(self, span: int) -> None:
        """The host sleeps: time passes, and nothing and nobody did anything. Not while somebody waits for an answer."""
        if self.process is None or not self.process.state.parked:
            self.count("host suspended")
            self.now = Instant(self.now + span)

    # ---- what the process touches

    def boundary(self, where: str) -> None:
        """Perhaps die here."""
        if self.crash_at and where == self.crash_at:
            self.crash_at = ""
            raise Crash(where)
        if self.rates.crash and self.chance.random() < self.rates.crash:
            raise Crash(where)

    def write(self, save: Any) -> None:
        """Queue a write: fast as a rule."""
        slow = self.chance.random() < self.rates.slow
        late = self.chance.randint(0, 3_000) if slow else self.journal_takes
        if slow:
            self.count("write slow")
        self.disk.write(save, Instant(self.now + late))

    def send(self, instance: InstanceName, operation: Operation) -> Pending:
        """Put an operation on its way, with a fate of its own."""
        found, rates, dice = self.balancers[instance], self.rates, self.chance.random
        balancer, count = found.part(operation.service), self.count
        land_at: Instant | None = self.now
        if dice() < rates.late:
            count("operation late")
            land_at = Instant(self.now + self.chance.randint(1, 900))
        if dice() < rates.stuck:
            count("operation stuck")
            land_at = Instant(self.now + self.chance.randint(1_000, 8_000))
        if dice() < rates.lost or self.now < found.unreadable_until:
            count("operation lost")
            land_at = None
        unknown = any(one.given_up or one.life != self.life for one in balancer.pending if one.land_at is not None)
        pending = Pending(
            operation,
            self.now,
            self.life,
            land_at,
            heard=dice() >= rates.mute,
            refused=dice() < rates.refused,
            context=self.sent(operation.service, unknown=unknown),
        )
        if not pending.heard:
            count("operation lands, nobody hears")
        if pending.refused:
            count("operation refused")
        balancer.pending.append(pending)
        if self.log is not None:
            self.log("send", (instance, operation))
        return pending

    # ---- one tick

    def tick(self) -> None:
        """Let a tenth of a second pass."""
        moves = [self._lands, self._finishes, self._reads, self._answers]
        if not self.orderly:
            self.chance.shuffle(moves)
        self.live()
        try:
            if self.process is None and self.now >= self.down_until:
                self.start()
            for move in moves:
                self.now = Instant(self.now + 10)
                move()
            if self.process is not None:
                self.process.tick(self.now)
                self.stepped(self.process)
            self._perhaps_die()
        except Crash as crash:
            self.crashed(crash)
        self.now = Instant(self.now + TICK_MS - 10 * len(moves))

    def _perhaps_die(self) -> None:
        if self.rates.idle_crash and self.chance.random() < self.rates.idle_crash:
            raise Crash("between two steps")

    def _lands(self) -> None:
        for balancer in (part for one in self.balancers.values() for part in one.parts):
            if not balancer.pending:
                continue
            balancer.pending = [one for one in balancer.pending if one.land_at is not None or not one.given_up]
            stalled = self.now < self.balancers[balancer.name].stalled_until
            for pending in [] if stalled else balancer.due(self.now):
                self._land(balancer, pending)

    def _land(self, balancer: Balancer, pending: Pending) -> None:
        routes = balancer.routes
        if pending.life != self.life:
            self.count("operation of a dead process lands")
        if pending.given_up:
            self.count("operation outcome unknown")
        if any(one.sent_at < pending.sent_at for other in self.balancers.values() for one in other.pending):
            self.count("batch of one instance overtakes another's")
        changes = balancer.land(pending, self.now)
        if self.log is not None:
            self.log("land", (balancer.name, pending.operation, pending.result))
        self.landed(balancer, pending, routes, changes)

    def _finishes(self) -> None:
        while (done := self.disk.finish(self.now)) is not None:
            save, error = done
            if error:
                self.count("write failed")
            self.durable()
            self.boundary("after durable")
            if self.process is not None:
                self.process.recorded(self.now, save.record.rev, error)

    def _answers(self) -> None:
        if self.process is not None and self.process.batches:
            self.process.answered(self.now)
        for answer in [one for one in self.hook_answers if one.now <= self.now]:
            self.hook_answers.remove(answer)
            self.heard(answer)
            if self.process is not None:
                self.process.hook_answered(answer)

    def _reads(self) -> None:
        for name, balancer in self.balancers.items():
            if self.rates.skipped and self.chance.random() < self.rates.skipped:
                self.count("reading skipped")
                continue
            if self.now < balancer.unreadable_until:
                known = self.readings.get(name)
                since = known.since if isinstance(known, Unreadable) else self.now
                self.readings[name] = Unreadable(since, "no answer")
            else:
                self.readings[name] = balancer.read(self.now, self.up)

    @property
    def ordered(self) -> Record:
        """The record that traffic follows."""
        return self.disk.record if self.process is None else self.process.state.ordered

"""The simulated world: time passes in ticks of a tenth of a second, and in each everything happens in some order."""

from collections.abc import Callable
from random import Random
from typing import Any

from lbctl.model.hook import HookAnswer, HookKey
from lbctl.model.names import Colour, InstanceName
from lbctl.model.operation import Operation
from lbctl.model.reading import InstanceReading, Observed, Token, Unreadable
from lbctl.model.record import Phase, Record
from lbctl.model.request import Rollback
from lbctl.model.route import Route
from lbctl.model.units import MINUTE, Instant
from lbctl.sim import eyes, jobs, power
from lbctl.sim.balancer import Balancer, Pending, balancers
from lbctl.sim.chance import Rates
from lbctl.sim.core import Core
from lbctl.sim.deciding import decided
from lbctl.sim.disk import Disk, Tokens
from lbctl.sim.guests import stay
from lbctl.sim.mishaps import answered, shaped
from lbctl.sim.people import Asking
from lbctl.sim.process import Crash, Process
from lbctl.sim.sessions import Users
from lbctl.sim.site import NEIGHBOUR, SERVERS, SERVICE, topology
from lbctl.sim.watch import Sent, ViolationError, Watch

TICK_MS = 100
FOREVER = Instant(1 << 60)


class World:
    """Everything outside the core. Deterministic: all chance comes from one seeded generator."""

    def __init__(
        self,
        core: Core,
        seed: int,
        rates: Rates,
        *,
        instances: int | None = None,
        orderly: bool = False,
        neighbour: bool = False,
    ) -> None:
        self.chance = Random(seed)  # noqa: S311 - a simulation must be repeatable, not secret
        # What users do by themselves has dice of its own: the same troubles meet other users.
        self.guests = Random(seed)  # noqa: S311
        self.mishaps = Random(seed)  # noqa: S311 - of faults that came later: without them every run is as it was
        self.lives, self.power, self.jobs = Random(seed), Random(seed), Random(seed)  # noqa: S311 - as those
        self.rates = rates
        self.core = core
        self.now = Instant(1_000)
        self.log: Callable[[str, Any], None] | None = None
        """Told everything that happens: a word and the fact."""
        self.orderly = orderly
        """No chance at all: for scenarios."""
        self.crash_at = ""
        """The boundary at which the process dies, once."""
        count = instances or self.chance.choice((1, 1, 2))
        names = tuple(InstanceName(f"edge/lb{number}") for number in range(1, count + 1))
        self.users = Users(Random(seed))  # noqa: S311
        services = (SERVICE, NEIGHBOUR) if neighbour else (SERVICE,)
        self.topology = topology(names, services, sessions=None if orderly else self.users.chosen())
        self.balancers = balancers(names, self.chance, rates.keeps_no_fence, neighbour=neighbour)
        self.up = {server for names_of in SERVERS.values() for server in names_of}
        self.error_ratio = dict.fromkeys(Colour, 0.0)
        self.traffic = 20
        self.sessions = dict.fromkeys(Colour, False)
        self.checker = ""
        """`late`, `suspect`, or empty."""
        self.disk = Disk()
        self.journal_takes = 0  # milliseconds
        self.tokens = Tokens()
        self.readings: dict[InstanceName, InstanceReading | Unreadable] = {}
        self.watch = Watch(self.topology, SERVICE, names)
        self.hook_answers: list[HookAnswer] = []
        shaped(self)
        jobs.employed(self)
        self.asking = Asking(SERVICE, self.chance)
        self.process: Process | None = None
        self.life = 0
        self.down_until = Instant(0)
        self._marked: list[Any] = []
        self.start()

    # ---- the process

    def start(self) -> None:
        """Start lbctld from what is on the disk, as the wiring does."""
        self.life += 1
        record = self.disk.record
        self.tokens.sweep(record)
        self.readings = {}
        self.users.watched_anew(self.balancers, self.now if self.life > 1 else Instant(-MINUTE))
        accounts = self.saved = {
            one.id: self.disk.accounts[one.id]
            for one in record.releases.values()
            if not one.phase.ended and one.id in self.disk.accounts
        }
        self.process = Process(self.core, self, self.core.start(record, self.topology, self.now, accounts))

    def kill(self, *, reboot: bool = False) -> None:
        """kill -9 at this very moment, or the power of the whole host."""
        self.process = None
        self.watch.count("reboot" if reboot else "crash")
        writes, kept = len(self.disk.writes), self.disk.record
        under_way = 0 if self.orderly else len(self.disk.writes)
        self.disk.crash(self.chance.randint(0, under_way) if under_way else 0)
        if writes:
            fate = "is there" if self.disk.record is not kept else "is lost"
            self.watch.count(f"crash, a write under way {fate}")
        if reboot:
            power.cut(self)
        self.disk.durable_at = self.now
        self.watch.durable(self.disk.record)
        for balancer in self.balancers.values():
            self._orphan(balancer, reboot=reboot)
            balancer.forget()
        self.hook_answers.clear()
        if reboot:
            self.watch.count("tokens gone")
            self.tokens.files.clear()
        self.down_until = FOREVER if self.orderly else Instant(self.now + self.chance.choice((0, 100, 500, 2_000)))

    def _orphan(self, balancer: Balancer, *, reboot: bool) -> None:
        """What a dead process had sent lands within the time-out, or never; a reboot takes everything with it."""
        for pending in balancer.pending:
            pending.heard = False
            if pending.land_at is not None:
                pending.land_at = Instant(min(pending.land_at, self.now + self.chance.randint(0, 900)))
        if reboot and (self.orderly or self.chance.random() < 0.5):
            # Else only the runtime directory was emptied, and the load balancer lives on.
            balancer.pending.clear()
            self.reload(balancer, keep_old=False)
        elif reboot:
            self.watch.count("reboot, the load balancers live on")

    def _crashed(self, crash: Crash) -> None:
        self.watch.count(f"crash {crash}")
        self.kill(reboot=self.chance.random() < self.rates.reboot)

    def sleep(self, span: int) -> None:
        """The host sleeps: time passes, and nothing and nobody did anything. Not while somebody waits for an answer."""
        if self.process is None or not self.process.state.parked:
            self.watch.count("host suspended")
            self.now = Instant(self.now + span)

    # ---- other hands

    def reload(self, balancer: Balancer, *, keep_old: bool) -> None:
        """A reload (or a restart) of a load balancer."""
        balancer.reload(self.now, keep_old=keep_old)
        self.watch.reloaded(balancer, self.disk.record)

    def edit(self, balancer: Balancer, route: Route, *, boot: bool = False) -> None:
        """A person changes a route, or config management a boot value."""
        (balancer.edit_boot if boot else balancer.edit)(self.now, route)
        self.users.disturbed(self.disk.record.latest(balancer.service))
        if balancer.service == SERVICE:
            self.watch.edited(balancer)

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
            self.watch.count("write slow")
        self.disk.write(save, Instant(self.now + late))

    def send(self, instance: InstanceName, operation: Operation) -> Pending:
        """Put an operation on its way, with a fate of its own."""
        balancer, rates, dice = self.balancers[instance].part(operation.service), self.rates, self.chance.random
        land_at: Instant | None = self.now
        count = self.watch.count
        if dice() < rates.late:
            count("operation late")
            land_at = Instant(self.now + self.chance.randint(1, 900))
        if dice() < rates.stuck:
            count("operation stuck")
            land_at = Instant(self.now + self.chance.randint(1_000, 8_000))
        if dice() < rates.lost or self.now < balancer.unreadable_until:
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
            context=self._sent(unknown=unknown),
        )
        if not pending.heard:
            count("operation lands, nobody hears")
        if pending.refused:
            count("operation refused")
        balancer.pending.append(pending)
        if self.log is not None:
            self.log("send", (instance, operation))
        return pending

    def ask_hook(self, key: HookKey) -> None:
        """A hook is asked, or told."""
        self.hook_answers += answered(self, key)

    def _sent(self, *, unknown: bool) -> Sent:
        assert self.process is not None
        observed = self.process.state.observed
        durable, record = self.disk.record, self.process.state.ordered
        release = durable.latest(SERVICE)
        health = {c: [observed.health[SERVICE, name].up for name in SERVERS[c]] for c in Colour}
        return Sent(
            at=self.now,
            durable=durable,
            ordered=record,
            readings=dict(observed.instances),
            up={c: sum(up is True for up in health[c]) for c in Colour},
            down={c: eyes.down(observed, c) for c in Colour},
            servers=2,
            durable_at=self.disk.durable_at,
            token=Token.NONE if release is None else self.tokens.read(release.id, release.nonce),
            forbidden=frozenset(self.watch.forbidden),
            unknown=unknown,
        )

    def observed(self) -> Observed:
        """What the daemon's eyes know now."""
        return eyes.observed(self)

    def told(self, what: str, fact: Any) -> None:
        """Let the watch look at what the process is about to do."""
        if what == "mark":
            self.watch.mark(fact)
        elif what == "save":
            decided(self, fact.record)
        elif what == "reply":
            assert self.process is not None
            failing = bool(self.process.state.journal_error)
            self.watch.reply(fact.answer, self.disk.record, self.process.state.ordered, failing=failing)
            self.watch.refused(fact.answer, self.disk.record)
        if self.log is not None:
            self.log(what, fact)

    # ---- one tick

    def tick(self) -> None:
        """Let a tenth of a second pass."""
        moves = [self._lands, self._finishes, self._reads, self._answers]
        if not self.orderly:
            self.chance.shuffle(moves)
        self._serves()
        self.users.come(self.balancers, self._ordered().latest(SERVICE), self.now, self.watch)
        try:
            if self.process is None and self.now >= self.down_until:
                self.start()
            for move in moves:
                self.now = Instant(self.now + 10)
                move()
            if self.process is not None:
                self.process.tick(self.now)
                self._remembered(self.process)
                parked = self.process.state.parked
                self.watch.patient([one.id for one in parked], self.disk.record, self.process.state.record, self.now)
            self._perhaps_die()
        except Crash as crash:
            if self.log is not None:
                self.log("crash", str(crash))
            self._crashed(crash)
        self.now = Instant(self.now + TICK_MS - 10 * len(moves))

    def _remembered(self, process: Process) -> None:
        """A restart goes on with the judge's account that was saved, so that it does not get a new budget."""
        for release_id, by_service in self.saved.items():
            saved = by_service[SERVICE]
            progress = process.state.progress.get(release_id)
            if progress is not None and saved.errors.recent.total > 100:
                kept = progress.account.errors.recent.total
                if kept < saved.errors.recent.total / 2:
                    raise ViolationError("a restart forgot the judge's account")
        self.saved = {}

    def _part(self) -> float:
        """What decides whether a fraction of a request comes in this tick."""
        return 0.5 if self.orderly else self.chance.random()

    def _perhaps_die(self) -> None:
        if self.rates.idle_crash and self.chance.random() < self.rates.idle_crash:
            raise Crash("between two steps")

    def ask(self, request: Any) -> None:
        """Let somebody ask; nobody answers while lbctld is down."""
        if self.process is None:
            return
        if self.log is not None:
            self.log("ask", request)
        release = self.process.state.record.running(SERVICE)
        if release is not None and type(request) is Rollback and not release.phase.unmoved:
            self.watch.ways_back.add(request.id)
        if release is not None and getattr(request, "full", False):
            self.watch.full_promoted.add(release.id)
        try:
            self.process.ask(request, self.now)
        except Crash as crash:
            if self.log is not None:
                self.log("crash", str(crash))
            self._crashed(crash)

    def _lands(self) -> None:
        for balancer in (part for one in self.balancers.values() for part in one.parts):
            if not balancer.pending:
                continue
            balancer.pending = [one for one in balancer.pending if one.land_at is not None or not one.given_up]
            for pending in balancer.due(self.now):
                self._land(balancer, pending)

    def _land(self, balancer: Balancer, pending: Pending) -> None:
        routes = balancer.routes
        if pending.life != self.life:
            self.watch.count("operation of a dead process lands")
        if pending.given_up:
            self.watch.count("operation outcome unknown")
        if any(one.sent_at < pending.sent_at for other in self.balancers.values() for one in other.pending):
            self.watch.count("batch of one instance overtakes another's")
        changes = balancer.land(pending, self.now)
        if self.log is not None:
            self.log("land", (balancer.name, pending.operation, pending.result))
        if balancer.service != SERVICE:
            return
        for landed in changes:
            if landed.before != landed.after:
                self.watch.count("landed")
                self.watch.landed(landed, self.disk.record)
        raised = [one for one in changes if one.before != one.after and self._is_raise(one.before, one.after)]
        if raised:
            self.watch.overwrote(pending, balancer, routes, raised[0].place)

    def _is_raise(self, before: Route, after: Route) -> bool:
        release = self.disk.record.running(SERVICE)
        moving = release is not None and release.phase in {Phase.SHIFTING, Phase.BAKING}
        return moving and release is not None and after.share_bp(release.to) > before.share_bp(release.to)

    def _finishes(self) -> None:
        while (done := self.disk.finish(self.now)) is not None:
            save, error = done
            if error:
                self.watch.count("write failed")
            self.watch.durable(self.disk.record)
            self.boundary("after durable")
            if self.process is not None:
                self.process.recorded(self.now, save.record.rev, error)

    def _answers(self) -> None:
        if self.process is not None and self.process.batches:
            self.process.answered(self.now)
        for answer in [one for one in self.hook_answers if one.now <= self.now]:
            self.hook_answers.remove(answer)
            self.watch.heard(answer)
            if self.process is not None:
                self.process.hook_answered(answer)

    def _reads(self) -> None:
        for name, balancer in self.balancers.items():
            if self.rates.skipped and self.chance.random() < self.rates.skipped:
                self.watch.count("reading skipped")
                continue
            if self.now < balancer.unreadable_until:
                known = self.readings.get(name)
                since = known.since if isinstance(known, Unreadable) else self.now
                self.readings[name] = Unreadable(since, "no answer")
            else:
                self.readings[name] = balancer.read(self.now, self.up)

    def _ordered(self) -> Record:
        return self.disk.record if self.process is None else self.process.state.ordered

    def _serves(self) -> None:
        for balancer in (part for one in self.balancers.values() for part in one.parts):
            total = self.traffic
            green = int(total * balancer.routes.green_bp / 10_000 + self._part())
            for colour, requests in ((Colour.GREEN, green), (Colour.BLUE, total - green)):
                if requests:
                    alive = any(name in self.up for name in SERVERS[colour])
                    ratio = self.error_ratio[colour] if alive else 1.0
                    errors = int(requests * ratio + self._part() if ratio else 0)
                    balancer.serve(colour, requests, errors, self.now)
            if not self.orderly:
                stay(balancer, self.sessions, self.rates, self.guests, self.now)

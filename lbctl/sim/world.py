"""The simulated world: time passes in ticks of a tenth of a second, and in each everything happens in some order."""

from random import Random
from typing import Any

from lbctl.model.hook import HookAnswer, HookKey
from lbctl.model.names import Colour, InstanceName, ServiceName
from lbctl.model.reading import Observed, Token
from lbctl.model.record import Phase
from lbctl.model.request import Rollback
from lbctl.model.route import Route
from lbctl.model.units import MINUTE, Instant, Span
from lbctl.sim import eyes, jobs, power
from lbctl.sim.balancer import Balancer, Landed, Pending, balancers
from lbctl.sim.chance import Rates
from lbctl.sim.core import Core
from lbctl.sim.deciding import decided
from lbctl.sim.guests import stay
from lbctl.sim.host import FOREVER, TICK_MS, Host
from lbctl.sim.mishaps import answered, shaped
from lbctl.sim.people import Asking
from lbctl.sim.process import Crash, Process
from lbctl.sim.sessions import Users
from lbctl.sim.site import NEIGHBOUR, SERVERS, SERVICE, topology
from lbctl.sim.watch import Sent, ViolationError, Watch

__all__ = ["FOREVER", "SERVERS", "SERVICE", "TICK_MS", "World", "topology"]


class World(Host):
    """One service, its users, and everybody whose hand is in it."""

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
        super().__init__(core, seed, rates, orderly=orderly)
        # What users do by themselves has dice of its own: the same troubles meet other users.
        self.guests = Random(seed)  # noqa: S311
        self.mishaps = Random(seed)  # noqa: S311 - of faults that came later: without them every run is as it was
        self.jobs = Random(seed)  # noqa: S311 - as those
        self.lines = Random(seed)  # noqa: S311 - as those
        count = instances or self.chance.choice((1, 1, 2))
        names = tuple(InstanceName(f"edge/lb{number}") for number in range(1, count + 1))
        self.users = Users(Random(seed))  # noqa: S311
        services = (SERVICE, NEIGHBOUR) if neighbour else (SERVICE,)
        policy = None if orderly else self.users.chosen()
        # Whoever cannot come for a while has a session still.
        idle = Span(2 * MINUTE) if rates.cut_off else Span(400)
        self.topology = topology(names, services, sessions=policy, idle=idle)
        self.balancers = balancers(names, self.chance, rates.keeps_no_fence, neighbour=neighbour)
        self.up = {server for names_of in SERVERS.values() for server in names_of}
        self.error_ratio = dict.fromkeys(Colour, 0.0)
        self.traffic = 20
        self.sessions = dict.fromkeys(Colour, False)
        self.checker = ""
        """`late`, `suspect`, or empty."""
        self.watch = Watch(self.topology, SERVICE, names)
        shaped(self)
        jobs.employed(self)
        self.asking = Asking(SERVICE, self.chance)
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

    def cut(self) -> None:
        """The power of the host went."""
        power.cut(self)

    def durable(self) -> None:
        """The disk may hold another record than before."""
        self.watch.durable(self.disk.record)

    def count(self, what: str) -> None:
        """Count an event for the report."""
        self.watch.count(what)

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

    def ask_hook(self, key: HookKey) -> None:
        """A hook is asked, or told."""
        self.hook_answers += answered(self, key)

    def heard(self, answer: HookAnswer) -> None:
        """A hook said something."""
        self.watch.heard(answer)

    def sent(self, service: ServiceName, *, unknown: bool) -> Sent:
        """What was true, and what the process had seen."""
        del service
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

    def landed(self, balancer: Balancer, pending: Pending, before: Route, changes: list[Landed]) -> None:
        """Let the watch look at what an operation changed."""
        if balancer.service != SERVICE:
            return
        for landed in changes:
            if landed.before != landed.after:
                self.watch.count("landed")
                self.watch.landed(landed, self.disk.record)
        raised = [one for one in changes if one.before != one.after and self._is_raise(one.before, one.after)]
        if raised:
            self.watch.overwrote(pending, balancer, before, raised[0].place)

    def live(self) -> None:
        """Let users come."""
        self._serves()
        self.users.come(
            self.balancers,
            self.ordered.latest(SERVICE),
            self.now,
            self.watch,
            self.topology.services[SERVICE].drain.idle,
        )

    def stepped(self, process: Process) -> None:
        """See whether the process remembers what it must, and lets nobody wait for too long."""
        self._remembered(process)
        parked = process.state.parked
        self.watch.patient([one.id for one in parked], self.disk.record, process.state.record, self.now)

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
            self.crashed(crash)

    def _is_raise(self, before: Route, after: Route) -> bool:
        release = self.disk.record.running(SERVICE)
        moving = release is not None and release.phase in {Phase.SHIFTING, Phase.BAKING}
        return moving and release is not None and after.share_bp(release.to) > before.share_bp(release.to)

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

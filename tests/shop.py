"""Two services on a load balancer in memory, driven by the real core on a virtual clock: users → storefront → accounts.

Every call of a storefront server to accounts is checked by the pair of versions, as real servers would; nothing here
asks the core who talks to whom.
"""

import json
from collections import Counter
from collections.abc import Callable
from copy import copy, deepcopy
from dataclasses import dataclass, field, fields, replace
from itertools import count

from lbctl.core import machine
from lbctl.core.claims import claim_granted
from lbctl.core.matrix import Miscall
from lbctl.core.matrix_kept import plain, recalled
from lbctl.core.state import (
    Administer,
    Administered,
    Applied,
    Apply,
    Configured,
    Effect,
    Free,
    Mark,
    Note,
    Recorded,
    Reply,
    Save,
    State,
    Tick,
)
from lbctl.dataplane.fake import FakeInstance
from lbctl.model.attested import Attested, VersionCheck, VersionIn
from lbctl.model.entry import Entry
from lbctl.model.hook import Ask, HookAnswer, Point, Word
from lbctl.model.names import Colour, InstanceName, PlaneName, ReleaseId, ServerName, ServiceName, UnitName
from lbctl.model.operation import Operation, SetClosing
from lbctl.model.reading import Health, Observed, Token
from lbctl.model.record import Contract, Record, Release
from lbctl.model.request import Adopt, Answer, Claim, Request, SayReady, Switch, Withdraw
from lbctl.model.route import Caller
from lbctl.model.topology import (
    Address,
    Consumer,
    Drain,
    Driver,
    HealthCheck,
    Instance,
    PinKind,
    Plan,
    Plane,
    Pool,
    Probe,
    Rendezvous,
    Server,
    Service,
    Topology,
    Unit,
)
from lbctl.model.units import Instant, Span
from lbctl.sim.site import unconnected

A, B = ServiceName("accounts"), ServiceName("storefront")
SHOP = UnitName("shop")
LB1, LB2 = InstanceName("edge/lb1"), InstanceName("edge/lb2")
TICK_MS = 100
FIRST = {
    A: Contract(provides={"accounts-api": (1,)}),
    B: Contract(requires={"accounts-api": "1"}),
}
PLAN = Plan(steps_bp=(1_000, 5_000, 10_000), hold_min=Span(300), bake=Span(300), retain=Span(300))


def _pool(name: ServiceName, colour: Colour, size: int) -> Pool:
    host = f"192.0.2.{1 + 2 * (name == B) + (colour is Colour.GREEN)}"
    return Pool(colour, tuple(Server(ServerName(f"{name[0]}-{colour}-{n}"), Address(host, n)) for n in range(size)))


def _service(name: ServiceName, size: int, *consumers: ServiceName) -> Service:
    listener = Consumer(kind=PinKind.LISTENER)
    return Service(
        name=name,
        plane=PlaneName("edge"),
        blue=_pool(name, Colour.BLUE, size),
        green=_pool(name, Colour.GREEN, size),
        health=HealthCheck(kind=Probe.HTTP),
        drain=Drain(idle=Span(0), limit=Span(300)),
        consumers=dict.fromkeys(consumers, listener),
    )


TOPOLOGY = Topology(
    {
        PlaneName("edge"): Plane(
            name=PlaneName("edge"),
            driver=Driver.HAPROXY,
            instances=(Instance(name=LB1, directory="/x"), Instance(name=LB2, directory="/y")),
        )
    },
    {A: _service(A, 3, B), B: _service(B, 7)},
    {SHOP: Unit(name=SHOP, services=(A, B), plan=PLAN)},
)


@dataclass(slots=True)
class Shop:
    """The world, as it is when both are adopted; only `users` may be given. `deployed` is the version that runs in each
    pool, by service and colour."""

    now: Instant = Instant(1_000)
    deployed: dict[tuple[ServiceName, Colour], int] = field(default_factory=dict)
    speaks: dict[int, frozenset[int]] = field(default_factory=dict)
    """Which versions of accounts a version of storefront can speak with."""
    apis: dict[int, int] = field(default_factory=lambda: {1: 1})
    """Which api a version of accounts offers, and what a version of storefront wants."""
    wants: dict[int, str] = field(default_factory=lambda: {1: "1"})
    balancers: dict[InstanceName, FakeInstance] = field(default_factory=dict)
    tokens: dict[ReleaseId, Token] = field(default_factory=dict)
    disk: Record = field(default_factory=Record)
    told: list[Entry] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    calls: Counter[tuple[int, int]] = field(default_factory=Counter)
    mismatched: list[str] = field(default_factory=list)
    failed_users: int = 0
    users: int = 12
    """How many requests come in by every worker before and after each write."""
    misled: dict[Caller, Colour] = field(default_factory=dict)
    """Whom `LB1` sends to another pool of accounts than the pin says that it reads back."""
    wronged: set[Miscall] = field(default_factory=set)
    """Calls that were ever counted as against a pin."""
    strangers: bool = False
    """Whether somebody calls accounts who is no pool of storefront."""
    met_by_strangers: set[int] = field(default_factory=set)
    """Which versions of accounts answered such a caller."""
    down: set[tuple[ServiceName, Colour]] = field(default_factory=set)
    stopped: dict[tuple[ServiceName, Colour], Instant] = field(default_factory=dict)
    """Pools whose servers refuse connections, and since when."""
    journal_works: bool = True
    frozen: dict[ServiceName, str] = field(default_factory=dict)
    frozen_for: dict[ServiceName, Span] = field(default_factory=dict)
    says: dict[ServerName, str | None] = field(default_factory=dict)
    """What a server says it runs, where that is not what was deployed to its pool; None: it does not answer."""
    asked_at: Instant | None = None
    """When all servers were last asked; None: at every tick."""
    hooks: dict[Point, Word | None] = field(default_factory=dict)
    """What the hooks of a point say; None: nothing, ever. Where nothing is set they say yes."""
    asked: list[Ask] = field(default_factory=list)
    alter: Callable[[Observed], Observed] = lambda observed: observed
    """What is seen instead of what is there."""
    heard: Callable[[Effect], None] = lambda effect: None
    """Who is told of everything that the core asks for."""
    orders: list[Administer] = field(default_factory=list)
    """What servers were told and have not been carried out, while orders do not arrive."""
    orders_arrive: bool = True
    state: State = field(init=False)
    _ids: "count[int]" = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        """Begin where both are adopted. It always comes to the same, so a process goes there once."""
        users = self.users
        if not OPENED:
            self._open()
            OPENED.append(self.fork())
        else:
            opened = OPENED[0].fork()
            for one in fields(self):
                setattr(self, one.name, getattr(opened, one.name))
            for balancer in self.balancers.values():
                balancer.clock = lambda: self.now
        self.users = users

    def _open(self) -> None:
        self.users = 1
        services = list(TOPOLOGY.services.values())
        self.balancers = {name: FakeInstance(name, services, lambda: self.now) for name in (LB1, LB2)}
        for colour in Colour:
            self.deployed |= {(A, colour): 1, (B, colour): 1}
        self.speaks = {version: frozenset({version}) for version in range(1, 100)}
        self.state = machine.start(self.disk, TOPOLOGY, self.now)
        for service in (A, B):
            self.run(12)
            self.ask(
                Adopt(
                    id=next(self._ids),
                    actor="t",
                    service=service,
                    active=Colour.BLUE,
                    version="1",
                    contract=FIRST[service],
                )
            )
        self.run(20)

    def fork(self) -> "Shop":
        """Return a shop in which everything is as in this one, and goes on by itself from here."""
        other = copy(self)
        for name, value in ((one.name, getattr(self, one.name)) for one in fields(self)):
            if isinstance(value, dict | list | set | Counter):
                setattr(other, name, copy(value))
        other.balancers = {
            name: deepcopy(one, {id(one.services): one.services}) for name, one in self.balancers.items()
        }
        for balancer in other.balancers.values():
            balancer.clock = lambda: other.now
        other._ids = copy(self._ids)
        return other

    # ---- people

    def ask(self, request: Request) -> Answer:
        """Ask, and return the answer, once it is there."""
        self.state, effects = machine.ask(self.state, request, self.now)
        self._carry_out(effects)
        for _ in range(20):
            for answer in self.answers:
                if answer.request_id == request.id:
                    return answer
            self.tick()
        raise AssertionError("no answer")

    def switch(self, carrier: ServiceName, *followers: ServiceName, version: int, plan: Plan = PLAN) -> Answer:
        """Deploy `version` to the idle pools, and release them. One service alone goes by the board, unchecked."""
        if not followers:
            self.reconfigure(rendezvous=Rendezvous.NONE)
            answer = self.deploy(carrier, version)
            self.run(3)
            self.reconfigure()
            return answer
        for name in (carrier, *followers):
            self.claim(name)
            self.deployed[name, self.active(name).other] = version
        request = Switch(
            id=next(self._ids),
            actor="t",
            service=carrier,
            to=None,
            version=str(version),
            plan=plan,
            nonce=f"n{version}",
            followers=dict.fromkeys(followers, str(version)),
            unchecked=True,
        )
        return self.ask(request)

    def claim(self, name: ServiceName, build: str = "", *, take_over: bool = False) -> Answer:
        """Claim the idle pool, and wait until nothing reaches it and nothing it calls answers; for no session."""
        claim = Claim(id=next(self._ids), actor="ci", service=name, build=build, take_over=take_over)
        answer = self.ask(claim)
        if answer.body.get("code") == "sessions_kept":
            answer = self.ask(replace(claim, id=next(self._ids), take_over=True))
        for _ in range(60):
            if not answer.accepted or claim_granted(self.state, name):
                return answer
            self.tick()
        raise AssertionError(f"{name} was never granted")

    def ready(self, name: ServiceName, version: int, contract: Contract | None = None, build: str = "") -> Answer:
        """What CI does: say that what was deployed to the claimed pool may go."""
        said = SayReady(
            id=next(self._ids),
            actor="ci",
            service=name,
            version=str(version),
            build=build or f"build/{version}",
            contract=contract or Contract(),
            nonce=f"n{next(self._ids)}",
        )
        return self.ask(said)

    def deploy(self, name: ServiceName, version: int, contract: Contract | None = None) -> Answer:
        """What a pipeline does: claim, deploy, say ready."""
        answer = self.claim(name)
        if not answer.accepted:
            return answer
        self.deployed[name, self.active(name).other] = version
        return self.ready(name, version, contract)

    def withdraw(self, name: ServiceName) -> Answer:
        """Take it back."""
        return self.ask(Withdraw(id=next(self._ids), actor="ci", service=name))

    def on_release(self, kind: type[Request], **more: bool) -> Answer:
        """Ask something about the running release."""
        release = self.release
        assert release is not None
        return self.ask(kind(id=next(self._ids), actor="t", release=release.id, nonce="again", **more))  # type: ignore[call-arg]

    @property
    def release(self) -> Release | None:
        """The newest release."""
        return max(self.state.record.releases.values(), key=lambda one: int(one.id), default=None)

    def active(self, name: ServiceName) -> Colour:
        """The pool that is recorded as active."""
        return self.state.record.services[name].active

    def reconfigure(self, **changes: object) -> None:
        """Take a config in which the unit is otherwise; its services go by its judge."""
        unit = replace(TOPOLOGY.units[SHOP], **changes)  # type: ignore[arg-type]
        services = {name: replace(one, judge=unit.judge) for name, one in TOPOLOGY.services.items()}
        self._take(replace(TOPOLOGY, services=services, units={SHOP: unit}))

    def drain(self, quiet_ms: int, limit_ms: int, idle_ms: int = 0) -> None:
        """Take a config by which an old pool counts as unused after so long, and a release ends without it then."""
        drain = Drain(quiet=Span(quiet_ms), idle=Span(idle_ms), limit=Span(limit_ms))
        services = {name: replace(one, drain=drain) for name, one in self.state.topology.services.items()}
        self._take(replace(self.state.topology, services=services))

    def _take(self, topology: Topology) -> None:
        self.state, effects = machine.step(self.state, Configured(self.now, topology))
        self._carry_out(effects)

    # ---- time

    def run(self, ticks: int) -> None:
        """Let time pass."""
        for _ in range(ticks):
            self.tick()

    def until(self, phase: str, ticks: int = 400) -> None:
        """Let time pass until the release is in a phase."""
        for _ in range(ticks):
            release = self.release
            if (
                release is not None
                and release.phase.value == phase
                and self.disk.releases == self.state.record.releases
            ):
                return
            self.tick()
        raise AssertionError(
            f"{phase} never came: {self.release}: {[h.reason for p in self.state.progress.values() for h in p.holds]}"
        )

    def tick(self) -> None:
        """A tick of the loop, and traffic before and after everything that it writes."""
        self.now = Instant(self.now + TICK_MS)
        self.traffic()
        readings = {name: _observed(one) for name, one in self.balancers.items()}
        health = {
            (service.name, server.name): self._health(service.name, colour)
            for service in TOPOLOGY.services.values()
            for colour in Colour
            for server in service.pool(colour).servers
        }
        said = self.attested()
        observed = Observed(
            readings,
            health,
            dict(self.tokens),
            frozen=dict(self.frozen),
            frozen_for=dict(self.frozen_for),
            attested=said,
            census=unconnected(self.state.topology, self.now),
        )
        observed = self.alter(observed)
        self.now = Instant(self.now + 1)
        self.state, effects = machine.step(self.state, Tick(self.now, observed))
        self.wronged |= set(self.state.matrix[A].wrong)
        self._carry_out(effects)

    def _health(self, name: ServiceName, colour: Colour) -> Health:
        if (name, colour) in self.stopped:
            at = self.stopped[name, colour]
            return Health(False, at, "connection refused", at)
        return Health((name, colour) not in self.down, Instant(0))

    def stop(self, name: ServiceName, colour: Colour) -> None:
        """Stop a pool: nothing listens there any more, and nothing of it calls."""
        self.stopped[name, colour] = self.now

    def attested(self) -> dict[tuple[ServiceName, ServerName], Attested]:
        """What every server says."""
        at = self.now if self.asked_at is None else self.asked_at
        found = {}
        for (name, colour), version in self.deployed.items():
            for server in TOPOLOGY.services[name].pool(colour).servers:
                said = self.says.get(server.name, str(version))
                found[name, server.name] = Attested(said, "" if said else "connection refused", at)
        return found

    def ask_versions(self) -> None:
        """Take a config by which every server is asked for its version."""
        check = VersionCheck(path="/version", tls=False, where=VersionIn.JSON, name="version")
        services = {name: replace(one, version=check) for name, one in self.state.topology.services.items()}
        self._take(replace(self.state.topology, services=services))

    def crash(self) -> None:
        """Kill the daemon between two ticks and start it from the disk, with what it keeps of the matrix."""
        kept = {name: json.loads(json.dumps(plain(tally))) for name, tally in self.state.matrix.items()}
        tallies = {name: recalled(one, self.now) for name, one in kept.items()}
        self.state = machine.start(self.disk, TOPOLOGY, self.now, tallies=tallies)

    def reload(self, name: InstanceName) -> None:
        """Reload a load balancer: its old workers go on routing."""
        self.balancers[name].reload()

    def _carry_out(self, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            self.heard(effect)
            match effect:
                case Mark() | Free():
                    self._mark(effect)
                case Save(record, entries):
                    self._save(record, entries)
                case Note(entries):
                    self.told += entries
                case Apply(instance, operations):
                    self._apply(instance, operations)
                case Administer():
                    self._order(effect)
                case Reply(answer):
                    self.answers.append(answer)
                case Ask(key):
                    self.asked.append(effect)
                    word = self.hooks.get(key.point, Word.YES)
                    if word is not None:
                        self._step(HookAnswer(self.now, key, word, f"{word} of {key.point}"))

    def _save(self, record: Record, entries: tuple[Entry, ...]) -> None:
        error = "" if self.journal_works else "full"
        if not error:
            self.disk = record
            self.told += entries
        self._step(Recorded(self.now, record.rev, error))

    def _order(self, order: Administer) -> None:
        self.orders.append(order)
        if self.orders_arrive:
            self.let_orders_go()

    def let_orders_go(self) -> None:
        """Carry out what servers were told."""
        self.orders_arrive, waiting, self.orders = True, self.orders, []
        for order in waiting:
            for operation in order.operations:
                _waited(self.balancers[order.instance].administer(operation))
            self._step(Administered(self.now, order.instance))

    def _apply(self, instance: InstanceName, operations: tuple[Operation, ...]) -> None:
        sent_at, results = self.now, []
        for operation in operations:
            balancer = self.balancers[instance]
            does = balancer.set_closing if isinstance(operation, SetClosing) else balancer.apply
            results.append(_waited(does(operation)))  # type: ignore[arg-type]
            self.traffic()
        self._step(Applied(self.now, instance, operations, tuple(results), sent_at))

    def _mark(self, mark: Mark | Free) -> None:
        self.tokens[mark.release] = mark.token if isinstance(mark, Mark) else Token.GO
        if self.tokens[mark.release] is Token.NONE:
            self.tokens.pop(mark.release)

    def _step(self, event: Recorded | Applied | Administered | HookAnswer) -> None:
        self.state, effects = machine.step(self.state, event)
        self._carry_out(effects)

    # ---- traffic

    def traffic(self) -> None:
        """Users by every load balancer and every worker of it; idle storefront servers call in the background, too."""
        for balancer in self.balancers.values():
            for life in balancer.runtime:
                for _ in range(self.users):
                    status, server = balancer.send(B, life=life)
                    if status != 200:
                        self.failed_users += 1
                        continue
                    self._call(balancer, Colour.GREEN if "green" in server else Colour.BLUE, life, user=True)
                for colour in Colour:
                    if (B, colour) in self.stopped:
                        continue
                    self._call(balancer, colour, life, user=False)
                if self.strangers:
                    _, server = balancer.send(A, life=life)
                    self.met_by_strangers.add(self.deployed[A, Colour.GREEN if "green" in server else Colour.BLUE])

    def _call(self, balancer: FakeInstance, colour: Colour, life: object, *, user: bool) -> None:
        caller = self.deployed[B, colour]
        pinned = Caller(B, colour)
        misled = self.misled.get(pinned) if balancer.name == LB1 else None
        status, server = balancer.send(A, caller=pinned, life=life, misled=misled)  # type: ignore[arg-type]
        if status != 200:
            self.failed_users += user
            return
        called = self.deployed[A, Colour.GREEN if "green" in server else Colour.BLUE]
        self.calls[caller, called] += 1
        if called not in self.speaks[caller]:
            routes = {name: str(one.runtime[one.generation][A]) for name, one in self.balancers.items()}
            self.mismatched.append(f"storefront {caller} ({colour}) got accounts {called} at {self.now}: {routes}")


OPENED: list[Shop] = []
"""A shop as it is when it opens, which nobody uses; where it was made."""


def _observed(balancer: FakeInstance) -> object:
    return _waited(balancer.observe())


def _waited(coroutine: object) -> object:
    """Run a coroutine that never waits."""
    try:
        coroutine.send(None)  # type: ignore[attr-defined]
    except StopIteration as ended:
        return ended.value
    raise AssertionError("it waited")


__all__ = ["LB1", "LB2", "A", "B", "Shop", "replace"]

"""A rehearsal from its begin to its end: the same setting gives the same outcome, byte for byte."""

from dataclasses import dataclass, field
from functools import partial
from random import Random

from lbctl.core.claims import claim_granted
from lbctl.core.holds import Hold
from lbctl.core.invariants import InvariantViolatedError
from lbctl.core.targets import target
from lbctl.model.entry import Entry
from lbctl.model.names import InstanceName
from lbctl.model.record import Phase, Record, Release
from lbctl.model.request import Claim, Switch
from lbctl.model.units import MINUTE, SECOND, Instant, Span, after, since
from lbctl.sim.rehearsal.crowd import Crowd, Harm
from lbctl.sim.rehearsal.edge import Edge
from lbctl.sim.rehearsal.script import Kind, Trouble
from lbctl.sim.rehearsal.setting import NEW, Setting, at_rest, known
from lbctl.sim.rehearsal.shell import Shell
from lbctl.sim.rehearsal.weather import Weather

FINE = Span(100)
CALM = SECOND
"""A tick where nothing changed for a while."""
IDLE = Span(10 * SECOND)
"""A tick while an old pool is only kept warm: nothing is judged then."""
SETTLES = Span(15 * SECOND)
PATIENCE = Span(10 * MINUTE)
"""So long over its planned time it is watched."""
PREPARES = Span(MINUTE)


@dataclass(frozen=True, slots=True)
class Told:
    """One line of the timeline; `at` is since the release began. `trouble`: the world did it, not lbctl."""

    at: int
    text: str
    kind: str = ""
    severity: str = "info"
    trouble: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How it went. `violation` is empty if no invariant broke."""

    release: Release | None
    timeline: tuple[Told, ...]
    harm: Harm
    began: Instant
    ended: Instant
    home_at: Instant | None = None
    """When every load balancer was back at share 0 of the candidate, after it had more."""
    holds: tuple[Hold, ...] = ()
    unmet: tuple[Trouble, ...] = ()
    """What was to go wrong at a moment that never came."""
    violation: str = ""


class Refusal(Exception):
    """The core refused to begin: what, why, and what to do."""

    def __init__(self, body: dict[str, str]) -> None:
        super().__init__(body["what"])
        self.why, self.then = body["why"], body["then"]


@dataclass(slots=True)
class Stage:
    """A rehearsal under way."""

    setting: Setting
    now: Instant = Instant(1_000)
    began: Instant | None = None
    timeline: list[Told] = field(default_factory=list)
    stirred: Instant = Instant(1_000)
    """When anything last changed."""
    alive: bool = True
    home_at: Instant | None = None
    number: int = 0
    """Of the last request."""
    weather: Weather = field(init=False)
    crowd: Crowd = field(init=False)
    edges: dict[InstanceName, Edge] = field(init=False)
    shell: Shell = field(init=False)

    def __post_init__(self) -> None:
        setting, chance = self.setting, Random(self.setting.seed)  # noqa: S311 - repeatable, not secret
        topology, record = setting.topology, at_rest(setting)
        routes = {name: route for name in topology.services if (route := target(topology, record, name)) is not None}
        self.edges = {
            instance.name: Edge(
                instance.name, [one for one in topology.services.values() if one.plane == plane.name], routes
            )
            for plane in topology.planes.values()
            for instance in plane.instances
        }
        self.weather = Weather(setting, self.edges)
        learned = known(setting, chance)
        self.crowd = Crowd(setting, chance)
        self.shell = Shell(topology, self.edges, self._told, record, learned, self.now)

    # ---- from begin to end

    def play(self) -> Outcome:
        """Run it. Raises Refusal if the release may not begin."""
        violation = ""
        try:
            self._prepare()
            while not self._ended():
                self.tick()
        except InvariantViolatedError as broken:
            violation = f"invariant: {broken}"
        return self._outcome(violation)

    def _prepare(self) -> None:
        """Let lbctl look around, claim what a unit wants claimed, and ask for the release."""
        self._run(SETTLES)
        for name in self.setting.members if self.setting.followers else ():
            self.number += 1
            self._ask(Claim(id=self.number, actor="ci", service=name, build=f"build/{name}"))
        for _ in range(PREPARES // FINE):
            if not self.setting.followers or all(claim_granted(self.shell.state, one) for one in self.setting.members):
                break
            self.tick()
        self.began = self.stirred = self.now
        followers = dict.fromkeys(self.setting.followers, NEW)
        carrier, plan = self.setting.carrier, self.setting.plan
        self.number += 1
        self._ask(
            Switch(
                id=self.number,
                actor="simulate",
                service=carrier,
                to=None,
                version=NEW,
                plan=plan,
                followers=followers,
                unchecked=True,
                nonce="n",
            )
        )

    def _ask(self, request: Claim | Switch) -> None:
        """Ask until it is answered. With lbctld its answer is lost: whoever asked looks then whether there is a
        release, and asks again if there is none. Nobody is killed more often than there are troubles."""
        for _ in range(1 + len(self.setting.troubles)):
            if self._answered(request):
                return
            while not self.alive:
                self.tick()
            if self.release is not None:
                return
        raise InvariantViolatedError("a request is answered")

    def _answered(self, request: Claim | Switch) -> bool:
        """Return whether it was; else lbctld was killed before."""
        self.shell.ask(request, self.now)
        for _ in range(PREPARES // FINE):
            for answer in self.shell.answers:
                if answer.request_id == request.id:
                    if not answer.accepted:
                        raise Refusal(answer.body)
                    return True
            self.tick()
            if not self.alive:
                return False
        raise InvariantViolatedError("a request is answered")

    def _run(self, span: Span) -> None:
        for _ in range(span // FINE):
            self.tick()

    def _ended(self) -> bool:
        release = self.release
        if release is None or self.began is None or not self.alive:
            return False
        settled = release.phase.ended and self.shell.disk.releases == self._record().releases and not self.shell.busy
        return settled or since(self.began, self.now) > self.limit or self._waits_for_a_person(release)

    def _waits_for_a_person(self, release: Release) -> bool:
        """Whether a step was held for longer than it may be, and nothing more will come: somebody was paged."""
        moves = release.phase in {Phase.SHIFTING, Phase.BAKING}
        calm = since(self.stirred, self.now) > release.plan.hold_max + MINUTE
        return moves and calm and self.weather.settled

    @property
    def limit(self) -> Span:
        """How long it is watched: as planned, held once as long as a step may be, and a while more."""
        plan = self.setting.plan
        drain = self.setting.topology.services[self.setting.carrier].drain
        steps = len(plan.steps_bp) * plan.hold_min
        after_bake = max(plan.retain, drain.limit) + (1 + len(self.setting.followers)) * drain.limit
        return Span(plan.preflight + steps + plan.hold_max + plan.bake + after_bake + PATIENCE)

    def _outcome(self, violation: str) -> Outcome:
        release = self.release
        progress = None if release is None else self.shell.state.progress.get(release.id)
        return Outcome(
            release=release,
            timeline=tuple(self.timeline),
            harm=self.crowd.harm,
            began=self.began or self.now,
            ended=self.now,
            home_at=self.home_at,
            holds=() if progress is None else progress.holds,
            unmet=self.weather.unmet,
            violation=violation,
        )

    # ---- one tick

    def tick(self) -> None:
        """Let a while pass: users first, then what lbctl had under way, what it sees, what it decides."""
        span = self._span()
        self.now = after(self.now, span)
        self._suffer()
        if self.began is not None:
            self.crowd.come(self.edges, self.now, span / SECOND)
        if self.alive:
            before = self._record()
            self.shell.hear(self.now)
            self.shell.tick(self.now, self.weather.observed(self.now))
            self.stirred = self.stirred if self._record() is before else self.now
            self._stop_old()
        self._look()

    def _stop_old(self) -> None:
        """CI stops what is certified: the providers of those are proved unused next."""
        release = self.release
        for name, member in release.members.items() if release is not None and release.phase is Phase.RETIRING else ():
            if self.shell.disk.services[name].pool(member.origin).certificate is not None:
                self.weather.stopped.setdefault((name, member.origin), self.now)

    def _span(self) -> Span:
        if self.began is None or self.shell.busy or since(self.stirred, self.now) < SETTLES or not self.alive:
            return FINE
        release = self.release
        if release is None or release.phase is not Phase.DRAINING:
            return CALM
        quiet = self.setting.topology.services[self.setting.carrier].drain.quiet
        warm_for = release.plan.retain - since(release.phase_since, self.now) - quiet
        return IDLE if warm_for > MINUTE else CALM

    def _record(self) -> Record:
        return self.shell.state.record

    @property
    def release(self) -> Release | None:
        """The release that is rehearsed."""
        return self._record().latest(self.setting.carrier)

    # ---- what goes wrong

    def _suffer(self) -> None:
        for trouble, begins in self.weather.changes(self.release, self.began, self.now):
            self.stirred = self.now
            self._note(trouble, begins=begins)
            if trouble.kind is Kind.KILL:
                self.alive = not begins
                (self.shell.kill if begins else partial(self.shell.start, self.now))()
        if self.weather.check(self.now):
            self.stirred = self.now
        self.crowd.troubles, self.crowd.down = self.weather.here, self.weather.down

    def _note(self, trouble: Trouble, *, begins: bool) -> None:
        restarted = trouble.kind is Kind.KILL and not begins
        text = "lbctld is started again" if restarted else trouble.text if begins else f"over: {trouble.text}"
        self.timeline.append(Told(since(self.began or self.now, self.now), text, trouble=True))

    # ---- what must never be

    def _look(self) -> None:
        """No load balancer gives the candidate more than was ever decided, and no call goes against its pin."""
        release, carrier = self.release, self.setting.carrier
        if release is None or self.began is None:
            return
        here = [self.edges[name] for name in self.setting.topology.instances_of(carrier)]
        shares = [edge.routes[carrier].share_bp(release.to) for edge in here]
        decided = max(release.share_bp, release.peak_bp)
        if max(shares) > decided:
            raise InvariantViolatedError(f"a load balancer gives {max(shares)} bp, and {decided} bp were decided")
        if release.phase in {Phase.ROLLED_BACK, Phase.CANCELLED} and max(shares) > 0:
            raise InvariantViolatedError(f"{release.phase} while a load balancer gives {max(shares)} bp")
        going_back = release.phase in {Phase.ROLLING_BACK, Phase.ROLLED_BACK}
        if going_back and not max(shares) and self.home_at is None and release.peak_bp:
            self.home_at = self.now
        for name, tally in self.shell.state.matrix.items():
            if tally.wrong:
                raise InvariantViolatedError(f"{name} was called against a pin")

    def _told(self, entry: Entry) -> None:
        if self.began is not None:
            told = Told(entry.at - self.began, entry.text, entry.kind.value, entry.severity.value)
            self.timeline.append(told)


def rehearse(setting: Setting) -> Outcome:
    """Return what lbctl would do. Raises Refusal if the release may not begin."""
    return Stage(setting).play()

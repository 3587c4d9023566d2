"""Carries out the commands of a scenario in the simulated world, and writes down what was decided and sent."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lbctl.core.judge.learned import Bursts, Fading, Learned
from lbctl.model.entry import Entry
from lbctl.model.names import Colour, InstanceName, ServiceName
from lbctl.model.operation import Operation, Result, SetClosing, Status
from lbctl.model.record import Record
from lbctl.model.request import Cancel, Pause, Promote, Rollback
from lbctl.model.route import Route
from lbctl.model.sessions import AtDeadline, SessionPolicy
from lbctl.model.topology import Drain, DriftPolicy, HoldLimit, Plan, PlanMode, SessionsBack
from lbctl.model.units import Instant, Span
from lbctl.sim.balancer import Balancer
from lbctl.sim.chance import NONE
from lbctl.sim.core import REAL
from lbctl.sim.people import Asking
from lbctl.sim.site import NEIGHBOUR, SERVERS, SERVICE
from lbctl.sim.world import TICK_MS, World

FOREVER = Instant(1 << 50)
UNTIL_TICKS_MAX = 3_000
ON_RELEASE = {"pause": Pause, "promote": Promote, "rollback": Rollback, "cancel": Cancel}
PLAN: dict[str, tuple[str, Callable[[str], Any]]] = {}


def span(text: str) -> Span:
    """Read `2s` or `300ms`."""
    number, unit = re.fullmatch(r"([0-9.]+)(ms|s|m)", text).groups()  # type: ignore[union-attr]
    return Span(int(float(number) * {"ms": 1, "s": 1_000, "m": 60_000}[unit]))


def share(text: str) -> int:
    """Read `25%`."""
    return round(float(text.rstrip("%")) * 100)


PLAN |= {
    "steps": ("steps_bp", lambda text: tuple(share(one) for one in text.split(","))),
    "hold": ("hold_min", span),
    "hold-max": ("hold_max", span),
    "then": ("hold_then", HoldLimit),
    "bake": ("bake", span),
    "retain": ("retain", span),
    "preflight": ("preflight", span),
    "sessions": ("sessions_back", SessionsBack),
    "drift": ("drift", DriftPolicy),
    "capacity": ("capacity", int),
}


class Stage:
    """One scenario's world. `lines` is what happened since `take` was last called."""

    def __init__(self) -> None:
        self.world = World(REAL, 1, NONE, instances=1, orderly=True)
        self.began = self.world.now
        self.do_quiet("30s", "0s")
        self.lines: list[str] = []
        self.of = SERVICE
        """Whom the commands are about."""

    def take(self) -> list[str]:
        """Return what happened, with times since the last call."""
        lines, self.lines, self.began = self.lines, [], self.world.now
        return lines

    def do(self, command: str) -> None:
        """Carry out one line."""
        word, *rest = command.split()
        getattr(self, f"do_{word.replace('-', '_')}")(*rest)

    # ---- the world

    def do_also(self, *command: str) -> None:
        """The same for the other service of a world with a neighbour."""
        self.of = NEIGHBOUR
        self.do(" ".join(command))
        self.of = SERVICE

    def do_world(self, instances: str, kind: str = "haproxy", neighbour: str = "") -> None:
        self.world = World(REAL, 1, NONE, instances=int(instances), orderly=True, neighbour=bool(neighbour))
        self.beside = Asking(NEIGHBOUR, self.world.chance)
        for balancer in self.world.balancers.values():
            balancer.one_file, balancer.keeps_fence = kind == "envoy", kind == "envoy"
        self.do_quiet("30s", "0s")
        self.world.traffic = 100
        self.world.log = self._log
        self.began = self.world.now

    def do_run(self, text: str) -> None:
        for _ in range(span(text) // TICK_MS):
            self.world.tick()

    def do_until(self, word: str, value: str = "") -> None:
        for _ in range(UNTIL_TICKS_MAX):
            if self._is(word, value):
                return
            self.world.tick()
        raise AssertionError(f"{word} {value} never came")

    def _is(self, word: str, value: str) -> bool:
        release = self._record().releases.get(self.of)
        if release is None or self.world.disk.record.releases.get(self.of) != release:
            return False
        return release.reached_bp == share(value) if word == "reached" else release.phase.value == word

    def do_errors(self, colour: str, ratio: str) -> None:
        self.world.error_ratio[Colour(colour)] = share(ratio) / 10_000

    def do_learned(self, total: str, bad: str) -> None:
        """Active was watched for a day and did this in the last hour."""
        assert self.world.process is not None
        seen = Fading(float(total), float(bad), 3_600.0)
        known = Learned(known_s=86_400.0, baseline=seen, error=Bursts(variance=1_000.0))
        process = self.world.process
        process.state = replace(process.state, learned={SERVICE: known})

    def do_judge(self, mode: str, target_rate: str) -> None:
        """Set `judge.plan` and `judge.target_rate`, as a new config does."""
        assert self.world.process is not None
        service = self.world.topology.services[SERVICE]
        judge = replace(service.judge, plan=PlanMode(mode), target_rate=share(target_rate) / 10_000)
        topology = replace(self.world.topology, services={SERVICE: replace(service, judge=judge)})
        self.world.topology = topology
        self.world.process.state = replace(self.world.process.state, topology=topology)

    def do_quiet(self, quiet: str, limit: str, idle: str = "0s") -> None:
        """Set `drain`, as a new config does. Unless it is said, nobody waits for a proof that an old pool is unused."""
        drain = Drain(quiet=span(quiet), idle=span(idle), limit=span(limit))
        services = {name: replace(one, drain=drain) for name, one in self.world.topology.services.items()}
        self.world.topology = replace(self.world.topology, services=services)
        if self.world.process is not None:
            self.world.process.state = replace(self.world.process.state, topology=self.world.topology)

    def do_sessions(self, policy: str, deadline: str = "30m", then: str = "keep") -> None:
        """Set how sessions leave a pool, as a new config does: `wait`, or `20/s`."""
        assert self.world.process is not None
        self.world.users.begin()
        per_second = None if policy == "wait" else int(policy.removesuffix("/s"))
        found = SessionPolicy(per_second=per_second, deadline=span(deadline), at_deadline=AtDeadline(then))
        service = replace(self.world.topology.services[SERVICE], sessions=found)
        self.world.topology = replace(self.world.topology, services={SERVICE: service})
        self.world.process.state = replace(self.world.process.state, topology=self.world.topology)

    def do_traffic(self, per_tick: str) -> None:
        self.world.traffic = int(per_tick)

    def do_dead(self, name: str) -> None:
        self.world.up -= set(SERVERS.get(Colour(name), ()) if name in {*Colour} else {name})

    def do_alive(self, colour: str) -> None:
        self.world.up |= set(SERVERS[Colour(colour)])

    def do_checker(self, word: str) -> None:
        self.world.checker = "" if word == "well" else word

    def do_unreadable(self, name: str) -> None:
        self._balancer(name).unreadable_until = FOREVER

    def do_readable(self, name: str) -> None:
        self._balancer(name).unreadable_until = Instant(-1)

    def do_stall(self, name: str) -> None:
        self._balancer(name).stalled_until = FOREVER

    def do_unstall(self, name: str) -> None:
        self._balancer(name).stalled_until = Instant(-1)

    def do_refuse(self, name: str) -> None:
        self._balancer(name).refuses = True

    def do_take(self, name: str) -> None:
        self._balancer(name).refuses = False

    def do_skew(self, name: str, green: str) -> None:
        """A server died or came back, and weights as they stand give green so much."""
        self._balancer(name).skewed_bp = share(green)

    def do_obstacle(self, name: str, *text: str) -> None:
        self._balancer(name).obstacle = " ".join(text)

    def do_tokens(self, *trouble: str) -> None:
        self.world.tokens.trouble = " ".join(trouble)

    def do_reload(self, name: str, untold: str = "0s") -> None:
        self._begin(self._balancer(name), untold, keep_old=True)

    def do_restart(self, name: str, untold: str = "0s") -> None:
        self._begin(self._balancer(name), untold, keep_old=False)

    def _begin(self, balancer: Balancer, untold: str, *, keep_old: bool) -> None:
        self.world.reload(balancer, keep_old=keep_old)
        balancer.untold_until = Instant(self.world.now + span(untold))

    def do_edit(self, name: str, route: str) -> None:
        self.world.edit(self._balancer(name), Route(*map(int, route.split(":"))))

    def do_edit_boot(self, name: str, route: str) -> None:
        self.world.edit(self._balancer(name), Route(*map(int, route.split(":"))), boot=True)

    def do_old_gone(self, name: str) -> None:
        self._balancer(name).old_gone()

    def do_journal(self, word: str, time: str = "0s") -> None:
        """`full`, `well`, or `slow TIME`: what is written from now on takes so long."""
        self.world.disk.full = word == "full"
        self.world.journal_takes = span(time)

    def do_stay(self, colour: str) -> None:
        """Somebody keeps a WebSocket open there."""
        for balancer in self.world.balancers.values():
            balancer.held[Colour(colour)] += 1

    def do_leave(self) -> None:
        for balancer in self.world.balancers.values():
            balancer.let_go(self.world.now)

    def do_crash(self, *where: str) -> None:
        """At once, or at the next boundary of that name: `crash after Mark`."""
        self.world.crash_at = " ".join(where)
        if not where:
            self.world.kill()

    def do_reboot(self) -> None:
        self.world.kill(reboot=True)

    def do_start(self) -> None:
        self.world.down_until = self.world.now

    def _balancer(self, name: str) -> Balancer:
        return self.world.balancers[InstanceName(f"edge/{name}")].part(self.of)

    @property
    def _asking(self) -> Asking:
        return self.world.asking if self.of == SERVICE else self.beside

    # ---- people

    def do_adopt(self, colour: str, settle: str = "") -> None:
        self.world.ask(self._asking.adopt(Colour(colour), settle=bool(settle)))

    def do_switch(self, *words: str) -> None:
        options = dict(zip(words[::2], words[1::2], strict=True))
        to = Colour(options.pop("to")) if "to" in options else None
        quick = {"hold_min": Span(500), "bake": Span(500), "retain": Span(0)}
        plan = Plan(**{**quick, **{PLAN[key][0]: PLAN[key][1](text) for key, text in options.items()}})
        self.world.ask(self._asking.switch(plan, to))

    def do_maintenance(self, word: str) -> None:
        self.world.ask(self._asking.maintenance(on=word == "on", every=False))

    def do_resume(self) -> None:
        self.world.ask(self._asking.resume(self._record().releases[self.of].id))

    def do_promote(self, full: str = "") -> None:
        self._on_release("promote", full=bool(full))

    def do_pause(self) -> None:
        self._on_release("pause")

    def do_rollback(self) -> None:
        self._on_release("rollback")

    def do_cancel(self) -> None:
        self._on_release("cancel")

    def _on_release(self, word: str, **more: bool) -> None:
        release = self._record().releases[self.of]
        self.world.ask(ON_RELEASE[word](release=release.id, id=99, actor="ann", reason="why not", **more))

    def _record(self) -> Record:
        return self.world.process.state.record if self.world.process is not None else self.world.disk.record

    # ---- what is written down

    def do_show(self) -> None:
        """Write down where everything is."""
        record = self.world.disk.record
        self._say(f"on disk: {_recorded(record)}")
        for name, balancer in ((name, part) for name, one in self.world.balancers.items() for part in one.parts):
            routes = " ".join(str(route) for route in balancer.runtime.values())
            self._say(f"{name} routes {routes}, boot {balancer.boot}")
        holds = [hold for one in self._progress() for hold in one.holds]
        for hold in holds:
            self._say(f"held: {hold.reason}; needs {hold.needs}")

    def do_where(self) -> None:
        """Write down where the sessions are."""
        homes = [user.colour for user in self.world.users.users]
        self._say(f"sessions: {homes.count(Colour.BLUE)} on blue, {homes.count(Colour.GREEN)} on green")

    def _progress(self) -> list[Any]:
        return [] if self.world.process is None else list(self.world.process.state.progress.values())

    def _log(self, what: str, fact: Any) -> None:
        for line in WRITTEN.get(what, lambda _: ())(fact):
            self._say(line)

    def _say(self, line: str) -> None:
        at = (self.world.now - self.began) / 1_000
        self.lines.append(f"+{at:.2f} {line}")


def _recorded(record: Record) -> str:
    """The service of the world, and its neighbour if that is adopted."""
    names = [SERVICE, *(name for name in record.services if name == NEIGHBOUR)]
    return " | ".join(_recorded_of(record, name) for name in names)


def _recorded_of(record: Record, name: ServiceName) -> str:
    adopted, release = record.services.get(name), record.releases.get(name)
    if adopted is None:
        return "nothing adopted"
    keeps = f"keep {adopted.blue.keep_bp}/{adopted.green.keep_bp}"
    states = f"blue {adopted.blue.state.value}, green {adopted.green.state.value}, active {adopted.active}, {keeps}"
    if release is None:
        return states
    flags = "".join([" paused" * bool(release.paused_by), " latched" * bool(release.latched)])
    return f"{release.phase.value} {release.share_bp} reached {release.reached_bp}{flags}; {states}"


def _entry(entry: Entry) -> str:
    return f"  tell {entry.severity.value} {entry.kind.value}: {entry.text}"


def _reply(reply: Any) -> tuple[str, ...]:
    answer = reply.answer
    if answer.accepted:
        return (f"accepted: {answer.body.get('phase', 'ok')}",)
    body = answer.body
    return (f"refused {body['code']} (exit {body['exit_code']}): {body['what']}; {body['why']}; then {body['then']}",)


def _landed(name: InstanceName, operation: Operation, result: Result) -> tuple[str, ...]:
    if result.status is Status.DONE:
        return ()
    return (f"{name}{_whose(operation)} {_to(operation)} {result.status.value}: {result.detail}",)


def _to(operation: Operation) -> str:
    if isinstance(operation, SetClosing):
        return f"close {operation.colour} {operation.per_second}/s"
    return f"{operation.place.value} {operation.route}"


def _whose(operation: Operation) -> str:
    return "" if operation.service == SERVICE else f" {operation.service}"


WRITTEN: dict[str, Callable[[Any], tuple[str, ...]]] = {
    "mark": lambda mark: (f"mark {mark.token.value}",),
    "free": lambda _: ("mark go again",),
    "save": lambda save: (f"save {save.record.rev}: {_recorded(save.record)}", *map(_entry, save.entries)),
    "note": lambda note: tuple(map(_entry, note.entries)),
    "reply": _reply,
    "send": lambda sent: (f"send {sent[0]}{_whose(sent[1])} {_to(sent[1])}",),
    "land": lambda landed: _landed(*landed),
    "crash": lambda where: (f"crash {where}",),
}

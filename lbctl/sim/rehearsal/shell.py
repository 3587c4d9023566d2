"""One life after the other of lbctld in a rehearsal: it carries out what the core wants, and hears how it went."""

from collections.abc import Callable, Mapping
from dataclasses import InitVar, dataclass, field, replace

from lbctl.core import machine
from lbctl.core.invariants import check
from lbctl.core.judge import Learned
from lbctl.core.state import Applied, Apply, Effect, Free, Mark, Note, Recorded, Reply, Save, State, Tick
from lbctl.model.entry import Entry
from lbctl.model.hook import Ask, HookAnswer, Word
from lbctl.model.names import InstanceName, ReleaseId, ServiceName
from lbctl.model.operation import Result, Status
from lbctl.model.reading import Observed, Token
from lbctl.model.record import Record
from lbctl.model.request import Answer, Request
from lbctl.model.topology import Topology
from lbctl.model.units import Instant
from lbctl.sim.rehearsal.edge import Edge

Event = Recorded | Applied | HookAnswer
LATER_MS = 10
"""A write, an operation and an answer take so long."""


@dataclass(slots=True)
class Shell:
    """The host of lbctld: its disk, its tokens, and the process while there is one."""

    topology: Topology
    edges: Mapping[InstanceName, Edge]
    told: Callable[[Entry], None]
    disk: Record
    learned: Mapping[ServiceName, Learned]
    now: InitVar[Instant]
    tokens: dict[ReleaseId, Token] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    state: State = field(init=False)
    """Of the life that is, or of the last one."""
    _due: list[tuple[Instant, Event]] = field(default_factory=list)

    def __post_init__(self, now: Instant) -> None:
        self.state = machine.start(self.disk, self.topology, now, {}, dict(self.learned), {})

    def start(self, now: Instant) -> None:
        """Start anew from what is on the disk."""
        accounts = {
            key: {self.disk.releases[unit].service: one.account, **one.followers}
            for key, one in self.state.progress.items()
            for unit, release in self.disk.releases.items()
            if release.id == key
        }
        self.state = machine.start(self.disk, self.topology, now, accounts, dict(self.learned), self.state.matrix)

    def kill(self) -> None:
        """End it. What it had written is written, what it had ordered is done; nobody hears of either."""
        self.learned = self.state.learned
        self._due.clear()

    @property
    def busy(self) -> bool:
        """Whether anything is under way."""
        return bool(self._due)

    def hear(self, now: Instant) -> None:
        """Hand in how writes and operations ended that are due by now."""
        while self._due and self._due[0][0] <= now:
            at, event = self._due.pop(0)
            self._step(replace(event, now=at), at)

    def tick(self, now: Instant, observed: Observed) -> None:
        """One tick of the loop."""
        self._step(Tick(now, replace(observed, tokens=dict(self.tokens))), now)

    def ask(self, request: Request, now: Instant) -> None:
        """Ask something; the answer is in `answers` once it may be told."""
        before = self.state.record
        self.state, effects = machine.ask(self.state, request, now)
        self._carry_out(before, effects, now)

    def _step(self, event: Event | Tick, now: Instant) -> None:
        before = self.state.record
        self.state, effects = machine.step(self.state, event)
        self._carry_out(before, effects, now)

    def _carry_out(self, before: Record, effects: tuple[Effect, ...], now: Instant) -> None:
        later = Instant(now + LATER_MS)
        for effect in effects:
            match effect:
                case Mark(release, _, token):
                    self.tokens[release] = token
                case Free(release):
                    self.tokens[release] = Token.GO
                case Save(record, entries):
                    if record.rev != before.rev:
                        check(before, record)
                        before = record
                    self.disk = record
                    self._tell(entries)
                    self._due.append((later, Recorded(later, record.rev)))
                case Note(entries):
                    self._tell(entries)
                case Apply():
                    self._due.append((later, self._applied(effect, now)))
                case Reply(answer):
                    self.answers.append(answer)
                case Ask(key):
                    self._due.append((later, HookAnswer(later, key, Word.YES)))
                case _:
                    pass
        self.tokens = {release: token for release, token in self.tokens.items() if token is not Token.NONE}

    def _tell(self, entries: tuple[Entry, ...]) -> None:
        for entry in entries:
            self.told(entry)

    def _applied(self, apply: Apply, now: Instant) -> Applied:
        edge = self.edges[apply.instance]
        silent = Result(Status.UNKNOWN, "no answer in time")
        results = tuple(silent if edge.deaf else edge.apply(one) for one in apply.operations)
        return Applied(now, apply.instance, apply.operations, results, now)

"""One life of the simulated lbctld: the shell of `daemon.executor`; at every effect there is a boundary to die at."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from lbctl.core.state import Effect, State
from lbctl.model.hook import HookAnswer, HookKey
from lbctl.model.names import InstanceName
from lbctl.model.operation import Operation, Result, SetClosing, SetRoute, Status
from lbctl.model.reading import InstanceReading, Observed, Unreadable
from lbctl.model.record import Phase, PoolState, Record
from lbctl.model.request import Request
from lbctl.model.units import Instant
from lbctl.sim.balancer import Pending
from lbctl.sim.core import Core
from lbctl.sim.disk import Disk, Tokens
from lbctl.sim.watch import ViolationError

GIVE_UP_MS = 1_000
"""After this long an operation's outcome is unknown to whoever sent it."""


class Crash(Exception):
    """The process dies here."""


class Outside(Protocol):
    """What the process touches."""

    disk: Disk
    tokens: Tokens
    readings: dict[InstanceName, InstanceReading | Unreadable]

    def boundary(self, where: str) -> None:
        """Raise Crash if the process dies here."""

    def write(self, save: Any) -> None:
        """Give a record to the journal."""

    def send(self, instance: InstanceName, operation: Operation) -> Pending:
        """Put an operation on its way."""

    def ask_hook(self, key: HookKey) -> None:
        """Ask a hook; its answer comes later, or never."""

    def observed(self) -> Observed:
        """Everything seen but the tokens."""

    def told(self, what: str, fact: Any) -> None:
        """Tell the watch what the process did."""


@dataclass(slots=True)
class Batch:
    """The operations of one `Apply` under way."""

    instance: InstanceName
    operations: tuple[Operation, ...]
    sent: list[Pending]
    sent_at: Instant


@dataclass(slots=True)
class Process:
    """A running lbctld: its state, and what it waits for."""

    core: Core
    outside: Outside
    state: State
    before: Record = field(default_factory=Record)
    """The newest decision before the last step."""
    batches: list[Batch] = field(default_factory=list)

    def tick(self, now: Instant) -> None:
        """One tick of the loop."""
        observed = self.outside.observed()
        store, releases = self.outside.tokens, self.state.record.releases.values()
        tokens = {one.id: store.read(one.id, one.nonce) for one in releases}
        trouble = {one.id: store.trouble for one in releases if store.trouble}
        seen = replace(observed, tokens=tokens, token_trouble=trouble)
        self._take(self.core.step(self.state, self.core.tick(now, seen)), now)
        for release in self.state.record.releases.values():
            progress = self.state.progress.get(release.id)
            if progress is not None:
                self.outside.disk.accounts[release.id] = {release.service: progress.account, **progress.followers}

    def ask(self, request: Request, now: Instant) -> None:
        """Decide a request."""
        self._take(self.core.ask(self.state, request, now), now)

    def recorded(self, now: Instant, rev: int, error: str) -> None:
        """A write ended."""
        self.outside.boundary("before recorded")
        self._take(self.core.step(self.state, self.core.recorded(now, rev, error)), now)

    def answered(self, now: Instant) -> None:
        """Hand back the batches that ended, or that nobody will hear of any more."""
        for batch in tuple(self.batches):
            if all(one.result is not None and one.heard for one in batch.sent):
                self._applied(batch, now)
            elif now - batch.sent_at >= GIVE_UP_MS:
                for one in batch.sent:
                    one.given_up = not (one.result is not None and one.heard)
                self._applied(batch, now)

    def hook_answered(self, answer: HookAnswer) -> None:
        """A hook said something."""
        self._take(self.core.step(self.state, answer), answer.now)

    def _applied(self, batch: Batch, now: Instant) -> None:
        self.batches.remove(batch)
        self.outside.boundary("before applied")
        unknown = Result(Status.UNKNOWN, "no answer in time")
        results = tuple(one.result if one.result is not None and one.heard else unknown for one in batch.sent)
        event = self.core.applied(now, batch.instance, batch.operations, results, batch.sent_at)
        self._take(self.core.step(self.state, event), now)

    def _take(self, stepped: tuple[State, tuple[Effect, ...]], now: Instant) -> None:
        self.before = self.state.record
        self.state, effects = stepped
        for effect in effects:
            name = type(effect).__name__
            self.outside.boundary(f"before {name}")
            CARRY_OUT[name](self, effect, now)
            self.outside.boundary(f"after {name}")


def _mark(process: Process, mark: Any, now: Instant) -> None:
    del now
    process.outside.told("mark", mark)
    process.outside.tokens.mark(mark.release, mark.nonce, mark.token)


def _free(process: Process, free: Any, now: Instant) -> None:
    del now
    process.outside.told("free", free)
    process.outside.tokens.free(free.release, free.nonce)


def _save(process: Process, save: Any, now: Instant) -> None:
    del now
    process.outside.told("save", save)
    process.outside.write(save)


def _apply(process: Process, apply: Any, now: Instant) -> None:
    sent = []
    for operation in apply.operations:
        sent.append(process.outside.send(apply.instance, operation))
        if isinstance(operation, SetClosing):
            _check_closing(process.state, operation)
        what = operation.place.value if isinstance(operation, SetRoute) else "closing"
        process.outside.boundary(f"within Apply {what}")
    process.batches.append(Batch(apply.instance, apply.operations, sent, now))


def _check_closing(state: State, operation: SetClosing) -> None:
    """Nobody is cut off from a pool that anybody is sent to, or before that is on disk."""
    record = state.durable
    pool, release = record.services[operation.service].pool(operation.colour), record.running(operation.service)
    left = pool.state is PoolState.DRAINING or (release is not None and release.phase is Phase.ROLLING_BACK)
    meant = left and pool.keep_bp == 0 and pool.leaving is not None and pool.leaving.closing
    if operation.per_second and not meant:
        raise ViolationError(f"{operation.colour} of {operation.service} is closed by force")


def _note(process: Process, note: Any, now: Instant) -> None:
    del now
    process.outside.told("note", note)


def _reply(process: Process, reply: Any, now: Instant) -> None:
    del now
    process.outside.told("reply", reply)


def _ask(process: Process, ask: Any, now: Instant) -> None:
    del now
    process.outside.ask_hook(ask.key)


CARRY_OUT: dict[str, Callable[[Process, Any, Instant], None]] = {
    "Mark": _mark,
    "Free": _free,
    "Save": _save,
    "Note": _note,
    "Apply": _apply,
    "Reply": _reply,
    "Ask": _ask,
}

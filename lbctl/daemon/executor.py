"""Carries out the core's effects, in their order. Marks at once; everything that can wait is a task of its own."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any

import structlog

from lbctl.core.state import Administer, Administered, Applied, Apply, Effect, Free, Mark, Note, Recorded, Reply, Save
from lbctl.crash import Point, passing
from lbctl.daemon.ports import Journal, Now, Outbox, Tokens
from lbctl.daemon.said import unnamed
from lbctl.dataplane.port import OPERATION_TIMEOUT_S, DataPlane
from lbctl.model.entry import Entry
from lbctl.model.errors import StoreError
from lbctl.model.hook import Ask
from lbctl.model.names import InstanceName, ReleaseId
from lbctl.model.operation import Operation, Result, SetClosing, SetRoute, SetServer, Status
from lbctl.model.reading import Token
from lbctl.model.request import Answer
from lbctl.store.tables import StoredEntry

log = structlog.get_logger("lbctl.executor")
DRAINED_WITHIN_S = 5.0
"""A stop waits no longer for what is under way: systemd ends lbctld after ten seconds, and the journal needs two."""

Arrived = Callable[[Recorded | Applied | Administered], None]


class Executor:
    """The hands of the loop. Every outcome goes back through `arrived`; nothing here decides."""

    def __init__(
        self,
        *,
        planes: Mapping[InstanceName, DataPlane],
        journal: Journal,
        tokens: Tokens,
        outbox: Outbox,
        now: Now,
        wall: Callable[[], str],
        arrived: Arrived,
        answered: Callable[[Answer], None],
        told: Callable[[tuple[StoredEntry, ...]], None],
        ask: Callable[[Ask], None],
        wrote: Callable[[InstanceName, Result, float], None] = lambda *_: None,
    ) -> None:
        """`wrote` is told of every change of a load balancer, and how many seconds it took."""
        self.planes = planes
        self._journal = journal
        self._tokens = tokens
        self.outbox = outbox
        self._now = now
        self._wall = wall
        self._arrived = arrived
        self._answered = answered
        self._told = told
        self._ask = ask
        self._wrote = wrote
        self._tasks: set[asyncio.Task[None]] = set()
        self._offered: set[tuple[str, int, str]] = set()
        """What the outbox was given although the journal failed: a kept decision is tried again every second."""

    def carry_out(self, effects: tuple[Effect, ...]) -> None:
        """Start every effect, in order."""
        for effect in effects:
            match effect:
                case Mark():
                    self._mark(effect)
                case Free():
                    self._token(Token.GO, self._tokens.mark_go_again, effect)
                case Save():
                    self._start(self._save(effect))
                case Note():
                    self._start(self._note(effect.entries))
                case Apply():
                    self._start(self._apply(effect))
                case Administer():
                    self._start(self._administer(effect))
                case Reply():
                    passing(Point.ANSWER_BEFORE)
                    self._answered(effect.answer)
                case Ask():
                    self._ask(effect)

    def note(self, entries: tuple[Entry, ...]) -> None:
        """Record facts about the daemon itself."""
        self._start(self._note(entries))

    async def drained(self) -> None:
        """Wait until everything under way has ended. Each task is bounded by its own time-outs, but for those that wait
        for a disk."""
        give_up = asyncio.get_running_loop().time() + DRAINED_WITHIN_S
        while self._tasks and (left_s := give_up - asyncio.get_running_loop().time()) > 0:
            await asyncio.wait(self._tasks, timeout=left_s)
        if self._tasks:
            log.error("stop.unfinished", count=len(self._tasks), reason="the journal does not answer")

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _mark(self, mark: Mark) -> None:
        change = {
            Token.GO: self._tokens.make_go,
            Token.HOLD: self._tokens.mark_hold,
            Token.BACK: self._tokens.mark_back,
            Token.NONE: self._tokens.remove,
        }[mark.token]
        self._token(mark.token, change, mark)

    def _token(self, word: Token, change: Callable[[ReleaseId, str], None], mark: Mark | Free) -> None:
        """A token that cannot be made holds the release; one that cannot be renamed is told, and never waited for."""
        passing(Point.TOKEN_BEFORE)
        try:
            change(mark.release, mark.nonce)
            passing(Point.TOKEN_AFTER)
        except StoreError as error:
            log.error("token.unwritten", release=mark.release, token=word.value, reason=str(error))

    async def _save(self, save: Save) -> None:
        for entry in save.entries:
            _logged(entry)
        error = ""
        passing(Point.JOURNAL_BEFORE)
        try:
            self._told(await self._journal.append(save.record, save.entries, wall=self._wall()))
            passing(Point.JOURNAL_AFTER)
            self._offered.clear()
        except StoreError as failed:
            error = str(failed) or "unknown reason"
            if save.kept:
                self._offer(save.entries)
        self._arrived(Recorded(self._now(), save.record.rev, error))

    async def _note(self, entries: tuple[Entry, ...]) -> None:
        for entry in entries:
            _logged(entry)
        try:
            self._told(await self._journal.append(None, entries, wall=self._wall()))
        except StoreError as failed:
            log.error("journal.failed", reason=str(failed))
            self._offer(entries)

    def _offer(self, entries: tuple[Entry, ...]) -> None:
        fresh = [entry for entry in entries if (entry.kind.value, entry.at, entry.text) not in self._offered]
        self._offered |= {(entry.kind.value, entry.at, entry.text) for entry in fresh}
        self.outbox.offer(fresh, wall=self._wall())

    async def _apply(self, apply: Apply) -> None:
        sent_at = self._now()
        plane = self.planes.get(apply.instance)
        if plane is None:
            gone = tuple(Result(Status.STALE, "this instance is not configured any more") for _ in apply.operations)
            self._arrived(Applied(self._now(), apply.instance, apply.operations, gone, sent_at))
            return
        passing(Point.APPLY_BEFORE)
        results = tuple(await asyncio.gather(*(self._timed(plane, operation) for operation in apply.operations)))
        passing(Point.APPLY_AFTER)
        for operation, result in zip(apply.operations, results, strict=True):
            told = {"instance": apply.instance, "service": operation.service, **_said(operation)}
            log.info("operation.applied", **told, status=result.status.value, detail=result.detail)
        self._arrived(Applied(self._now(), apply.instance, apply.operations, results, sent_at))

    async def _timed(self, plane: DataPlane, operation: Operation) -> Result:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        result = await _one(plane, operation)
        self._wrote(plane.name, result, loop.time() - began_s)
        return result

    async def _administer(self, order: Administer) -> None:
        plane = self.planes.get(order.instance)
        for operation in order.operations if plane is not None else ():
            assert plane is not None
            passing(Point.ADMINISTER_BEFORE)
            result = await _told(plane, operation)
            passing(Point.ADMINISTER_AFTER)
            log.info(
                "server.administered",
                instance=order.instance,
                service=operation.service,
                server=operation.server,
                admin=operation.admin.value,
                status=result.status.value,
                detail=result.detail,
            )
        self._arrived(Administered(self._now(), order.instance))


async def _told(plane: DataPlane, operation: SetServer) -> Result:
    try:
        async with asyncio.timeout(OPERATION_TIMEOUT_S * 2):
            return await plane.administer(operation)
    except TimeoutError:
        return Result(Status.UNKNOWN, f"no answer within {OPERATION_TIMEOUT_S * 2:g} s")
    except asyncio.CancelledError:
        if _is_cancelled():
            raise
        return Result(Status.UNKNOWN, "the driver gave it up")
    except Exception as error:
        log.exception("server.unadministered", service=operation.service)
        return Result(Status.UNKNOWN, f"the driver failed: {error!r}")


def _is_cancelled() -> bool:
    """Whether this task itself is to end, and not only something that it waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _said(operation: Operation) -> dict[str, str | int]:
    match operation:
        case SetRoute():
            return {"place": operation.place.value, "route": str(operation.route)}
        case SetClosing():
            return {"closing": operation.colour.value, "per_second": operation.per_second}


async def _one(plane: DataPlane, operation: Operation) -> Result:
    """A driver bounds its own calls; this is the belt to its braces, with a little more patience."""
    try:
        work = plane.apply(operation) if isinstance(operation, SetRoute) else plane.set_closing(operation)
        async with asyncio.timeout(OPERATION_TIMEOUT_S * 2):
            result = await work
        return replace(result, detail=unnamed(plane.name, result.detail))
    except TimeoutError:
        return Result(Status.UNKNOWN, f"no answer within {OPERATION_TIMEOUT_S * 2:g} s")
    except asyncio.CancelledError:
        if _is_cancelled():
            raise
        return Result(Status.UNKNOWN, "the driver gave it up")
    except Exception as error:
        # Nobody knows what a driver that fell over has written; its lane must not stay busy for ever.
        log.exception("operation.broken", service=operation.service)
        return Result(Status.UNKNOWN, f"the driver failed: {error!r}")


def _logged(entry: Entry) -> None:
    """One line per event, with all its numbers."""
    level = {"info": log.info, "warning": log.warning, "page": log.error}[entry.severity.value]
    level(
        entry.kind.value,
        service=entry.service,
        release=entry.release,
        text=entry.text,
        actor=entry.actor or None,
        **{f"n_{key}": value for key, value in entry.data.items()},
    )

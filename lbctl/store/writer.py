"""The one thread that owns the database: takes what waits as one transaction, answers, and keeps house when idle."""

import asyncio
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lbctl.crash import Point, passing
from lbctl.model.errors import StoreError
from lbctl.store.database import Database, Work, told
from lbctl.store.retention import Retention, trim

WAITING_MAX = 1_000
GROUP_MAX = 256
IDLE_S = 0.2
BUSY_S = 1.0
LOG_IDLE_BYTES = 1 << 20
"""From this size on the write-ahead log is moved into the database when nothing waits."""
LOG_BUSY_BYTES = 16 << 20
"""From this size on it is moved even while something waits: the room on the disk is bounded too."""


@dataclass(frozen=True, slots=True)
class Job:
    """One thing to do, and who waits for it. `after` runs in the thread once it is durable and makes the answer."""

    work: Work
    writes: bool
    answer: "asyncio.Future[Any]"
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    after: Callable[[Any], Any] = lambda result: result


class Writer:
    """Runs jobs in the order they were given. Writes that wait together become one transaction (one fsync)."""

    def __init__(self, database: Database, retention: Retention) -> None:
        self._database = database
        self._retention = retention
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._untidy = True
        self._tidied_s = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def give(self, job: Job) -> None:
        """Queue `job`; its answer comes through its future. Refuses at once when closed or `WAITING_MAX` wait."""
        with self._changed:
            refusal = "the journal is closed" if self._closing else ""
            if len(self._waiting) >= WAITING_MAX:
                refusal = f"{self._database.path}: {WAITING_MAX} writes wait: the disk does not answer, check it"
            if not refusal:
                self._waiting.append(job)
                self._changed.notify()
        if refusal:
            job.answer.set_exception(StoreError(refusal))

    def close(self, timeout_s: float) -> bool:
        """Finish what waits and close the file. Returns False when the disk kept it from ending within the time."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            group = self._take()
            if group:
                self._do(group)
                self._untidy = self._untidy or group[0].writes
            elif self._closing:
                break
            # Idle moments first, but a journal that is never idle must not grow without end either.
            if self._untidy and (not group or time.monotonic() > self._tidied_s + BUSY_S):
                self._untidy = self._tidy(LOG_BUSY_BYTES if group else LOG_IDLE_BYTES)
        self._database.connection.close()

    def _take(self) -> list[Job]:
        """Wait for work; return one reading job or all writes that wait. Empty: idle (untidy) or closing."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing, IDLE_S if self._untidy else 5.0)
            group: list[Job] = []
            while self._waiting and len(group) < GROUP_MAX and (not group or group[0].writes):
                if group and not self._waiting[0].writes:
                    break
                group.append(self._waiting.popleft())
            return group

    def _do(self, group: list[Job]) -> None:
        try:
            self._finish(group, self._perform(group))
        except Exception as error:  # noqa: BLE001 - this thread must outlive any fault of one job; its caller is told.
            if len(group) > 1 and not _disk(error):
                for job in group:
                    self._do([job])
                return
            self._fail(group, error)

    def _perform(self, group: list[Job]) -> list[Any]:
        if group[0].writes:
            return self._database.commit([job.work for job in group])
        return [group[0].work(self._database.connection)]

    def _finish(self, group: list[Job], results: list[Any]) -> None:
        answers = [job.after(result) for job, result in zip(group, results, strict=True)]
        for job, answer in zip(group, answers, strict=True):
            _answer(job, answer, None)

    def _fail(self, group: list[Job], error: Exception) -> None:
        if isinstance(error, sqlite3.Error):
            error = told(self._database.path, error)
        for job in group:
            _answer(job, None, StoreError(str(error)))

    def _tidy(self, log_bytes: int) -> bool:
        """Trim a step, empty the log, take the ballast back. Returns whether there is more to do."""
        self._tidied_s = time.monotonic()
        if self._database.read_only:
            return False
        try:
            return self._tidied(log_bytes)
        except (sqlite3.Error, OSError):
            # A disk that cannot keep house cannot take decisions either: the next append says so to its caller.
            return True

    def _tidied(self, log_bytes: int) -> bool:
        share = self._database.used_share()
        (removed,) = self._database.commit([lambda connection: trim(connection, self._retention, share)])
        if self._database.log_bytes() > log_bytes:
            self._database.checkpoint()
        self._database.ballast.restore()
        passing(Point.JOURNAL_TIDIED)
        return bool(removed) or not self._database.ballast.kept


def _disk(error: Exception) -> bool:
    """Whether trying the jobs of a group one by one would only meet the same fault again."""
    return isinstance(error, sqlite3.OperationalError)


def _answer(job: Job, result: Any, error: StoreError | None) -> None:
    def tell() -> None:
        if job.answer.done():
            return  # The caller gave up waiting; the write stands as it is.
        if error is None:
            job.answer.set_result(result)
        else:
            job.answer.set_exception(error)

    try:
        job.loop.call_soon_threadsafe(tell)
    except RuntimeError:
        return  # The loop has ended: nobody is left to be told.

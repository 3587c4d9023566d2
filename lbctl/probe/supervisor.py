"""The prober as the daemon has it: starts the worker process, feeds it, hears it, and starts it again when it ends.

While there is no worker that can be trusted every target is unknown. Nothing here ever calls a server down.
"""

import asyncio
import contextlib
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import structlog

import lbctl
from lbctl.notjson import NOT_JSON
from lbctl.probe.frames import REPORT_FRAME_MAX, REPORT_ROWS_MAX, FrameError, encode
from lbctl.probe.port import OnResults, ProbeResult
from lbctl.probe.target import TARGETS_MAX, Target
from lbctl.probe.words import DETAIL_MAX

log = structlog.get_logger(__name__)

HEARD_WITHIN_MS = 1_000
SILENCE_MAX_S = 30.0
"""A worker that says nothing for so long is ended and replaced."""
BACK_OFF_S = (0.1, 5.0)
STEADY_S = 10.0
"""A worker that lived so long was well: the next start does not wait long."""
END_WITHIN_S = 2.0

_Row = tuple[int, bool | None, Annotated[str, msgspec.Meta(max_length=DETAIL_MAX)], int, int]


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One report of the worker: its own condition since the last one, and results of set number `set`."""

    set: int = 0
    at: int = 0
    late: int = 0
    skipped: int = 0
    voided: int = 0
    dropped: int = 0
    in_flight: int = 0
    rows: Annotated[list[_Row], msgspec.Meta(max_length=REPORT_ROWS_MAX)] = []
    error: str = ""


_decoder = msgspec.json.Decoder(Report)


def report_of(line: bytes) -> Report:
    """Return what the worker reports.

    Raises:
        FrameError: it is no report, or the worker says that it ends.
    """
    try:
        report = _decoder.decode(line)
    except NOT_JSON as error:
        raise FrameError(f"a report cannot be read: {error}") from None
    if report.error:
        raise FrameError(report.error)
    return report


def boottime_ms() -> int:
    """Return CLOCK_BOOTTIME in milliseconds: the clock of all results."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


class Prober:
    """Keeps one worker process probing. Lives in one event loop; implements `HealthProber`."""

    def __init__(self, on_results: OnResults) -> None:
        self._on_results = on_results
        self._targets: tuple[Target, ...] = ()
        self._keys: dict[int, tuple[str, ...]] = {0: ()}
        self._set = 0
        self._changed = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._report = Report()
        self._heard_ms: int | None = None
        self.starts = 0
        self.last_error = ""

    @property
    def alive(self) -> bool:
        """Whether the worker was heard within the last second."""
        return self._heard_ms is not None and boottime_ms() - self._heard_ms <= HEARD_WITHIN_MS

    @property
    def last_heartbeat_ms(self) -> int | None:
        """When the worker was last heard; None while there is no worker."""
        return self._heard_ms

    @property
    def lateness_ms(self) -> int:
        """How late the worker's loop was at worst in its last report."""
        return self._report.late

    @property
    def report(self) -> Report:
        """The last report, for metrics: skipped, voided, dropped, in flight."""
        return self._report

    @property
    def pid(self) -> int | None:
        """The worker's process id, while there is one."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start the worker and keep it running until `stop`."""
        if self._task is None:
            self._task = asyncio.create_task(self._keep_running(), name="prober")

    def set_targets(self, targets: Sequence[Target]) -> None:
        """Probe these from now on and nothing else. Works before `start` and while the worker is away, too.

        Raises:
            ValueError: too many targets, or one key twice.
        """
        keys = tuple(target.key for target in targets)
        if len(keys) > TARGETS_MAX:
            raise ValueError(
                f"{len(keys)} probe targets are more than {TARGETS_MAX}; leave out checks that the load balancer has"
            )
        if len(set(keys)) != len(keys):
            twice = next(key for key in keys if keys.count(key) > 1)
            raise ValueError(f"probe target {twice[:100]!r} is there twice")
        self._targets = tuple(targets)
        self._set += 1
        self._keys = {number: old for number, old in self._keys.items() if number == self._set - 1}
        self._keys[self._set] = keys
        self._changed.set()

    async def stop(self) -> None:
        """End the worker and wait for it."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._task = None
        self._heard_ms = None

    async def _keep_running(self) -> None:
        wait_s = BACK_OFF_S[0]
        while True:
            began_s = time.monotonic()
            self.last_error = await self._one_life()
            self._heard_ms = None
            log.warning("prober.ended", reason=self.last_error, starts=self.starts, again_in_s=wait_s)
            self._tell_unknown("the checker ended and is started again")
            if time.monotonic() - began_s > STEADY_S:
                wait_s = BACK_OFF_S[0]
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, BACK_OFF_S[1])

    async def _one_life(self) -> str:
        """Run one worker until it ends; return why it did."""
        try:
            async with self._worker() as (reader, writer):
                sender = asyncio.create_task(self._send_sets(writer), name="prober-sender")
                try:
                    await self._hear(reader)
                finally:
                    sender.cancel()
                    await asyncio.wait([sender])
        except FrameError as error:
            return str(error)
        except TimeoutError:
            return f"it said nothing for {SILENCE_MAX_S:g} s"
        except OSError as error:
            return error.strerror or str(error)
        except Exception as error:
            # Python starts a thread for each child: where the host allows no further one, it does later.
            log.exception("prober.broken")
            return f"it cannot be kept running: {error!r}"
        return "it closed its socket"

    @contextlib.asynccontextmanager
    async def _worker(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A worker process for as long as the block lasts; it is ended with it."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self._process = process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                "lbctl.probe.worker",
                stdin=theirs.fileno(),
                stdout=asyncio.subprocess.DEVNULL,
                env=_environment(),
                start_new_session=True,  # Ctrl-C in a terminal is the daemon's to answer.
            )
            self.starts += 1
            theirs.close()
            try:
                reader, writer = await asyncio.open_connection(sock=ours, limit=REPORT_FRAME_MAX)
                self._changed.set()
                try:
                    yield reader, writer
                finally:
                    writer.transport.abort()
            finally:
                self._process = None
                await _end(process)

    async def _send_sets(self, writer: asyncio.StreamWriter) -> None:
        """Send the newest set whenever it changes. One that was overtaken while the worker was busy is not sent."""
        with contextlib.suppress(ConnectionError):  # The hearing side notices the same, and says so.
            while True:
                await self._changed.wait()
                self._changed.clear()
                writer.write(encode({"set": self._set, "targets": [t.to_wire() for t in self._targets]}))
                await writer.drain()

    async def _hear(self, reader: asyncio.StreamReader) -> None:
        while True:
            async with asyncio.timeout(SILENCE_MAX_S):
                try:
                    line = await reader.readline()
                except ValueError:
                    raise FrameError(f"a report is longer than {REPORT_FRAME_MAX} bytes") from None
            if not line:
                return
            self._take(line)

    def _take(self, line: bytes) -> None:
        report = report_of(line)
        self._report = report
        self._heard_ms = boottime_ms()
        keys = self._keys.get(report.set, ())
        if keys and report.rows:
            self._tell(keys, report.rows)

    def _tell(self, keys: tuple[str, ...], rows: list[_Row]) -> None:
        if any(not 0 <= row[0] < len(keys) for row in rows):
            raise FrameError("a report speaks of a target that is not in its set")
        results = (ProbeResult(keys[i], ok, detail, at, us / 1000) for i, ok, detail, at, us in rows)
        if keys is not self._keys[self._set]:
            wanted = frozenset(self._keys[self._set])
            results = (result for result in results if result.key in wanted)
        self._on_results(list(results))

    def _tell_unknown(self, why: str) -> None:
        now = boottime_ms()
        if keys := self._keys[self._set]:
            self._on_results([ProbeResult(key, None, why, now, 0.0) for key in keys])


def _environment() -> dict[str, str]:
    """What the worker needs and nothing else: no credentials, and the same lbctl as ours."""
    root = str(Path(lbctl.__file__).resolve().parent.parent)
    return {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": root, "LANG": "C.UTF-8"}


async def _end(process: asyncio.subprocess.Process) -> None:
    """The worker ends by itself when its socket does; one that cannot is killed."""
    # Not by asyncio.timeout: up to Python 3.11.2 it raises no TimeoutError in a task that is being cancelled.
    ended = asyncio.ensure_future(process.wait())
    try:
        await asyncio.wait({ended}, timeout=END_WITHIN_S)
    finally:
        if not ended.done():
            process.kill()
    await ended

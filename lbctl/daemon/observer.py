"""Reads every instance at its own pace, so that one that hangs delays nobody, and keeps the newest reading of each."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress

import structlog

from lbctl.daemon.freezing import Closed
from lbctl.daemon.ports import Checks, Now, RequestTimes, Tokens, Versions
from lbctl.daemon.said import unnamed
from lbctl.dataplane.port import OPERATION_TIMEOUT_S, DataPlane
from lbctl.model.census import Census
from lbctl.model.errors import DataPlaneError, StoreError
from lbctl.model.names import Colour, Generation, InstanceName, ReleaseId, ServiceName
from lbctl.model.reading import InstanceReading, Observed, Timing, Token, Unreadable
from lbctl.model.record import Record
from lbctl.model.sessions import Attendance

log = structlog.get_logger("lbctl.observer")

Counting = Callable[
    [Record, Mapping[InstanceName, InstanceReading | Unreadable]], Mapping[tuple[ServiceName, Colour], Census]
]
"""Returns the kernel's count of pools that are to become unused, and takes no time."""
PACE_BUSY_S = 0.1
"""10 Hz while a service behind the instance is in release."""
PACE_REST_S = 1.0


class Observer:
    """One reading task per instance. `seen` is called after every reading, good or bad."""

    def __init__(
        self,
        planes: Mapping[InstanceName, DataPlane],
        checks: Checks,
        tokens: Tokens,
        times: RequestTimes,
        versions: Versions,
        now: Now,
        *,
        seen: Callable[[], None],
        repair: Callable[[InstanceName], None],
        frozen: Callable[[], Closed] = Closed,
        census: Counting = lambda _record, _readings: {},
    ) -> None:
        self._planes = dict(planes)
        self._checks = checks
        self._tokens = tokens
        self._times = times
        self._versions = versions
        self._now = now
        self._seen = seen
        self._repair = repair
        self._frozen = frozen
        self._census = census
        self._busy: frozenset[InstanceName] = frozenset()
        self._pokes = {name: asyncio.Event() for name in planes}
        self._tasks: dict[InstanceName, asyncio.Task[None]] = {}
        self.readings: dict[InstanceName, InstanceReading | Unreadable] = {}

    def start(self) -> None:
        """Start reading."""
        for name, plane in self._planes.items():
            self._tasks[name] = asyncio.create_task(self._watch(name, plane), name=f"observe {name}")

    async def stop(self) -> None:
        """Stop reading."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._tasks.clear()

    async def replan(self, planes: Mapping[InstanceName, DataPlane]) -> None:
        """Read these instances from now on; what is known of the ones that stay is kept until their next reading."""
        await self.stop()
        self._planes = dict(planes)
        self._pokes = {name: asyncio.Event() for name in planes}
        self.readings = {name: reading for name, reading in self.readings.items() if name in planes}
        self.start()

    def observed(self, record: Record) -> Observed:
        """Return all that is known now."""
        now, closed = self._now(), self._frozen()
        tokens, trouble = self._read_tokens(record)
        return Observed(
            instances=dict(self.readings),
            health=self._checks.health(now),
            tokens=tokens,
            token_trouble=trouble,
            checker_suspect=self._checks.suspects(now),
            frozen=closed.why,
            frozen_for=closed.lasts,
            census=dict(self._census(record, self.readings)),
            timing=self._timing() | dict(self._times.timing(self.readings, now)),
            sessions=dict(self._times.sessions(now)) | self._sessions(),
            attested=self._versions.attested(record),
        )

    def poke(self, instance: InstanceName) -> None:
        """Read this instance again at once."""
        if instance in self._pokes:
            self._pokes[instance].set()

    def life(self, instance: InstanceName) -> Generation | None:
        """Return which life of an instance was last read; None: it cannot be read now."""
        reading = self.readings.get(instance)
        return reading.generation if isinstance(reading, InstanceReading) else None

    def pace(self, busy: frozenset[InstanceName]) -> None:
        """Read these instances ten times a second, the others once."""
        for name in busy - self._busy:
            self.poke(name)
        self._busy = busy

    def _timing(self) -> dict[tuple[InstanceName, ServiceName], Timing]:
        """Return the times that load balancers tell by themselves. One that cannot be read now tells none."""
        return {
            (name, service): timing
            for name, reading in self.readings.items()
            if isinstance(reading, InstanceReading)
            for service, timing in reading.timing.items()
        }

    def _sessions(self) -> dict[tuple[InstanceName, ServiceName], Attendance]:
        """Return who came back by load balancers that count that themselves."""
        return {
            (name, service): seen
            for name, reading in self.readings.items()
            if isinstance(reading, InstanceReading)
            for service, seen in reading.sessions.items()
        }

    def _read_tokens(self, record: Record) -> tuple[dict[ReleaseId, Token], dict[ReleaseId, str]]:
        """A token that cannot be read is none, and why is told: nothing is raised, and the way back stays open."""
        tokens: dict[ReleaseId, Token] = {}
        trouble: dict[ReleaseId, str] = {}
        for release in record.releases.values():
            try:
                tokens[release.id] = self._tokens.read(release.id, release.nonce)
            except StoreError as error:
                trouble[release.id] = str(error)
        return tokens, trouble

    async def _watch(self, name: InstanceName, plane: DataPlane) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            self._pokes[name].clear()
            self.readings[name] = await self._read(name, plane)
            self._seen()
            pace = PACE_BUSY_S if name in self._busy else PACE_REST_S
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.01, pace - (loop.time() - began))):
                    await self._pokes[name].wait()

    async def _read(self, name: InstanceName, plane: DataPlane) -> InstanceReading | Unreadable:
        try:
            async with asyncio.timeout(OPERATION_TIMEOUT_S * 2):
                return await plane.observe()
        except DataPlaneError as error:
            return self._unreadable(name, str(error))
        except TimeoutError:
            return self._unreadable(name, f"no answer within {OPERATION_TIMEOUT_S * 2:g} s")
        except Exception as error:
            # A fault of the driver itself must not end the reading for good, nor look like an old reading.
            log.exception("instance.misread", instance=name)
            return self._unreadable(name, f"its answer cannot be understood: {error!r}")

    def _unreadable(self, name: InstanceName, reason: str) -> Unreadable:
        self._repair(name)
        before = self.readings.get(name)
        since = before.since if isinstance(before, Unreadable) else self._now()
        return Unreadable(since, unnamed(name, reason))

"""The load balancer instances of a config: the one place that knows which driver a data plane has."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import structlog

from lbctl.daemon.pinning import unpinnable
from lbctl.daemon.ports import Now
from lbctl.daemon.said import unnamed
from lbctl.daemon.sight import Capable
from lbctl.dataplane.port import DataPlane, HostSockets, Started
from lbctl.model.errors import DataPlaneError, LbctlError
from lbctl.model.names import Generation, InstanceName, ServiceName
from lbctl.model.operation import Capabilities
from lbctl.model.topology import Driver, EnvoyMode, Instance, Plane, Service, Topology

log = structlog.get_logger("lbctl.plant")

REPAIR_EVERY_S = 1.0
LOOK_EVERY_S = 1.0
ASK_EVERY_S = 5.0
ASK_AGAIN_S = 60.0
"""Whoever runs a load balancer may give it another config at any time, and not only by a reload that is seen."""
CLOSE_AFTER_S = 5.0
"""A driver that a reload replaced is closed when its last operation must have ended."""


@dataclass(frozen=True, slots=True)
class _Unit:
    """One instance: what it was made of, its driver, and how an Envoy's files are brought up, or itself if embedded,
    and how that one is ended."""

    made_of: tuple[Instance, Plane, tuple[Service, ...]]
    plane: DataPlane
    ensure_running: Callable[[], Awaitable[tuple[str, ...]]] | None = None
    end: Callable[[], Awaitable[object]] | None = None


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """The instances of another config. `fresh`: those with a driver of their own; `started`: those of them that lbctl
    has just started."""

    topology: Topology
    units: dict[InstanceName, _Unit]
    fresh: Sequence[_Unit]
    started: list[InstanceName] = field(default_factory=list)


Lives = Callable[[InstanceName], Generation | None]
"""Which life of an instance was last read; None: it cannot be read."""


class Plant:
    """All instances. Drivers are imported only where one is configured."""

    def __init__(self, topology: Topology, now: Now, sockets: HostSockets | None = None) -> None:
        """`sockets` close by force what a load balancer cannot close by itself."""
        self._now = now
        self._sockets = sockets
        self._units: dict[InstanceName, _Unit] = {}  # `_built` looks at what is there already.
        self._repaired_at: dict[InstanceName, float] = {}
        self._asked_at: dict[InstanceName, float] = {}
        self._asked_of: dict[InstanceName, Generation] = {}
        """The life that was asked what it can do."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._repairs: dict[InstanceName, asyncio.Task[None]] = {}
        """The last one of each instance: two at once would wait for one another's lock."""
        self._rebuilding: frozenset[InstanceName] = frozenset()
        """Instances that a reload is bringing to another config: a repair would write the old one back."""
        self._topology = topology
        self.able: Capable = {}
        self._units = self._built(topology)

    @property
    def planes(self) -> dict[InstanceName, DataPlane]:
        """The drivers."""
        return {name: unit.plane for name, unit in self._units.items()}

    async def bring_up(self, in_use: Collection[ServiceName] = ()) -> None:
        """Start the embedded instances that are not running.

        One that serves a service `in_use` and cannot be brought up now is left to `repair`: a daemon that starts anew
        must be able to steer all others, and this one as soon as it answers.

        Raises:
            LbctlError: one that serves nobody yet cannot be started; the text says what to do.
        """
        for name, unit in self._units.items():
            if unit.ensure_running is None:
                continue
            try:
                await unit.ensure_running()
            except LbctlError as error:
                if not any(service.name in in_use for service in unit.made_of[2]):
                    raise
                log.warning("instance.not_started", instance=name, reason=str(error))

    async def find_out(self, lives: Lives) -> None:
        """Find out what every instance can do, for `plan`: one that cannot say it is asked again until it can, and one
        that was away, that was reloaded, or was asked a minute ago."""
        loop = asyncio.get_running_loop()
        while True:
            for name, unit in list(self._units.items()):
                life = lives(name)
                if self._is_due(name, life, loop.time()):
                    self._asked_at[name] = loop.time()
                    self._asked_of |= {} if life is None else {name: life}
                    await self._ask(name, unit)
            await asyncio.sleep(LOOK_EVERY_S)

    def _is_due(self, name: InstanceName, life: Generation | None, now_s: float) -> bool:
        rested_s = now_s - self._asked_at.get(name, -9e9)
        reloaded = life is not None and life != self._asked_of.get(name)
        able = isinstance(self.able.get(name), Capabilities)
        return reloaded or rested_s >= (ASK_AGAIN_S if able else ASK_EVERY_S)

    def repair(self, name: InstanceName) -> None:
        """An instance did not answer: bring an embedded one up again, at most once a second, beside everything else."""
        self._asked_at.pop(name, None)
        unit = self._units.get(name)
        now = asyncio.get_running_loop().time()
        if unit is None or unit.ensure_running is None or now - self._repaired_at.get(name, -9e9) < REPAIR_EVERY_S:
            return
        if name in self._rebuilding or (name in self._repairs and not self._repairs[name].done()):
            return
        self._repaired_at[name] = now
        self._repairs[name] = self._start(self._bring_up_again(name, unit.ensure_running))

    async def rebuilt(self, topology: Topology) -> Rebuilt:
        """Return the instances of a new config, up and running with it, for `take` or `undo`; unchanged ones keep their
        driver and its connections. Until then all goes on by the old one.

        Raises:
            LbctlError: an embedded instance refuses its new config; all are then as they were before.
        """
        after = self._built(topology)
        fresh = [unit for name, unit in after.items() if self._units.get(name) is not unit]
        found = Rebuilt(topology, after, fresh)
        names = self._rebuilding = frozenset(unit.made_of[0].name for unit in fresh)
        try:
            repairs = [task for name, task in self._repairs.items() if name in names]
            await asyncio.gather(*repairs, return_exceptions=True)
            for unit in fresh:
                did = () if unit.ensure_running is None else await unit.ensure_running()
                if any(isinstance(word, Started) for word in did):
                    found.started.append(unit.made_of[0].name)
        except LbctlError:
            await self.undo(found)
            raise
        except BaseException:
            self._rebuilding = frozenset()
            raise
        return found

    def take(self, rebuilt: Rebuilt) -> None:
        """Go over to instances that were rebuilt."""
        before, self._units, self._topology = self._units, rebuilt.units, rebuilt.topology
        self._rebuilding = frozenset()
        for unit in rebuilt.fresh:
            self.able.pop(unit.made_of[0].name, None)
            self._asked_at.pop(unit.made_of[0].name, None)
        for name, unit in before.items():
            if self._units.get(name) is not unit:
                _ = self._start(_closed_later(unit.plane))

    async def undo(self, rebuilt: Rebuilt) -> None:
        """Bring the files of what was rebuilt back to the old config, end what was started for the new one alone, and
        let go of the new drivers."""
        self._rebuilding = frozenset()
        for unit in rebuilt.fresh:
            name = unit.made_of[0].name
            old = self._units.get(name)
            if old is not None and old.ensure_running is not None:
                await self._bring_up_again(name, old.ensure_running)
            elif old is None and unit.end is not None and name in rebuilt.started:
                await self._end(name, unit.end)
            await unit.plane.close()

    async def close(self) -> None:
        """Let go of every load balancer; none is stopped."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for unit in self._units.values():
            await unit.plane.close()

    async def _ask(self, name: InstanceName, unit: _Unit) -> None:
        before = self.able.get(name)
        able = await self._probed(name, unit)
        if self._units.get(name) is not unit:
            return  # What a driver could do that a reload has replaced meanwhile says nothing about its successor.
        self.able[name] = able
        if able == before:
            return
        if isinstance(able, str):
            log.warning("instance.unusable", instance=name, reason=able)
        else:
            self._say_unpinnable(name, unit.made_of[2])

    async def _probed(self, name: InstanceName, unit: _Unit) -> Capabilities | str:
        try:
            return await unit.plane.probe()
        except DataPlaneError as error:
            return unnamed(name, str(error))
        except Exception as error:
            # A fault of one driver, or of the host, must not end the asking of all others for good.
            log.exception("instance.unasked", instance=name)
            return f"it could not be asked: {error!r}"

    def _say_unpinnable(self, name: InstanceName, services: Sequence[Service]) -> None:
        for service in services:
            for text in unpinnable(self._topology, {name: self.able[name]}, service.name):
                log.warning("unit.refused", code="NO_PINS", instance=name, service=service.name, reason=text)

    def _built(self, topology: Topology) -> dict[InstanceName, _Unit]:
        units: dict[InstanceName, _Unit] = {}
        for plane in topology.planes.values():
            services = tuple(service for service in topology.services.values() if service.plane == plane.name)
            # Where request lines come in is no driver's business.
            plane = replace(plane, request_log=None)
            for instance in plane.instances:
                old = self._units.get(instance.name)
                made_of = (instance, plane, services)
                fits = old is not None and old.made_of == made_of
                fresh = None if fits else _made(instance, plane, services, self._now, self._sockets)
                units[instance.name] = fresh or self._units[instance.name]
        return units

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _bring_up_again(self, name: InstanceName, ensure_running: Callable[[], Awaitable[object]]) -> None:
        try:
            await ensure_running()
        except LbctlError as error:
            log.warning("instance.not_started", instance=name, reason=str(error))

    async def _end(self, name: InstanceName, end: Callable[[], Awaitable[object]]) -> None:
        try:
            await end()
        except LbctlError as error:
            log.warning("instance.not_ended", instance=name, reason=str(error))


async def _closed_later(plane: DataPlane) -> None:
    await asyncio.sleep(CLOSE_AFTER_S)
    await plane.close()


def _made(
    instance: Instance, plane: Plane, services: Sequence[Service], now: Now, sockets: HostSockets | None
) -> _Unit:
    made_of = (instance, plane, tuple(services))
    match plane.driver:
        case Driver.HAPROXY:
            from lbctl.dataplane.haproxy.driver import HaproxyInstance  # noqa: PLC0415

            return _Unit(made_of, HaproxyInstance(instance, services, now))
        case Driver.ENVOY:
            from lbctl.dataplane.envoy import embedded  # noqa: PLC0415
            from lbctl.dataplane.envoy.driver import EnvoyInstance  # noqa: PLC0415

            envoy = EnvoyInstance(instance, services, now, plane.envoy_binary, plane.envoy_mode, sockets)
            end = partial(embedded.stop, instance) if plane.envoy_mode is EnvoyMode.EMBEDDED else None
            return _Unit(made_of, envoy, envoy.ensure_running, end)

"""One HAProxy, form `map`: every write to every worker, read back from every worker, and the map file as boot value."""

import asyncio
from collections.abc import Callable, Sequence

from lbctl.dataplane.haproxy.bootfile import BootFile
from lbctl.dataplane.haproxy.client import ask
from lbctl.dataplane.haproxy.looking import look_at_all, service_reading, warnings
from lbctl.dataplane.haproxy.statemap import DEFAULT, map_path, parse_lines, parse_route
from lbctl.dataplane.haproxy.statistics import Pools
from lbctl.dataplane.haproxy.workers import Worker, ask_worker, facts, generation, workers
from lbctl.dataplane.haproxy.writing import Writer
from lbctl.dataplane.port import OPERATION_TIMEOUT_S
from lbctl.model.errors import DataPlaneError, Garbled, Unreachable
from lbctl.model.names import Generation, InstanceName, ServiceName
from lbctl.model.operation import Capabilities, Place, Result, SetRoute, Status
from lbctl.model.reading import InstanceReading
from lbctl.model.route import Route
from lbctl.model.topology import Instance, Service
from lbctl.model.units import Instant

ANSWER_S = OPERATION_TIMEOUT_S * 0.9
MASTER_FIRST_S = OPERATION_TIMEOUT_S * 0.2
"""A master that has not answered by then is not waited for: the admin socket is written first."""
CONVERGE_PASSES = 3
"""A write that falls into a reload is lost for the new worker: after every write the workers are listed again."""
OLDEST = (2, 4)
NO_MASTER = "NO_MASTER_SOCKET: old workers of a reload cannot be seen or written; set `master_socket` (haproxy -S)"
UNSEEN = "OLD_WORKERS_UNSEEN: it was reloaded, and old workers may still route; set `master_socket`"


class HaproxyInstance:
    """One HAProxy. Implements `lbctl.dataplane.port.DataPlane`."""

    def __init__(self, instance: Instance, services: Sequence[Service], clock: Callable[[], Instant]) -> None:
        self._instance = instance
        self._services = {service.name: service for service in services}
        self._clock = clock
        self._map = str(map_path(instance))
        self._fence = 0
        self._writer = Writer(instance)
        self._boot = BootFile(instance)
        self._pools = Pools()
        self._first: Generation | None = None
        self._was_reloaded = False

    @property
    def name(self) -> InstanceName:
        """Which instance this is."""
        return self._instance.name

    async def probe(self) -> Capabilities:
        """See `DataPlane.probe`."""
        try:
            async with asyncio.timeout(OPERATION_TIMEOUT_S):
                version = await self._checked()
        except TimeoutError:
            raise Unreachable(self._too_late()) from None
        await self.observe()
        seeing = self._instance.master_socket is not None
        cannot = () if seeing else (NO_MASTER,)
        return Capabilities(version=f"haproxy {version}", sees_old_generations=seeing, cannot=cannot)

    async def observe(self) -> InstanceReading:
        """See `DataPlane.observe`: one batch per worker."""
        taken_at = self._clock()
        try:
            async with asyncio.timeout(OPERATION_TIMEOUT_S):
                looks = await look_at_all(self._instance, self._services.values(), ANSWER_S)
        except TimeoutError:
            raise Unreachable(self._too_late()) from None
        if looks[0].entries is None:
            raise Garbled(f"{self.name}: {self._unloaded()}")
        boot = self._boot.read()
        return InstanceReading(
            taken_at=taken_at,
            generation=looks[0].life,
            services={
                name: service_reading(service, looks, boot, self._pools) for name, service in self._services.items()
            },
            draining_generations=tuple(look.life for look in looks if look.worker.is_old),
            warnings=(*self._unseen(looks[0].life), *warnings(self._instance, self._services, looks, boot)),
            unsent_log_lines={look.life: look.unsent_log_lines for look in looks},
        )

    async def apply(self, operation: SetRoute) -> Result:
        """See `DataPlane.apply`."""
        if operation.service not in self._services:
            return Result(Status.REFUSED, f"{self.name} has no service {operation.service}")
        if operation.fence < self._fence:
            return Result(Status.STALE, f"fence {operation.fence} is older than {self._fence}")
        self._fence = operation.fence
        try:
            async with asyncio.timeout(OPERATION_TIMEOUT_S):
                return await self._apply(operation)
        except TimeoutError:
            why = f"not confirmed within {OPERATION_TIMEOUT_S:g} s; it may still be applied"
            return Result(Status.UNKNOWN, f"{self.name}: {why}")

    async def verify(self, service: ServiceName, route: Route) -> bool | None:
        """See `DataPlane.verify`."""
        try:
            reading = await self.observe()
        except DataPlaneError:
            return None
        return all(seen == route for seen in reading.services[service].runtime.values())

    async def close(self) -> None:
        """See `DataPlane.close`. Batches that HAProxy has not answered by now may still be carried out."""
        self._writer.close()

    # ---- reading

    async def _checked(self) -> str:
        """Return the version of an HAProxy that lbctl can drive. Raises Garbled, Unreachable."""
        found = await workers(self._instance, ANSWER_S)
        asked = await ask_worker(self._instance, found[0], ["show info", "show cli level", "show map"], ANSWER_S)
        info, level, maps = asked
        version = facts(info).get("Version", "")
        if _numbers(version) < OLDEST:
            kind = version or "of an unknown version"
            raise Garbled(f"{self.name}: HAProxy {kind} is too old: 2.4 or newer is needed")
        self._check_level(self._instance.master_socket or str(self._instance.socket), level)
        if self._instance.master_socket is not None and self._instance.socket is not None:
            (level,) = await ask(self._instance.socket, ["show cli level"], ANSWER_S)
            self._check_level(self._instance.socket, level)
        if not any(f"({self._map})" in line for line in maps):
            raise Garbled(f"{self.name}: {self._unloaded()}")
        return version

    def _check_level(self, path: str, level: Sequence[str]) -> None:
        if level and level[0].strip() in {"user", "operator"}:
            where = "the master's `-S PATH,level,admin`" if path == self._instance.master_socket else "its line"
            then = f"write `level admin` on {where}: `stats socket {path} level admin`, and restart HAProxy"
            raise Garbled(f"{self.name}: the socket {path} has level {level[0].strip()}: {then}")

    def _unloaded(self) -> str:
        then = "include what `lbctl config render haproxy --write-maps` prints, and reload HAProxy"
        return f"HAProxy has not loaded {self._map}: {then}"

    def _too_late(self) -> str:
        socket = self._instance.master_socket or self._instance.socket
        return f"{socket}: not read within {OPERATION_TIMEOUT_S:g} s: HAProxy is stopped, overloaded or being reloaded"

    def _unseen(self, newest: Generation) -> tuple[str, ...]:
        """Without a master socket a change of generation means old workers that nobody sees."""
        if self._instance.master_socket is not None:
            return ()
        self._first = self._first or newest
        self._was_reloaded = self._was_reloaded or newest != self._first
        return (NO_MASTER, UNSEEN) if self._was_reloaded else (NO_MASTER,)

    # ---- writing

    async def _apply(self, operation: SetRoute) -> Result:
        if operation.place is Place.BOOT:
            return await self._boot.write(operation)
        if (unexpected := await self._unexpected(operation)) is not None:
            return unexpected
        self._writer.admit(operation)
        try:
            return await self._write_everywhere(operation, await self._listed(operation))
        except DataPlaneError as error:
            return Result(Status.UNKNOWN, f"not every worker was written: {error}")

    async def _listed(self, operation: SetRoute) -> list[Worker]:
        """List the workers. If the master does not answer at once, whoever is at the admin socket is written first."""
        try:
            return await workers(self._instance, MASTER_FIRST_S, patience_s=0)
        except DataPlaneError:
            if self._instance.socket is not None:
                await self._writer.write(Worker(None, is_old=False), operation, ANSWER_S)
            return await workers(self._instance, ANSWER_S)

    async def _write_everywhere(self, operation: SetRoute, asked: Sequence[Worker]) -> Result:
        """Write to every worker, list them again, and go on until one list is read back right as a whole."""
        for _ in range(CONVERGE_PASSES):
            results = await asyncio.gather(*(self._writer.write(worker, operation, ANSWER_S) for worker in asked))
            now = await workers(self._instance, ANSWER_S)
            self._writer.forget(now)
            left = {worker.pid for worker in now}
            undone = [one for worker, one in zip(asked, results, strict=True) if worker.pid in left and not _done(one)]
            if left <= {worker.pid for worker in asked}:
                return next(iter(undone), Result(Status.DONE))
            asked = now
        return Result(Status.UNKNOWN, f"{self.name} is being reloaded again and again: read it anew")

    async def _unexpected(self, operation: SetRoute) -> Result | None:
        """Compare what is there with what the decision was made for."""
        if operation.expect_generation is None and operation.expect is None:
            return None
        try:
            newest = (await workers(self._instance, ANSWER_S))[0]
            asked = await ask_worker(self._instance, newest, ["show info", f"show map {self._map}"], ANSWER_S)
            life = generation(facts(asked[0]))
        except DataPlaneError as error:
            return Result(Status.REFUSED, f"nothing was written: {error}")
        if operation.expect_generation not in {None, life}:
            return Result(Status.STALE, f"{life} answers, not {operation.expect_generation}")
        now = parse_route(parse_lines(asked[1], columns=3).get(operation.service, "")) or DEFAULT
        if operation.expect not in {None, now}:
            return Result(Status.STALE, f"it routes {now}, not {operation.expect}")
        return None


def _done(result: Result) -> bool:
    return result.status is Status.DONE


def _numbers(version: str) -> tuple[int, ...]:
    head = version.split("-", 1)[0].split(".")
    return tuple(int(part) for part in head[:2] if part.isdigit())

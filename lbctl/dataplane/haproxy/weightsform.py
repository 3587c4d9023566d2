"""Form `weights`: one backend with the servers of both colours; a share is made of their weights.

Between raising and lowering it is read back that somebody can take the traffic: raising a server that is down does
nothing, and lowering the others would then leave nobody. The map value carries the sessions' keeps, the route that was
ordered, and a seal of the weights that were ordered for it. Old workers of a reload do not take weights any more, so
they are not steered; they only end what they have.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lbctl.crash import Point, passing
from lbctl.dataplane.haproxy import serverstate, weighed
from lbctl.dataplane.haproxy.apportion import floor_bp, weights
from lbctl.dataplane.haproxy.form import Entries, Line
from lbctl.dataplane.haproxy.limits import limits, stickiness, wrong_mode
from lbctl.dataplane.haproxy.looking import Look, unloaded
from lbctl.dataplane.haproxy.obstacles import obstacles
from lbctl.dataplane.haproxy.sharedpools import SharedPools
from lbctl.dataplane.haproxy.statemap import map_path, parse_lines, parse_value, read_file, value_of, write_entry
from lbctl.dataplane.haproxy.statistics import Table
from lbctl.dataplane.haproxy.sticktables import bound_anywhere, clearing, strange_tables
from lbctl.dataplane.haproxy.weighed import (
    Backend,
    Pools,
    Weighed,
    Weights,
    all_weights,
    parse_backend,
    pools_of,
    route_of,
)
from lbctl.dataplane.patience import Patience
from lbctl.model.errors import Garbled
from lbctl.model.names import Colour, Generation, ServerName
from lbctl.model.operation import Ability
from lbctl.model.reading import Admin, PoolReading, ServiceReading
from lbctl.model.route import Route
from lbctl.model.topology import HaproxyBinding, Instance, Service
from lbctl.model.units import BP_FULL, percent


class WeightsForm:
    """Implements `Form`."""

    def __init__(
        self, instance: Instance, service: Service, binding: HaproxyBinding, services: Sequence[Service] = ()
    ) -> None:
        self._instance = instance
        self._service = service
        self._backend = binding.backends[Colour.BLUE]
        self._map = map_path(instance)
        self._show_map = f"show map {self._map}"
        self._show_stat = f"show stat {self._backend} 6 -1"
        self._show_state = f"show servers state {self._backend}"
        names = {colour: [server.name for server in service.pool(colour).servers] for colour in Colour}
        self._counted = SharedPools(self._backend, names)
        self._strange = strange_tables(services)
        self._file = serverstate.StateFile(instance, service.name, self._backend)
        self._states: serverstate.States = {}
        """What the newest worker said last: the boot file needs the configured weights."""

    @property
    def questions(self) -> tuple[str, ...]:
        """See `Form.questions`."""
        return (self._show_stat, self._show_state)

    @property
    def steering(self) -> tuple[str, ...]:
        """See `Form.steering`."""
        return (self._show_stat,)

    @property
    def backends(self) -> Mapping[Colour, str]:
        """See `Form.backends`."""
        return dict.fromkeys(Colour, self._backend)

    @property
    def boot_files(self) -> tuple[Path, ...]:
        """See `Form.boot_files`."""
        return (self._map, self._file.path)

    # ---- reading

    def reading(self, looks: Sequence[Look], boot: Entries | None) -> ServiceReading:
        """See `Form.reading`."""
        newest = looks[0]
        backends = {look.life: self._backend_of(look) for look in looks if not look.worker.is_old}
        backend = backends[newest.life]
        pools = pools_of(self._service, backend)
        self._states = serverstate.parse_states(self._backend, newest.answers[self._show_state]) or {}
        routes = {look.life: self._routes(look, backends[look.life]) for look in looks if look.life in backends}
        older = {look.life: Table.of(self._backend, look.answers[self._show_stat]) for look in looks[1:]}
        tables = {newest.life: Table(self._backend, newest.answers[self._show_stat])}
        tables |= {life: one for life, one in older.items() if one is not None}
        counted = self._counted.reading(newest.life, [*tables.values()], routes[newest.life][0])
        return ServiceReading(
            runtime={life: route for life, (route, _) in routes.items()},
            boot=None if boot is None else self._boot(boot),
            pools={c: self._pool(c, one, tables) for c, one in counted.items()},
            skewed={life: instead for life, (_, instead) in routes.items() if instead is not None},
            obstacles=obstacles(self._service, backend, pools, self._states, newest.uptime_s),
        )

    def _pool(self, colour: Colour, pool: PoolReading, tables: Mapping[Generation, Table]) -> PoolReading:
        """A row of weight 0 is shown as drained whatever somebody ordered: that is told by the state."""
        drained = {name: replace(one, admin=Admin.DRAIN) for name, one in pool.servers.items() if self._drained(name)}
        rows = self._counted.given(colour, tables)
        arrived = {life: sum(counts.values()) for life, counts in rows.items()}
        return replace(pool, arrived=arrived, rows=rows, servers={**pool.servers, **drained})

    def _drained(self, server: ServerName) -> bool:
        return server in self._states and self._states[server].drained

    def runtime(self, look: Look) -> Route | None:
        """See `Form.runtime`."""
        if look.worker.is_old or look.entries is None:
            return None
        return self._routes(look, self._backend_of(look))[0]

    def _backend_of(self, look: Look) -> Backend:
        return parse_backend(self._backend, look.answers[self._show_stat])

    def _routes(self, look: Look, backend: Backend) -> tuple[Route, Route | None]:
        value = (look.entries or {}).get(self._service.name, "")
        return route_of(value, pools_of(self._service, backend))

    def _boot(self, entries: Entries) -> Route | None:
        """What the next start would make of map and state file; None if the state file does not fit what runs."""
        try:
            written = self._file.read()
        except OSError:
            return None
        if written is None or not self._fits(written):
            return None
        pools = {
            colour: {
                server.name: Weighed(serving=True, weight=written[server.name].weight)
                for server in self._service.pool(colour).servers
                if server.name in written
            }
            for colour in Colour
        }
        return route_of(entries.get(self._service.name, ""), pools)[0]

    def _fits(self, written: serverstate.States) -> bool:
        """HAProxy takes a weight only while the configured one is that of the file, and the port from the file."""
        return bool(written) and all(
            name in written and (written[name].configured, written[name].port) == (one.configured, one.port)
            for name, one in self._states.items()
        )

    # ---- writing

    async def bring(self, line: Line, route: Route) -> str:
        """See `Form.bring`: raise, read back who is usable, lower, read back everything."""
        if line.worker.is_old:
            return ""
        stat, entries = await line.ask(self._show_stat, self._show_map)
        if unloaded(entries):
            raise Garbled(f"{self._instance.name}: HAProxy has not loaded {self._map}")
        pools = self._pools(stat)
        if not all(pools.values()):
            return f"backend {self._backend} does not have the servers of both pools"
        goal = weights(route.green_bp, {c: {n: row.serving for n, row in rows.items()} for c, rows in pools.items()})
        known = parse_lines(entries, columns=3)
        first = [*self._lifted(known, route), *self._raised(pools, goal, route)]
        if first:
            *_, stat = await line.change(*first, self._show_stat)
            passing(Point.HAPROXY_RAISED)
            pools = self._pools(stat)
        if nobody_left(pools, goal):
            return f"nobody would be left to serve: no server that {route} gives traffic is usable; nothing was lowered"
        value = value_of(route, weighed.seal(goal))
        last = [*self._lowered(pools, goal, route), self._put(known, value)]
        *said, stat, entries = await line.change(*last, self._show_stat, self._show_map)
        if parse_lines(entries, columns=3).get(self._service.name) != value:
            return f"HAProxy does not take {value} for {self._service.name}"
        if all_weights(self._pools(stat)) != goal:
            complaint = next((lines[0] for lines in said if lines), "another hand sets them")
            return f"HAProxy does not take the weights of {route}: {complaint}"
        await self._cleared(line, route)
        return ""

    async def _cleared(self, line: Line, route: Route) -> None:
        """Whom a table brings to a pool that honours him no more is let go, once nothing new comes there."""
        if all(route.share_bp(colour) or route.keep_bp(colour) == BP_FULL for colour in Colour):
            return
        found = await bound_anywhere(line.ask, self._strange)
        (lines,) = await line.ask(self._show_state) if found.entries else ([],)
        states = serverstate.parse_states(self._backend, lines) or {}
        if commands := clearing(self._service, states, found.entries, route):
            await line.change(*commands)

    def _pools(self, stat: Sequence[str]) -> Pools:
        return pools_of(self._service, parse_backend(self._backend, stat))

    def _lifted(self, known: Entries, route: Route) -> Iterator[str]:
        """Sessions are honoured before their pool gets traffic, and moved only when it gets none any more."""
        now, sealed = parse_value(known.get(self._service.name, ""))
        if now is not None and (lifted := lifted_keeps(now, route)) != now:
            yield self._put(known, value_of(lifted, sealed))

    def _raised(self, pools: Pools, goal: Weights, route: Route) -> Iterator[str]:
        for colour in (larger_of(route), larger_of(route).other):
            for name, row in pools[colour].items():
                if goal[name] > row.weight:
                    yield self._weigh(name, goal[name])

    def _lowered(self, pools: Pools, goal: Weights, route: Route) -> Iterator[str]:
        for colour in (larger_of(route).other, larger_of(route)):
            for name, row in pools[colour].items():
                if goal[name] < row.weight:
                    yield self._weigh(name, goal[name])

    def _weigh(self, server: ServerName, weight: int) -> str:
        """Absolute: of a server that is configured with weight 0, any percentage is 0."""
        return f"set server {self._backend}/{server} weight {weight}"

    def _put(self, known: Entries, value: str) -> str:
        return f"{'set' if self._service.name in known else 'add'} map {self._map} {self._service.name} {value}"

    def store(self, route: Route, patience: Patience | None = None) -> None:
        """See `Form.store`. A crash between the files leaves new weights with sessions honoured, never moved."""
        name = self._service.name
        states = self._states or self._file.read()
        if not states:
            raise ValueError(f"the configured weights of {self._backend} are not known before HAProxy was read once")
        pools = self._all_alive(states)
        if not all(pools.values()):
            raise ValueError(f"backend {self._backend} does not have the servers of both pools")
        goal = weights(route.green_bp, pools)
        now, sealed = parse_value((read_file(self._instance) or {}).get(name, ""))
        if now is not None and (lifted := lifted_keeps(now, route)) != now:
            write_entry(self._instance, name, value_of(lifted, sealed), patience)
        written = {server: replace(one, weight=goal.get(server, one.weight)) for server, one in states.items()}
        self._file.write(written, patience)
        write_entry(self._instance, name, value_of(route, weighed.seal(goal)), patience)

    def _all_alive(self, states: serverstate.States) -> dict[Colour, dict[ServerName, bool]]:
        """Nobody knows who will be alive at the next start."""
        return {c: {s.name: True for s in self._service.pool(c).servers if s.name in states} for c in Colour}

    # ---- saying what it can

    def refusal(self, route: Route) -> str:
        """See `Form.refusal`."""
        if route.pins:
            return f"{route}: form `weights` cannot pin callers: write `form: map`"
        for colour in Colour:
            share_bp, keep_bp = route.share_bp(colour), route.keep_bp(colour)
            if keep_bp < BP_FULL and share_bp > 0:
                return f"{route}: in form `weights` the sessions of a pool move only while its share is 0"
            if 0 < share_bp < self._floor_bp(colour):
                least = percent(self._floor_bp(colour))
                return f"{percent(share_bp)} on {colour} cannot be made of whole weights: the least is {least}"
        return ""

    def damaged(self, entries: Entries) -> tuple[str, ...]:
        """See `Form.damaged`: it has no pins."""
        del entries
        return ()

    def _floor_bp(self, colour: Colour) -> int:
        return floor_bp(len(self._service.pool(colour.other).servers))

    def ability(self, look: Look, tables: Mapping[str, bool]) -> Ability:
        """See `Form.ability`."""
        seen = [parse_backend(self._backend, look.answers[self._show_stat])]
        sticky = stickiness([self._backend], seen, tables)
        return Ability(
            floor_bp={colour: self._floor_bp(colour) for colour in Colour},
            stickiness=sticky,
            cannot=(*limits(self._service, sticky), *wrong_mode(self._service, [self._backend], seen)),
        )


def larger_of(route: Route) -> Colour:
    """Return the pool that gets more: it is raised first and lowered last, so the smaller share never shoots over."""
    return Colour.GREEN if route.green_bp > BP_FULL // 2 else Colour.BLUE


def nobody_left(pools: Pools, goal: Weights) -> bool:
    """Whether lowering to `goal` would leave no server that HAProxy gives requests, and now there is one."""
    serving = [(name, row.weight) for rows in pools.values() for name, row in rows.items() if row.serving]
    return any(weight for _, weight in serving) and not any(min(weight, goal[name]) for name, weight in serving)


def lifted_keeps(now: Route, goal: Route) -> Route:
    """Return what routes now, with every session honoured that either honours."""
    for colour in Colour:
        now = now.with_keep(colour, max(now.keep_bp(colour), goal.keep_bp(colour)))
    return now

"""Form `map`: a backend per colour, and one map value for split and keeps: one write, atomic for every request.

Each pin has a value of its own beside it. They are written in one batch, in an order that is safe at every point of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lbctl.dataplane.haproxy.form import Entries, Line
from lbctl.dataplane.haproxy.limits import limits, stickiness, wrong_mode
from lbctl.dataplane.haproxy.looking import Look, unloaded
from lbctl.dataplane.haproxy.pins import Pins
from lbctl.dataplane.haproxy.previews import Previews
from lbctl.dataplane.haproxy.statemap import DEFAULT, map_path, parse_lines, parse_route, value_of, write_entries
from lbctl.dataplane.haproxy.statistics import Pools, Table
from lbctl.dataplane.haproxy.weighed import parse_backend
from lbctl.dataplane.patience import Patience
from lbctl.model.errors import Garbled
from lbctl.model.names import Colour
from lbctl.model.operation import Ability
from lbctl.model.reading import ServiceReading
from lbctl.model.route import Route
from lbctl.model.topology import HaproxyBinding, Instance, Service


class MapForm:
    """Implements `Form`."""

    def __init__(
        self, instance: Instance, service: Service, binding: HaproxyBinding, services: Sequence[Service]
    ) -> None:
        self._instance = instance
        self._service = service
        self._map = map_path(instance)
        self._backends = {colour: binding.backends[colour] for colour in Colour}
        self._asked = {colour: f"show stat {backend} 6 -1" for colour, backend in self._backends.items()}
        self._pools = Pools(service.protocol)
        self._pins = Pins(instance, service, services)
        self._previews = Previews(service, binding)

    @property
    def questions(self) -> tuple[str, ...]:
        """See `Form.questions`. A pool is asked for before the calls to it, so that no call seems uncounted."""
        return (*self._asked.values(), *self._previews.questions, *self._pins.questions)

    @property
    def steering(self) -> tuple[str, ...]:
        """See `Form.steering`."""
        return self._pins.steering

    @property
    def backends(self) -> Mapping[Colour, str]:
        """See `Form.backends`."""
        return self._backends

    @property
    def boot_files(self) -> tuple[Path, ...]:
        """See `Form.boot_files`."""
        return (self._map,)

    def reading(self, looks: Sequence[Look], boot: Entries | None) -> ServiceReading:
        """See `Form.reading`.

        An old worker from before a change of the config may lack the map: then lbctl does not steer it. One that has
        the map and lacks a backend sends what it still gets to one of another name, and nobody counts it.
        """
        pools = {}
        for colour, backend in self._backends.items():
            newest = Table(backend, looks[0].answers[self._asked[colour]])
            older = {look.life: Table.of(backend, look.answers[self._asked[colour]]) for look in looks[1:]}
            tables = {looks[0].life: newest, **{life: table for life, table in older.items() if table is not None}}
            pool = self._pools.reading(backend, [*tables.values()])
            untold = (one.life for one in looks if one.life not in tables and one.entries is not None)
            pools[colour] = replace(
                pool,
                in_flight=pool.in_flight + self._previews.in_flight(colour, looks),
                arrived=self._previews.added(colour, looks, {life: one.taken for life, one in tables.items()}),
                untold=tuple(untold),
            )
        routes = {look.life: self.runtime(look) for look in looks}
        runtime = {life: route for life, route in routes.items() if route is not None}
        return ServiceReading(
            runtime=runtime,
            boot=None if boot is None else self._route(boot),
            pools=pools,
            obstacles=self._obstacles(looks[0]),
            matrix=self._pins.matrix(looks),
        )

    def runtime(self, look: Look) -> Route | None:
        """See `Form.runtime`."""
        if look.entries is None:
            return None
        route = self._route(look.entries)
        return route if self._pins.obeyed(look) else replace(route, pins=self._pins.unpinned())

    async def bring(self, line: Line, route: Route) -> str:
        """See `Form.bring`: set and read back in the same batch; `set map` knows only keys that are there."""
        goal = self._entries(route)
        missing: set[str] = set()
        entries: dict[str, str] = {}
        for _ in ("set what is there", "add what is not"):
            changes = [f"{'add' if key in missing else 'set'} map {self._map} {key} {goal[key]}" for key in goal]
            *_, lines = await line.change(*changes, f"show map {self._map}")
            if unloaded(lines):
                return self._unsteered(line)
            entries = parse_lines(lines, columns=3)
            missing = goal.keys() - entries.keys()
            if not missing:
                break
        return "" if goal.items() <= entries.items() else f"HAProxy does not take {route}"

    def _obstacles(self, newest: Look) -> tuple[str, ...]:
        return (*self._pins.obstacles(newest), *self._previews.obstacles(newest))

    def _entries(self, route: Route) -> dict[str, str]:
        return self._pins.entries(route, value_of(route))

    def _unsteered(self, line: Line) -> str:
        if line.worker.is_old:
            # It began before its config had the map: it routes nothing by it, and there is nothing to write.
            return ""
        raise Garbled(f"{self._instance.name}: HAProxy has not loaded {self._map}")

    def store(self, route: Route, patience: Patience | None = None) -> None:
        """See `Form.store`."""
        write_entries(self._instance, self._entries(route), patience)

    def refusal(self, route: Route) -> str:
        """See `Form.refusal`: every basis point can be made."""
        return self._pins.refusal(route)

    def damaged(self, entries: Entries) -> tuple[str, ...]:
        """See `Form.damaged`."""
        return tuple(self._pins.damaged(entries))

    def ability(self, look: Look, tables: Mapping[str, bool]) -> Ability:
        """See `Form.ability`."""
        seen = [parse_backend(backend, look.answers[self._asked[colour]]) for colour, backend in self._backends.items()]
        sticky = stickiness(self._backends.values(), seen, tables)
        cannot = (*limits(self._service, sticky), *wrong_mode(self._service, self._backends.values(), seen))
        return Ability(stickiness=sticky, cannot=(*cannot, *self._obstacles(look)))

    def _route(self, entries: Entries) -> Route:
        split = parse_route(entries.get(self._service.name, "")) or DEFAULT
        return replace(split, pins=self._pins.read(entries))

"""Form `map`: a backend per colour, and one map value that says everything: one write, atomic for every request."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from lbctl.dataplane.haproxy.form import Entries, Line
from lbctl.dataplane.haproxy.limits import limits, stickiness, wrong_mode
from lbctl.dataplane.haproxy.looking import Look, unloaded
from lbctl.dataplane.haproxy.statemap import DEFAULT, map_path, parse_lines, parse_route, value_of, write_entry
from lbctl.dataplane.haproxy.statistics import Pools, Table
from lbctl.dataplane.haproxy.weighed import parse_backend
from lbctl.model.errors import Garbled
from lbctl.model.names import Colour
from lbctl.model.operation import Ability
from lbctl.model.reading import ServiceReading
from lbctl.model.route import Route
from lbctl.model.topology import HaproxyBinding, Instance, Service


class MapForm:
    """Implements `Form`."""

    steering: tuple[str, ...] = ()

    def __init__(self, instance: Instance, service: Service, binding: HaproxyBinding) -> None:
        self._instance = instance
        self._service = service
        self._map = map_path(instance)
        self._backends = {colour: binding.backends[colour] for colour in Colour}
        self._asked = {colour: f"show stat {backend} 6 -1" for colour, backend in self._backends.items()}
        self._pools = Pools(service.protocol)

    @property
    def questions(self) -> tuple[str, ...]:
        """See `Form.questions`."""
        return tuple(self._asked.values())

    @property
    def boot_files(self) -> tuple[Path, ...]:
        """See `Form.boot_files`."""
        return (self._map,)

    def reading(self, looks: Sequence[Look], boot: Entries | None) -> ServiceReading:
        """See `Form.reading`.

        An old worker from before a change of the config may lack the map or a backend: then it routes nothing of ours.
        """
        pools = {}
        for colour, backend in self._backends.items():
            newest = Table(backend, looks[0].answers[self._asked[colour]])
            older = (Table.of(backend, look.answers[self._asked[colour]]) for look in looks[1:])
            pools[colour] = self._pools.reading(backend, [newest, *(table for table in older if table is not None)])
        routes = {look.life: self.runtime(look) for look in looks}
        runtime = {life: route for life, route in routes.items() if route is not None}
        return ServiceReading(runtime=runtime, boot=None if boot is None else self._route(boot), pools=pools)

    def runtime(self, look: Look) -> Route | None:
        """See `Form.runtime`."""
        return None if look.entries is None else self._route(look.entries)

    async def bring(self, line: Line, route: Route) -> str:
        """See `Form.bring`: set and read back in the same batch; `set map` knows only keys that are there."""
        for verb in ("set", "add"):
            change = f"{verb} map {self._map} {self._service.name} {value_of(route)}"
            _, lines = await line.change(change, f"show map {self._map}")
            if unloaded(lines):
                return self._unsteered(line)
            entries = parse_lines(lines, columns=3)
            if self._service.name in entries:
                right = entries[self._service.name] == value_of(route)
                return "" if right else f"HAProxy does not take {route}"
        return f"HAProxy does not take {route}"

    def _unsteered(self, line: Line) -> str:
        if line.worker.is_old:
            # It began before its config had the map: it routes nothing by it, and there is nothing to write.
            return ""
        raise Garbled(f"{self._instance.name}: HAProxy has not loaded {self._map}")

    def store(self, route: Route) -> None:
        """See `Form.store`."""
        write_entry(self._instance, self._service.name, value_of(route))

    def refusal(self, route: Route) -> str:
        """See `Form.refusal`: every basis point can be made."""
        del route
        return ""

    def ability(self, look: Look, tables: Mapping[str, bool]) -> Ability:
        """See `Form.ability`."""
        seen = [parse_backend(backend, look.answers[self._asked[colour]]) for colour, backend in self._backends.items()]
        sticky = stickiness(self._backends.values(), seen, tables)
        cannot = (*limits(self._service, sticky), *wrong_mode(self._service, self._backends.values(), seen))
        return Ability(stickiness=sticky, cannot=cannot)

    def _route(self, entries: Entries) -> Route:
        return parse_route(entries.get(self._service.name, "")) or DEFAULT

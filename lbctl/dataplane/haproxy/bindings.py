"""Whom stick tables bring to the servers of a pool, whatever its weights are: how many, and in which buckets.

Only form `weights` needs it: with a backend per colour a table binds inside its pool. A table is read in the background
and seldom enough that it costs HAProxy little, and only while a pool gets nothing new: before that, more come. What is
to be cleared is cleared with the route (`weightsform`); what is left there, or came again, reads back as honoured.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from lbctl.core.rollcall import REMEMBERED
from lbctl.dataplane.haproxy.client import Blocks
from lbctl.dataplane.haproxy.keyvisits import KeyVisits
from lbctl.dataplane.haproxy.looking import Look
from lbctl.dataplane.haproxy.serverstate import parse_states
from lbctl.dataplane.haproxy.sticktables import Bound, bound_anywhere, lifted, of_pool, strange_tables
from lbctl.dataplane.haproxy.weighed import parse_backend
from lbctl.dataplane.haproxy.workers import ask_worker, batches
from lbctl.model.errors import DataPlaneError
from lbctl.model.names import Colour, Generation, ServiceName
from lbctl.model.reading import PoolReading, ServiceReading
from lbctl.model.route import Route
from lbctl.model.sessions import Attendance
from lbctl.model.topology import HaproxyForm, Instance, Service
from lbctl.model.units import Instant

ASK_S = 5.0
EVERY_S = 1.0
REST = 50
"""After a look nobody looks for so many times as long as it took: a table of 100,000 entries takes a while."""

Key = tuple[ServiceName, Colour]


class Bindings:
    """Knows, between two looks, who is bound to pools that get nothing new."""

    def __init__(self, instance: Instance, services: Sequence[Service], clock: Callable[[], Instant]) -> None:
        self._instance = instance
        self._clock = clock
        self._services = {one.name: one for one in services if one.haproxy and one.haproxy.form is HaproxyForm.WEIGHTS}
        self._backends = {one.name: one.haproxy.backends[Colour.BLUE] for one in services if one.haproxy}
        self._strange = strange_tables(services)
        self._life: Generation | None = None
        self._found: dict[Key, tuple[int, ...]] = {}
        """By pool that gets nothing new: the bucket of each entry, ascending."""
        self._visits: dict[ServiceName, KeyVisits] = {}
        """Who came to services that have such a pool, also by looks before the last write."""
        self._by_table: dict[ServiceName, bool] = {}
        """Whether a table alone brings its users back. Where a cookie does too, the request log knows them better."""
        self._trouble = "they are just being counted"
        self._asking: asyncio.Task[None] | None = None
        self._asked: frozenset[Key] = frozenset()
        self._due_s = 0.0

    def added(
        self, looks: Sequence[Look], services: Mapping[ServiceName, ServiceReading]
    ) -> Mapping[ServiceName, ServiceReading]:
        """Return the readings with who is bound to a pool that gets nothing new."""
        shut = frozenset(
            (name, colour) for name in self._services for colour in Colour if _is_shut(services[name], colour)
        )
        if self._life != looks[0].life:
            self._life, self._found, self._asked, self._visits = looks[0].life, {}, frozenset(), {}
        self._asked &= shut
        self._found = {key: found for key, found in self._found.items() if key in shut}
        self._visits = {name: one for name, one in self._visits.items() if any(name == key[0] for key in shut)}
        now_s = asyncio.get_running_loop().time()
        if shut and self._asking is None and (now_s >= self._due_s or shut - self._asked):
            self._asked = shut
            self._asking = asyncio.create_task(self._ask(looks[0]))
        return {name: self._with(name, one) for name, one in services.items()}

    def sessions(self, seen: Mapping[ServiceName, ServiceReading], now: Instant) -> dict[ServiceName, Attendance]:
        """Return the sessions of services with a table: all of them are known at once, also who is away. Before a
        table was read, the watch has just begun. Nobody can tell here whom the split alone gave to a pool."""
        return {
            name: self._attendance(name, seen[name], now) for name in self._services if self._tells(name, seen[name])
        }

    def _tells(self, name: ServiceName, seen: ServiceReading) -> bool:
        return self._by_table.get(name, any(_is_shut(seen, colour) for colour in Colour))

    def _attendance(self, name: ServiceName, seen: ServiceReading, now: Instant) -> Attendance:
        shut = [colour for colour in Colour if _is_shut(seen, colour)]
        known = bool(shut) and all((name, colour) in self._found for colour in shut)
        if not known:
            return Attendance(taken_at=now, since=now)
        buckets, seen_by = (
            {colour: tuple(sorted(set(self._found[name, colour]))) for colour in shut},
            self._visits[name],
        )
        return Attendance(
            taken_at=now,
            since=Instant(now - REMEMBERED),
            buckets=buckets,
            remembered=buckets,
            visits={colour: seen_by.visits(colour) for colour in shut},
            heard_at=seen_by.heard_at,
            coming=seen_by.coming,
            moved_lately={colour: seen_by.moved_lately(colour) for colour in shut},
        )

    def honoured(self, name: ServiceName, route: Route) -> Route:
        """Return what the newest worker honours where its map and weights say `route`."""
        return lifted(route, {colour: self._found.get((name, colour), ()) for colour in Colour})

    def renew(self, name: ServiceName) -> None:
        """A route was written, and entries may have been cleared: what was seen before is the past."""
        self._asked = frozenset(key for key in self._asked if key[0] != name)
        self._found = {key: found for key, found in self._found.items() if key[0] != name}

    def close(self) -> None:
        """Ask nothing more."""
        if self._asking is not None:
            self._asking.cancel()

    def _with(self, name: ServiceName, seen: ServiceReading) -> ServiceReading:
        if name not in self._services:
            return seen
        newest = {life: self.honoured(name, route) for life, route in seen.runtime.items() if life == self._life}
        pools = {colour: self._pool(name, colour, pool) for colour, pool in seen.pools.items()}
        return replace(seen, pools=pools, runtime={**seen.runtime, **newest})

    def _pool(self, name: ServiceName, colour: Colour, pool: PoolReading) -> PoolReading:
        found = self._found.get((name, colour))
        return replace(pool, uncounted=self._trouble) if found is None else replace(pool, bound=len(found))

    # ---- asking

    async def _ask(self, newest: Look) -> None:
        async def ask(*commands: str) -> Blocks:
            parts = batches(commands)
            return [one for part in parts for one in await ask_worker(self._instance, newest.worker, part, ASK_S)]

        loop = asyncio.get_running_loop()
        began_s = loop.time()
        try:
            found = await bound_anywhere(ask, self._strange)
            if newest.life == self._life:
                self._note(newest, found.entries)
                self._by_table |= {name: self._is_by_table(name, newest, found.tables) for name in self._services}
        except DataPlaneError as error:
            self._found, self._trouble = {}, str(error)
        finally:
            self._asking = None
            self._due_s = loop.time() + max(EVERY_S, REST * (loop.time() - began_s))

    def _note(self, newest: Look, found: Sequence[Bound]) -> None:
        for name in {key[0] for key in self._asked}:
            bound = {colour: self._bound((name, colour), newest, found) for colour in Colour}
            self._visits.setdefault(name, KeyVisits()).look(bound, self._clock())
            for colour in Colour:
                if (name, colour) in self._asked:
                    self._found[name, colour] = tuple(sorted(one.bucket for one in bound[colour]))

    def _bound(self, key: Key, newest: Look, found: Sequence[Bound]) -> list[Bound]:
        service, colour, backend = self._services[key[0]], key[1], self._backends[key[0]]
        states = parse_states(backend, newest.answers[f"show servers state {backend}"]) or {}
        return of_pool(service, colour, states, found)

    def _is_by_table(self, name: ServiceName, newest: Look, tables: Collection[str]) -> bool:
        backend = self._backends[name]
        bound = backend in tables or any(self._found.get((name, colour)) for colour in Colour)
        return bound and not parse_backend(backend, newest.answers[f"show stat {backend} 6 -1"]).cookie


def _is_shut(seen: ServiceReading, colour: Colour) -> bool:
    return bool(seen.runtime) and not any(route.share_bp(colour) for route in seen.effective.values())

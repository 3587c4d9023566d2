"""Whom stick tables bring to the servers of a pool, whatever its weights are: entries of the newest worker, counted.

Only form `weights` needs it: with a backend per colour a table binds inside its pool. A table is read in the background
and seldom enough that it costs HAProxy little, and only while a pool gets nothing new: before that, more come.
"""

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from lbctl.dataplane.haproxy.looking import Look
from lbctl.dataplane.haproxy.serverstate import parse_states
from lbctl.dataplane.haproxy.workers import Worker, ask_worker, batches
from lbctl.model.errors import DataPlaneError
from lbctl.model.names import Colour, Generation, ServiceName
from lbctl.model.reading import PoolReading, ServiceReading
from lbctl.model.topology import HaproxyForm, Instance, Service

SHOW = "show table"
HEAD = "# table: "
TABLES_MAX = 200
ASK_S = 5.0
EVERY_S = 1.0
REST = 50
"""After a look nobody looks for so many times as long as it took: a table of 100,000 entries takes a while."""
_ENTRY = re.compile(r"0x[0-9a-f]+: key=(.*) use=\d+ exp=\d+(.*)")
"""The key is the user's own text, and may look like anything: what follows it is found from behind."""
_SERVER = re.compile(r" server_(id|key|name)=(\S+)")

Key = tuple[ServiceName, Colour]


@dataclass(frozen=True, slots=True)
class Bound:
    """One entry that names a server: by its number in the backend, and by the name that counts where there is one."""

    key: str
    number: str
    name: str


def entries_of(lines: Sequence[str]) -> Iterator[Bound]:
    """Yield the entries of a `show table` answer that name a server."""
    for line in lines:
        found = _ENTRY.fullmatch(line)
        named = dict(_SERVER.findall(found[2])) if found is not None else {}
        if found is not None and named.get("id", "0") != "0":
            yield Bound(found[1], named["id"], named.get("key") or named.get("name", ""))


def names_servers(lines: Sequence[str]) -> bool:
    """Whether this answer is of a table whose entries name servers: others only count."""
    return bool(lines) and lines[0].startswith(HEAD)


def tables_of(lines: Sequence[str]) -> list[str]:
    """Return the names of all tables; each is its proxy's."""
    return [line[len(HEAD) :].split(",", 1)[0] for line in lines if line.startswith(HEAD)][:TABLES_MAX]


def bound_entries(table: str) -> str:
    """Return what to ask a table for."""
    return f"{SHOW} {table} data.server_id gt 0"


class Bindings:
    """Counts, between two looks, who is bound to pools that get nothing new."""

    def __init__(self, instance: Instance, services: Sequence[Service]) -> None:
        self._instance = instance
        self._services = [one for one in services if one.haproxy and one.haproxy.form is HaproxyForm.WEIGHTS]
        self._backends = {one.name: one.haproxy.backends[Colour.BLUE] for one in self._services if one.haproxy}
        ours = {backend for one in services if one.haproxy for backend in one.haproxy.backends.values()}
        self._strange = ours - set(self._backends.values())
        """Those of services in form `map`: their tables bind inside one pool."""
        self._life: Generation | None = None
        self._counts: dict[Key, int] = {}
        self._trouble = "they are just being counted"
        self._asking: asyncio.Task[None] | None = None
        self._asked: frozenset[Key] = frozenset()
        self._due_s = 0.0

    def added(
        self, looks: Sequence[Look], services: Mapping[ServiceName, ServiceReading]
    ) -> Mapping[ServiceName, ServiceReading]:
        """Return the readings with who is bound to a pool that gets nothing new."""
        shut = frozenset(
            (one.name, colour) for one in self._services for colour in Colour if _is_shut(services[one.name], colour)
        )
        if self._life != looks[0].life:
            self._life, self._counts, self._asked = looks[0].life, {}, frozenset()
        self._asked &= shut
        self._counts = {key: count for key, count in self._counts.items() if key in shut}
        now_s = asyncio.get_running_loop().time()
        if shut and self._asking is None and (now_s >= self._due_s or shut - self._asked):
            self._asked = shut
            self._asking = asyncio.create_task(self._ask(looks[0]))
        return {name: self._with(name, one) for name, one in services.items()}

    def close(self) -> None:
        """Ask nothing more."""
        if self._asking is not None:
            self._asking.cancel()

    def _with(self, name: ServiceName, seen: ServiceReading) -> ServiceReading:
        if name not in {one.name for one in self._services}:
            return seen
        return replace(seen, pools={colour: self._pool(name, colour, pool) for colour, pool in seen.pools.items()})

    def _pool(self, name: ServiceName, colour: Colour, pool: PoolReading) -> PoolReading:
        count = self._counts.get((name, colour))
        return replace(pool, uncounted=self._trouble) if count is None else replace(pool, bound=count)

    # ---- asking

    async def _ask(self, newest: Look) -> None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        try:
            found = await self._entries(newest.worker)
            if newest.life == self._life:
                self._counts |= {key: sum(self._of(key, newest, found)) for key in self._asked}
        except DataPlaneError as error:
            self._counts, self._trouble = {}, str(error)
        finally:
            self._asking = None
            self._due_s = loop.time() + max(EVERY_S, REST * (loop.time() - began_s))

    async def _entries(self, worker: Worker) -> dict[str, list[Bound]]:
        """Return the entries of every table that may bind to our servers. Raises Unreachable, Garbled."""
        (lines,) = await ask_worker(self._instance, worker, [SHOW], ASK_S)
        tables = [one for one in tables_of(lines) if one not in self._strange]
        parts = [part for part in batches([bound_entries(one) for one in tables]) if part]
        answers = [one for part in parts for one in await ask_worker(self._instance, worker, part, ASK_S)]
        found = dict(zip(tables, answers, strict=True))
        return {table: list(entries_of(lines)) for table, lines in found.items() if names_servers(lines)}

    def _of(self, key: Key, newest: Look, tables: Mapping[str, Sequence[Bound]]) -> Iterator[bool]:
        """Yield of every entry whether it brings its user to this pool: by name, else by its number in the backend."""
        service, colour = next(one for one in self._services if one.name == key[0]), key[1]
        backend, servers = self._backends[service.name], service.pool(colour).servers
        names = {one.name for one in servers} | {str(one.address) for one in servers}
        states = parse_states(backend, newest.answers[f"show servers state {backend}"]) or {}
        numbers = {states[one.name].number for one in servers if one.name in states}
        for table, entries in tables.items():
            for one in entries:
                yield one.name in names if one.name else table == backend and one.number in numbers


def _is_shut(seen: ServiceReading, colour: Colour) -> bool:
    return bool(seen.runtime) and not any(route.share_bp(colour) for route in seen.effective.values())

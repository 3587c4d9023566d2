"""Who is in flight for long on a pool that gets nothing new: `show sess` of every worker, with client and age.

Asked at most once a second, and only while something is in flight where no new traffic goes: its answer has a line for
every stream of the worker. It is a help for people, so that a worker that does not answer it takes nothing away.
"""

import asyncio
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from lbctl.dataplane.haproxy.looking import Look
from lbctl.dataplane.haproxy.workers import ask_worker
from lbctl.model.errors import DataPlaneError
from lbctl.model.names import Colour, Generation, ServerName, ServiceName
from lbctl.model.reading import Holder, PoolReading, ServiceReading
from lbctl.model.topology import Instance
from lbctl.model.units import SECOND, Span

SHOW = "show sess"
ASK_S = 0.3
"""Within the time of a reading: it does not wait for this longer."""
EVERY_S = 1.0
KEPT_MAX = 20
_FIELD = re.compile(r"(?:^| )(src|be|srv|age)=(\S+)")
_PART = re.compile(r"([0-9]{1,9})([dhms])")
_UNIT_S = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}

Where = Mapping[ServiceName, Mapping[Colour, str]]
"""The backend of each pool."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One line of `show sess`."""

    backend: str
    server: str
    client: str
    age: Span


def parse_streams(lines: Sequence[str]) -> Iterator[Stream]:
    """Yield the streams that were handed to a backend. Lines that say no age are left out."""
    for line in lines:
        found = dict(_FIELD.findall(line))
        if "be" in found and found.get("age"):
            server, age = found.get("srv", ""), parse_age(found["age"])
            yield Stream(found["be"], "" if server == "<none>" else server, found.get("src", ""), age)


def parse_age(text: str) -> Span:
    """Return an age such as `1h4m`."""
    return Span(sum(int(number) * _UNIT_S[unit] for number, unit in _PART.findall(text)) * SECOND)


class Holders:
    """Remembers who was in flight, between two times of asking."""

    def __init__(self, instance: Instance, backends: Where) -> None:
        self._instance = instance
        self._backends = backends
        self._asked_s = -EVERY_S
        self._streams: dict[Generation, tuple[Stream, ...]] = {}

    async def added(
        self, looks: Sequence[Look], services: Mapping[ServiceName, ServiceReading]
    ) -> Mapping[ServiceName, ServiceReading]:
        """Return the readings with those who hold a pool that gets nothing new."""
        wanted = {name: tuple(_held(one)) for name, one in services.items()}
        if not any(wanted.values()):
            self._streams.clear()
            return services
        now_s = asyncio.get_running_loop().time()
        if now_s - self._asked_s >= EVERY_S:
            self._asked_s = now_s
            self._streams = await self._ask(looks)
        return {name: self._with(name, one, wanted[name]) for name, one in services.items()}

    async def _ask(self, looks: Sequence[Look]) -> dict[Generation, tuple[Stream, ...]]:
        asked = (ask_worker(self._instance, look.worker, [SHOW], ASK_S) for look in looks)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        found: dict[Generation, tuple[Stream, ...]] = {}
        for look, answer in zip(looks, answers, strict=True):
            if not isinstance(answer, BaseException):
                found[look.life] = tuple(parse_streams(answer[0]))
            elif not isinstance(answer, DataPlaneError):
                raise answer
        return found

    def _with(self, name: ServiceName, seen: ServiceReading, held: Collection[Colour]) -> ServiceReading:
        if not held:
            return seen
        pools = {colour: self._pool(name, colour, pool, held) for colour, pool in seen.pools.items()}
        return replace(seen, pools=pools)

    def _pool(self, name: ServiceName, colour: Colour, pool: PoolReading, held: Collection[Colour]) -> PoolReading:
        if colour not in held:
            return pool
        backend = self._backends[name][colour]
        found = [
            Holder(ServerName(one.server), one.age, one.client, generation=life)
            for life, streams in self._streams.items()
            for one in streams
            if one.backend == backend and (not one.server or ServerName(one.server) in pool.servers)
        ]
        return replace(pool, holders=tuple(sorted(found, key=lambda one: -one.age)[:KEPT_MAX]))


def _held(seen: ServiceReading) -> Iterator[Colour]:
    """Yield the pools with something in flight to which no generation sends anything new."""
    for colour, pool in seen.pools.items():
        if pool.in_flight and seen.runtime and not any(route.share_bp(colour) for route in seen.runtime.values()):
            yield colour

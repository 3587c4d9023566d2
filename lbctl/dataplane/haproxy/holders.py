"""Who is in flight for long where nothing new goes: on a pool, a drained server or an old worker. By `show sess` of the
workers, with client and age.

Asked at most once a second, or every five where the pool has traffic, and only while something is in flight there: the
answer has a line for every stream of the worker. It is a help for people, so that a worker that does not answer it
takes nothing away.
"""

import asyncio
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from lbctl.dataplane.haproxy.looking import Look
from lbctl.dataplane.haproxy.workers import ask_worker
from lbctl.model.errors import DataPlaneError
from lbctl.model.names import Colour, Generation, ServerName, ServiceName
from lbctl.model.reading import Admin, Holder, PoolReading, ServiceReading
from lbctl.model.topology import Instance
from lbctl.model.units import SECOND, Span

SHOW = "show sess"
ASK_S = 0.3
"""Within the time of a reading: it does not wait for this longer."""
EVERY_S, SELDOM_S = 1.0, 5.0
KEPT_MAX = 20
PART_LINES = 1_000
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


@dataclass(frozen=True, slots=True)
class _Asked:
    """Whom the newest worker is asked for at one pool: everybody, or who is at these servers; on old ones everybody."""

    everybody: bool
    servers: frozenset[ServerName]

    @property
    def somebody(self) -> bool:
        """Whether the newest worker must be asked."""
        return self.everybody or bool(self.servers)


class Holders:
    """Remembers who was in flight, between two times of asking."""

    def __init__(self, instance: Instance, backends: Where) -> None:
        self._instance = instance
        self._backends = backends
        self._asked_s = -SELDOM_S
        self._streams: dict[Generation, tuple[Stream, ...]] = {}

    async def added(
        self, looks: Sequence[Look], services: Mapping[ServiceName, ServiceReading]
    ) -> Mapping[ServiceName, ServiceReading]:
        """Return the readings with those who are where nothing new goes."""
        wanted = {(name, colour): _asked(one, colour) for name, one in services.items() for colour in one.pools}
        newest_too = any(one.somebody for one in wanted.values())
        asked = [look for look in looks if newest_too or look.worker.is_old]
        if not asked:
            self._streams.clear()
            return services
        now_s = asyncio.get_running_loop().time()
        if now_s - self._asked_s >= (EVERY_S if any(one.everybody for one in wanted.values()) else SELDOM_S):
            self._asked_s = now_s
            self._streams = await self._ask(asked)
        old = {look.life for look in looks if look.worker.is_old}
        return {
            name: replace(
                one,
                pools={
                    colour: self._with(name, colour, pool, wanted[name, colour], old)
                    for colour, pool in one.pools.items()
                },
            )
            for name, one in services.items()
        }

    async def _ask(self, looks: Sequence[Look]) -> dict[Generation, tuple[Stream, ...]]:
        asked = (ask_worker(self._instance, look.worker, [SHOW], ASK_S) for look in looks)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        found: dict[Generation, tuple[Stream, ...]] = {}
        for look, answer in zip(looks, answers, strict=True):
            if not isinstance(answer, BaseException):
                found[look.life] = await _parsed(answer[0])
            elif not isinstance(answer, DataPlaneError):
                raise answer
        return found

    def _with(
        self, name: ServiceName, colour: Colour, pool: PoolReading, wanted: _Asked, old: Collection[Generation]
    ) -> PoolReading:
        backend = self._backends[name][colour]
        found = [
            Holder(ServerName(one.server), one.age, one.client, generation=life)
            for life, streams in self._streams.items()
            for one in streams
            if one.backend == backend
            and (not one.server or ServerName(one.server) in pool.servers)
            and (life in old or wanted.everybody or one.server in wanted.servers)
        ]
        return replace(pool, holders=tuple(sorted(found, key=lambda one: -one.age)[:KEPT_MAX])) if found else pool


async def _parsed(lines: Sequence[str]) -> tuple[Stream, ...]:
    """Parse in parts: ten thousand lines take 60 ms, and no decision waits for that."""
    found: list[Stream] = []
    for start in range(0, len(lines), PART_LINES):
        found += parse_streams(lines[start : start + PART_LINES])
        await asyncio.sleep(0)
    return tuple(found)


def _asked(seen: ServiceReading, colour: Colour) -> _Asked:
    pool = seen.pools[colour]
    fed = not seen.runtime or any(route.share_bp(colour) for route in seen.runtime.values())
    out = (name for name, one in pool.servers.items() if one.admin is not Admin.READY and one.in_flight)
    return _Asked(everybody=bool(pool.in_flight) and not fed, servers=frozenset(out))

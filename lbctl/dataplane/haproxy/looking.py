"""One look at one worker: its life, its map, its counters; and what all looks say about a service."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lbctl.dataplane.haproxy.client import BATCH_MAX
from lbctl.dataplane.haproxy.statemap import DEFAULT, map_path, parse_lines, parse_route
from lbctl.dataplane.haproxy.statistics import Pools, Table
from lbctl.dataplane.haproxy.workers import Worker, ask_worker, facts, generation, workers
from lbctl.model.errors import DataPlaneError, Garbled, Unreachable
from lbctl.model.names import Colour, Generation, ServiceName
from lbctl.model.reading import ServiceReading
from lbctl.model.topology import Instance, Service

PASSES = 3
"""A reload that falls into a look ends the worker that was asked: then it is looked again."""
ENDING_S = 0.03
"""How long the master may take to notice that a worker has ended."""
PREFIX_MAX = 16
NO_MAP = "Unknown map"


@dataclass(frozen=True, slots=True)
class Look:
    """What one worker said. `entries` None: it has not loaded the map, so lbctl does not steer it."""

    worker: Worker
    life: Generation
    entries: Mapping[str, str] | None
    tables: Mapping[str, Sequence[str]]
    unsent_log_lines: int = 0


def backends(service: Service) -> tuple[str, str]:
    """Return which backends are the pools, blue first. Raises Garbled."""
    if service.haproxy is None:
        raise Garbled(f"services.{service.name}.haproxy is missing: write which backends are its pools")
    return service.haproxy.backends[Colour.BLUE], service.haproxy.backends[Colour.GREEN]


async def look_at_all(instance: Instance, services: Iterable[Service], timeout_s: float) -> list[Look]:
    """Look at every worker, the newest first. Raises Unreachable, Garbled: never a part for the whole."""
    names = [backend for service in services for backend in backends(service)]
    for left in reversed(range(PASSES)):
        asked = await workers(instance, timeout_s)
        answers = await asyncio.gather(
            *(_look(instance, worker, names, timeout_s) for worker in asked), return_exceptions=True
        )
        failed = {worker: one for worker, one in zip(asked, answers, strict=True) if isinstance(one, BaseException)}
        if left and failed and all(one.is_old for one in failed):
            # Most likely it is just ending, and the master has not noticed yet.
            await asyncio.sleep(ENDING_S)
            continue
        if failed:
            await _raise_unless_gone(instance, failed, timeout_s)
        looks = [one for one in answers if isinstance(one, Look)]
        if looks and not looks[0].worker.is_old:
            return looks
    raise Unreachable(f"{instance.name}: HAProxy is being reloaded again and again")


async def _raise_unless_gone(instance: Instance, failed: Mapping[Worker, BaseException], timeout_s: float) -> None:
    """A worker that did not answer because it has ended meanwhile routes nothing any more."""
    if all(isinstance(error, DataPlaneError) for error in failed.values()):
        left = {one.pid for one in await workers(instance, timeout_s)}
        failed = {worker: error for worker, error in failed.items() if worker.pid in left}
    for error in failed.values():
        raise error


async def _look(instance: Instance, worker: Worker, names: Sequence[str], timeout_s: float) -> Look:
    commands = ["show info", f"show map {map_path(instance)}", *(f"show stat {name} 6 -1" for name in names)]
    answers = [answer for part in _batches(commands) for answer in await ask_worker(instance, worker, part, timeout_s)]
    info, entries, *tables = answers
    loaded = not (entries and entries[0].startswith(NO_MAP))
    about = facts(info)
    return Look(
        worker=worker,
        life=generation(about),
        entries=parse_lines(entries, columns=3) if loaded else None,
        tables=dict(zip(names, tables, strict=True)),
        unsent_log_lines=int(number) if (number := about.get("DroppedLogs", "")).isdecimal() else 0,
    )


def _batches(commands: Sequence[str]) -> list[list[str]]:
    """Cut into batches that HAProxy takes whole."""
    batches: list[list[str]] = [[]]
    size = 0
    for command in commands:
        size += len(command.encode()) + PREFIX_MAX
        if size > BATCH_MAX:
            batches.append([])
            size = len(command.encode()) + PREFIX_MAX
        batches[-1].append(command)
    return batches


def service_reading(
    service: Service, looks: Sequence[Look], boot: Mapping[str, str] | None, counted: Pools
) -> ServiceReading:
    """Return what every worker that lbctl steers says about one service. Raises Garbled.

    An old worker from before a change of the config may lack the map or a backend: then it routes nothing of ours.
    """
    pools = {}
    for colour, backend in zip(Colour, backends(service), strict=True):
        newest = Table(backend, looks[0].tables[backend])
        older = (Table.of(backend, look.tables[backend]) for look in looks[1:])
        pools[colour] = counted.reading(backend, [newest, *(table for table in older if table is not None)])
    runtime = {
        look.life: parse_route(look.entries.get(service.name, "")) or DEFAULT
        for look in looks
        if look.entries is not None
    }
    written = None if boot is None else (parse_route(boot.get(service.name, "")) or DEFAULT)
    return ServiceReading(runtime=runtime, boot=written, pools=pools)


def warnings(
    instance: Instance, names: Iterable[ServiceName], looks: Sequence[Look], boot: Mapping[str, str] | None
) -> list[str]:
    """Return what the looks and the file lack, as `CODE: text`."""
    found = [
        f"OLD_WORKER_WITHOUT_MAP: {look.life} routes as its old config says until it ends; lbctl cannot steer it"
        for look in looks
        if look.entries is None
    ]
    if boot is None:
        found.append(f"MAP_UNREADABLE: {map_path(instance)} cannot be read: check that it exists, its owner and mode")
    places = (("in HAProxy", looks[0].entries), ("in its file", boot))
    return found + [
        f"STATE_KEY_MISSING: {name} {place}: it means all traffic to blue; it is written at adopt"
        for name in names
        for place, values in places
        if values is not None and parse_route(values.get(name, "")) is None
    ]

"""An Envoy that others run: the files lbctl owns for it are kept whole, and whether it can be driven is said in words.

lbctl never starts, stops or restarts it, and never writes a listener or a cluster of it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from lbctl.dataplane.envoy import files
from lbctl.dataplane.envoy.admin import AdminClient, ServerInfo
from lbctl.dataplane.envoy.counters import Stats, is_routed, read_stats, refusals, running_route, stats_target
from lbctl.dataplane.envoy.dump import CONFIG_DUMP, read_dump
from lbctl.dataplane.envoy.layout import Layout, layout_of
from lbctl.dataplane.envoy.limits import Lacking
from lbctl.dataplane.envoy.routefile import RouteFile
from lbctl.dataplane.envoy.status import EnvoyStatus
from lbctl.dataplane.envoy.survey import Survey, reads_servers_from, survey
from lbctl.dataplane.envoy.taking import ASK_TIMEOUT_S, take
from lbctl.dataplane.envoy.version import Written, version_of
from lbctl.model.errors import Garbled, Refused, Unreachable
from lbctl.model.names import Colour, ServiceName
from lbctl.model.route import Pin, Route
from lbctl.model.topology import Instance, Service

THEN = "is Envoy up? whoever runs it must start it; lbctl does not"
OWN_WORDS = "see the output of Envoy"
OLDEST = (1, 36)
"""The oldest that was tried; older ones read some of these files otherwise."""
_LOOKS = 3
_MOMENT_S = 0.1


async def bring_up(layout: Layout, services: Sequence[Service]) -> tuple[str, ...]:
    """Bring the files lbctl owns up to the config; return what was done. No share changes by it.

    A route file that nothing is known about stays as it is: Envoy may serve users by what it had.

    Raises:
        Garbled: a file cannot be written, or Envoy does not take it.
        Unreachable: Envoy stopped to answer in the middle.
    """
    try:
        files.make_directories(layout, files.ATTACHED)
        did = files.make_routes_whole(services, layout, None)
        changes = files.changed_endpoints(services, layout)
        if changes:
            await _give(layout, changes)
        did += [f"wrote {change.path.relative_to(layout.directory)}" for change in changes]
    except OSError as error:
        raise Garbled(f"envoy: {error.filename or layout.directory} cannot be written: {error.strerror}") from error
    return tuple(did)


def prepare(layout: Layout, services: Sequence[Service], active: Mapping[ServiceName, Colour]) -> tuple[str, ...]:
    """Make every file whole before Envoy starts, which it does not without them; return what was done, as sentences.

    A route file that is missing or damaged is restored from its copy, else made with all traffic on the pool that
    `active` names.

    Raises:
        Refused: of some service nothing is known; everything else was done.
        Garbled: a file cannot be written.
    """
    try:
        files.make_directories(layout, files.ATTACHED)
        did: list[str] = []
        for change in files.changed_endpoints(services, layout):
            files.write_file(change.path, change.text)
            did.append(f"wrote {change.path}")
        for service in services:
            did += _prepared(RouteFile(service, services, layout), service, active.get(service.name))
    except OSError as error:
        raise Garbled(f"envoy: {error.filename or layout.directory} cannot be written: {error.strerror}") from error
    unknown = [service.name for service in services if RouteFile(service, services, layout).read() is None]
    if unknown:
        raise _unknown(unknown)
    return tuple(did)


async def probe(layout: Layout, services: Sequence[Service]) -> tuple[ServerInfo, Lacking]:
    """Look at a running Envoy as others configured it; return what it says of itself, and what cannot be done with it.

    Raises:
        Unreachable: nobody answers on the admin socket.
        Garbled: it cannot be driven as it is; the text names everything that is wrong.
    """
    client = AdminClient(layout.admin_socket, THEN)
    try:
        peer, info = await client.server_info(ASK_TIMEOUT_S)
        _, (dump,) = await client.ask([CONFIG_DUMP], ASK_TIMEOUT_S)
        found = await asyncio.to_thread(_surveyed, dump, services, layout)
        faults = [*_version_fault(info), *(found.faults or await _untaken(client, services, layout))]
    finally:
        await client.close()
    if faults:
        raise Garbled(f"this Envoy (pid {peer.pid}) cannot be driven: {'; '.join(faults)}")
    return info, found.lacking


def _surveyed(dump: bytes, services: Sequence[Service], layout: Layout) -> Survey:
    return survey(read_dump(dump), services, layout)


async def status(instance: Instance, services: Sequence[Service]) -> EnvoyStatus:
    """Say whether the Envoy of this instance runs, and what lbctl misses in it.

    Raises:
        Unreachable: it is there but does not answer in time, or must not be asked.
    """
    layout = layout_of(instance)
    client = AdminClient(layout.admin_socket, THEN)
    try:
        peer, info = await client.server_info(ASK_TIMEOUT_S)
    except Unreachable as error:
        if not isinstance(error.__cause__, FileNotFoundError | ConnectionRefusedError):
            raise
        return EnvoyStatus(running=False, detail=f"envoy {instance.name} is not running: {error}")
    finally:
        await client.close()
    faults, lacks = await _judged(layout, services)
    able = "runs and can be driven" if not faults else "runs, but lbctl cannot drive it"
    detail = f"envoy {instance.name} {info.number} {able} (pid {peer.pid}, for {info.uptime_current_epoch})"
    return EnvoyStatus(True, detail, peer.pid, peer.generation, info.number, faults=faults, lacks=lacks)


async def _judged(layout: Layout, services: Sequence[Service]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    try:
        _, lacks = await probe(layout, services)
    except Garbled as error:
        return (str(error),), ()
    return (), tuple(text for of_one in lacks.values() for text in of_one)


async def _give(layout: Layout, changes: Sequence[files.Change]) -> None:
    """Write EDS files. What a running Envoy reads is seen to be taken; the rest it reads when it starts, or never."""
    client = AdminClient(layout.admin_socket, THEN)
    try:
        read = await _reads(client, layout)
        for change in changes:
            if change.path.stem in read:
                await take(client, change, lambda: OWN_WORDS)
            else:
                files.write_file(change.path, change.text)
    finally:
        await client.close()


async def _reads(client: AdminClient, layout: Layout) -> frozenset[str]:
    """Which clusters of a running Envoy take their servers from lbctl's files; none where nobody answers."""
    try:
        _, (dump,) = await client.ask([CONFIG_DUMP], ASK_TIMEOUT_S)
    except Unreachable:
        return frozenset()
    return await asyncio.to_thread(lambda: reads_servers_from(read_dump(dump), layout))


def _prepared(file: RouteFile, service: Service, active: Colour | None) -> list[str]:
    unpinned = tuple((caller, Pin.SPLIT) for caller in service.callers)
    otherwise = None if active is None else Written(0, replace(Route.all_to(active), pins=unpinned))
    was = "damaged" if file.exists() else "missing"
    held = _adopted(file.read())
    whole = held or _adopted(file.read_copy()) or otherwise
    if whole is None:
        return []
    file.make(whole)
    if held is None:
        return [f"{service.name}: the route file was {was}; now it says {whole.route}"]
    if otherwise is None or held.route == otherwise.route:
        return []
    return [f"{service.name}: kept, although it is not all on {active}: its route file says {held.route}"]


def _adopted(written: Written | None) -> Written | None:
    """An embedded Envoy's first file, which says 503 to everyone, is not what others serve by."""
    return None if written is None or written.route is None else written


def _unknown(names: Sequence[str]) -> Refused:
    options = " ".join(f"--active {name}=blue|green" for name in names)
    why = "no route file, no copy and no daemon tell it, and a guess could send users to the wrong pool"
    what = f"which pool of {', '.join(names)} is active is not known"
    return Refused("active_unknown", what, why=why, then=f"add {options}")


def _version_fault(info: ServerInfo) -> list[str]:
    if version_of(info.number) >= OLDEST:
        return []
    oldest = ".".join(map(str, OLDEST))
    return [f"Envoy {info.number or 'of an unknown version'} is too old: {oldest} or newer is needed"]


async def _untaken(client: AdminClient, services: Sequence[Service], layout: Layout) -> list[str]:
    """Why Envoy does not run what is in the route files, although it reads them. A change under way gets a moment."""
    for left in reversed(range(_LOOKS)):
        _, (body,) = await client.ask([stats_target(services)], ASK_TIMEOUT_S)
        stats = read_stats(body)
        found = [
            why
            for service in services
            if (why := _untaken_fault(service, RouteFile(service, services, layout), stats, layout))
        ]
        if not found or not left:
            return found
        await asyncio.sleep(_MOMENT_S)
    return []


def _untaken_fault(service: Service, file: RouteFile, stats: Stats, layout: Layout) -> str:
    if not is_routed(service, stats):
        return f"{service.name}: its `stats_config` hides the counters of the routes (`http.*.rds.{service.name}.*`)"
    held, running, refused = file.read(), running_route(service, stats), refusals(service, stats)
    if held is None:
        return f"{service.name}: the route file is damaged or missing: `lbctl envoy prepare`"
    if running == held:
        return ""
    by = "no routes of lbctl" if running is None else f"{running.route}"
    if refused:
        return f"{service.name}: Envoy refused its route file {refused} times and routes by {by}: {OWN_WORDS}"
    return (
        f"{service.name}: Envoy routes by {by} and does not see that its file says {held.route}: it must see the "
        f"directory {layout.routes(service.name).parent} itself (in a container mount the directory, not the file)"
    )

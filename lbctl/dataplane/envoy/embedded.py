"""The life of an embedded Envoy: start or adopt it, bring its files up to the config, stop it, say how it is."""

import asyncio
import os
import time
from collections.abc import Sequence

from lbctl.crash import Point, passing
from lbctl.dataplane.envoy import ending, files, process
from lbctl.dataplane.envoy.admin import AdminClient, ServerInfo
from lbctl.dataplane.envoy.binary import probe as probe_binary
from lbctl.dataplane.envoy.counters import read_stats
from lbctl.dataplane.envoy.layout import Layout, layout_of
from lbctl.dataplane.envoy.limits import Lacking
from lbctl.dataplane.envoy.listeners import doors, listeners
from lbctl.dataplane.envoy.status import EnvoyStatus
from lbctl.dataplane.envoy.taking import take
from lbctl.dataplane.envoy.version import NOT_ADOPTED
from lbctl.dataplane.port import Started
from lbctl.model.digits import count
from lbctl.model.errors import Garbled, Unreachable
from lbctl.model.topology import Instance, Service

START_TIMEOUT_S = 15.0
_ANSWER_TIMEOUT_S = 5.0
_POLL_S = 0.02
_TELLING = ("[critical]", "[error]", " rejected: ")
"""What stands in a line of Envoy's output that says why it does not do what it should."""
_STATE = (
    "/stats?filter=^(listener_manager%5C.(total_listeners_active|lds%5C.update_rejected|lds%5C.update_failure)"
    "|http%5C..*%5C.rds%5C..*%5C.version_text)$"
)


async def start(instance: Instance, services: Sequence[Service], binary: str | None = None) -> EnvoyStatus:
    """Start the Envoy of this instance if it does not run, and bring its files up to the config if it does.

    Raises:
        Garbled: no usable binary, a config Envoy refuses, a foreign Envoy on the socket, files that cannot be written.
        Refused: lbctl runs under systemd, where Envoy must be a unit of its own (`mode: attached`).
        Unreachable: it does not come up or does not answer; the text has the last line of its output.
    """
    layout = layout_of(instance)
    did = await ensure_running(layout, services, binary)
    found = await process.find(layout)
    if found is None:
        raise Unreachable(f"envoy {instance.name} ended again: {_last_words(layout)}")
    return _status(instance, found, did)


async def stop(instance: Instance) -> EnvoyStatus:
    """End the Envoy of this instance, and with it the traffic of its services. Its files stay.

    Raises:
        Garbled, Unreachable: whoever answers is not this instance's Envoy, or it does not answer; nothing was ended.
    """
    layout = layout_of(instance)
    files.make_directories(layout, files.EMBEDDED)
    async with process.start_lock(layout):
        peer = await ending.end(layout)
    if peer is None:
        return EnvoyStatus(running=False, detail=f"envoy {instance.name} was not running")
    return EnvoyStatus(running=False, detail=f"envoy {instance.name} (pid {peer.pid}) was stopped", did=("stopped",))


async def status(instance: Instance) -> EnvoyStatus:
    """Say whether the Envoy of this instance runs. Raises as `stop`."""
    found = await process.find(layout_of(instance))
    if found is None:
        return EnvoyStatus(
            running=False, detail=f"envoy {instance.name} is not running: `lbctl envoy start --config FILE`"
        )
    return _status(instance, found, ())


async def probe(layout: Layout, services: Sequence[Service]) -> tuple[ServerInfo, Lacking]:
    """Ask a running Envoy who it is, and whether it takes connections for every service.

    Raises:
        Unreachable: it does not answer, or does not listen for a service.
        Garbled: what answers is no Envoy.
    """
    client = AdminClient(layout.admin_socket)
    try:
        _, info = await client.server_info(process.ASK_TIMEOUT_S)
        _, (body,) = await client.ask(["/listeners"], process.ASK_TIMEOUT_S)
    finally:
        await client.close()
    there = {line.partition("::")[0] for line in body.decode("utf-8", "replace").splitlines()}
    for service in services:
        for name, address in doors(service).items():
            if name not in there:
                raise Unreachable(f"envoy does not listen on {address} for {name}: {_last_words(layout)}")
    return info, {}


async def ensure_running(layout: Layout, services: Sequence[Service], binary: str | None) -> tuple[str, ...]:
    """Do what `start` does, for a daemon that calls it often; return what was done. Raises as `start`."""
    process.check_not_under_systemd()
    settled = files.routes_are_whole(services, layout) and not files.changes(services, layout)
    if settled and await process.find(layout) is not None:
        return ()
    try:
        files.make_directories(layout, files.EMBEDDED)
    except OSError as error:
        raise Garbled(f"envoy: {layout.directory} cannot be made: {error.strerror}") from error
    async with process.start_lock(layout):
        if await process.find(layout) is not None:
            return await _bring_up_to_config(layout, services)
        return await _start(layout, services, binary)


async def _start(layout: Layout, services: Sequence[Service], binary: str | None) -> tuple[str, ...]:
    life = process.take_life(layout)
    if life is None:
        await _until_it_answers(layout)
        return await _bring_up_to_config(layout, services)
    try:
        usable = await probe_binary(binary)
        repaired = files.prepare(services, layout)
        passing(Point.ENVOY_LAUNCH_BEFORE)
        pid = await process.launch(usable.path, layout, life)
        passing(Point.ENVOY_LAUNCH_AFTER)
    finally:
        os.close(life)
    await _until_up(layout, pid, sum(len(listeners(service, services, layout)) for service in services), len(services))
    return (*repaired, Started(f"started envoy {usable.version} (pid {pid})"))


async def _until_it_answers(layout: Layout) -> None:
    """One that somebody started a moment ago will; one whose admin socket was removed never does."""
    until = time.monotonic() + _ANSWER_TIMEOUT_S
    while await process.find(layout) is None:
        if time.monotonic() > until:
            pid = layout.life_lock.read_text(encoding="utf-8", errors="replace").strip()[:20] or "unknown"
            raise Unreachable(
                f"an Envoy of {layout.directory} runs (pid {pid}), but nobody listens on {layout.admin_socket}: "
                f"end that process, then `lbctl envoy start --config FILE`"
            )
        await asyncio.sleep(_POLL_S)


async def _until_up(layout: Layout, pid: int, wanted: int, services: int) -> None:
    """LIVE is not enough: a port that is taken leaves Envoy LIVE without its listener."""
    until = time.monotonic() + START_TIMEOUT_S
    client = AdminClient(layout.admin_socket)
    seen = "its admin socket does not answer"
    try:
        while time.monotonic() < until and not ending.gone(pid):
            try:
                _, (body,) = await client.ask([_STATE], process.ASK_TIMEOUT_S)
                stats = read_stats(body)
                active = count(stats.get("listener_manager.total_listeners_active", ""))
                routed = sum(name.endswith(".version_text") and bool(text) for name, text in stats.items())
                if active == wanted and routed >= services:
                    return
                seen = f"{active} of {wanted} listeners are active"
                if any(
                    stats.get(f"listener_manager.lds.{bad}", "0") != "0"
                    for bad in ("update_rejected", "update_failure")
                ):
                    break
            except Unreachable as error:
                seen = str(error)
            await asyncio.sleep(_POLL_S)
    finally:
        await client.close()
    await _give_up(layout, pid, seen)


async def _give_up(layout: Layout, pid: int, seen: str) -> None:
    ended = ending.gone(pid)
    if not ended:
        await ending.end(layout)
    what = "ended at once" if ended else f"did not come up ({seen}) and was stopped"
    raise Unreachable(f"envoy (pid {pid}) {what}: {_last_words(layout)}")


async def _bring_up_to_config(layout: Layout, services: Sequence[Service]) -> tuple[str, ...]:
    client = AdminClient(layout.admin_socket)
    try:
        did = files.make_routes_whole(services, layout, NOT_ADOPTED)
        for change in files.changes(services, layout):
            await take(client, change, lambda: _last_words(layout))
            did.append(f"wrote {change.path.relative_to(layout.directory)}")
    except OSError as error:
        raise Garbled(f"envoy: {error.filename or layout.directory} cannot be written: {error.strerror}") from error
    finally:
        await client.close()
    return tuple(did)


def _status(instance: Instance, found: process.Running, did: tuple[str, ...]) -> EnvoyStatus:
    version = found.info.number
    age = found.info.uptime_current_epoch
    detail = f"envoy {instance.name} {version} runs as pid {found.peer.pid} for {age}"
    return EnvoyStatus(True, detail, found.peer.pid, found.peer.generation, version, did=did)


def _last_words(layout: Layout) -> str:
    try:
        with layout.log.open("rb") as log:
            log.seek(max(0, layout.log.stat().st_size - 4096))
            lines = log.read().decode("utf-8", "replace").strip().splitlines()
    except OSError as error:
        return f"its output {layout.log} cannot be read ({error.strerror})"
    said = next((line for line in reversed(lines) if any(word in line for word in _TELLING)), "")
    return f"{said[:400] or 'it said nothing of it'} (see {layout.log})"

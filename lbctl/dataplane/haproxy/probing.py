"""What one HAProxy is and can do: version, rights of its sockets, the map, stick tables, every service's limits."""

import asyncio
from collections.abc import Mapping, Sequence

from lbctl.dataplane.haproxy.client import ask
from lbctl.dataplane.haproxy.form import Form
from lbctl.dataplane.haproxy.looking import Look
from lbctl.dataplane.haproxy.statemap import map_path
from lbctl.dataplane.haproxy.sticktables import SHOW, bound_entries, names_servers, tables_of
from lbctl.dataplane.haproxy.workers import ask_worker, batches, facts, workers
from lbctl.model.digits import whole
from lbctl.model.errors import Garbled
from lbctl.model.names import ServiceName
from lbctl.model.operation import Ability
from lbctl.model.topology import Instance

OLDEST = (2, 4)


async def checked(instance: Instance, timeout_s: float) -> str:
    """Return the version of an HAProxy that lbctl can drive. Raises Garbled, Unreachable."""
    found = await workers(instance, timeout_s)
    asked = await ask_worker(instance, found[0], ["show info", "show cli level", "show map"], timeout_s)
    info, level, maps = asked
    version = facts(info).get("Version", "")
    if _numbers(version) < OLDEST:
        kind = version or "of an unknown version"
        raise Garbled(f"{instance.name}: HAProxy {kind} is too old: 2.4 or newer is needed")
    _check_level(instance, instance.master_socket or str(instance.socket), level)
    if instance.master_socket is not None and instance.socket is not None:
        (level,) = await ask(instance.socket, ["show cli level"], timeout_s)
        _check_level(instance, instance.socket, level)
    if not any(f"({map_path(instance)})" in line for line in maps):
        raise Garbled(unloaded_map(instance))
    return version


def unloaded_map(instance: Instance) -> str:
    """Return what to do where HAProxy does not have the map."""
    what = "what `lbctl config render haproxy --write-maps` prints (`--into`: your own file, with the rules in it)"
    then = f"include {what}, and reload HAProxy"
    return f"{instance.name}: HAProxy has not loaded {map_path(instance)}: {then}"


async def abilities(
    instance: Instance, forms: Mapping[ServiceName, Form], newest: Look, timeout_s: float
) -> dict[ServiceName, Ability]:
    """Return what can be done with every service. Raises Garbled, Unreachable."""
    tables = await _stick_tables(instance, newest, timeout_s)
    found: dict[ServiceName, Ability] = {}
    for name, form in forms.items():
        found[name] = form.ability(newest, tables)
        await asyncio.sleep(0)  # A decision that is due has its turn between services of hundreds of servers.
    return found


async def _stick_tables(instance: Instance, newest: Look, timeout_s: float) -> dict[str, bool]:
    """Return every stick table, and whether its entries name servers: others only count."""
    (lines,) = await ask_worker(instance, newest.worker, [SHOW], timeout_s)
    names = tables_of(lines)
    commands = [bound_entries(name) for name in names]
    answers = [
        answer
        for part in batches(commands)
        if part
        for answer in await ask_worker(instance, newest.worker, part, timeout_s)
    ]
    return {name: names_servers(lines) for name, lines in zip(names, answers, strict=True)}


def _check_level(instance: Instance, path: str, level: Sequence[str]) -> None:
    if level and level[0].strip() in {"user", "operator"}:
        where = "the master's `-S PATH,level,admin`" if path == instance.master_socket else "its line"
        then = f"write `level admin` on {where}: `stats socket {path} level admin`, and restart HAProxy"
        raise Garbled(f"{instance.name}: the socket {path} has level {level[0].strip()}: {then}")


def _numbers(version: str) -> tuple[int, ...]:
    head = version.split("-", 1)[0].split(".")
    return tuple(number for part in head[:2] if (number := whole(part)) is not None)

"""The files that HAProxy reads at its first start with lbctl's sections: made before it, routes never replaced."""

import errno
from collections.abc import Mapping, Sequence
from pathlib import Path

from lbctl.dataplane.haproxy import serverstate, weighed
from lbctl.dataplane.haproxy.alone import alone
from lbctl.dataplane.haproxy.apportion import weights
from lbctl.dataplane.haproxy.callers import addresses, callers_path, key_of, looks_at_addresses, write_callers
from lbctl.dataplane.haproxy.render import CONFIGURED
from lbctl.dataplane.haproxy.statemap import map_path, parse_route, read_file, value_of, write_entry, write_missing
from lbctl.model.names import Colour, ServiceName
from lbctl.model.route import Pin, Route
from lbctl.model.topology import HaproxyForm, Instance, Service


def write_maps(
    instance: Instance, services: Sequence[Service], active: Mapping[ServiceName, Colour]
) -> tuple[str, ...]:
    """Add what is missing: services not yet in the files get 100 % on their active pool, callers not yet in them follow
    the split. The maps of callers' addresses, which say what the config says, are written anew. Returns what was
    changed. Safe beside a running lbctld.

    Raises:
        OSError: a file cannot be written; the text names it.
        Garbled: callers cannot be told apart as configured.
    """
    directory = Path(instance.directory)
    directory.mkdir(mode=0o750, parents=True, exist_ok=True)
    if directory.stat().st_mode & 0o002:
        raise OSError(errno.EPERM, "everybody may write there: chmod o-w", instance.directory)
    with alone(instance):
        return _added(instance, services, active)


def _added(instance: Instance, services: Sequence[Service], active: Mapping[ServiceName, Colour]) -> tuple[str, ...]:
    values = {str(name): value_of(Route.all_to(colour)) for name, colour in active.items()}
    pins = {key_of(one.name, caller): Pin.SPLIT.value for one in services for caller in one.callers}
    missing = write_missing(instance, values | pins)
    told = [f"{map_path(instance)}: {name} {value}" for name, value in missing.items()]
    for service in services:
        if service.haproxy is not None and service.haproxy.form is HaproxyForm.WEIGHTS and service.name in active:
            told += _state_file(instance, service, service.haproxy.backends[Colour.BLUE])
        if looks_at_addresses(service) and write_callers(instance, service, known := addresses(service, services)):
            told.append(f"{callers_path(instance, service.name)}: {len(known)} addresses")
    return tuple(told)


def _state_file(instance: Instance, service: Service, backend: str) -> list[str]:
    """Make the server-state file that fits the map's value, with weights configured as they are rendered."""
    path = serverstate.state_path(instance, service.name)
    if path.exists():
        return []
    route = parse_route((read_file(instance) or {})[service.name]) or Route(0)
    named = {colour: [server.name for server in service.pool(colour).servers] for colour in Colour}
    goal = weights(route.green_bp, {colour: dict.fromkeys(names, True) for colour, names in named.items()})
    states = {
        server.name: serverstate.State(
            backend_id="0",
            number="0",
            weight=goal[server.name],
            configured=CONFIGURED[colour],
            unchanged_s=0,
            port=str(server.address.port),
        )
        for colour in Colour
        for server in service.pool(colour).servers
    }
    serverstate.StateFile(instance, service.name, backend).write(states)
    write_entry(instance, service.name, value_of(route, weighed.seal(goal)))
    return [f"{path}: {service.name} {route}"]

"""What a config names, looked at on this host now: sockets, directories, files, servers. Each with its place.

Nothing of it stops a start, because a load balancer or a server may come later; `config validate` tells people.
"""

import os
import socket
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

from lbctl.config.fault import Fault
from lbctl.config.settings import AppriseAlert, Config, ExecAlert, OtlpAlert
from lbctl.model.hook import Hook
from lbctl.model.topology import Address, Driver, EnvoyMode, Instance, Service

CONNECT_TIMEOUT_S = 0.5
SERVERS_MAX = 256

Connect = Callable[[Address], str | None]
"""Returns why nothing answers at an address, or None."""


def connect(address: Address) -> str | None:
    """Connect by TCP and hang up, in bounded time."""
    try:
        socket.create_connection((address.host, address.port), CONNECT_TIMEOUT_S).close()
    except OSError as error:
        return error.strerror or "no answer in time"
    return None


def look(config: Config, reach: Connect = connect) -> list[Fault]:
    """Return what is missing, closed to this user, or does not answer. Blocks for a few seconds at most."""
    found = [*_planes(config), *_files(config), *_servers(config, reach)]
    return sorted(set(found))


def _planes(config: Config) -> Iterator[Fault]:
    for plane in config.topology.planes.values():
        for instance in plane.instances:
            path = f"data_planes.{plane.name}.instances.{instance.name.partition('/')[2]}"
            if plane.driver is Driver.HAPROXY:
                yield from _haproxy(config, instance, path)
            elif plane.envoy_mode is EnvoyMode.ATTACHED:
                yield from _attached(config, instance, path)
        if plane.request_log is not None and isinstance(plane.request_log.at, str):
            problem = _directory_problem(os.path.dirname(plane.request_log.at))
            if problem:
                yield config.fault(f"data_planes.{plane.name}.request_log", *problem)
        if plane.envoy_binary and not os.access(plane.envoy_binary, os.X_OK):
            what = f"{plane.envoy_binary} cannot be run"
            yield config.fault(f"data_planes.{plane.name}.envoy.binary", what, "install it, or correct the path")


def _haproxy(config: Config, instance: Instance, path: str) -> Iterator[Fault]:
    for key, value in (("socket", instance.socket), ("master_socket", instance.master_socket)):
        problem = _socket_problem(value, "HAProxy", "its global section") if value else None
        if problem:
            yield config.fault(f"{path}.{key}", *problem)
    if not os.path.isdir(instance.directory):
        then = "make it, or let `lbctl config render haproxy --write-maps` do it"
        yield config.fault(f"{path}.map_dir", f"{instance.directory} is not there", then)
    elif not os.access(instance.directory, os.W_OK | os.X_OK):
        what = f"{instance.directory} cannot be written by this user"
        yield config.fault(f"{path}.map_dir", what, "give it to lbctl's user")


def _attached(config: Config, instance: Instance, path: str) -> Iterator[Fault]:
    problem = _socket_problem(str(instance.socket), "Envoy", "its bootstrap")
    if problem:
        yield config.fault(f"{path}.admin", *problem)
    if not os.path.isdir(instance.directory):
        then = "make it, or let `lbctl envoy prepare` do it"
        yield config.fault(f"{path}.directory", f"{instance.directory} is not there", then)
    elif not os.access(instance.directory, os.W_OK | os.X_OK):
        what = f"{instance.directory} cannot be written by this user"
        yield config.fault(f"{path}.directory", what, "give it to lbctl's user")


def _directory_problem(path: str) -> tuple[str, str] | None:
    if not os.path.isdir(path):
        return f"{path} is not there", "make it, open to lbctl's user and to HAProxy's"
    if not os.access(path, os.W_OK | os.X_OK):
        return f"{path} cannot be written by this user", "give it to lbctl's user"
    return None


def _socket_problem(path: str, owner: str, where: str) -> tuple[str, str] | None:
    try:
        about = os.stat(path)
    except FileNotFoundError:
        return f"{path} is not there", f"start {owner}, or correct the path as in {where}"
    except OSError as error:
        return f"{path}: {error.strerror}", "let lbctl's user enter its directory"
    if not stat.S_ISSOCK(about.st_mode):
        return f"{path} is not a socket", f"correct the path as in {owner}'s {where.removeprefix('its ')}"
    if not os.access(path, os.R_OK | os.W_OK):
        return f"{path} cannot be used by this user", "put lbctl's user into the group of the socket, with mode 660"
    return None


def _files(config: Config) -> Iterator[Fault]:
    for service in config.topology.services.values():
        if service.tls is not None and not os.access(service.tls.ca, os.R_OK):
            yield config.fault(
                f"services.{service.name}.tls.ca", f"{service.tls.ca} cannot be read", "correct the path"
            )
        command = service.health.command if service.health is not None else ()
        if command and not os.access(command[0], os.X_OK):
            what = f"{command[0]} cannot be run"
            yield config.fault(f"services.{service.name}.health.command", what, "correct the path, or chmod +x")
    for key, hook in _hooks(config):
        if hook.argv and not os.access(hook.argv[0], os.X_OK):
            yield config.fault(key, f"{hook.argv[0]} cannot be run", "correct the path, or chmod +x")
    for index, alert in enumerate(config.alerts):
        if isinstance(alert, ExecAlert) and not os.access(alert.argv[0], os.X_OK):
            what = f"{alert.argv[0]} cannot be run"
            yield config.fault(f"alerts[{index}].exec", what, "correct the path, or chmod +x")
        if isinstance(alert, AppriseAlert) and find_spec("apprise") is None:
            then = "install lbctl[notify] where lbctld runs"
            yield config.fault(f"alerts[{index}].apprise", "apprise is not installed", then)
        if isinstance(alert, OtlpAlert) and not _has_otel():
            then = "install lbctl[otel] where lbctld runs"
            yield config.fault(f"alerts[{index}].otlp", "OpenTelemetry is not installed", then)


def _has_otel() -> bool:
    """Whether the SDK is there: other packages bring the name `opentelemetry` alone."""
    return find_spec("opentelemetry") is not None and find_spec("opentelemetry.sdk") is not None


def _hooks(config: Config) -> Iterator[tuple[str, Hook]]:
    """Yield every hook with the place of its program."""
    units = config.topology.units
    owners = {f"units.{name}": unit.hooks for name, unit in units.items()}
    alone = [one for one in config.topology.services.values() if config.topology.unit_of(one.name).name not in units]
    owners |= {f"services.{one.name}": one.hooks for one in alone}
    for owner, hooks in owners.items():
        yield from ((f"{owner}.hooks[{index}].exec", hook) for index, hook in enumerate(hooks))


def _servers(config: Config, reach: Connect) -> list[Fault]:
    asked = [item for service in config.topology.services.values() for item in _addresses(service)][:SERVERS_MAX]
    with ThreadPoolExecutor(max_workers=32, thread_name_prefix="lbctl-look") as threads:
        answers = threads.map(reach, [address for _, address in asked])
        return [
            config.fault(path, f"nothing answers at {address}: {why}", "start the server, or correct its address")
            for (path, address), why in zip(asked, answers, strict=True)
            if why is not None
        ]


def _addresses(service: Service) -> Iterator[tuple[str, Address]]:
    for pool in (service.blue, service.green):
        for server in pool.servers:
            yield f"services.{service.name}.pools.{pool.colour}.{server.name}", server.address

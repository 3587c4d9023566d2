"""Where the files of one embedded Envoy lie, and what its things are called."""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from lbctl.model.errors import Garbled
from lbctl.model.names import Colour, ServiceName
from lbctl.model.route import UNKNOWN, Cell
from lbctl.model.topology import Instance, Service

SOCKET_PATH_MAX_BYTES = 107
"""Linux stores a unix socket's path in 108 bytes with a closing zero."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_NAME_MAX, _DIGEST = 40, 12
_COOKIE = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths inside one instance's directory. Each resource type has a directory of its own: Envoy watches them."""

    directory: Path
    admin_socket: Path

    @property
    def bootstrap(self) -> Path:
        """What Envoy is started with; its path also proves whose Envoy answers."""
        return self.directory / "bootstrap.json"

    @property
    def listeners(self) -> Path:
        """LDS: never written while a release runs, because a changed listener cuts WebSockets."""
        return self.directory / "lds" / "listeners.json"

    @property
    def clusters(self) -> Path:
        """CDS."""
        return self.directory / "cds" / "clusters.json"

    @property
    def log(self) -> Path:
        """What Envoy says on its output; the one before it is kept as `envoy.log.1`."""
        return self.directory / "envoy.log"

    @property
    def start_lock(self) -> Path:
        """Held while somebody starts or stops this Envoy."""
        return self.directory / "start.lock"

    @property
    def life_lock(self) -> Path:
        """Locked by the Envoy of this directory itself, from before it starts until it ends; holds its pid."""
        return self.directory / "envoy.pid"

    def endpoints(self, cluster: str) -> Path:
        """EDS of one cluster."""
        return self.directory / "eds" / f"{cluster}.json"

    def routes(self, service: ServiceName) -> Path:
        """RDS of one service: the only file that is written in a release."""
        return self.directory / "rds" / f"{service}.json"

    def copy(self, service: ServiceName) -> Path:
        """A second copy of what RDS holds, from which a damaged one is restored before a start."""
        return self.directory / "copy" / f"{service}.json"


def layout_of(instance: Instance) -> Layout:
    """Return the paths of an instance; `socket` is taken as the admin socket where it is configured.

    Raises:
        Garbled: the admin socket's path is too long for a unix socket; the text says by how much and what to do.
    """
    directory = Path(os.path.abspath(instance.directory))
    admin = Path(instance.socket) if instance.socket else directory / "admin.sock"
    size = len(os.fsencode(admin))
    if size > SOCKET_PATH_MAX_BYTES:
        raise Garbled(
            f"envoy {instance.name}: the admin socket's path {admin} has {size} bytes, a unix socket's path at most "
            f"{SOCKET_PATH_MAX_BYTES}: give the instance a shorter directory"
        )
    return Layout(directory, admin)


def cluster_name(service: ServiceName, colour: Colour) -> str:
    """Return what a pool is called in Envoy."""
    return f"{service}_{colour.value}"


def cell_name(cell: Cell) -> str:
    """Return what calls are counted under: who calls, and the pool that they go to."""
    return f"{cell.caller or UNKNOWN}_to_{cell.colour.value}"


def preview_name(service: ServiceName, colour: Colour) -> str:
    """Return what answers previews of a pool: a cluster of its own, so that they are not counted with users."""
    return f"{service}/preview/{colour.value}"


def tunnel_name(service: ServiceName) -> str:
    """Return what the inner hop of a TCP service is called, as no service can be."""
    return f"{service}/tunnel"


def colour_cookie(service: ServiceName) -> str:
    """Return the name of the cookie that keeps a session on its colour.

    A long name is cut: Envoy refuses the regular expression in which it would stand whole.
    """
    if len(service) <= _NAME_MAX:
        return f"LBC_{service}"
    digest = hashlib.sha256(service.encode()).hexdigest()[:_DIGEST]
    return f"LBC_{service[: _NAME_MAX - _DIGEST]}{digest}"


def check_names(service: Service) -> None:
    """Refuse names that could change the meaning of a path, a regular expression or a header.

    Raises:
        Garbled: names the service and the value.
    """
    if not _NAME.fullmatch(service.name):
        raise Garbled(f"envoy: {service.name!r} cannot be a service's name: use [a-z0-9][a-z0-9._-]{{0,62}}")
    if not _COOKIE.fullmatch(service.cookie) or service.cookie == colour_cookie(service.name):
        raise Garbled(
            f"envoy: {service.name}: {service.cookie!r} cannot be the session cookie's name: 1 to 64 letters, digits, "
            f"'-', '_' or '.', and not {colour_cookie(service.name)}, which holds the colour"
        )

"""The files Envoy reads: written in the order it needs, repaired before it starts, never wider open than needed."""

import json
import os
import secrets
import stat
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from lbctl.crash import Point, passing
from lbctl.dataplane.envoy import render
from lbctl.dataplane.envoy.clusters import DRAINING
from lbctl.dataplane.envoy.layout import Layout, cluster_name
from lbctl.dataplane.envoy.routefile import RouteFile
from lbctl.dataplane.envoy.version import NOT_ADOPTED, Written
from lbctl.dataplane.slotfile import share_as_directory
from lbctl.model.errors import Garbled
from lbctl.model.names import Colour, ServerName
from lbctl.model.topology import Service


@dataclass(frozen=True, slots=True)
class Change:
    """One file that must become `text`, and the counter scope in which Envoy tells that it has taken it."""

    path: Path
    text: str
    scope: str

    @property
    def version(self) -> str:
        """The version text Envoy shows when it has taken the file."""
        return str(json.loads(self.text)["version_info"])


def changes(services: Sequence[Service], layout: Layout) -> list[Change]:
    """Return what differs on disk from the config, in the order Envoy needs: EDS before CDS before LDS.

    A listener is only among them when the config's listeners changed, never for servers, shares or sessions.

    Raises:
        Garbled: the config cannot be rendered; the text names the service.
    """
    wanted = [endpoints(service, colour, layout) for service in services for colour in Colour]
    wanted.append(Change(layout.clusters, render.clusters_file(services, layout), "cluster_manager.cds"))
    wanted.append(Change(layout.listeners, render.listeners_file(services, layout), "listener_manager.lds"))
    return [change for change in wanted if content(change.path) != change.text]


def changed_endpoints(services: Sequence[Service], layout: Layout) -> list[Change]:
    """Return what of EDS alone differs from the config."""
    wanted = [endpoints(service, colour, layout) for service in services for colour in Colour]
    return [change for change in wanted if content(change.path) != change.text]


def routes_are_whole(services: Sequence[Service], layout: Layout) -> bool:
    """Whether every route file is exactly what lbctl would write for the route it holds."""
    return all(RouteFile(service, services, layout).is_exact() for service in services)


def prepare(services: Sequence[Service], layout: Layout) -> list[str]:
    """Make every file whole before a start and return what was repaired, as sentences.

    Envoy that starts on a damaged route file answers 404 to everyone; a route that can be read is what it must go on
    serving, because the one who knows better may be dead.

    Raises:
        Garbled: the config cannot be rendered, or the directory cannot be written.
    """
    try:
        make_directories(layout, EMBEDDED)
        write_file(layout.bootstrap, render.bootstrap(layout))
        repaired = make_routes_whole(services, layout, NOT_ADOPTED)
        for change in changes(services, layout):
            write_file(change.path, change.text)
    except OSError as error:
        raise Garbled(f"envoy: {error.filename or layout.directory} cannot be written: {error.strerror}") from error
    return repaired


def make_routes_whole(services: Sequence[Service], layout: Layout, otherwise: Written | None) -> list[str]:
    """Bring every route file to exactly what lbctl would write for the route it holds; return what was damaged.

    Where neither file nor copy can be read it becomes `otherwise`, or stays (None). A file that is right already is
    not touched, so that this may run beside a driver. Raises OSError.
    """
    said = []
    for service in services:
        file = RouteFile(service, services, layout)
        held, spare = file.read(), file.read_copy()
        if held is None and file.exists():
            said.append(f"{service.name}: the route file was damaged; {_restored(spare or otherwise)}")
        whole = held or spare or otherwise
        if whole is not None:
            file.make(whole)
    return said


EMBEDDED = ("eds", "cds", "rds", "lds", "copy")
ATTACHED = ("eds", "rds", "copy")


def make_directories(layout: Layout, inside: Sequence[str]) -> None:
    """Make the directory, for its owner only, and those in it, as open to its group as it is itself."""
    layout.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    mode = stat.S_IMODE(layout.directory.stat().st_mode) & 0o2750 | 0o700
    for directory in (layout.directory / name for name in inside):
        if not directory.is_dir():
            directory.mkdir(mode=0o700)
            directory.chmod(mode)


_FRESH = ".new"
_WRITING: set[Path] = set()
"""What threads of this process are writing just now."""


def write_file(path: Path, text: str) -> None:
    """Replace a file as a whole: Envoy and a crash see the old or the new one. Raises OSError.

    The new one has a name of its own until then: it meets neither another writer's nor a link that somebody put there.
    """
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}{_FRESH}")
    _WRITING.add(fresh)
    try:
        _fill(fresh, text)
        passing(Point.ENVOY_FILE_BEFORE)
        fresh.replace(path)
        passing(Point.ENVOY_FILE_AFTER)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    finally:
        _WRITING.discard(fresh)


def _fill(fresh: Path, text: str) -> None:
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        share_as_directory(file.fileno(), fresh.parent)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def sweep(layout: Layout) -> None:
    """Remove what a writer that died left behind. Raises OSError."""
    for directory in (layout.directory, *(layout.directory / name for name in EMBEDDED)):
        for left in {*directory.glob(f".*{_FRESH}")} - _WRITING:
            left.unlink(missing_ok=True)


def _restored(written: Written | None) -> str:
    if written is None:
        return "it stays so, because nothing else is known"
    if written.route is None:
        return "nothing else is known, so it answers 503 until `lbctl adopt`"
    return f"restored from its copy: {written.route}"


def endpoints(
    service: Service, colour: Colour, layout: Layout, draining: Collection[ServerName] | None = None
) -> Change:
    """Return what the EDS file of a pool must be. `draining` None: whoever is drained by it stays so."""
    name = cluster_name(service.name, colour)
    kept = drained(service, colour, layout) if draining is None else draining
    return Change(layout.endpoints(name), render.endpoints_file(service, colour, kept), f"cluster.{name}")


def drained(service: Service, colour: Colour, layout: Layout) -> frozenset[ServerName]:
    """Return the servers of a pool that its EDS file drains; none where it cannot be read."""
    try:
        found = json.loads(content(layout.endpoints(cluster_name(service.name, colour))) or "{}")
        listed = [one for pool in found["resources"][0]["endpoints"] for one in pool["lb_endpoints"]]
        names = {one["endpoint"]["hostname"] for one in listed if one.get("health_status") == DRAINING}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return frozenset()
    return frozenset(server.name for server in service.pool(colour).servers if server.name in names)


def content(path: Path) -> str | None:
    """Return what is in a file, None where there is none to be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None

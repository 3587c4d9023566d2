"""The state map: one composite value per service, `green_bp:keep_blue:keep_green`, in the workers and in its file."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from lbctl.dataplane.slotfile import SlotFile
from lbctl.model.names import Colour, ServiceName
from lbctl.model.route import Route
from lbctl.model.topology import Instance

MAP_BYTES = 32_768
DEFAULT = Route(0)
"""What the rendered config does with a missing or damaged entry: all new traffic to blue, every session kept."""
SHARE = "(10000|[0-9]{1,4})"
VALUE = f"^{SHARE}:{SHARE}:{SHARE}$"
"""What both lbctl and the rendered config take for a value; anything else is a damaged entry."""
_ROUTE = re.compile(VALUE.strip("^$"))


def map_path(instance: Instance) -> Path:
    """Return where the map is, as HAProxy's config must name it, too."""
    return Path(instance.directory) / "state.map"


def map_file(instance: Instance) -> SlotFile:
    """Return the file. Padded with empty lines, which HAProxy skips."""
    return SlotFile(map_path(instance), MAP_BYTES, b"\n")


def parse_route(text: str) -> Route | None:
    """Return the route of a map value; None if HAProxy could not use it either."""
    found = _ROUTE.fullmatch(text)
    return Route(int(found[1]), int(found[2]), int(found[3])) if found else None


def parse_lines(lines: Sequence[str], *, columns: int) -> dict[str, str]:
    """Return keys and values of map lines; `columns` is 3 for `show map` (which begins with an address), else 2.

    The first of two equal keys counts, as in HAProxy.
    """
    entries: dict[str, str] = {}
    for line in lines:
        fields = line.split(None, columns - 1)
        if len(fields) == columns and not line.startswith("#"):
            entries.setdefault(fields[-2], fields[-1].strip())
    return entries


def rendered(entries: Mapping[str, str]) -> bytes:
    """Return the file's content."""
    head = "# Written by lbctl. One line per service: green_bp:keep_blue_bp:keep_green_bp\n"
    return (head + "".join(f"{key} {value}\n" for key, value in sorted(entries.items()))).encode()


def read_file(instance: Instance) -> dict[str, str] | None:
    """Return the file as the next start of HAProxy would read it; None if there is none. Raises OSError."""
    raw = map_file(instance).read()
    return None if raw is None else parse_lines(raw.decode("utf-8", "replace").splitlines(), columns=2)


def write_file(instance: Instance, service: ServiceName, route: Route) -> None:
    """Set one service's boot value, and leave everything else in the file as it is. Raises OSError, ValueError."""
    map_file(instance).write(rendered((read_file(instance) or {}) | {str(service): str(route)}))


def write_maps(instance: Instance, active: Mapping[ServiceName, Colour]) -> tuple[str, ...]:
    """Add what is missing: services not yet in the file get 100 % on their active pool. Returns what was added.

    Raises:
        OSError: the file cannot be written; the text names it.
    """
    Path(instance.directory).mkdir(mode=0o750, parents=True, exist_ok=True)
    entries = read_file(instance) or {}
    missing = {str(name): str(Route.all_to(colour)) for name, colour in active.items() if name not in entries}
    if missing or not map_path(instance).exists():
        map_file(instance).write(rendered(entries | missing))
    return tuple(f"{map_path(instance)}: {name} {value}" for name, value in missing.items())

"""The state map: one composite value per service, `green_bp:keep_blue:keep_green`, in the workers and in its file.

Pins of callers lie beside it, each under a key of its own: `accounts<storefront-blue green`.
A service in form `weights` has a seal behind it, `5000:10000:10000:1a2b3c4d`: the weights that were ordered for it.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from lbctl.dataplane.patience import Patience
from lbctl.dataplane.slotfile import SlotFile
from lbctl.model.names import ServiceName
from lbctl.model.route import Route
from lbctl.model.topology import Instance

MAP_BYTES = 32_768
DEFAULT = Route(0)
"""What the rendered config does with a missing or damaged entry: all new traffic to blue, every session kept."""
SHARE = "(10000|[0-9]{1,4})"
VALUE = f"^{SHARE}:{SHARE}:{SHARE}(:[0-9a-f]{{8}})?$"
"""What both lbctl and the rendered config take for a value; anything else is a damaged entry. Either form takes the
other's value, so that a service can change its form without being sent to its default."""
_ROUTE = re.compile(VALUE.strip("^$"))


def map_path(instance: Instance) -> Path:
    """Return where the map is, as HAProxy's config must name it, too."""
    return Path(instance.directory) / "state.map"


def map_file(instance: Instance) -> SlotFile:
    """Return the file. Padded with empty lines, which HAProxy skips."""
    return SlotFile(map_path(instance), MAP_BYTES, b"\n")


def parse_route(text: str) -> Route | None:
    """Return the route of a map value; None if HAProxy could not use it either."""
    return parse_value(text)[0]


def parse_value(text: str) -> tuple[Route | None, str]:
    """Return route and seal of a map value; the seal is empty where there is none."""
    found = _ROUTE.fullmatch(text)
    if found is None:
        return None, ""
    *shares, seal = found.groups()
    return Route(int(shares[0]), int(shares[1]), int(shares[2])), (seal or "").removeprefix(":")


def value_of(route: Route, seal: str = "") -> str:
    """Return the map value of a route."""
    return f"{route.split}:{seal}" if seal else route.split


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
    head = "# Written by lbctl. One line per service: green_bp:keep_blue_bp:keep_green_bp; SERVICE<CALLER: its pin\n"
    return (head + "".join(f"{key} {value}\n" for key, value in sorted(entries.items()))).encode()


def read_file(instance: Instance) -> dict[str, str] | None:
    """Return the file as the next start of HAProxy would read it; None if there is none. Raises OSError."""
    raw = map_file(instance).read()
    return None if raw is None else parse_lines(raw.decode("utf-8", "replace").splitlines(), columns=2)


def write_entry(instance: Instance, service: ServiceName, value: str, patience: Patience | None = None) -> None:
    """Set one service's boot value, and leave everything else in the file as it is. Raises OSError, ValueError."""
    write_entries(instance, {str(service): value}, patience)


def write_entries(instance: Instance, values: Mapping[str, str], patience: Patience | None = None) -> None:
    """Set some boot values at once, and leave everything else in the file as it is. `patience`: see `SlotFile.write`.

    Raises OSError, ValueError.
    """
    map_file(instance).write(rendered({**(read_file(instance) or {}), **values}), patience)


def write_missing(instance: Instance, values: Mapping[str, str]) -> dict[str, str]:
    """Make the file, and add what is not yet in it. Returns what was added. Raises OSError, ValueError."""
    entries = read_file(instance) or {}
    missing = {name: value for name, value in values.items() if name not in entries}
    if missing or not map_path(instance).exists():
        map_file(instance).write(rendered(entries | missing))
    return missing

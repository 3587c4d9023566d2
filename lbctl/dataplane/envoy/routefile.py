"""One service's route file and its copy: preallocated, so that a full disk never stops a lowering."""

import json
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lbctl.crash import Point, passing
from lbctl.dataplane.envoy.callers import Callers, callers_of
from lbctl.dataplane.envoy.layout import Layout
from lbctl.dataplane.envoy.render import routes_file
from lbctl.dataplane.envoy.version import Written, parse
from lbctl.dataplane.patience import Patience
from lbctl.dataplane.slotfile import SlotFile
from lbctl.model.route import Pin, Route
from lbctl.model.topology import Service

SLOT_BYTES = 16_384
"""Three times the largest route configuration of a service without consumers; with them a file may be larger."""
_PAGE_BYTES = 4_096
_LARGEST = Route(9_999, 2_345, 6_789)
_Stamp = tuple[int, int, int]


class RouteFile:
    """What Envoy reads about one service, and would read after a restart: runtime and boot value in one file."""

    def __init__(self, service: Service, services: Sequence[Service], layout: Layout) -> None:
        """Touches nothing yet. `services` are all that this Envoy has.

        Raises:
            Garbled: as `callers_of`.
        """
        self._service = service
        self.callers = callers_of(service, services)
        size = slot_bytes(service, self.callers)
        self._file = SlotFile(layout.routes(service.name), size)
        self._copy = SlotFile(layout.copy(service.name), size)
        self._path, self._copy_path = layout.routes(service.name), layout.copy(service.name)
        self._copying = threading.Lock()
        self._newest = b""
        self._seen: tuple[_Stamp, Written | None] | None = None

    def read(self) -> Written | None:
        """Return what the file says, None where it is missing or damaged. Parsed again only when it changed."""
        stamp = _stamp(self._path)
        if stamp is None:
            return None
        if self._seen is None or self._seen[0] != stamp:
            self._seen = stamp, self._parsed(self._path)
        return self._seen[1]

    def read_copy(self) -> Written | None:
        """Return what the copy says, None where it is missing or damaged."""
        return self._parsed(self._copy_path)

    def exists(self) -> bool:
        """Whether there is a file, whatever is in it."""
        return self._path.exists()

    def is_exact(self, written: Written | None = None) -> bool:
        """Whether the file is what `write` would make of `written` (None: of what the file says it is)."""
        said = written or self.read()
        if said is None:
            return False
        try:
            return self._path.read_text(encoding="utf-8").rstrip() == routes_file(self._service, said, self.callers)
        except (OSError, UnicodeDecodeError):
            return False

    def make(self, written: Written) -> None:
        """Write unless the file is so already, and make sure that the next write needs no room. Raises OSError."""
        if not self.is_exact(written) or self.read_copy() != written:
            self.write(written)
        text = routes_file(self._service, written, self.callers).encode()
        self._file.ensure(text)
        self._copy.ensure(text)

    def write(self, written: Written, patience: Patience | None = None) -> str:
        """Replace the file, then its copy, as a whole each; return what went wrong with the copy, "" for nothing.

        `patience`: see `SlotFile.write`; the copy is made without it, later. Raises OSError: the file itself was not
        replaced.
        """
        text = routes_file(self._service, written, self.callers).encode()
        self._file.write(text, patience)
        passing(Point.ENVOY_BETWEEN)
        self._newest = text
        try:
            if patience is None:
                self._write_copy()
            elif not patience.through(self._write_copy):
                return f"the copy {self._copy_path} is not written yet: the disk hangs"
        except OSError as error:
            return f"the copy {self._copy_path} could not be written: {error.strerror}"
        return ""

    def _write_copy(self) -> None:
        """One at a time, and whoever had to wait writes what is newest by then."""
        with self._copying:
            self._copy.write(self._newest)

    def _parsed(self, path: Path) -> Written | None:
        """Whole: JSON with a route configuration and lbctl's version text, from which all of it can be rendered."""
        try:
            document = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return None
        text = document.get("version_info") if isinstance(document, dict) else None
        return parse(text) if isinstance(text, str) and document.get("resources") else None


def slot_bytes(service: Service, callers: Callers) -> int:
    """Return how large a route file is, whatever is in it: twice what the longest route of these callers needs."""
    longest = replace(_LARGEST, pins=tuple((caller, Pin.SPLIT) for caller in callers.marks))
    needed = len(routes_file(service, Written(10**17, longest), callers).encode()) * 2
    return max(SLOT_BYTES, needed + -needed % _PAGE_BYTES)


def _stamp(path: Path) -> _Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size

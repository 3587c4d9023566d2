"""What the judge was told in a release, tick by tick, so that anybody can judge again: one file for each release.

Lines of JSON, compressed. Not synced and bounded: it is for people afterwards, and never what a decision stands on.
"""

import gzip
import os
import re
import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from lbctl.core.judge import Sample, Settings, Verdict
from lbctl.model.errors import StoreError
from lbctl.model.names import ReleaseId, ServiceName
from lbctl.notjson import NOT_JSON
from lbctl.store.files import open_private, private_directory

VERSION = 1
BYTES_MAX = 16 << 20
"""Of one release, as it lies on the disk: about a day of a release that moves."""
RELEASES_MAX = 10
"""The newest that are kept."""
FLUSH_LINES = 50
"""Five seconds of a release that moves; whoever kills lbctld loses no more."""
LINE_MAX = 1 << 20
_NAME = re.compile(r"release\.([0-9]{1,18})\.jsonl\.gz", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What a process that begins or goes on with a release judges by. Only the first one of a file has accounts that
    count: later ones say that settings changed, or that lbctld was started again."""

    version: int
    lbctl: str
    release: str
    at: int
    settings: Mapping[ServiceName, Settings]
    accounts: Mapping[ServiceName, dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One tick: what the judge was told of each service, and what it said: word, code, and a checksum of all.

    `steps`: how many steps began since the line before: at each the accounts are staked anew.
    """

    at: int
    steps: int
    samples: Mapping[ServiceName, Sample]
    said: Mapping[ServiceName, tuple[str, str, int]]


@dataclass(slots=True)
class Recordings:
    """The files of one directory (made 0700). Calls are synchronous and take well under 1 ms as a rule.

    Lines are written some at a time, each time compressed as a whole of its own: however a process ends, the next one
    goes on behind what is whole.
    """

    directory: Path
    _waiting: dict[ReleaseId, list[bytes]] = field(default_factory=dict)
    _full: set[ReleaseId] = field(default_factory=set)

    def __post_init__(self) -> None:
        private_directory(self.directory)

    def write(self, release: ReleaseId, line: Opening | Judged) -> None:
        """Add a line; nothing more once the file is full.

        Raises:
            StoreError: it is not written. The recording has a gap: what follows is not judged the same.
        """
        if release in self._full:
            return
        waiting = self._waiting.setdefault(release, [])
        waiting.append(msgspec.json.encode(line) + b"\n")
        if len(waiting) >= FLUSH_LINES or isinstance(line, Opening):
            self._flush(release)

    def path(self, release: ReleaseId) -> Path:
        """Return where the recording of a release is, or would be."""
        return path_of(self.directory, release)

    def close(self, running: Collection[ReleaseId] = ()) -> None:
        """Write what waits of releases that do not run any more, and remove the oldest of too many.

        Raises:
            StoreError: it is not written.
        """
        ended = [release for release in self._waiting if release not in running]
        for release in ended:
            self._flush(release)
            self._waiting.pop(release, None)
            self._full.discard(release)
        if ended:
            self.sweep()

    def sweep(self) -> None:
        """Remove all but the newest."""
        found = sorted(
            (int(name[1]), path) for path in self.directory.iterdir() if (name := _NAME.fullmatch(path.name))
        )
        for _, path in found[:-RELEASES_MAX]:
            path.unlink(missing_ok=True)

    def _flush(self, release: ReleaseId) -> None:
        lines = self._waiting[release]
        if not lines or release in self._full:
            return
        self._waiting[release] = []
        try:
            descriptor = open_private(self.path(release), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            with os.fdopen(descriptor, "ab") as file:
                file.write(gzip.compress(b"".join(lines), compresslevel=1, mtime=0))
                size = file.tell()
        except (OSError, StoreError) as error:
            self._full.add(release)
            why = error.strerror if isinstance(error, OSError) else error
            raise StoreError(f"{self.path(release)}: {why}: the recording ends here") from error
        if size > BYTES_MAX:
            self._full.add(release)


def checksum(verdict: Verdict) -> int:
    """Return what tells two verdicts apart: every word, and every number to its last digit."""
    return zlib.crc32(msgspec.json.encode(verdict))


def path_of(directory: Path, release: ReleaseId) -> Path:
    """Return where the recording of a release lies."""
    return directory / f"release.{release}.jsonl.gz"


class Unreadable(Exception):
    """A file is no recording, or not a whole one: which line, and why."""


def lines(path: Path) -> Iterator[Opening | Judged]:
    """Yield the lines of a recording; one that ends in the middle (a process was killed) ends at its last whole line.

    Raises:
        Unreadable: it is no recording, or of another version.
    """
    number = 0
    try:
        with gzip.open(path, "rb") as file:
            while raw := file.readline(LINE_MAX + 1):
                number += 1
                if len(raw) > LINE_MAX:
                    raise Unreadable(f"line {number}: longer than {LINE_MAX} bytes")
                if not raw.endswith(b"\n"):
                    return
                yield line_of(raw, number)
    except EOFError:
        return
    except (OSError, zlib.error) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it is not compressed as one"
        raise Unreadable(why) from error


def line_of(raw: bytes, number: int) -> Opening | Judged:
    """Return what one line says. Raises Unreadable naming it."""
    kind: type[Opening | Judged] = Opening if raw.startswith(b'{"version"') else Judged
    try:
        found = msgspec.json.decode(raw, type=kind)
    except NOT_JSON as error:
        raise Unreadable(f"line {number}: {error}") from None
    if isinstance(found, Opening) and found.version != VERSION:
        raise Unreadable(f"line {number}: version {found.version}, and this lbctl reads {VERSION}")
    return found

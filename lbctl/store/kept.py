"""What is kept over a restart beside the journal: the judge's account of each running release, what was learned of each
service, and who called whom.

Replaced by a rename, not synced: a power loss may lose it, and what is lost only means less evidence.
"""

import os
import re
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from lbctl.crash import Point, passing
from lbctl.model.errors import StoreError
from lbctl.notjson import NOT_JSON
from lbctl.store.files import open_private, private_directory

BYTES_MAX = 1 << 20
_RELEASE = re.compile(r"[0-9]{1,18}", re.ASCII)
_SERVICE = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was found, or None and the reason in words."""

    document: dict[str, Any] | None
    reason: str = ""


class KeptFiles:
    """One file per name in a directory (made 0700). Calls are synchronous and take well under 1 ms."""

    def __init__(self, directory: Path | str, kind: str, names: re.Pattern[str]) -> None:
        self._directory = Path(directory)
        self._kind, self._names = kind, names
        private_directory(self._directory)

    def save(self, name: str, document: Mapping[str, Any]) -> None:
        """Replace what is kept of `name`, whole or not at all.

        Raises:
            StoreError: not saved (disk full, not JSON): the one before stays. Count it and go on.
        """
        path = self._path(name)
        fresh = path.with_suffix(".new")
        try:
            body = msgspec.json.encode(document)
            passing(Point.KEPT_BEFORE)
            _write(fresh, b"%08x\n%s" % (zlib.crc32(body), body))
            passing(Point.KEPT_BETWEEN)
            fresh.rename(path)
            passing(Point.KEPT_AFTER)
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}: not saved; free some space, it is tried again") from error
        except (TypeError, ValueError, OverflowError) as error:
            raise StoreError(f"{path}: not saved: {error}") from error

    def load(self, name: str) -> Loaded:
        """Return what is kept of `name`; anything unreadable is None with the reason, never an exception."""
        path = self._path(name)
        try:
            fd = open_private(path, os.O_RDONLY)
        except StoreError as error:
            return Loaded(None, str(error))
        try:
            raw = os.read(fd, BYTES_MAX + 1)
        except OSError as error:
            return Loaded(None, f"{path}: {error.strerror}")
        finally:
            os.close(fd)
        return _parsed(path, raw)

    def sweep(self, wanted: Collection[str]) -> None:
        """Remove what is kept of all other names. Raises StoreError."""
        try:
            for path in self._directory.iterdir():
                kind, _, rest = path.name.partition(".")
                name, _, ending = rest.rpartition(".")
                mine = kind == self._kind and ending == "json" and self._names.fullmatch(name)
                if mine and name not in wanted:
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{self._directory}: {error.strerror}: old files stay; remove them by hand") from error

    def _path(self, name: str) -> Path:
        if not self._names.fullmatch(name):
            raise StoreError(f"{name!r}: no name that is kept here")
        return self._directory / f"{self._kind}.{name}.json"


def account_files(directory: Path | str) -> KeptFiles:
    """Return the accounts of releases, by release id."""
    return KeptFiles(directory, "account", _RELEASE)


def learned_files(directory: Path | str) -> KeptFiles:
    """Return what was learned of services, by name."""
    return KeptFiles(directory, "learned", _SERVICE)


def matrix_files(directory: Path | str) -> KeptFiles:
    """Return who called whom, by provider."""
    return KeptFiles(directory, "matrix", _SERVICE)


def _write(path: Path, content: bytes) -> None:
    fd = open_private(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        # A full disk may take a part without an error; only a whole file may replace the one before.
        if os.write(fd, content) != len(content):
            raise OSError(28, "no room left on the device")
    finally:
        os.close(fd)


def _parsed(path: Path, raw: bytes) -> Loaded:
    head, _, body = raw.partition(b"\n")
    if head != b"%08x" % zlib.crc32(body):
        return Loaded(None, f"{path}: damaged (its checksum does not fit): it starts anew")
    try:
        return Loaded(msgspec.json.decode(body, type=dict[str, Any]))
    except NOT_JSON as error:
        return Loaded(None, f"{path}: unreadable ({error}): it starts anew")

"""The judge's account of each running release, saved every tick so that a restart does not start its evidence anew.

Replaced by a rename, not synced: a power loss may lose it, and a lost account only means less evidence.
"""

import os
import re
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from lbctl.model.errors import StoreError
from lbctl.model.names import ReleaseId
from lbctl.store.files import open_private, private_directory

BYTES_MAX = 1 << 20
_FILE = re.compile(r"account\.([0-9]{1,18})\.json", re.ASCII)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was found: the account, or None and the reason in words."""

    account: dict[str, Any] | None
    reason: str = ""


class AccountFiles:
    """One file per release in the state directory (made 0700). Calls are synchronous and take well under 1 ms."""

    def __init__(self, directory: Path | str) -> None:
        self._directory = Path(directory)
        private_directory(self._directory)

    def save(self, release: ReleaseId, account: Mapping[str, Any]) -> None:
        """Replace the account of `release`, whole or not at all.

        Raises:
            StoreError: not saved (disk full, not JSON): the one before stays. Count it and go on.
        """
        path = self._path(release)
        fresh = path.with_suffix(".new")
        try:
            body = msgspec.json.encode(account)
            _write(fresh, b"%08x\n%s" % (zlib.crc32(body), body))
            fresh.rename(path)
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}: not saved; free some space, it is tried again") from error
        except (TypeError, ValueError, OverflowError) as error:
            raise StoreError(f"{path}: not saved: {error}") from error

    def load(self, release: ReleaseId) -> Loaded:
        """Return the account of `release`; anything unreadable is None with the reason, never an exception."""
        path = self._path(release)
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

    def sweep(self, running: Collection[ReleaseId]) -> None:
        """Remove the accounts of all other releases. Raises StoreError."""
        try:
            for path in self._directory.iterdir():
                parts = _FILE.fullmatch(path.name)
                if parts and parts[1] not in running:
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{self._directory}: {error.strerror}: old accounts stay; remove them by hand") from error

    def _path(self, release: ReleaseId) -> Path:
        name = f"account.{release}.json"
        if not _FILE.fullmatch(name):
            raise StoreError(f"{release!r}: not a release: digits are")
        return self._directory / name


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
        return Loaded(None, f"{path}: damaged (its checksum does not fit): the evidence starts anew")
    try:
        return Loaded(msgspec.json.decode(body, type=dict[str, Any]))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return Loaded(None, f"{path}: unreadable ({error}): the evidence starts anew")

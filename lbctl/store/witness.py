"""A second, tiny file that remembers the last acknowledged write.

SQLite cuts a damaged end of its write-ahead log in silence, and a journal restored from a backup looks whole. The
witness is written in place after each commit (no room needed, no fsync), so it can be behind, but never ahead of what
was acknowledged: a journal that ends before it has lost something, and that is said.
"""

import os
import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lbctl.store.files import open_private

_FORM = struct.Struct("<QQQ")
_CRC = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Seen:
    """The last acknowledged row of records (`seq`), its revision, and the last entry's id."""

    seq: int = 0
    rev: int = 0
    entry_id: int = 0


class Witness:
    """The file. `last` is what it said when it was opened; nothing when it is new or damaged itself."""

    def __init__(self, path: Path) -> None:
        self._fd = open_private(path)
        self.last = _read(os.pread(self._fd, _FORM.size + _CRC.size, 0))

    def write(self, seen: Seen) -> None:
        """Remember `seen`. Best effort: when even this fails, the next start merely has no second opinion."""
        body = _FORM.pack(seen.seq, seen.rev, seen.entry_id)
        try:
            os.pwrite(self._fd, body + _CRC.pack(zlib.crc32(body)), 0)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._fd, 0)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def _read(raw: bytes) -> Seen:
    body, crc = raw[: _FORM.size], raw[_FORM.size :]
    if len(crc) != _CRC.size or _CRC.unpack(crc)[0] != zlib.crc32(body):
        return Seen()
    return Seen(*_FORM.unpack(body))

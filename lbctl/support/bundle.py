"""The one file: a tar.gz that only its owner reads, bounded, and that says itself what is in it and what is missing."""

import io
import os
import tarfile
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lbctl.support.hiding import Hider
from lbctl.support.reading import Text

PART_MAX = 4 << 20
"""Bytes of one part before it is packed."""
WHOLE_MAX = 32 << 20
PARTS_MAX = 200
NAMED_MAX = 20
CUT = "\n… cut here: {} bytes of {} are left out\n"
NOT_IN_IT = (
    "Not in it: secrets (their places are in config.yaml), HAProxy's own config, bodies and headers of requests.\n"
    "Names of services, servers, people and versions, and addresses of servers, are: look through it first.\n"
)


@dataclass(frozen=True, slots=True)
class Part:
    """One file of the bundle. `lack` says why it is not there, or what was left out."""

    name: str
    about: str
    data: bytes
    lack: str = ""


@dataclass(slots=True)
class Bundle:
    """Collects parts. Nothing is written before `write`."""

    hider: Hider
    parts: list[Part] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """Names of parts that were too many."""
    _bytes: int = 0

    def add(self, name: str, about: str, make: Callable[[], str | Text], *, end: bool = False) -> None:
        """Add what `make` returns, its secrets hidden; if it is too long its beginning, or with `end` its end. Nothing
        is left out in silence: `lack` of the part says it, or `left_out`.

        Whatever goes wrong in `make` is told in the bundle: a part that fails may be the very reason for it.
        """
        if len(self.parts) >= PARTS_MAX:
            self.left_out.append(name)
            return
        try:
            made = make()
            text, lack = (made.text, made.lack) if isinstance(made, Text) else (made, "")
        except Exception as error:  # noqa: BLE001 - a bundle with a hole is worth more than none
            text, lack = _failed(error), f"missing: {error}"
        raw = self.hider.hidden(text).encode("utf-8", "backslashreplace")
        room = max(0, min(PART_MAX, WHOLE_MAX - self._bytes))
        if len(raw) > room:
            lack = "; ".join(filter(None, (lack, f"cut to {room} of {len(raw)} bytes")))
            raw = _cut(raw, room, end=end)
        self._bytes += len(raw)
        self.parts.append(Part(name, about, raw, self.hider.hidden(" ".join(lack.split()))))

    def contents(self, head: str) -> str:
        """Return the list of what is in it and what is not."""
        lines = [f"{one.name:<28} {len(one.data):>9}  {one.about}" for one in self.parts]
        lacks = [f"{one.name}: {one.lack}" for one in self.parts if one.lack]
        unread = [f"a secret could not be read, to look for it: {one}" for one in self.hider.unread]
        lacks += [f"left out: {one}" for one in missing(self.left_out)]
        told = "\n".join(["", *lacks, *unread]) + "\n" if lacks or unread else ""
        return self.hider.hidden(f"{head}\n\n" + "\n".join(lines) + f"\n{told}\n{NOT_IN_IT}")

    def write(self, path: str, folder: str, head: str, at_s: int) -> int:
        """Make the file at `path`, mode 0600, and return its size; all names in it begin with `folder`.

        Raises:
            OSError: it is there already (a link counts), or cannot be written; then nothing is left behind.
        """
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(handle, "wb") as stream:
                os.fchmod(stream.fileno(), 0o600)
                contents = Part("CONTENTS.txt", "this list", self.contents(head).encode())
                self._pack(stream, folder, [contents, *self.parts], at_s)
                stream.flush()
                os.fsync(stream.fileno())
                return stream.tell()
        except BaseException:
            os.unlink(path)
            raise

    def _pack(self, stream: io.BufferedWriter, folder: str, parts: list[Part], at_s: int) -> None:
        with tarfile.open(fileobj=stream, mode="w:gz", format=tarfile.PAX_FORMAT, compresslevel=6) as tar:
            for part in parts:
                about = tarfile.TarInfo(f"{folder}/{part.name}")
                about.size, about.mode, about.mtime = len(part.data), 0o600, at_s
                tar.addfile(about, io.BytesIO(part.data))


def missing(left_out: Sequence[str]) -> list[str]:
    """Return a line that names the parts that were too many; none if none was."""
    shown = ", ".join(left_out[:NAMED_MAX]) + (" …" if len(left_out) > NAMED_MAX else "")
    return [f"{len(left_out)} parts, because {PARTS_MAX} are the most: {shown}"] if left_out else []


def _cut(raw: bytes, room: int, *, end: bool) -> bytes:
    mark = CUT.format(len(raw) - room, len(raw)).encode()
    kept = max(0, room - len(mark))
    if end:
        return (mark + raw[len(raw) - kept :])[:room]
    return (raw[:kept] + mark)[:room]


def _failed(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else "unknown place"
    return f"missing: {type(error).__name__}: {error} ({place})\n"

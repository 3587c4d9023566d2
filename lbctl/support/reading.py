"""Files of a host as they are: bounded, no link followed, nothing that is not a file."""

import os
import stat
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    """What was found. `lack` says what of it is missing, or was left out; empty: it is whole."""

    text: str
    lack: str = ""


class CannotRead(Exception):
    """It is not there, is not ours to read, or is no file; the text says which."""


def read(path: str, limit: int, *, follow: bool = False) -> bytes:
    """Return at most `limit` bytes of a file. `follow`: also by a link; only for what is not shown to anybody.

    Raises:
        CannotRead: it cannot be read.
    """
    try:
        # O_NONBLOCK, so that a pipe in the file's place cannot hold us up.
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW))
    except (OSError, ValueError) as error:
        raise CannotRead(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    with os.fdopen(handle, "rb") as stream:
        about = os.fstat(stream.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise CannotRead(f"{path}: not a regular file")
        return stream.read(limit)


def text_of(path: str, limit: int) -> Text:
    """Return the first whole lines of a file, at most `limit` bytes: half of a secret would not be known as one.

    Raises:
        CannotRead: it cannot be read.
    """
    raw = read(path, limit + 1)
    if len(raw) <= limit:
        return Text(raw.decode("utf-8", "backslashreplace"))
    kept = raw[: raw.rfind(b"\n", 0, limit) + 1].decode("utf-8", "backslashreplace")
    return Text(kept + "… cut here\n", f"{path} is longer than {limit} bytes, and cut there")


def listed(directory: str, limit: int = 200) -> Text:
    """Return the names in a directory with mode, owner, size and age, one a line, or why it cannot be read."""
    try:
        names = sorted(os.listdir(directory))
    except OSError as error:
        return Text(f"{directory}: {error.strerror}\n")
    lines = [_line(directory, ""), *(_line(directory, name) for name in names[:limit])]
    text, more = "\n".join(lines) + "\n", len(names) - limit
    if more <= 0:
        return Text(text)
    return Text(f"{text}… and {more} more\n", f"{more} of {len(names)} names in {directory} are left out")


def _line(directory: str, name: str) -> str:
    path = os.path.join(directory, name) if name else directory
    try:
        found = os.lstat(path)
    except OSError as error:
        return f"{path}: {error.strerror}"
    kind = stat.filemode(found.st_mode)
    return f"{kind} {found.st_uid}:{found.st_gid} {found.st_size:>10} {found.st_mtime:.0f} {path!r}"

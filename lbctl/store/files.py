"""Directories and files that only we may touch: made 0700 and 0600, never reached through a link someone else set."""

import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path

from lbctl.model.errors import StoreError


def make_private(path: Path) -> None:
    """Make `path` and whichever of its parents are missing, each closed to others (0700) whatever the umask says.

    What is there already is left as it is. Raises OSError.
    """
    for directory in reversed([one for one in (path, *path.parents) if not os.path.lexists(one)]):
        # Somebody else may make it just now: whose it is, is checked by who uses it.
        with suppress(FileExistsError):
            directory.mkdir(mode=0o700)


def private_directory(path: Path) -> None:
    """Make `path` (0700) with its parents, or check that it is ours and that nobody else may write there.

    Raises:
        StoreError: it is a link, someone else's, writable for others, or cannot be made; the text says what to do.
    """
    try:
        make_private(path)
        found = path.lstat()
    except OSError as error:
        raise StoreError(f"{path}: {_why(error)}: make this directory for the user lbctld runs as") from error
    if not stat.S_ISDIR(found.st_mode):
        raise StoreError(f"{path}: not a directory (links are not followed): name the real directory")
    if found.st_uid != os.geteuid():
        raise StoreError(f"{path}: belongs to uid {found.st_uid}, not to {os.geteuid()}: chown it or run as that user")
    if found.st_mode & 0o022:
        raise StoreError(f"{path}: others may write there (mode {found.st_mode & 0o7777:04o}): chmod go-w {path}")


def open_private(path: Path, flags: int = os.O_RDWR | os.O_CREAT) -> int:
    """Open (and with O_CREAT make, 0600) a regular file of ours; links are not followed. The caller closes it.

    Raises:
        StoreError: as `private_directory`.
    """
    try:
        fd = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise StoreError(f"{path}: {_why(error)}: check this file and the directory it is in") from error
    found = os.fstat(fd)
    fault = _fault(found)
    if fault:
        os.close(fd)
        raise StoreError(f"{path}: {fault}: move it away or give it to the user lbctld runs as, mode 0600")
    if found.st_mode & 0o077:
        os.fchmod(fd, 0o600)
    return fd


def take_lock(path: Path, guarded: str) -> int:
    """Lock `path`, which stands for what is `guarded`, until the returned descriptor is closed or the process ends.

    Raises:
        StoreError: another process holds it; the text names its pid.
    """
    fd = open_private(path)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = os.pread(fd, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(fd)
        raise StoreError(f"{path}: another lbctld uses {guarded} (pid {owner}): stop that one first") from error
    try:
        os.pwrite(fd, f"{os.getpid():<19}\n".encode(), 0)
    except OSError:
        # The pid is for people; a full disk must not keep the daemon from starting.
        os.ftruncate(fd, 0)
    return fd


def _fault(found: os.stat_result) -> str:
    if not stat.S_ISREG(found.st_mode):
        return "not a regular file"
    if found.st_uid != os.geteuid():
        return f"belongs to uid {found.st_uid}"
    return "has other names (hard links)" if found.st_nlink > 1 else ""


def _why(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)

"""A small file that can always be replaced by an equally small one, even when the disk is full.

Two files of a fixed size exist beside each other: the current one and a spare. A new content is written into the spare,
whose blocks are already there, and the two change names. Readers see the old content or the new one, never a mixture;
a watcher of the directory sees the current name moved to. On file systems that copy on write (btrfs, zfs) a write into
existing blocks may still need room: keep the directory on ext4, xfs or tmpfs.

    current ──link──▶ keep      the old content gets a second name
    spare ──rename─▶ current    the new content takes over, in one step
    keep ──rename──▶ spare      the old content's blocks wait for the next write
"""

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from lbctl.crash import Point, passing
from lbctl.dataplane.patience import Patience

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMLINK})
READ_MAX = 1 << 20
"""A file that other hands made larger than its slot is read up to here."""


class SlotFile:
    """The file at `path`, of `size` bytes, filled up with `padding`. One writer at a time."""

    def __init__(self, path: Path, size: int, padding: bytes = b" ") -> None:
        self.path = Path(path)
        self._size = size
        self._padding = padding
        self._spare = self.path.with_name(f".{self.path.name}.spare")
        self._keep = self.path.with_name(f".{self.path.name}.keep")

    def read(self) -> bytes | None:
        """Return the content without padding; None if there is no file. Raises OSError."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            return file.read(max(self._size, READ_MAX)).rstrip(self._padding)

    def write(self, content: bytes, patience: Patience | None = None) -> None:
        """Replace the content, durably. After a crash at any point the file has the old content or the new one.

        `patience`: so long the disk is waited for; None: as long as it takes. When it is over and gives up, nothing is
        replaced, now or later. Else the new content takes over without the disk: only where that hangs and the power
        fails meanwhile, the file may be damaged.

        Raises:
            OSError: nothing was replaced, and the old content stays. With both files in place a full disk is no reason.
                (Where the disk itself fails after the renames, EIO, the new content may be there: read it.)
            ValueError: the content does not fit.
        """
        if len(content) > self._size:
            raise ValueError(f"{self.path}: {len(content)} bytes do not fit into {self._size}")
        passing(Point.SLOT_BEFORE)
        self._repair()
        self._give_up(patience)
        self._fill(content, patience)
        passing(Point.SLOT_FILLED)
        self._give_up(patience)
        self._swap(patience)
        passing(Point.SLOT_AFTER)

    def ensure(self, initial: bytes) -> None:
        """Write `initial` if there is no file yet, and make sure that the next write needs no room. Raises OSError."""
        if self.read() is None:
            self.write(initial)
        self._repair()
        self._make_spare()

    def _repair(self) -> None:
        """Tidy up after a crash between two of the renames."""
        kept = _inode(self._keep)
        if kept is None:
            return
        if kept == _inode(self.path) or _inode(self._spare) is not None:
            self._keep.unlink()
        else:
            self._keep.rename(self._spare)

    def _give_up(self, patience: Patience | None) -> None:
        """Where whoever waits for it was told that nothing is written, nothing is."""
        if patience is not None and patience.gives_up and patience.is_over:
            raise OSError(errno.ETIMEDOUT, "the disk hangs, and nothing was replaced", str(self.path))

    def _fill(self, content: bytes, patience: Patience | None) -> None:
        self._make_spare()
        descriptor = os.open(self._spare, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            self._put(descriptor, content)
            _sync(descriptor, patience)
        finally:
            os.close(descriptor)

    def _put(self, descriptor: int, content: bytes) -> None:
        """Write it with its padding; where a full disk left the spare too small for that, without."""
        try:
            _written(descriptor, content.ljust(self._size, self._padding))
            os.ftruncate(descriptor, self._size)
        except OSError as error:
            if error.errno not in FULL:
                raise
            _written(descriptor, content)
            os.ftruncate(descriptor, len(content))

    def _swap(self, patience: Patience | None) -> None:
        kept = self._link()
        passing(Point.SLOT_LINKED)
        self._spare.rename(self.path)
        passing(Point.SLOT_REPLACED)
        if kept:
            self._keep.rename(self._spare)
        passing(Point.SLOT_KEPT)
        # A name that a power failure takes back gives the old content, whole: nobody gives up for that.
        with suppress(BlockingIOError):
            _waited(self._sync_directory, patience)
        # The content is in place: a spare that cannot be made is the next write's concern.
        with suppress(OSError):
            self._make_spare()

    def _link(self) -> bool:
        """Give the old content a second name. Where there is no room for a name, its blocks are given up instead."""
        if _inode(self.path) is None or self.path.is_symlink():
            # A symlink is replaced, never followed, and not worth keeping.
            return False
        try:
            os.link(self.path, self._keep, follow_symlinks=False)
        except OSError as error:
            if error.errno not in FULL:
                raise
            return False
        return True

    def _make_spare(self) -> None:
        """Make the spare, and bring it to its size with all its blocks as far as the disk has room.

        Without all of it the next write makes do with what is there, or says why it cannot.
        """
        if _inode(self._spare) is not None and _inode(self._spare) == _inode(self.path):
            self._spare.unlink()
        try:
            descriptor = os.open(self._spare, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno in FULL:
                return
            raise
        try:
            share_as_directory(descriptor, self.path.parent)
            self._grow(descriptor)
        finally:
            os.close(descriptor)

    def _grow(self, descriptor: int) -> None:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(self._spare))
        if found.st_size == self._size and found.st_blocks * 512 >= self._size:
            return
        try:
            os.posix_fallocate(descriptor, 0, self._size)
            os.ftruncate(descriptor, self._size)
        except OSError as error:
            if error.errno not in FULL:
                raise

    def _sync_directory(self) -> None:
        descriptor = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _sync(descriptor: int, patience: Patience | None) -> None:
    """Wait until the disk has it. Whoever has no patience leaves a disk that hangs to a thread of its own."""
    own = os.dup(descriptor)

    def synced() -> None:
        try:
            os.fdatasync(own)
        finally:
            os.close(own)

    try:
        _waited(synced, patience)
    except BlockingIOError:
        # It was not begun. A way back goes on; the kernel writes by itself, a little later.
        os.close(own)
        if patience is None or patience.gives_up:
            raise


def _waited(work: Callable[[], None], patience: Patience | None) -> None:
    if patience is None:
        work()
    else:
        patience.through(work)


def share_as_directory(descriptor: int, directory: Path) -> None:
    """Let the group read an own file where it may read the directory: whoever runs the load balancer is in it.

    The directory says so, because the umask of a service is there to close everything.
    """
    may, found = os.stat(directory).st_mode & stat.S_IRGRP, os.fstat(descriptor)
    if found.st_mode & stat.S_IRGRP != may and found.st_uid == os.geteuid():
        os.fchmod(descriptor, 0o600 | may)


def _written(descriptor: int, content: bytes) -> None:
    """Write it all: a full disk may take a part without an error, and says so only at the next call."""
    done = 0
    while done < len(content):
        done += os.pwrite(descriptor, content[done:], done)


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino

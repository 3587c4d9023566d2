"""Room kept back on the journal's disk, given up when the disk is full so that the last decisions are still written."""

import os
import time
from pathlib import Path

from lbctl.crash import Point, passing
from lbctl.store.files import open_private

CHECK_EVERY_S = 5.0


class Ballast:
    """One file of `size_bytes` that holds nothing. `free` gives its room away; `restore` takes it again later."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        self._path = path
        self._size_bytes = size_bytes
        self._next_check_s = 0.0
        self.kept = self._whole()

    def free(self) -> bool:
        """Give the room away. Returns whether there was any."""
        freed = self._path.exists()
        self._path.unlink(missing_ok=True)
        self.kept = False
        self._next_check_s = time.monotonic() + CHECK_EVERY_S
        return freed

    def restore(self) -> None:
        """Take the room again when four times as much is free; looks at most every `CHECK_EVERY_S`."""
        if self.kept or time.monotonic() < self._next_check_s:
            return
        self._next_check_s = time.monotonic() + CHECK_EVERY_S
        disk = os.statvfs(self._path.parent)
        if disk.f_bavail * disk.f_frsize >= 4 * self._size_bytes:
            self.kept = self._fill()

    def _fill(self) -> bool:
        fd = open_private(self._path)
        try:
            passing(Point.BALLAST_BEFORE)
            os.posix_fallocate(fd, 0, self._size_bytes)
            passing(Point.BALLAST_AFTER)
        except OSError:
            # Somebody else took the room in between: half a ballast is given back at once.
            self._path.unlink(missing_ok=True)
            return False
        finally:
            os.close(fd)
        return True

    def _whole(self) -> bool:
        try:
            return self._path.lstat().st_size >= self._size_bytes
        except OSError:
            return False

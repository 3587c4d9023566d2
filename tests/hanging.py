"""A disk whose syncs hang until it is mended, for whatever runs in the test's own process."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


class Disk:
    """Syncs end when `well` is set."""

    def __init__(self) -> None:
        self.well = threading.Event()
        self.met = threading.Semaphore(0)
        """Once for each sync that began."""
        self.ended = threading.Semaphore(0)

    def sync(self, _: int) -> None:
        """What `fsync` does on it."""
        self.met.release()
        self.well.wait()
        self.ended.release()


@contextmanager
def hanging_disk() -> Iterator[Disk]:
    """A disk that hangs; mended at the end."""
    disk = Disk()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("fsync", "fdatasync"):
            patch.setattr(os, name, disk.sync)
        try:
            yield disk
        finally:
            disk.well.set()

"""A disk whose syncs hang until it is mended, for whatever runs in the test's own process."""

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest

T = TypeVar("T")


async def timed(call: Awaitable[T]) -> tuple[T, float]:
    """An outcome and how long it took, in seconds."""
    began = time.monotonic()
    return await call, time.monotonic() - began


class Disk:
    """Syncs end when `well` is set."""

    def __init__(self) -> None:
        self.well = threading.Event()
        self.met = threading.Semaphore(0)
        """Once for each sync that began."""
        self.ended = threading.Semaphore(0)

    async def hangs(self) -> None:
        """Wait until one more sync hangs."""
        await asyncio.to_thread(self.met.acquire)

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

"""One writer of an instance's files at a time: lbctld, a driver that a reload of it replaced, and the command line."""

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from lbctl.dataplane.patience import Patience
from lbctl.model.topology import Instance

WITHIN_S = 0.7
"""Writing takes milliseconds; whoever takes longer hangs. Less than an operation has, so that it can say why."""


@contextmanager
def alone(instance: Instance, patience: Patience | None = None) -> Iterator[None]:
    """Be the only writer. The lock is on the directory itself: it needs no file and no room. Waits, so not for a loop.

    Raises:
        OSError: EBUSY after `WITHIN_S`, or when a patience that gives up is over. Ours is not written then: theirs
            could go on in the middle of it.
    """
    directory = os.open(instance.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        until = time.monotonic() + WITHIN_S
        while not _locked(directory):
            if time.monotonic() > until or (patience is not None and patience.gives_up and patience.is_over):
                raise OSError(errno.EBUSY, "another program writes here and does not end", instance.directory)
            time.sleep(0.002)
        yield
    finally:
        os.close(directory)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

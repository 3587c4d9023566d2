"""How long a write waits for a disk that hangs.

A way back waits a moment and goes on without the disk. A raise waits longer, gives up without having changed anything,
and has hardly any time left from the moment a way back comes: nobody who goes home waits for somebody's way out.
"""

import errno
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lbctl.dataplane.port import OPERATION_TIMEOUT_S

HURRY_S = 0.1
"""So long a way back waits for a disk that hangs."""
GRACE_S = 0.02
"""So long a way back leaves to a raise that is being written: a disk in health needs less."""
RAISE_S = 0.4 * OPERATION_TIMEOUT_S
"""So long a raise takes at most until it is written; then it is refused, and never written. A way back that is decided
meanwhile is sent when the raise is answered."""
HANGING_MAX = 64
"""More threads than this never wait for disks."""
_FREE = threading.BoundedSemaphore(HANGING_MAX)


class Patience:
    """One write's, for all of its waiting together; threads and the event loop may share it."""

    def __init__(self, seconds: float, *, gives_up: bool, behind: set[int] | None = None) -> None:
        """It begins now. `gives_up`: when it is over the write must not change anything any more. `behind`: what
        others left to threads that wait still; what is left of this one is added."""
        self.gives_up = gives_up
        self._behind = set() if behind is None else behind
        self._until = time.monotonic() + seconds
        self._change = threading.Condition()

    @property
    def is_over(self) -> bool:
        """Whether there is none left."""
        return time.monotonic() >= self._until

    def shorten(self, seconds: float) -> None:
        """Leave it at most so much from now on, and wake whoever waits."""
        with self._change:
            self._until = min(self._until, time.monotonic() + seconds)
            self._change.notify_all()

    def through(self, work: Callable[[], None]) -> bool:
        """Do `work`; return whether it was done in time, else a thread goes on with it. Raises what it raised.

        Raises:
            BlockingIOError: it was not begun: too many threads wait already, or no memory is left for one more.
        """
        ends: list[Exception | None] = []
        self._begin(work, ends)
        with self._change:
            while not ends and (left_s := self._until - time.monotonic()) > 0:
                self._change.wait(left_s)
            if not ends:
                self._behind.add(id(ends))
        if ends and ends[0] is not None:
            raise ends[0]
        return bool(ends)

    def _begin(self, work: Callable[[], None], ends: list[Exception | None]) -> None:
        if not _FREE.acquire(blocking=False):
            raise BlockingIOError(errno.EAGAIN, f"{HANGING_MAX} threads wait for disks already: does one hang?")
        try:
            threading.Thread(target=self._work, args=(work, ends), name="disk", daemon=True).start()
        except RuntimeError as error:
            _FREE.release()
            raise BlockingIOError(errno.EAGAIN, str(error)) from error

    def _work(self, work: Callable[[], None], ends: list[Exception | None]) -> None:
        end: Exception | None = None
        try:
            work()
        except Exception as error:  # noqa: BLE001 - it is raised where somebody waits for it
            end = error
        finally:
            _FREE.release()
        with self._change:
            ends.append(end)
            self._behind.discard(id(ends))
            self._change.notify_all()


class Patiences:
    """Those of one load balancer's writes: a way back shortens what raises have left."""

    def __init__(self) -> None:
        """Nothing is written yet."""
        self._raises: set[Patience] = set()
        self._behind: set[int] = set()

    def back(self) -> Patience:
        """Return a way back's, and hurry every raise."""
        for one in self._raises:
            one.shorten(GRACE_S)
        return Patience(HURRY_S, gives_up=False, behind=self._behind)

    @contextmanager
    def out(self, seconds: float | None = None) -> Iterator[Patience]:
        """Give a raise its own as long as it is under way.

        None while an earlier write still waits for the disk, unless it is said how much: a raise that is tried again
        and again takes no threads from load balancers whose disk is well.
        """
        usual_s = 0.0 if self._behind else RAISE_S
        patience = Patience(usual_s if seconds is None else seconds, gives_up=True, behind=self._behind)
        self._raises.add(patience)
        try:
            yield patience
        finally:
            self._raises.discard(patience)

"""What is asked of the daemon again and again, beside the keys: a daemon that hangs must not hold the screen up."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from lbctl.cli.failure import Failure

Value = TypeVar("Value")


class Newest(Generic[Value]):
    """Asks every `every_s` in a thread of its own, and keeps the last answer. `trouble`: why there is none since."""

    def __init__(self, first: Value, ask: Callable[[], Value], every_s: float, told: Callable[[], None]) -> None:
        self.value = first
        self.at_s = time.monotonic()
        self.trouble: Failure | None = None
        self._ask = ask
        self._every_s = every_s
        self._told = told
        self._ended = threading.Event()
        self._now = threading.Event()
        threading.Thread(target=self._run, name="newest", daemon=True).start()

    def hurry(self) -> None:
        """Ask now."""
        self._now.set()

    def end(self) -> None:
        """Ask no more. Who is just asking is left behind: nothing waits for it."""
        self._ended.set()
        self._now.set()

    def _run(self) -> None:
        while not self._ended.is_set():
            self._now.wait(self._every_s)
            self._now.clear()
            if self._ended.is_set():
                return
            try:
                self.value, self.at_s, self.trouble = self._ask(), time.monotonic(), None
            except Failure as failure:
                self.trouble = failure
            except Exception as error:  # noqa: BLE001 - the screen says it and goes on; a thread's end would be silence
                self.trouble = Failure(f"lbctl cannot show what lbctld said: {error!r}")
            self._told()

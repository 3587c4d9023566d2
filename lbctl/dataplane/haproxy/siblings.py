"""Old workers of an HAProxy without master socket, by the kernel's list of processes: not asked, but seen."""

import os
from contextlib import suppress

from lbctl.model.names import Generation, pid_of

NAME = "haproxy"


class Older:
    """Whether a load balancer may have workers that its newest one does not tell of.

    `unknown`: the processes could not be seen at the last look. Then only a change of the newest one since the first
    look tells of a reload, and nothing tells of its end, nor of one before.
    """

    def __init__(self) -> None:
        self.unknown = False
        self._first: Generation | None = None
        self._was_reloaded = False

    def may_be(self, newest: Generation) -> bool:
        """Return it, by the newest worker. Reads a few files of the kernel."""
        pid = pid_of(newest)
        others = None if pid is None else other_workers(pid)
        self.unknown = others is None
        self._first = self._first or newest
        self._was_reloaded = self._was_reloaded or newest != self._first
        return self._was_reloaded if others is None else bool(others)


def other_workers(pid: int) -> tuple[int, ...] | None:
    """Return the other workers of this one's master; None: it has none, or is not to be seen (another container)."""
    parent = _parent(pid)
    if parent is None or NAME not in _name(pid) or NAME not in _name(parent):
        return None
    children = _children(parent)
    return tuple(one for one in children if one != pid and NAME in _name(one)) if pid in children else None


def _parent(pid: int) -> int | None:
    with (
        suppress(OSError, ValueError, IndexError),
        open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as said,
    ):
        return int(said.read().rpartition(")")[2].split()[1])
    return None


def _name(pid: int) -> str:
    with suppress(OSError), open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as said:
        return said.read()
    return ""


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError, ValueError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as said:
                found += [int(child) for child in said.read().split()]
    return found

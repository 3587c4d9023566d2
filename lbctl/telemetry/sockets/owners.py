"""Which process has a socket, and which sockets a process has: by its open files, as far as permission goes. Blocks."""

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress

from lbctl.model.visible import printable

PROCESSES_MAX = 10_000
"""Beyond so many processes names are given up, not the time of the host."""
_PREFIX = "socket:["


def inodes_of(pids: Collection[int]) -> frozenset[int] | None:
    """Return the sockets of these processes; None: the files of one may not be read. One that ended has none."""
    found: set[int] = set()
    for pid in pids:
        try:
            found.update(_inodes(pid))
        except PermissionError:
            return None
        except OSError:
            continue
    return frozenset(found)


def holders_of(inodes: Collection[int]) -> Mapping[int, tuple[int, str]]:
    """Return pid and name of the process that has each socket, where that may be known.

    Several processes may share one (after a fork): the oldest one is named.
    """
    left = set(inodes) - {0}
    found: dict[int, tuple[int, str]] = {}
    for pid in _pids():
        if not left:
            break
        with suppress(OSError):
            for inode in left.intersection(_inodes(pid)):
                found[inode] = (pid, name_of(pid))
        left -= found.keys()
    return found


def with_descendants(pids: Collection[int]) -> frozenset[int]:
    """Return these processes and all that they started, as far as the kernel tells."""
    found: set[int] = set()
    waiting = list(pids)
    while waiting and len(found) < PROCESSES_MAX:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += _children(pid)
    return frozenset(found)


def inner_pids(pid: int) -> frozenset[int]:
    """Return the numbers of a process, here and in the containers that it is in."""
    return frozenset({pid, *_numbers(pid, "NSpid:")})


def users_of(pids: Collection[int]) -> frozenset[int]:
    """Return the users that these processes run as, as far as they are known."""
    return frozenset(uid for pid in pids for uid in _numbers(pid, "Uid:"))


def _numbers(pid: int, key: str) -> list[int]:
    """Return a line of numbers of what the kernel says of a process. Its directory may be root's, if it was root."""
    with suppress(OSError, ValueError), open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as said:
        return [int(word) for line in said if line.startswith(key) for word in line.split()[1:]]
    return []


def _pids() -> list[int]:
    with suppress(OSError):
        return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())[:PROCESSES_MAX]
    return []


def _inodes(pid: int) -> Iterator[int]:
    """Yield the sockets of one process. Raises OSError."""
    directory = f"/proc/{pid}/fd"
    for name in os.listdir(directory):
        with suppress(FileNotFoundError, ValueError):
            target = os.readlink(f"{directory}/{name}")
            if target.startswith(_PREFIX):
                yield int(target[len(_PREFIX) : -1])


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError, ValueError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as said:
                found += [int(child) for child in said.read().split()]
    return found


def name_of(pid: int) -> str:
    """Return what a process calls itself; empty: it is not here."""
    with suppress(OSError), open(f"/proc/{pid}/comm", "rb") as said:
        return printable(said.read(64).decode("utf-8", "replace").strip())
    return ""

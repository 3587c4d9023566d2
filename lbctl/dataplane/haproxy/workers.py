"""The worker processes of one HAProxy: all that still route, found through the master, each asked for itself.

A reload leaves old workers that go on routing with the map they had then. So every write goes to every worker, and is
read back from it. The master refuses connections while it executes itself anew: that is waited for, at most a second.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lbctl.dataplane.haproxy.client import BATCH_MAX, Blocks, Exchange, ask
from lbctl.model.digits import whole
from lbctl.model.errors import Garbled, Unreachable
from lbctl.model.names import Generation
from lbctl.model.topology import Instance

MASTER_PATIENCE_S = 0.8
MASTER_PAUSE_S = 0.05
WORKERS_MAX = 64
PREFIX_MAX = 16
"""Bytes that the master's prefix and the separator add to a command."""


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker. `pid` None: whoever answers at the admin socket (no master socket is configured)."""

    pid: int | None
    is_old: bool


ANYBODY = Worker(None, is_old=False)
"""Whoever answers at the admin socket."""


async def workers(instance: Instance, timeout_s: float, patience_s: float = MASTER_PATIENCE_S) -> list[Worker]:
    """Return every worker, the newest first; a master that refuses is asked again for `patience_s`.

    Raises:
        Unreachable, Garbled: the master did not answer, or has no worker.
    """
    if instance.master_socket is None:
        return [ANYBODY]
    loop = asyncio.get_running_loop()
    give_up = loop.time() + patience_s
    while True:
        try:
            (lines,) = await ask(instance.master_socket, ["show proc"], timeout_s)
            found = parse_processes(lines)
            if found:
                return found[:WORKERS_MAX]
            problem: Exception = Garbled(f"{instance.master_socket}: the master has no worker")
        except Unreachable as error:
            problem = error
        if loop.time() >= give_up:
            raise problem
        await asyncio.sleep(MASTER_PAUSE_S)


def parse_processes(lines: Sequence[str]) -> list[Worker]:
    """Return the workers of a `show proc` answer; the section `# old workers` lists the old ones."""
    found: list[Worker] = []
    is_old = False
    for line in lines:
        if line.startswith("#"):
            is_old = line.startswith("# old") or (is_old and not line.startswith("# workers"))
            continue
        fields = line.split()
        if len(fields) >= 2 and fields[1] == "worker" and (pid := whole(fields[0])) is not None:
            found.append(Worker(pid, is_old))
    return sorted(found, key=lambda worker: worker.is_old)


async def ask_worker(
    instance: Instance,
    worker: Worker,
    commands: Sequence[str],
    timeout_s: float,
    sending: Callable[[Exchange], None] | None = None,
) -> Blocks:
    """Ask one worker. At the master every command needs the prefix, else it is carried out by the master or by nobody.

    Raises: as `client.ask`.
    """
    if worker.pid is None:
        if instance.socket is None:
            raise Unreachable(f"{instance.name}: no `socket` is configured")
        return await ask(instance.socket, commands, timeout_s, sending)
    assert instance.master_socket is not None
    prefixed = [f"@!{worker.pid} {command}" for command in commands]
    return await ask(instance.master_socket, prefixed, timeout_s, sending)


def batches(commands: Sequence[str]) -> list[list[str]]:
    """Cut into batches that HAProxy takes whole, in order."""
    found: list[list[str]] = [[]]
    size = 0
    for command in commands:
        size += len(command.encode()) + PREFIX_MAX
        if size > BATCH_MAX:
            found.append([])
            size = len(command.encode()) + PREFIX_MAX
        found[-1].append(command)
    return found


def facts(lines: Sequence[str]) -> dict[str, str]:
    """Return `show info` as names and values."""
    return dict(line.split(": ", 1) for line in lines if ": " in line)


def generation(info: dict[str, str]) -> Generation:
    """Return which life of the process answered: `PID@START`. Raises Garbled."""
    pid, began = info.get("Pid", ""), info.get("Start_time_sec", "")
    if whole(pid) is None:
        raise Garbled("HAProxy's `show info` has no Pid: it is not an HAProxy that lbctl knows")
    return Generation(f"{pid}@{began or '?'}")

"""Ending the embedded Envoy: by its pid, and only after it is sure whose it is."""

import asyncio
import os
import select
import signal
import time
from contextlib import suppress
from pathlib import Path

from lbctl.dataplane.envoy.admin import Peer, listening, started_at
from lbctl.dataplane.envoy.layout import Layout
from lbctl.dataplane.envoy.process import find
from lbctl.model.errors import Unreachable

STOP_TIMEOUT_S = 5.0
"""How long SIGTERM may take before SIGKILL."""
_POLL_S = 0.02


async def end(layout: Layout) -> Peer | None:
    """End the Envoy of this directory by its pid: SIGTERM, and SIGKILL after 5 s. Returns who it was, or None.

    The pid comes from the kernel's word on who listens on the admin socket, and the process is held by a pidfd
    before it is asked who it is: no other process can be hit, also when pids are used again.

    One that hangs is ended as well, when its command line names this directory's bootstrap.

    Raises:
        Garbled, Unreachable: as `find`; nothing was ended.
    """
    peer = await _ours(layout)
    if peer is None:
        return None
    try:
        held = os.pidfd_open(peer.pid)
    except ProcessLookupError:
        return peer
    try:
        if (started_at(peer.pid) or peer.started) == peer.started:
            await _end_held(held)
    finally:
        os.close(held)
    return peer


def gone(pid: int) -> bool:
    """Whether that process has ended (a zombie that nobody collects has)."""
    try:
        held = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return _ended(held)
    finally:
        os.close(held)


async def _ours(layout: Layout) -> Peer | None:
    try:
        found = await find(layout)
    except Unreachable:
        peer = listening(layout.admin_socket)
        if peer is None or str(layout.bootstrap) not in _command_line(peer.pid):
            raise
        return peer
    return found.peer if found else None


def _command_line(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    except OSError:
        return []


async def _end_held(held: int) -> None:
    for number, patience_s in ((signal.SIGTERM, STOP_TIMEOUT_S), (signal.SIGKILL, STOP_TIMEOUT_S)):
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(held, number)
            signal.pidfd_send_signal(held, signal.SIGCONT)  # a stopped process obeys only when it goes on
        until = time.monotonic() + patience_s
        while time.monotonic() < until:
            if _ended(held):
                return
            await asyncio.sleep(_POLL_S)


def _ended(held: int) -> bool:
    waiting = select.poll()
    waiting.register(held, select.POLLIN)
    return bool(waiting.poll(0))

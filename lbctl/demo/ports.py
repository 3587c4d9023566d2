"""Ports of the loopback for what listens in the demo, and may stop and come back."""

import atexit
import secrets
import socket
from collections import deque
from contextlib import suppress

PORTS = range(15_000, 32_000)
"""Below those that Linux gives to whoever connects: one of these is still free when its server comes back."""
KEPT_MAX = 300
"""So many of its last ports a process keeps for itself, each by a name that ends with the process."""

_kept: deque[socket.socket] = deque()


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that nobody has now, that no other `free_port` on this machine gives meanwhile, and that the kernel
    gives nobody who asks for any."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    while True:
        port = PORTS.start + secrets.randbelow(len(PORTS))
        with socket.socket(family) as probe, suppress(OSError):
            _keep(port)
            probe.bind((host, port))
            return port


def _keep(port: int) -> None:
    """Take the port's name in the abstract namespace of unix sockets. Raises OSError: another process has it."""
    name = socket.socket(socket.AF_UNIX)
    try:
        name.bind(f"\0lbctl demo port {port}")
    except OSError:
        name.close()
        raise
    _kept.append(name)
    while len(_kept) > KEPT_MAX:
        _kept.popleft().close()


@atexit.register
def _give_back() -> None:
    while _kept:
        _kept.popleft().close()

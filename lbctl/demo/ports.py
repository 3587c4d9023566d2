"""Ports of the loopback for what listens in the demo, and may stop and come back."""

import secrets
import socket
from contextlib import suppress

PORTS = range(15_000, 32_000)
"""Below those that Linux gives to whoever connects: one of these is still free when its server comes back."""


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that nobody has now, and that the kernel gives nobody who asks for any."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    while True:
        port = PORTS.start + secrets.randbelow(len(PORTS))
        with socket.socket(family) as probe, suppress(OSError):
            probe.bind((host, port))
            return port

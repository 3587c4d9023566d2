"""systemd's notification protocol (sd_notify(3)): READY, RELOADING, STOPPING, STATUS, WATCHDOG. A no-op elsewhere."""

import os
import socket
import time


class NotifySocket:
    """Tells the service manager how the daemon is. A datagram that cannot be sent is dropped: it must never block."""

    def __init__(self, environ: dict[str, str] | None = None) -> None:
        environ = dict(os.environ) if environ is None else environ
        self._address = environ.get("NOTIFY_SOCKET", "")
        micros = environ.get("WATCHDOG_USEC", "")
        self.watchdog_s = int(micros) / 1e6 if micros.isdigit() else 0.0
        self._fed_at = 0.0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) if self._address else None
        if self._socket is not None:
            self._socket.setblocking(False)

    def ready(self, status: str) -> None:
        """Start-up (or a reload) is complete."""
        self._send(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        """A reload has begun; `ready` ends it."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The daemon ends. Traffic stays as it is."""
        self._send("STOPPING=1\nSTATUS=stopping; traffic stays as it is")

    def feed(self) -> None:
        """Feed the watchdog, at most four times per period. Called after a completed tick and nowhere else."""
        now = time.monotonic()
        if self.watchdog_s and now - self._fed_at >= self.watchdog_s / 4:
            self._fed_at = now
            self._send("WATCHDOG=1")

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, text: str) -> None:
        if self._socket is None:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            self._socket.sendto(text.encode(), address)
        except OSError:
            # The service manager is away or slow; it will notice by its own means. Traffic must not wait for it.
            return

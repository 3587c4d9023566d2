"""The prober's port: what the daemon asks of it and hears from it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from lbctl.model.topology import Address, HealthCheck, Server, Service
from lbctl.probe.target import Target


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What one probe found. `ok` None = the checker could not tell: neither up nor down.

    `started_at_ms` is CLOCK_BOOTTIME in milliseconds. `detail` is a few words for people, at most 120 characters.
    """

    key: str
    ok: bool | None
    detail: str
    started_at_ms: int
    latency_ms: float


OnResults = Callable[[Sequence[ProbeResult]], None]
"""Called in the daemon's event loop with each batch. It must be quick and must not raise."""


class HealthProber(Protocol):
    """Probes a set of targets all the time, each in its own interval, and says what it found."""

    @property
    def alive(self) -> bool:
        """Whether the prober was heard within the last second. If not, nothing is known about any server."""

    @property
    def last_heartbeat_ms(self) -> int | None:
        """When it was last heard, CLOCK_BOOTTIME in milliseconds."""

    @property
    def lateness_ms(self) -> int:
        """How late its loop was at worst in its last report."""

    async def start(self) -> None:
        """Start probing. The prober is kept running until `stop`."""

    def set_targets(self, targets: Sequence[Target]) -> None:
        """Probe these from now on and nothing else.

        Raises:
            ValueError: too many targets, or one key twice.
        """

    async def stop(self) -> None:
        """End the prober. Safe to call twice."""


def key_of(service: Service, check: HealthCheck, server: Server) -> str:
    """Return the key under which a server's results come back. It names the place that was asked: what an old address
    answered is nothing that is known of a new one."""
    return f"{service.name}/{server.name}@{_asked(check, server)}"


def _asked(check: HealthCheck, server: Server) -> Address:
    return Address(server.address.host, check.port or server.address.port)


def targets_of(service: Service) -> tuple[Target, ...]:
    """Return what to probe for a service: every server of both pools, or nothing if it has no health check."""
    if service.health is None:
        return ()
    servers = (*service.blue.servers, *service.green.servers)
    return tuple(_target(service, service.health, server) for server in servers)


def _target(service: Service, check: HealthCheck, server: Server) -> Target:
    return Target(
        key=key_of(service, check, server),
        kind=check.kind,
        ip=server.address.host,
        port=_asked(check, server).port,
        path=check.path,
        host=check.host or "",
        status=check.status,
        interval_ms=check.interval,
        timeout_ms=check.timeout,
        keep_alive=check.keep_alive,
        tls_ca=service.tls.ca if service.tls else "",
        tls_name=service.tls.name if service.tls else "",
        command=check.command,
        server=server.name,
    )

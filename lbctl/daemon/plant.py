"""The load balancer instances of a config, made once: the one place that knows which driver a data plane has."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from lbctl.daemon.ports import Now
from lbctl.daemon.preview import Capable
from lbctl.dataplane.port import DataPlane
from lbctl.model.errors import DataPlaneError, LbctlError
from lbctl.model.names import InstanceName
from lbctl.model.topology import Driver, Instance, Plane, Service, Topology

log = structlog.get_logger("lbctl.plant")


@dataclass(frozen=True, slots=True)
class Unit:
    """One instance: its driver, and for an embedded one how it is brought up when it is not running."""

    plane: DataPlane
    ensure_running: Callable[[], Awaitable[None]] | None = None


def build(topology: Topology, now: Now) -> dict[InstanceName, Unit]:
    """Return a driver for every instance. Drivers are imported here, so a host without one never loads it."""
    units: dict[InstanceName, Unit] = {}
    for plane in topology.planes.values():
        services = [service for service in topology.services.values() if service.plane == plane.name]
        for instance in plane.instances:
            units[instance.name] = _unit(plane, instance, services, now)
    return units


def _unit(plane: Plane, instance: Instance, services: Sequence[Service], now: Now) -> Unit:
    match plane.driver:
        case Driver.HAPROXY:
            from lbctl.dataplane.haproxy.driver import HaproxyInstance  # noqa: PLC0415

            return Unit(HaproxyInstance(instance, services, now))
        case Driver.ENVOY:
            from lbctl.dataplane.envoy.driver import EnvoyInstance  # noqa: PLC0415

            envoy = EnvoyInstance(instance, services, now, plane.envoy_binary)
            return Unit(envoy, envoy.ensure_running)


async def bring_up(units: dict[InstanceName, Unit]) -> None:
    """Start the embedded instances that are not running.

    Raises:
        LbctlError: one cannot be started; the text says what to do.
    """
    for unit in units.values():
        if unit.ensure_running is not None:
            await unit.ensure_running()


async def keep_up(name: InstanceName, unit: Unit) -> None:
    """Bring an embedded instance up again after it died; a failure is told once and tried again by the caller."""
    assert unit.ensure_running is not None
    try:
        await unit.ensure_running()
    except LbctlError as error:
        log.warning("instance.not_started", instance=name, reason=str(error))


async def find_out(units: dict[InstanceName, Unit], able: Capable) -> None:
    """Ask every instance what it can do, for `plan`."""
    for name, unit in units.items():
        try:
            able[name] = await unit.plane.probe()
        except DataPlaneError as error:
            able[name] = str(error)
            log.warning("instance.unusable", instance=name, reason=str(error))

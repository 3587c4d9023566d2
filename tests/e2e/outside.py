"""What a load balancer does, asked by somebody who is not lbctld: also while that is dead, and never remembered."""

import os

from lbctl.config.load import load
from lbctl.dataplane.envoy.driver import EnvoyInstance
from lbctl.dataplane.haproxy.driver import HaproxyInstance
from lbctl.dataplane.port import DataPlane
from lbctl.demo.stage import SERVICE, Stage
from lbctl.model.names import ServiceName
from lbctl.model.topology import Driver
from lbctl.model.units import Instant


async def routes(here: Stage) -> tuple[set[str], str]:
    """Return what every life of the load balancer routes by, and its boot value."""
    plane = _plane(here)
    try:
        seen = (await plane.observe()).services[ServiceName(SERVICE)]
        return {str(route) for route in seen.runtime.values()}, str(seen.boot)
    finally:
        await plane.close()


async def version(here: Stage) -> str:
    """What the load balancer says it is: the newest life of it."""
    plane = _plane(here)
    try:
        return (await plane.probe()).version
    finally:
        await plane.close()


def _plane(here: Stage) -> DataPlane:
    topology = load(str(here.config), uid=os.getuid(), environ=os.environ).topology
    (plane,) = topology.planes.values()
    services = list(topology.services.values())
    if plane.driver is Driver.HAPROXY:
        return HaproxyInstance(plane.instances[0], services, _never)
    return EnvoyInstance(plane.instances[0], services, _never, plane.envoy_binary, plane.envoy_mode, None)


def _never() -> Instant:
    return Instant(0)

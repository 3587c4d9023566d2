"""The load balancers asked directly, where no daemon does it: what each cannot do, and what stands in the way."""

from collections.abc import Iterator, Sequence

from lbctl.daemon.unready import FORBIDDING
from lbctl.dataplane.envoy import attached, embedded
from lbctl.dataplane.haproxy.driver import HaproxyInstance
from lbctl.dataplane.haproxy.existing.findings import Finding, Weight
from lbctl.model.errors import LbctlError
from lbctl.model.operation import Capabilities
from lbctl.model.reading import InstanceReading
from lbctl.model.sharedservers import shared_servers
from lbctl.model.topology import Driver, EnvoyMode, Instance, Plane, Service, Topology
from lbctl.model.units import Instant

LIMITS = "docs/reference/limits.md"
UNREACHABLE = f"{LIMITS}: unreachable"


async def asked(planes: Sequence[Plane], services: Sequence[Service]) -> list[Finding]:
    """Ask every instance of every plane; one that cannot be asked is a finding itself. Changes nothing."""
    found: list[Finding] = []
    for plane in planes:
        mine = [service for service in services if service.plane == plane.name]
        for instance in plane.instances:
            try:
                found += await _asked(plane, instance, mine)
            except LbctlError as error:
                found.append(Finding("NOT_DRIVABLE", Weight.FAULT, instance.name, str(error), UNREACHABLE))
    return found


def of_config(topology: Topology) -> list[Finding]:
    """Return what the config alone says that nobody will be able to see."""
    return [told(text, name, Weight.WARNING) for name in topology.services for text in shared_servers(topology, name)]


async def _asked(plane: Plane, instance: Instance, services: Sequence[Service]) -> list[Finding]:
    if plane.driver is Driver.ENVOY:
        by_others = plane.envoy_mode is EnvoyMode.ATTACHED
        said = await (attached.status(instance, services) if by_others else embedded.status(instance))
        down = [] if said.running else [Finding("NOT_DRIVABLE", Weight.FAULT, instance.name, said.detail, "start it")]
        faults = [Finding("NOT_DRIVABLE", Weight.FAULT, instance.name, text, UNREACHABLE) for text in said.faults]
        return [*down, *faults, *(told(text, instance.name, Weight.WARNING) for text in said.lacks)]
    driver = HaproxyInstance(instance, services, lambda: Instant(0))
    try:
        able = await driver.probe()
        reading = await driver.observe()
    finally:
        await driver.close()
    return [*_of_haproxy(instance.name, able, reading)]


def _of_haproxy(name: str, able: Capabilities, reading: InstanceReading) -> Iterator[Finding]:
    obstacles = {text for one in reading.services.values() for text in one.obstacles}
    lacks = [*able.cannot, *(text for one in able.services.values() for text in one.cannot), *reading.warnings]
    for text in dict.fromkeys([*obstacles, *lacks]):
        forbidding = text in obstacles or text.partition(": ")[0] in FORBIDDING
        yield told(text, name, Weight.FAULT if forbidding else Weight.WARNING)
    lost = sum(reading.unsent_log_lines.values())
    if lost:
        what, fix = f"HAProxy dropped {lost} log lines since its start", "room for bursts: docs/how-to/haproxy.md"
        yield Finding("LOG_LOST", Weight.WARNING, name, what, fix)


def told(text: str, where: str, weight: Weight) -> Finding:
    """Return a driver's `CODE: text` as a finding; its text names the way out, the page all of them."""
    code, _, what = text.partition(": ")
    return Finding(code, weight, where, what, f"{LIMITS}: {code}")

"""What the daemon's eyes know of the simulated world: readings, health, sessions, the kernel's count."""

from typing import TYPE_CHECKING

from lbctl.model.names import Colour
from lbctl.model.reading import Health, InstanceReading, Observed
from lbctl.sim.site import SERVERS, SERVICE, unconnected

if TYPE_CHECKING:
    from lbctl.sim.world import World


def observed(world: "World") -> Observed:
    """What the daemon's eyes know now."""
    late = Health(None, world.now, "late")
    good, bad = Health(True, world.now), Health(False, world.now, "refused")
    health = {
        (service, name): late if world.checker == "late" else good if name in world.up else bad
        for service in world.topology.services
        for names in SERVERS.values()
        for name in names
    }
    suspect = {SERVICE: "most of both pools look dead"} if world.checker == "suspect" else {}
    sessions = {(name, SERVICE): call.look(world.now) for name, call in world.users.calls.items()}
    census = unconnected(world.topology, world.now)
    return Observed(dict(world.readings), health, checker_suspect=suspect, sessions=sessions, census=census)


def down(observed: Observed, colour: Colour) -> int:
    """Servers that the process had to take for down: by the prober, or by a load balancer it could read."""
    readings = [one for one in observed.instances.values() if isinstance(one, InstanceReading)]
    return sum(
        (observed.health[SERVICE, name].up is False and not observed.checker_suspect)
        or any(not one.services[SERVICE].pools[colour].servers[name].usable for one in readings)
        for name in SERVERS[colour]
    )

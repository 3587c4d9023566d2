"""Servers that stand in pools of several services. Pure.

What comes to them as the other service is in none of the counters that are read for this one, whatever load balancer
sends it there. So nobody can prove by those that the servers are unused; other backends of a load balancer, which
belong to no service, are found by its driver.
"""

from collections.abc import Iterator

from lbctl.model.names import Colour, ServiceName
from lbctl.model.topology import Topology

NAMES_MAX = 3


def shared_servers(topology: Topology, name: ServiceName) -> Iterator[str]:
    """Yield, as `CODE: text`, which pools of a service have servers that another service has, too."""
    for colour in Colour:
        found = _others(topology, name, colour)
        if found:
            which = ", ".join(found[:NAMES_MAX]) + ", …" * (len(found) > NAMES_MAX)
            yield f"{about(name, colour)}has servers in {which}, too: what comes that way is not counted"


def about(name: ServiceName, colour: Colour) -> str:
    """Return how a text about servers of a pool begins that are elsewhere, too."""
    return f"SERVERS_ELSEWHERE: {colour} of {name} "


def _others(topology: Topology, name: ServiceName, colour: Colour) -> list[str]:
    servers = {one.address for one in topology.services[name].pool(colour).servers}
    return [
        f"{other} of {service.name}"
        for service in topology.services.values()
        for other in Colour
        if service.name != name and any(one.address in servers for one in service.pool(other).servers)
    ]

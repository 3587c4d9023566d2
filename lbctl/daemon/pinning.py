"""Whether load balancers can do what a unit cannot do without: send each pool of a consumer where it belongs. Pure.

The config says how callers are told apart; only the load balancer, once it is asked, knows whether it can. Until it
can, nothing of the unit moves: an old consumer would meet a new provider.
"""

from collections.abc import Iterator

from lbctl.daemon.sight import Capable
from lbctl.model.errors import Refused
from lbctl.model.names import ServiceName
from lbctl.model.operation import Capabilities
from lbctl.model.request import Claim, Request, SayReady, Switch
from lbctl.model.topology import Topology


def unpinnable(topology: Topology, able: Capable, provider: ServiceName) -> Iterator[str]:
    """Yield `INSTANCE: text` for every way to tell the callers of a service apart that an instance has not."""
    kinds = sorted({consumer.kind for consumer in topology.services[provider].consumers.values()})
    for name in topology.instances_of(provider):
        known = able.get(name)
        for kind in kinds if isinstance(known, Capabilities) else ():
            assert isinstance(known, Capabilities)
            if kind not in known.pins:
                callers = ", ".join(topology.services[provider].consumers)
                yield f"{name}: it cannot pin the pools of {callers} to a pool of {provider} (pin: {kind.value})"


def unfit(topology: Topology, able: Capable, request: Request) -> Refused | None:
    """Return why nothing of a unit may be claimed, said ready or switched; None if it may, and for other requests."""
    if not isinstance(request, Claim | SayReady | Switch) or request.service not in topology.services:
        return None
    unit = topology.unit_of(request.service)
    missing = next((text for name in unit.services for text in unpinnable(topology, able, name)), None)
    if missing is None:
        return None
    return Refused(
        "no_pins",
        f"unit {unit.name} cannot be released: {missing}",
        why="an old consumer would meet a provider that it cannot speak with",
        then="a `pin` that its driver has; `lbctl plan` names all that lacks",
    )

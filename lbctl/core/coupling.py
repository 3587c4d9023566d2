"""Who calls whom inside a unit, and which of the services that go together carries the split. Pure."""

from collections.abc import Collection, Iterator

from lbctl.model.errors import Refused
from lbctl.model.names import Colour, ServiceName
from lbctl.model.record import Record
from lbctl.model.topology import Topology


def providers_of(topology: Topology, consumer: ServiceName) -> tuple[ServiceName, ...]:
    """Return the services that `consumer` calls through a load balancer that lbctl drives."""
    return tuple(name for name, service in topology.services.items() if consumer in service.consumers)


def carrier(topology: Topology, members: Collection[ServiceName]) -> ServiceName:
    """Return the one member that no other member calls: users come in there, and it carries the split.

    Raises:
        Refused: there is none (a cycle), or more than one; the text names them.
    """
    called = {one for one in members for consumer in topology.services[one].consumers if consumer in members}
    free = sorted(set(members) - called)
    if len(free) == 1:
        return free[0]
    names = ", ".join(sorted(members))
    if not free:
        why = f"each of {names} is called by another one: a cycle has no beginning"
        raise Refused("cycle", "these services cannot go together", why=why, then="break the cycle in `consumers`")
    why = f"{' and '.join(free)} are called by nobody of them: users would come in at both with two splits"
    raise Refused("several_carriers", "these services cannot go together", why=why, then="release them one by one")


def pairings(
    topology: Topology, record: Record, colours: dict[ServiceName, tuple[Colour, Colour]]
) -> Iterator[tuple[ServiceName, ServiceName, Colour, Colour]]:
    """Yield (consumer, provider, partner of its active pool, partner of its candidate) for a release.

    `colours`: (origin, to) of every service that goes. A provider that does not go is met at its active pool by both.
    """
    for consumer in colours:
        for provider in providers_of(topology, consumer):
            adopted = record.services.get(provider)
            if provider in colours:
                yield consumer, provider, *colours[provider]
            elif adopted is not None:
                yield consumer, provider, adopted.active, adopted.active

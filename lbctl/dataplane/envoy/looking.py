"""One look at one life of Envoy, and what the looks at all of them say about a route that was written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lbctl.dataplane.envoy import counters
from lbctl.dataplane.envoy.lives import Said
from lbctl.dataplane.envoy.version import Written
from lbctl.model.names import Generation, ServiceName
from lbctl.model.operation import Result, Status
from lbctl.model.topology import Service


@dataclass(frozen=True, slots=True)
class Look:
    """What one life of Envoy says."""

    generation: Generation
    stats: counters.Stats

    def routes(self, service: Service) -> list[Written | None]:
        """What it routes that service by: nothing where its config does not have the service."""
        return [counters.running_route(service, self.stats)] if counters.is_routed(service, self.stats) else []


def looked(said: Said) -> Look:
    """Return what an answer to `counters.stats_target` means."""
    return Look(said.peer.generation, counters.read_stats(said.bodies[0]))


Refusals = Mapping[tuple[Generation, ServiceName], int]
"""How often each life had refused a service's route file."""


def outcome(service: Service, looks: Sequence[Look], wanted: Written, refused_before: Refusals) -> Result | None:
    """Return how writing `wanted` ended, None while nobody can say: the newest life must run it, and every older one
    that routes this service at all."""
    outcomes = [
        _of_one(service, look.stats, wanted, refused_before.get((look.generation, service.name)))
        for number, look in enumerate(looks)
        if not number or look.routes(service)
    ]
    undone = [one for one in outcomes if one is not None and one.status is not Status.DONE]
    if undone:
        return undone[0]
    return None if None in outcomes else outcomes[0]


def _of_one(service: Service, stats: counters.Stats, wanted: Written, refused_before: int | None) -> Result | None:
    running = counters.running_route(service, stats)
    if running == wanted:
        return Result(Status.DONE)
    if running is not None and running.fence > wanted.fence:
        return Result(Status.STALE, f"overtaken by fence {running.fence}")
    if refused_before is not None and counters.refusals(service, stats) > refused_before:
        return Result(Status.REFUSED, f"Envoy refused the route file of {service.name}: see its output")
    return None

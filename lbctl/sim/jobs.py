"""CI jobs of two builds that never wait for each other: they claim, give back, say ready and withdraw at any time."""

from dataclasses import replace
from typing import TYPE_CHECKING

from lbctl.model.record import Contract
from lbctl.model.request import Claim, GiveBack, Request, SayReady, Withdraw
from lbctl.sim import people
from lbctl.sim.site import SERVICE

if TYPE_CHECKING:
    from lbctl.sim.world import World

BUILDS = ("job/1", "job/2")
KINDS = {
    "claims": 3,
    "says ready": 4,
    "gives back": 1,
    "withdraws": 1,
}
"""How often each, of all that they do."""


def employed(world: "World") -> None:
    """Let there be jobs: what they start goes by the service's own plan, and that is a short one."""
    if world.rates.jobs:
        service = replace(world.topology.services[SERVICE], plan=people.plan(world.jobs))
        world.topology = replace(world.topology, services={**world.topology.services, SERVICE: service})
        world.watch.topology = world.topology


def work(world: "World") -> None:
    """Let a job do something in this tick, perhaps."""
    dice = world.jobs
    if not world.rates.jobs or dice.random() >= world.rates.jobs or world.process is None:
        return
    (what,) = dice.choices([*KINDS], [*KINDS.values()])
    request = _request(world, what)
    if isinstance(request, Claim) and request.take_over:
        # Whoever takes over has been told that all sessions that are left there move at once.
        world.users.disturbed(world.process.state.record.latest(SERVICE))
    world.watch.count(f"job {what}")
    world.ask(request)


def _request(world: "World", what: str) -> Request:
    build = _build(world)
    asked = world.asking.asked()
    match what:
        case "claims":
            return Claim(service=SERVICE, build=build, take_over=world.jobs.random() < 0.3, **asked)
        case "gives back":
            return GiveBack(service=SERVICE, build=build, **asked)
        case "withdraws":
            return Withdraw(service=SERVICE, **asked)
        case _:
            return SayReady(service=SERVICE, version="v", build=build, contract=Contract(), **asked)


def _build(world: "World") -> str:
    """Whoever has the claim speaks more often than the other."""
    assert world.process is not None
    claimed = world.process.state.record.claims.get(SERVICE)
    return claimed.build if claimed is not None and world.jobs.random() < 0.7 else world.jobs.choice(BUILDS)

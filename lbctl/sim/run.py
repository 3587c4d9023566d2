"""One run from one seed: faults and people for a while, then, in liveness mode, peace until every release has ended."""

from collections import deque
from dataclasses import dataclass, field

from lbctl.model.names import Colour
from lbctl.model.reading import Token
from lbctl.model.route import Route
from lbctl.sim.chance import FAULTS, NONE, Rates
from lbctl.sim.core import REAL, Core
from lbctl.sim.site import SERVICE
from lbctl.sim.troubles import end_all, happen
from lbctl.sim.watch import ViolationError
from lbctl.sim.world import World

PEACE_TICKS_MAX = 1_500
"""Two and a half simulated minutes: longer than any plan here, with all that a release may still have to wait for."""
OPERATOR_EVERY = 20
PATIENCE_TICKS = 400
SUSPICIONS = {"suspicious", "errors_uncompared"}
"""Holds that only more evidence ends. At 100 % none may ever come, as active gets no new request."""
LOG_LINES = 60


@dataclass(frozen=True, slots=True)
class Report:
    """How a run went. `violation` is empty if nothing forbidden happened; `tail` is what led to it."""

    seed: int
    ticks: int
    violation: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    tail: tuple[str, ...] = ()


def run(
    seed: int, ticks: int, *, core: Core = REAL, rates: Rates = FAULTS, liveness: bool = False, log: bool = False
) -> Report:
    """Return the report of one run; the same seed, ticks and rates give the same run."""
    lines: deque[str] = deque(maxlen=LOG_LINES)
    world = World(core, seed, rates)
    if log:
        world.log = lambda what, fact: lines.append(f"{world.now:>8} {what} {fact}")
    try:
        _found(world)
        for _ in range(ticks):
            happen(world)
            world.tick()
        spent = ticks + (peace(world) if liveness else 0)
    except (ViolationError, core.broken) as violation:
        said = f"{type(violation).__name__}: {violation}"
        return Report(seed, world.now // 100, said, world.watch.counts, tuple(lines))
    return Report(seed, spent, "", world.watch.counts, tuple(lines))


def _found(world: World) -> None:
    """Sometimes lbctl finds a service whose traffic is split; adopting it is then the first thing that may go wrong."""
    if world.chance.random() < 0.3:
        for balancer in world.balancers.values():
            world.edit(balancer, Route(world.chance.choice((2_500, 10_000))))
    world.tick()
    world.ask(world.asking.adopt(Colour.BLUE, settle=True))


def peace(world: World) -> int:
    """Every release ends once the faults stop, and the load balancers are then where the record says."""
    world.rates = NONE
    end_all(world)
    for tick in range(PEACE_TICKS_MAX):
        world.tick()
        if tick % OPERATOR_EVERY == OPERATOR_EVERY - 1:
            _operate(world, tick)
        if tick > 100 and _settled(world):
            return tick
    process = world.process
    release = None if process is None else process.state.record.latest(SERVICE)
    routes = {name: (list(map(str, one.runtime.values())), str(one.boot)) for name, one in world.balancers.items()}
    lanes = None if process is None else process.state.lanes
    raise ViolationError(f"not at rest {PEACE_TICKS_MAX} ticks after the last fault: {release}; {routes}; {lanes}")


def _operate(world: World, tick: int) -> None:
    process = world.process
    if process is None:
        return
    release = process.state.record.running(SERVICE)
    token = Token.NONE if release is None else world.tokens.read(release.id, release.nonce)
    progress = None if release is None else process.state.progress.get(release.id)
    suspected = progress is not None and any(hold.code in SUSPICIONS for hold in progress.holds)
    request = world.asking.operator(
        process.state.record,
        without_token=token in {Token.NONE, Token.HOLD},
        suspected=suspected and tick > PATIENCE_TICKS,
    )
    if request is not None:
        world.ask(request)


def _settled(world: World) -> bool:
    record = world.disk.record
    if (
        world.process is None
        or SERVICE not in record.services
        or record.running(SERVICE) is not None
        or world.process.state.record.rev != record.rev
    ):
        return False
    adopted = record.services[SERVICE]
    want = Route(
        10_000 if adopted.active is Colour.GREEN else 0,
        keep_blue_bp=adopted.blue.keep_bp,
        keep_green_bp=adopted.green.keep_bp,
    )
    agree = all(route == want for one in world.balancers.values() for route in (*one.runtime.values(), one.boot))
    return agree and not any(world.process.state.lanes[name].unresolved for name in world.balancers)

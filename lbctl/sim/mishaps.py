"""What kind a simulated world is, and its hooks: they say yes, no, that they want back, too late, or nothing at all."""

from dataclasses import replace
from typing import TYPE_CHECKING

from lbctl.model.hook import BLOCKING, Hook, HookAnswer, HookKey, Point, Word
from lbctl.model.units import SECOND, Instant
from lbctl.sim.site import SERVICE

if TYPE_CHECKING:
    from lbctl.sim.world import World

HOOKS = tuple(Hook(at=point, argv=(f"/{point}",), timeout=SECOND) for point in (Point.BEFORE_STEP, Point.AFTER_STEP))
SOON_MS = 50
WORDS = {"says no": Word.NO, "wants back": Word.BACK, "answers late": Word.YES}


def shaped(world: "World") -> None:
    """Note of what kind this world is, and give it hooks if chance wants that."""
    found = next(iter(world.balancers.values()))
    shapes = {
        "two instances": len(world.balancers) > 1,
        "one file is both": found.one_file,
        "fence dies with the process": not found.keeps_fence,
    }
    for name in (name for name, here in shapes.items() if here):
        world.watch.count(name)
    for balancer in (part for one in world.balancers.values() for part in one.parts):
        balancer.count = world.watch.count
    if world.rates.hooks and world.mishaps.random() < world.rates.hooks:
        service = replace(world.topology.services[SERVICE], hooks=HOOKS)
        world.topology = replace(world.topology, services={**world.topology.services, SERVICE: service})
        world.watch.topology = world.topology


def answered(world: "World", key: HookKey) -> list[HookAnswer]:
    """Return what a hook that is asked now will say, if anything."""
    dice, after_ms, word = world.mishaps, SOON_MS, Word.YES
    if key.point in BLOCKING and dice.random() < world.rates.hook_fails:
        fate = dice.choice((*WORDS, "never answers"))
        world.watch.count(f"hook {fate}")
        if fate == "never answers":
            return []
        word = WORDS[fate]
        after_ms = dice.randint(500, 3_000) if fate == "answers late" else SOON_MS
    return [HookAnswer(Instant(world.now + after_ms), key, word)]

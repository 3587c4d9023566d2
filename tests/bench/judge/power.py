"""The planner's word held against the judge: how many releases see the fault within the time that the planner names."""

from dataclasses import dataclass
from math import inf

import numpy as np

from lbctl.core.judge import Settings
from lbctl.core.planner import Aim, Source, Traffic
from lbctl.core.planner.outlook import needed_s
from lbctl.model.topology import JudgeSettings
from tests.bench.judge.fleet import ROLLBACK, Fleet, Known
from tests.bench.judge.vector import Floats, Mask

BASE = 0.001
RATES = (5.0, 50.0, 1000.0)
SHARES = (0.01, 0.10, 0.50)
FAULTS = (0.005, 0.02, 0.05, 0.2, 1.0)
_LOOKS = 150
_HEALTHY_TICKS = 100


@dataclass(frozen=True)
class Step:
    """A step at a share, under traffic of `rate` requests/s, with a fault that begins with it."""

    rate: float
    w: float
    fault: float

    @property
    def needed_s(self) -> float:
        """How long the planner says the step must last."""
        settings = JudgeSettings(target_rate=self.fault)
        known = Traffic(self.rate, BASE, 1.0, Source.LEARNED, 1e5, baseline=True)
        return needed_s(round(self.w * 10_000), Aim.of(settings), known)

    @property
    def tick_s(self) -> float:
        """How often the judge looks in the simulation: long steps need fewer looks."""
        return min(max(self.needed_s / _LOOKS, 0.2), 5.0)


def steps() -> list[Step]:
    """Return every step that a day has room for."""
    found = [Step(rate, w, fault) for rate in RATES for w in SHARES for fault in FAULTS]
    return [step for step in found if step.needed_s < 43_200]


def power(step: Step, runs: int, seed: int) -> float:
    """Return the part of the releases that are rolled back within the named time; a healthy step goes before it."""
    rng = np.random.default_rng([seed, 41])
    fleet = Fleet(Known.of(np.ones(runs)), Settings())
    fleet.step()
    for _ in range(_HEALTHY_TICKS):
        _over(fleet, step, step.w / 2, BASE, runs, rng)
    fleet.step()
    first = np.full(runs, inf)
    for tick in range(1, round(step.needed_s / step.tick_s) + 1):
        over = _over(fleet, step, step.w, step.fault, runs, rng)
        first = np.minimum(first, np.where(over, tick, inf))
        if (first < inf).all():
            break
    return float((first < inf).mean())


def _over(fleet: Fleet, step: Step, w: float, p1: float, runs: int, rng: np.random.Generator) -> Mask:
    load = step.rate * step.tick_s
    g, k = _drawn(load * w, p1, runs, rng)
    b, m = _drawn(load * (1 - w), BASE, runs, rng)
    over: Mask = fleet.tick((g, k, b, m), step.tick_s, w).words == ROLLBACK
    return over


def _drawn(mean: float, ratio: float, runs: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    bad = rng.poisson(mean * ratio, runs).astype(float)
    return bad + rng.poisson(mean * (1 - ratio), runs), bad

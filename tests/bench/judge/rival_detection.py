"""The same faults for every rule: 1,000 requests/s, candidate at 10 %, fault 130 s into the step, ticks of 1 s."""

from dataclasses import dataclass

import numpy as np

from lbctl.core.judge.terms import Settings
from tests.bench.judge import dispersion, rivals, worlds
from tests.bench.judge.fleet import ROLLBACK, Fleet
from tests.bench.judge.worlds import Floats, Ints, Traffic

RATE, SHARE, BASE = 1000.0, 0.10, 0.001
ONSET_S, HORIZON_S = 130, 1670
LBCTL = "**lbctl**"


@dataclass(frozen=True)
class Caught:
    """What became of a fault under one rule."""

    early: float
    """Part of the releases that were rolled back before there was a fault."""
    found: float
    """Part of the others that were rolled back."""
    delay_s: float
    """Median of those."""
    harmed: float
    """Mean of failed candidate requests of all but the early ones."""


def faults() -> dict[str, Floats]:
    """Return the candidate's ratio from the onset on, per fault."""
    level = {f"{100 * ratio:g} %": np.full(HORIZON_S, ratio) for ratio in (1.0, 0.2, 0.05, 0.02, 0.005)}
    ramp = np.minimum(BASE + (0.05 - BASE) * np.arange(1, HORIZON_S + 1) / 300, 0.05)
    return {**level, "ramp to 5 % in 5 min": ramp}


def caught(fault: str, runs: int, seed: int) -> dict[str, Caught]:
    """Run one fault under every rule."""
    rng = np.random.default_rng([seed, 29])
    p1 = np.concatenate([np.full(ONSET_S, BASE), faults()[fault]])
    traffic = worlds.shaped(RATE, SHARE, p1, np.full(len(p1), BASE), runs, rng, 1.0)
    found = {LBCTL: _ended(_lbctl(traffic, rng), traffic)}
    for name, rule in rivals.RULES.items():
        found[name] = _ended(rule(traffic, BASE), traffic)
    return found


def _lbctl(traffic: Traffic, rng: np.random.Generator) -> Ints:
    world = worlds.Healthy("", RATE, worlds.level(BASE), worlds.level(BASE), BASE)
    fleet = Fleet(dispersion.known(world, traffic.releases, rng), Settings())
    fleet.step()
    first = np.zeros(traffic.releases, dtype=np.int64)
    for tick in range(traffic.ticks):
        over = fleet.tick(traffic.at(tick), 1.0, SHARE).words == ROLLBACK
        first = np.where((first == 0) & over, tick + 1, first)
        if first.all():
            break
    return first


def _ended(first: Ints, traffic: Traffic) -> Caught:
    early = (first > 0) & (first <= ONSET_S)
    found = first > ONSET_S
    failed = np.cumsum(traffic.k[ONSET_S:], axis=0)
    last = np.where(found, first - ONSET_S, len(failed)) - 1
    harmed = failed[last, np.arange(len(first))]
    return Caught(
        early=float(early.mean()),
        found=float(found.sum() / max((~early).sum(), 1)),
        delay_s=float(np.median(first[found] - ONSET_S)) if found.any() else float("inf"),
        harmed=float(harmed[~early].mean()) if (~early).any() else 0.0,
    )

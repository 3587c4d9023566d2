"""What the judge does beside rolling back: it retreats where active has too little traffic, and holds in outages."""

from dataclasses import dataclass

import numpy as np

from lbctl.core.judge.terms import Settings
from tests.bench.judge import dispersion, worlds
from tests.bench.judge.fleet import HOLD, RETREAT, ROLLBACK, Fleet
from tests.bench.judge.vector import Floats

RATE = 1000.0
BASE = 0.001
_RETREAT_TO = 0.5
_HEALTHY_S = 60.0


@dataclass(frozen=True)
class Retreated:
    """A fault at a large share, from its onset."""

    runs: int
    missed: int
    retreat_s: Floats
    """When the releases that retreated did so; nan: rolled back without."""
    rollback_s: Floats
    harmed: Floats


def large_share(w: float, fault: float, runs: int, seed: int, *, retreat: bool, tick_s: float = 0.2) -> Retreated:
    """Run a fault in mid-step at share `w`; a retreat goes to a half at once, which is a new step."""
    rng = np.random.default_rng([seed, 11])
    fleet = _fleet(runs, rng, Settings(retreat_above_bp=5_000 if retreat else 10_000))
    share = np.full(runs, w)
    healthy = round(_HEALTHY_S / tick_s)
    retreat_s, rollback_s = np.full(runs, np.nan), np.full(runs, np.nan)
    harmed = np.zeros(runs)
    for tick in range(healthy + round(400 / tick_s)):
        fault_now = fault if tick >= healthy else BASE
        g, k = _drawn(RATE * tick_s * share, fault_now, rng)
        b, m = _drawn(RATE * tick_s * (1 - share), BASE, rng)
        words = fleet.tick((g, k, b, m), tick_s, share).words
        since_s = (tick + 1 - healthy) * tick_s
        going = np.isnan(rollback_s)
        harmed += np.where(going & (tick >= healthy), k, 0.0)
        rollback_s = np.where(going & (words == ROLLBACK), since_s, rollback_s)
        now = going & (words == RETREAT) & (share > _RETREAT_TO)
        if now.any():
            retreat_s = np.where(now, since_s, retreat_s)
            share = np.where(now, _RETREAT_TO, share)
            fleet.step(now)
        if not np.isnan(rollback_s).any():
            break
    return Retreated(runs, int(np.isnan(rollback_s).sum()), retreat_s, rollback_s, harmed)


@dataclass(frozen=True)
class Outage:
    """Both pools ill at once, from the onset."""

    runs: int
    rolled_back: int
    held_s: Floats
    """When each release was first held; inf: never."""


def outage(level: float, w: float, runs: int, seed: int, tick_s: float) -> Outage:
    """Make both pools ill in mid-step and look for as long as it takes to hold, at most 120 s."""
    rng = np.random.default_rng([seed, 13])
    fleet = _fleet(runs, rng, Settings())
    healthy = round(_HEALTHY_S / tick_s)
    held_s, wrong = np.full(runs, np.inf), np.zeros(runs, dtype=bool)
    for tick in range(healthy + round(120 / tick_s)):
        ratio = level if tick >= healthy else BASE
        g, k = _drawn(np.full(runs, RATE * tick_s * w), ratio, rng)
        b, m = _drawn(np.full(runs, RATE * tick_s * (1 - w)), ratio, rng)
        said = fleet.tick((g, k, b, m), tick_s, w)
        wrong |= said.words == ROLLBACK
        if tick >= healthy:
            holding = (said.words >= HOLD) & ~said.waits
            held_s = np.minimum(held_s, np.where(holding, (tick + 1 - healthy) * tick_s, np.inf))
    return Outage(runs, int(wrong.sum()), held_s)


def _fleet(runs: int, rng: np.random.Generator, settings: Settings) -> Fleet:
    world = worlds.Healthy("", RATE, worlds.level(BASE), worlds.level(BASE), BASE)
    fleet = Fleet(dispersion.known(world, runs, rng), settings)
    fleet.step()
    return fleet


def _drawn(mean: Floats, ratio: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
    bad = rng.poisson(mean * ratio).astype(float)
    return bad + rng.poisson(mean * (1 - ratio)), bad

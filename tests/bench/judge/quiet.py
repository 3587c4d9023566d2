"""Healthy releases with everything switched on: three latency streams and seven servers. How often are they held?"""

from dataclasses import dataclass, replace

import numpy as np

from lbctl.core.judge.terms import SLOW, Settings
from tests.bench.judge import dispersion, worlds
from tests.bench.judge.fleet import ADVANCE, ROLLBACK, Fleet, Quad

SERVERS = 7
RATE, BASE = 1000.0, 0.001
_SLOW_USUAL = dict(zip(SLOW, (0.28, 0.025, 0.006), strict=True))


@dataclass(frozen=True)
class Quiet:
    """What became of releases in which nothing happens."""

    releases: int
    held: int
    rolled_back: int


def releases(count: int, seed: int) -> Quiet:
    """Run whole releases of half an hour."""
    rng = np.random.default_rng([seed, 37])
    world = worlds.CLASSES["A"]
    known = replace(dispersion.known(world, count, rng), slow_phi={stream: np.full(count, 1.1) for stream in SLOW})
    fleet = Fleet(known, Settings(horizon_s=float(worlds.RELEASE_S)), SERVERS)
    held, wrong = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
    for tick, share in enumerate(worlds.shares(1.0)):
        if tick % worlds.STEP_S == 0:
            fleet.step()
        k = rng.poisson(RATE * share / SERVERS * BASE, (SERVERS, count)).astype(float)
        g = k + rng.poisson(RATE * share / SERVERS * (1 - BASE), (SERVERS, count))
        m = rng.poisson(RATE * (1 - share) * BASE, count).astype(float)
        b = m + rng.poisson(RATE * (1 - share) * (1 - BASE), count)
        counts = g.sum(axis=0), k.sum(axis=0), b, m
        slow = {stream: _slow(counts, usual, rng) for stream, usual in _SLOW_USUAL.items()}
        said = fleet.tick(counts, 1.0, share, slow, (g, k))
        wrong |= said.words == ROLLBACK
        held |= (said.words != ADVANCE) & ~said.waits
    return Quiet(count, int(held.sum()), int(wrong.sum()))


def _slow(counts: Quad, usual: float, rng: np.random.Generator) -> Quad:
    g, _, b, _ = counts
    slow_g, slow_b = rng.binomial(g.astype(int), usual), rng.binomial(b.astype(int), usual)
    return g, slow_g.astype(float), b, slow_b.astype(float)

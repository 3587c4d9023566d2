"""One bad server in a good pool: how long until it is named, and whether healthy servers ever are."""

from dataclasses import dataclass

import numpy as np

from lbctl.core.judge.terms import Settings
from tests.bench.judge import dispersion, worlds
from tests.bench.judge.fleet import ROLLBACK, Fleet
from tests.bench.judge.vector import Floats

RATE = 1000.0
BASE = 0.001
SERVERS = 7


@dataclass(frozen=True)
class Named:
    """What became of releases with one bad server of seven."""

    runs: int
    first_named_s: Floats
    """When the bad server was first named; inf: not before the end or a rollback."""
    wrongly_named: int
    """Releases in which a good server was named."""
    rolled_back_s: Floats


def one_bad(ratio: float, w: float, runs: int, seed: int, horizon_s: int = 600) -> Named:
    """Let one server of the candidate fail `ratio` of its requests from the beginning of a step."""
    rng = np.random.default_rng([seed, 19])
    world = worlds.Healthy("", RATE, worlds.level(BASE), worlds.level(BASE), BASE)
    fleet = Fleet(dispersion.known(world, runs, rng), Settings(), SERVERS)
    fleet.step()
    ratios = np.full((SERVERS, 1), BASE)
    ratios[3] = ratio
    named_s, over_s = np.full(runs, np.inf), np.full(runs, np.inf)
    wrong = np.zeros(runs, dtype=bool)
    for tick in range(1, horizon_s + 1):
        k = rng.poisson(RATE * w / SERVERS * ratios, (SERVERS, runs)).astype(float)
        g = k + rng.poisson(RATE * w / SERVERS * (1 - ratios), (SERVERS, runs))
        m = rng.poisson(RATE * (1 - w) * BASE, runs).astype(float)
        b = m + rng.poisson(RATE * (1 - w) * (1 - BASE), runs)
        said = fleet.tick((g.sum(axis=0), k.sum(axis=0), b, m), 1.0, w, None, (g, k))
        assert fleet.servers is not None
        faulty = fleet.servers.faulty & (over_s == np.inf)
        named_s = np.minimum(named_s, np.where(faulty[3], tick, np.inf))
        wrong |= np.delete(faulty, 3, axis=0).any(axis=0)
        over_s = np.minimum(over_s, np.where(said.words == ROLLBACK, tick, np.inf))
        if (np.minimum(named_s, over_s) < np.inf).all():
            break
    return Named(runs, named_s, int(wrong.sum()), over_s)

"""What is learned of many services at once, as `lbctl.core.judge.learned` does it: dispersion and baseline."""

import numpy as np

from tests.bench.judge.fleet import Known
from tests.bench.judge.vector import Floats
from tests.bench.judge.worlds import BUCKET_S, Healthy, Ints, baseline

_BURSTS_HALF_LIFE_S = 8 * 3600.0
_BASELINE_HALF_LIFE_S = 3600.0


def _fading(count: int, half_life_s: float) -> Floats:
    age_s = BUCKET_S * np.arange(count - 1, -1, -1)
    kept: Floats = 0.5 ** (age_s / half_life_s)
    return kept[:, None]


def dispersion(total: Ints, bad: Ints) -> Floats:
    """Return the dispersion of each service by Pearson, from spans of 10 s, [span, service], fading with 8 h."""
    w = _fading(len(total), _BURSTS_HALF_LIFE_S)
    n, b = (w * total).sum(axis=0), (w * bad).sum(axis=0)
    nn, nb, bb = (w * total * total).sum(axis=0), (w * total * bad).sum(axis=0), (w * bad * bad).sum(axis=0)
    ratio = b / np.maximum(n, 1e-12)
    residual = np.maximum(bb - 2 * ratio * nb + ratio * ratio * nn, 0.0)
    shrunk = (residual + 30.0) / (n * ratio * (1 - ratio) + 10.0)
    return np.clip(1.0 + 1.5 * (shrunk - 1.0), 1.0, 100.0)


def known(world: Healthy, releases: int, rng: np.random.Generator) -> Known:
    """Return what is known of a service of this class after hours without a release."""
    total, bad = baseline(world, releases, rng)
    w = _fading(len(total), _BASELINE_HALF_LIFE_S)
    seen = (w * total).sum(axis=0), (w * bad).sum(axis=0)
    return Known(dispersion(total, bad), np.rint(seen[0]), np.rint(seen[1]))

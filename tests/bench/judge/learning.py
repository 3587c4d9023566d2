"""What the learned dispersion becomes after hours of each kind, with the shipped `Learned`, and what that costs."""

from dataclasses import dataclass

import numpy as np

from lbctl.core.judge import Counts, Learned
from tests.bench.judge import worlds

RATE = 1000
_TICK_S = 10.0


@dataclass(frozen=True)
class Hours:
    """Some hours of active at rest: bad ratio per span of 10 s."""

    text: str
    ratio: worlds.Floats
    rate: float = RATE
    burst: int = 1


def hours() -> list[Hours]:
    """Return what a service may have gone through before a release."""
    day = np.full(24 * 360, 0.001)
    outage = day.copy()
    outage[4 * 360 : 4 * 360 + 30] = 0.2
    drifting = 0.0005 * 20 ** ((1 + np.sin(np.arange(24 * 360) / 360)) / 2)
    return [
        Hours("10 min, independent errors", day[:60]),
        Hours("4 h, independent errors", day[: 4 * 360]),
        Hours("4 h of 2 requests/s, 0.5 %", np.full(4 * 360, 0.005), 2),
        Hours("4 h, bursts of 5", day[: 4 * 360], RATE, 5),
        Hours("4 h, bursts of 20", day[: 4 * 360], RATE, 20),
        Hours("a day, error ratio drifting between 0.05 and 1 %", drifting),
        Hours("a day, with an outage (20 % for 5 min) 20 h ago", outage),
    ]


def learned(past: Hours, seed: int) -> float:
    """Return the dispersion that a release would begin with."""
    rng = np.random.default_rng([seed, 23])
    total, bad = worlds.drawn(np.full(len(past.ratio), past.rate * _TICK_S), past.ratio, 1, rng, past.burst)
    known = Learned()
    for g, k in zip(total[:, 0], bad[:, 0], strict=True):
        known = known.after(Counts(int(g), int(k)), _TICK_S)
    return known.dispersion()

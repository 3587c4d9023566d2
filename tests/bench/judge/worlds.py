"""Seeded traffic: what both pools do in healthy releases (classes A to I) and when a fault comes.

Good and bad requests are independent Poisson streams; bad ones may come in bursts. Counts are [tick, release].
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

STEPS = (0.01, 0.05, 0.10, 0.25, 0.50)
STEP_S = 360
RELEASE_S = STEP_S * len(STEPS)
BUCKET_S = 10
BASELINE_S = 4 * 3600

Ratio = Callable[[Floats], Floats]
"""Bad ratio at seconds since the release began."""


@dataclass(frozen=True)
class Traffic:
    """Requests of both pools: g candidate, b active, k and m the bad ones of them."""

    g: Ints
    k: Ints
    b: Ints
    m: Ints
    step_ticks: int = 0
    """Length of a step of the release; 0: all of it is one step."""

    def at(self, tick: int) -> tuple[Floats, Floats, Floats, Floats]:
        """Return one tick, as the judges of many releases take it."""
        g, k, b, m = (side[tick].astype(np.float64) for side in (self.g, self.k, self.b, self.m))
        return g, k, b, m

    @property
    def ticks(self) -> int:
        return len(self.g)

    @property
    def releases(self) -> int:
        return int(self.g.shape[1])


def level(ratio: float) -> Ratio:
    """Return a ratio that stays."""
    return lambda t: np.full(t.shape, ratio)


def outage(before: float, within: float, start_s: float, length_s: float) -> Ratio:
    """Return a ratio that is `within` for a while and `before` otherwise."""
    return lambda t: np.where((t >= start_s) & (t < start_s + length_s), within, before)


def drift(start: float, end: float) -> Ratio:
    """Return a ratio that grows evenly (geometrically) over the release."""
    return lambda t: start * (end / start) ** (t / RELEASE_S)


@dataclass(frozen=True)
class Healthy:
    """A class of releases whose candidate is within what is tolerated."""

    text: str
    rate: float
    candidate: Ratio
    active: Ratio
    base: float
    """Active's ratio in the hours before, from which dispersion is learned."""
    burst: int = 1


_AT_BORDER = 0.001 + 1.25 * 0.001
CLASSES: dict[str, Healthy] = {
    "A": Healthy("none, 0.1 %", 1000, level(0.001), level(0.001), 0.001),
    "B": Healthy("candidate on the border", 1000, level(_AT_BORDER), level(0.001), 0.001),
    "C": Healthy("both 1 %", 1000, level(0.01), level(0.01), 0.01),
    "D": Healthy("bursts of 20, 0.2 %", 1000, level(0.002), level(0.002), 0.002, burst=20),
    "E": Healthy("drift 0.05 to 1 %", 1000, drift(0.0005, 0.01), drift(0.0005, 0.01), 0.0005),
    "F": Healthy("both 20 % for 5 min", 1000, outage(0.001, 0.2, 900, 300), outage(0.001, 0.2, 900, 300), 0.001),
    "G": Healthy("both 100 % for 1 min", 1000, outage(0.001, 1.0, 900, 60), outage(0.001, 1.0, 900, 60), 0.001),
    "H": Healthy("2 requests/s, 0.5 %", 2, level(0.005), level(0.005), 0.005),
    "I": Healthy("20 requests/s, clusters of 5", 20, level(0.005), level(0.005), 0.005, burst=5),
}


def shares(tick_s: float) -> Floats:
    """Return the candidate's share in each tick of a release."""
    per_step = round(STEP_S / tick_s)
    return np.repeat(np.array(STEPS), per_step)


def healthy(world: Healthy, releases: int, rng: np.random.Generator, tick_s: float = 1.0) -> Traffic:
    """Draw whole releases of a class."""
    share = shares(tick_s)
    t = np.arange(len(share)) * tick_s
    g, k = drawn(world.rate * tick_s * share, world.candidate(t), releases, rng, world.burst)
    b, m = drawn(world.rate * tick_s * (1 - share), world.active(t), releases, rng, world.burst)
    return Traffic(g, k, b, m, round(STEP_S / tick_s))


def steady(
    rate: float, share: float, p1: float, p0: float, ticks: int, releases: int, rng: np.random.Generator, tick_s: float
) -> Traffic:
    """Draw traffic in which nothing moves."""
    return shaped(rate, share, np.full(ticks, p1), np.full(ticks, p0), releases, rng, tick_s)


def shaped(
    rate: float, share: float, p1: Floats, p0: Floats, releases: int, rng: np.random.Generator, tick_s: float
) -> Traffic:
    """Draw traffic at one share whose ratios (`p1` candidate, `p0` active) are given per tick."""
    g, k = drawn(np.full(len(p1), rate * tick_s * share), p1, releases, rng)
    b, m = drawn(np.full(len(p0), rate * tick_s * (1 - share)), p0, releases, rng)
    return Traffic(g, k, b, m)


def drawn(mean: Floats, ratio: Floats, releases: int, rng: np.random.Generator, burst: int = 1) -> tuple[Ints, Ints]:
    """Return all and bad requests, [tick, release]; `mean` and `ratio` are per tick."""
    shape = (len(mean), releases)
    bad = burst * rng.poisson((mean * ratio / burst)[:, None], shape)
    return bad + rng.poisson((mean * (1 - ratio))[:, None], shape), bad


def baseline(world: Healthy, releases: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Return active's requests in the hours before, all and bad, in buckets of 10 s, [bucket, release]."""
    buckets = BASELINE_S // BUCKET_S
    mean = np.full(buckets, world.rate * BUCKET_S)
    return drawn(mean, np.full(buckets, world.base), releases, rng, world.burst)

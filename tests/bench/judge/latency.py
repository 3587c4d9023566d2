"""Times of requests: slow candidates, slow pools, cold starts. The limits are learned from active's own sketch.

Times are drawn straight into the buckets of `lbctl.model.sketch`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import erfc, exp, log, sqrt

import numpy as np
from numpy.typing import NDArray

from lbctl.core.judge import latency as shipped
from lbctl.core.judge.terms import SLOW, SLOW_MARGINS, Settings, Stream
from lbctl.model import sketch
from tests.bench.judge import bounds, dispersion
from tests.bench.judge.fleet import ROLLBACK, Fleet, Known
from tests.bench.judge.vector import Floats, Mask
from tests.bench.judge.worlds import BASELINE_S, BUCKET_S

RATE = 1000.0
_ERROR_RATIO = 0.001
_LOG_GAMMA = log(sketch.GAMMA)
_BUCKETS = sketch.LAST_BUCKET + 1
_EDGES_MS = [sketch.upper_ms(bucket) for bucket in range(_BUCKETS)]
Pmf = NDArray[np.float64]
"""How likely each bucket is."""


@dataclass(frozen=True)
class Kind:
    """A service's times: lognormal parts of (weight, median in ms, sigma)."""

    text: str
    parts: tuple[tuple[float, float, float], ...]


SPREAD = Kind("p50 / p95 / p99 of 51 / 134 / 304 ms", ((0.985, 50.5, 0.54), (0.015, 350.0, 0.4)))
EVEN = Kind("p50 / p95 / p99 of 51 / 71 / 81 ms", ((1.0, 51.0, 0.2),))


@cache
def times(factor: float = 1.0, kind: Kind = SPREAD) -> Pmf:
    """Return the buckets of requests that all take `factor` times as long as usual."""
    below = [
        sum(
            weight * 0.5 * erfc((log(median * factor) - log(ms)) / (sigma * sqrt(2)))
            for weight, median, sigma in kind.parts
        )
        for ms in _EDGES_MS
    ]
    pmf: Pmf = np.diff(below, prepend=0.0)
    return pmf / pmf.sum()


@dataclass(frozen=True)
class Change:
    """How much slower a pool is than usual: `part` of its requests take `factor` times as long."""

    factor: float = 1.0
    part: float = 1.0
    recovers_s: float | None = None
    """Time constant with which it becomes as fast as usual; None: it stays slow."""

    def pmf(self, now_s: float, kind: Kind) -> Pmf:
        """Return the buckets at a time in the step."""
        left = 1.0 if self.recovers_s is None else exp(-now_s / self.recovers_s)
        factor = round(1 + (self.factor - 1) * left, 2)
        return (1 - self.part) * times(1.0, kind) + self.part * times(factor, kind)


USUAL = Change()


class Speeds:
    """`lbctl.core.judge.latency.Speed` of many services, [release, bucket]."""

    def __init__(self, releases: int) -> None:
        self.buckets = np.zeros((releases, _BUCKETS))

    def learn(self, fresh: Floats, span_s: float) -> None:
        """Take in active's times of one tick."""
        kept = self.buckets * 0.5 ** (span_s / 300.0)
        self.buckets = np.where(kept > 1e-3, kept, 0.0) + fresh

    def limits(self, factor: float = 1.0) -> dict[Stream, NDArray[np.int64]]:
        """Return beyond which bucket a request is slow, per stream and release."""
        below = np.cumsum(self.buckets, axis=1)
        total = below[:, -1:]
        found = {}
        for stream, part in shipped.QUANTILES.items():
            bucket = (below < part * total - 1e-9).sum(axis=1)
            ms = factor * (shipped.MARGIN_REL * sketch.GAMMA**bucket + shipped.MARGIN_MS)
            found[stream] = np.ceil(np.log(ms) / _LOG_GAMMA - 1e-9).astype(np.int64)
        return found

    def keep(self, which: Mask) -> None:
        """Go on with these services only."""
        self.buckets = self.buckets[which]


def slow(counts: Floats, limits: NDArray[np.int64]) -> Floats:
    """Return how many requests are in buckets above the limit, per release."""
    below = np.cumsum(counts, axis=1)
    found: Floats = below[:, -1] - below[np.arange(len(counts)), limits]
    return found


def learned(kind: Kind, releases: int, rng: np.random.Generator) -> tuple[Speeds, Known]:
    """Return what is known of services after hours at rest: their speed, and how bursty slow requests come."""
    speeds, seen = Speeds(releases), {stream: list[Floats]() for stream in SLOW}
    totals = []
    for span in range(BASELINE_S // BUCKET_S):
        fresh = _drawn(RATE * BUCKET_S, releases, times(1.0, kind), rng)
        if span:
            totals.append(fresh.sum(axis=1))
            for stream, limit in speeds.limits().items():
                seen[stream].append(slow(fresh, limit))
        speeds.learn(fresh, BUCKET_S)
    phi = {stream: dispersion.dispersion(np.array(totals), np.array(seen[stream])) for stream in SLOW}
    return speeds, Known(np.ones(releases), np.zeros(releases), np.zeros(releases), phi)


@dataclass(frozen=True)
class Case:
    """A change of the candidate's times (and of active's) at a share."""

    text: str
    w: float
    candidate: Change
    active: Change = USUAL
    horizon_s: float = 600.0
    warmup_s: float = 0.0
    """For how long the limits are four times as high."""
    kind: Kind = SPREAD

    @property
    def bound_s(self) -> float:
        """Seconds no proof can do without, by the stream that shows it best; inf: within the margin of all three."""
        speeds = Speeds(1)
        speeds.learn(1e6 * times(1.0, self.kind)[None, :], 1.0)
        found = [self._bound_s(stream, limit) for stream, limit in speeds.limits().items()]
        return min(found)

    def _bound_s(self, stream: Stream, limit: NDArray[np.int64]) -> float:
        p1, p0 = (float(slow(pool.pmf(0.0, self.kind)[None, :], limit)[0]) for pool in (self.candidate, self.active))
        d = SLOW_MARGINS[stream]
        return bounds.wald(p0, p1, self.w, d) / (RATE * self.w) if p1 > d + bounds.R * p0 else float("inf")


@dataclass(frozen=True)
class Slowed:
    """How the releases of a case ended."""

    runs: int
    seconds: Floats
    phi: Mapping[Stream, float]

    @property
    def found(self) -> int:
        """Releases rolled back."""
        return len(self.seconds)


def run(case: Case, runs: int, seed: int, tick_s: float = 1.0) -> Slowed:
    """Let the candidate be slow from the beginning of a step."""
    rng = np.random.default_rng([seed, 17])
    speeds, known = learned(case.kind, runs, rng)
    fleet = Fleet(known, Settings())
    fleet.step()
    ends: list[float] = []
    for tick in range(round(case.horizon_s / tick_s)):
        over = _tick(case, fleet, speeds, tick * tick_s, tick_s, rng)
        if over.any():
            ends += [(tick + 1) * tick_s] * int(over.sum())
            fleet.keep(~over)
            speeds.keep(~over)
        if not len(speeds.buckets):
            break
    phi = {stream: float(each.mean()) for stream, each in (known.slow_phi or {}).items()}
    return Slowed(runs, np.array(ends), phi)


def _tick(case: Case, fleet: Fleet, speeds: Speeds, now_s: float, tick_s: float, rng: np.random.Generator) -> Mask:
    left = len(speeds.buckets)
    theirs = _drawn(RATE * tick_s * case.w, left, case.candidate.pmf(now_s, case.kind), rng)
    ours = _drawn(RATE * tick_s * (1 - case.w), left, case.active.pmf(now_s, case.kind), rng)
    g, b = theirs.sum(axis=1), ours.sum(axis=1)
    limits = speeds.limits(shipped.WARMUP_FACTOR if now_s < case.warmup_s else 1.0)
    pairs = {stream: (g, slow(theirs, limit), b, slow(ours, limit)) for stream, limit in limits.items()}
    k, m = rng.binomial(g.astype(int), _ERROR_RATIO), rng.binomial(b.astype(int), _ERROR_RATIO)
    said = fleet.tick((g, k.astype(float), b, m.astype(float)), tick_s, case.w, pairs)
    speeds.learn(ours, tick_s)
    over: Mask = said.words == ROLLBACK
    return over


def _drawn(mean: float, releases: int, pmf: Pmf, rng: np.random.Generator) -> Floats:
    # Independent Poisson counts per bucket are a Poisson number of requests, spread by `pmf`.
    used = np.flatnonzero(pmf > 1e-9)
    counts = np.zeros((releases, _BUCKETS))
    counts[:, used] = rng.poisson(mean * pmf[used], (releases, len(used)))
    return counts


def changes(w: float) -> tuple[Case, ...]:
    """Return the changes that are looked at, at one share."""
    return (
        Case("none", w, USUAL, horizon_s=300),
        Case("all x1.2", w, Change(1.2)),
        Case("all x1.5", w, Change(1.5)),
        Case("all x2", w, Change(2.0)),
        Case("8 % of requests x4", w, Change(4, 0.08)),
        Case("2 % of requests x8", w, Change(8, 0.02)),
        Case("1 % of requests x20", w, Change(20, 0.01)),
        Case("both pools x2", w, Change(2.0), Change(2.0), 300),
    )


def even(w: float) -> tuple[Case, ...]:
    """Return small changes of a service whose requests all take about the same time."""
    return tuple(Case(f"even times, all x{f:g}", w, Change(f), horizon_s=300, kind=EVEN) for f in (1.05, 1.1, 1.2))


def cold_starts(w: float) -> tuple[Case, ...]:
    """Return candidates with cold caches, with and without the warm-up's tolerance."""
    cold = Change(3, recovers_s=10)
    return (
        Case("x3 at first, recovering (10 s), no warm-up", w, cold, horizon_s=120),
        Case("the same, warm-up 30 s", w, cold, horizon_s=120, warmup_s=30),
        Case("x3 for good, warm-up 30 s", w, Change(3), horizon_s=120, warmup_s=30),
        Case("x8 for good, warm-up 30 s", w, Change(8), horizon_s=120, warmup_s=30),
    )

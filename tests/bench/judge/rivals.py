"""The rules of other tools and textbooks, written anew from their descriptions, over the same counts.

Each takes a `Traffic` of 1 s ticks (and the baseline ratio where it has one) and returns the tick, counted from 1, at
which it rolls back each release; 0 = never. Simplified, one-sided, and with the defaults or the documented example.
"""

from collections.abc import Callable
from math import log, sqrt

import numpy as np

from tests.bench.judge.vector import EXPERTS, Floats, Mask, alternatives
from tests.bench.judge.worlds import Ints, Traffic

Rule = Callable[[Traffic, float], Ints]

_LIMIT_LOG = log(1000.0)


def _first(fired: Mask) -> Ints:
    """Return the first tick (from 1) in which a release fired; 0 = never. `fired` is [tick, release]."""
    return np.where(fired.any(axis=0), fired.argmax(axis=0) + 1, 0)


def _windowed(counts: Ints, ticks: int) -> Ints:
    """Return the sum over the last `ticks` ticks (fewer at the beginning)."""
    total = np.cumsum(counts, axis=0)
    total[ticks:] = total[ticks:] - total[:-ticks].copy()
    return total


def ratio_in_10_s(least: int) -> Rule:
    """Roll back when more than 5 % of at least `least` requests failed in the last 10 s."""

    def rule(traffic: Traffic, _base: float) -> Ints:
        g, k = _windowed(traffic.g, 10), _windowed(traffic.k, 10)
        return _first((k > 0.05 * g) & (g >= max(least, 1)))

    return rule


def z_test(traffic: Traffic, _base: float) -> Ints:
    """Roll back when a two-proportion z-test over the step so far has p < 0.001, tested in each tick."""
    g, k, b, m = (_summed_by_step(c, traffic.step_ticks) for c in (traffic.g, traffic.k, traffic.b, traffic.m))
    pooled = (k + m) / np.maximum(g + b, 1)
    spread = np.sqrt(pooled * (1 - pooled) * (1 / np.maximum(g, 1) + 1 / np.maximum(b, 1)))
    z = (k / np.maximum(g, 1) - m / np.maximum(b, 1)) / np.maximum(spread, 1e-12)
    return _first((z > 3.0902) & (g > 0) & (b > 0))


def _summed_by_step(counts: Ints, step_ticks: int) -> Floats:
    per_step = counts.reshape(-1, step_ticks or len(counts), counts.shape[1])
    return np.cumsum(per_step, axis=1).reshape(counts.shape).astype(float)


def count_mixture(traffic: Traffic, _base: float) -> Ints:
    """Netflix style: which pool does each error come from? A mixture of rate ratios against "as the traffic splits"."""
    share = traffic.g / np.maximum(traffic.g + traffic.b, 1)
    odds = np.full(traffic.releases, 0.0)
    ratios = np.geomspace(1.4, 400.0, EXPERTS)
    for ratio in ratios:
        theirs = ratio * share / (ratio * share + 1 - share)
        safe = np.clip(share, 1e-12, 1 - 1e-12)
        gain = traffic.k * np.log(np.maximum(theirs, 1e-12) / safe)
        gain += traffic.m * np.log(np.maximum(1 - theirs, 1e-12) / (1 - safe))
        odds = odds + np.exp(np.minimum(np.cumsum(gain, axis=0), 300.0)) / EXPERTS
    return _first(odds >= 1000.0)


def cusum(traffic: Traffic, base: float) -> Ints:
    """Roll back when one of eight CUSUMs against what is tolerated above a frozen baseline passes log(1/a) + log(T)."""
    tolerated = np.array([0.001 + 1.25 * base])
    threshold = _LIMIT_LOG + log(1800.0)
    fired = np.zeros(traffic.g.shape, dtype=bool)
    for q in alternatives(tolerated)[:, 0]:
        up, down = log(q / tolerated[0]), log((1 - q) / (1 - tolerated[0]))
        walk = np.cumsum(traffic.k * up + (traffic.g - traffic.k) * down, axis=0)
        lowest = np.minimum(np.minimum.accumulate(walk, axis=0), 0.0)
        fired |= walk - lowest >= threshold
    return _first(fired)


def flagger(threshold: int) -> Rule:
    """Every 60 s: fewer than 99 % good in the last 60 s, or no request, is a failed check; they are never forgotten.

    It acts at the beginning of the next interval, as its scheduler compares the count before it looks.
    """

    def rule(traffic: Traffic, _base: float) -> Ints:
        g, k = _windowed(traffic.g, 60)[59::60], _windowed(traffic.k, 60)[59::60]
        failed = np.cumsum((g == 0) | (k > 0.01 * g), axis=0)
        acted = _first(failed[:-1] >= threshold)
        return np.where(acted > 0, (acted + 1) * 60, 0)

    return rule


def argo(limit: int) -> Rule:
    """Every 5 min: fewer than 95 % good in the last 5 min is a failed measurement; more than `limit` of them fail."""

    def rule(traffic: Traffic, _base: float) -> Ints:
        g, k = _windowed(traffic.g, 300)[299::300], _windowed(traffic.k, 300)[299::300]
        return _first(np.cumsum(k > 0.05 * g, axis=0) > limit) * 300

    return rule


def kayenta(traffic: Traffic, _base: float) -> Ints:
    """Every 5 min a Mann-Whitney test over the error ratios of all minutes so far, confidence 0.98.

    It fails when the lower end of the interval of the shift is above a quarter of its Hodges-Lehmann estimate.
    Identical series pass. A minute without requests counts as 0 errors.
    """
    theirs, ours = _by_minute(traffic.k, traffic.g), _by_minute(traffic.m, traffic.b)
    verdicts = []
    for minutes in range(5, len(theirs) + 1, 5):
        shifts = theirs[:minutes, None, :] - ours[None, :minutes, :]
        ordered = np.sort(shifts.reshape(minutes * minutes, -1), axis=0)
        spread = sqrt(minutes * minutes * (2 * minutes + 1) / 12)
        lower = ordered[max(int(minutes * minutes / 2 - 2.3263 * spread), 0)]
        verdicts.append(lower > 0.25 * np.abs(np.median(ordered, axis=0)))
    return _first(np.array(verdicts)) * 300


def _by_minute(bad: Ints, total: Ints) -> Floats:
    minutes = len(total) // 60
    shape = (minutes, 60, total.shape[1])
    bad, total = bad[: minutes * 60].reshape(shape).sum(axis=1), total[: minutes * 60].reshape(shape).sum(axis=1)
    return bad / np.maximum(total, 1)


RULES: dict[str, Rule] = {
    "error counts only, mixture (Netflix style, no margin)": count_mixture,
    "CUSUM, frozen baseline": cusum,
    "z-test in every tick, p < 0.001": z_test,
    "more than 5 % in 10 s": ratio_in_10_s(1),
    "the same, at least 100 requests": ratio_in_10_s(100),
    "Flagger, 99 % a minute, threshold 1": flagger(1),
    "Flagger, threshold 5": flagger(5),
    "Flagger, threshold 10": flagger(10),
    "Argo Rollouts, 95 % in 5 min, limit 0": argo(0),
    "Argo Rollouts, limit 3": argo(3),
    "Kayenta style, every 5 min": kayenta,
}

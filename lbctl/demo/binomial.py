"""Whether a counted share agrees with the share that was asked for: an exact binomial bound in pure Python."""

import math


def within_binomial(k: int, n: int, p: float, odds: float = 1e-6) -> bool:
    """Say whether k hits out of n are believable for probability p.

    Two-sided and exact: false only where a right split would show a count at least this extreme, on the same side, with
    a probability below `odds / 2`. So a right split is refused at most once in `1 / odds` checks. Raises ValueError for
    counts or probabilities that cannot be.
    """
    if not 0 <= k <= n or not 0.0 <= p <= 1.0 or not 0.0 < odds < 1.0:
        raise ValueError(f"no binomial count: k={k} n={n} p={p} odds={odds}; need 0 <= k <= n, p in 0..1, odds in 0..1")
    if p in (0.0, 1.0):
        return k == n * p
    if k > n * p:
        k, p = n - k, 1.0 - p
    return _lower_tail(k, n, p) >= odds / 2


def _lower_tail(k: int, n: int, p: float) -> float:
    """P(X <= k) for k at or below the mean, where the terms only shrink on the way down."""
    term = math.exp(
        math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * math.log(p) + (n - k) * math.log1p(-p)
    )
    total, ratio = term, (1.0 - p) / p
    for hits in range(k, 0, -1):
        term *= ratio * hits / (n - hits + 1)
        total += term
        if term < total * 1e-17:
            break
    return total

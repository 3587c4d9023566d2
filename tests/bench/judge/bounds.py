"""What no method can beat: the least candidate requests a proof needs. Wald's bound, and the change-point bound.

`p0` is active's true ratio, `p1` the candidate's, `w` the candidate's share of the traffic. The tolerated candidate
ratio is d + r x at active's ratio x.
"""

from math import log, log1p, sqrt

ALPHA = 0.001
D, R = 0.001, 1.25


def information(p: float, q: float) -> float:
    """Return the mean log-likelihood ratio per request, true ratio `p` against `q` (0 < q < 1)."""
    worst = p * log(p / q) if p > 0.0 else 0.0
    return worst + ((1.0 - p) * (log1p(-p) - log1p(-q)) if p < 1.0 else 0.0)


def per_request(p0: float, p1: float, w: float, d: float = D, r: float = R) -> float:
    """Return what one candidate request can prove when active may have moved in the same instant."""
    ratio = (1.0 - w) / w

    def cost(x: float) -> float:
        return information(p1, d + r * x) + ratio * information(p0, x)

    low, high = max(p0, 1e-9), min(max((p1 - d) / r, p0), 1.0 - 1e-9)
    for _ in range(200):  # Golden section on a convex function.
        left, right = high - (high - low) * (sqrt(5) - 1) / 2, low + (high - low) * (sqrt(5) - 1) / 2
        low, high = (low, right) if cost(left) < cost(right) else (left, high)
    return cost((low + high) / 2)


def wald(p0: float, p1: float, w: float, d: float = D, r: float = R) -> float:
    """Return N*: candidate requests that a proof needs when the fault comes with the step."""
    return log(1 / ALPHA) / per_request(p0, p1, w, d, r)


def change_point(p0: float, p1: float, w: float, release_requests: float, d: float = D, r: float = R) -> float:
    """Return N_cp: the same when it may come at any of `release_requests` candidate requests."""
    i = per_request(p0, p1, w, d, r)
    return (log(1 / ALPHA) + log1p(release_requests * i)) / i

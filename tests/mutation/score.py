"""The part of the mutants that is noticed, and what a sample says about all of them."""

from math import sqrt

Z = 1.96


def bounds(hits: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a part by a sample (Wilson)."""
    if not count:
        return 0.0, 1.0
    part = hits / count
    middle = part + Z * Z / (2 * count)
    half = Z * sqrt(part * (1 - part) / count + Z * Z / (4 * count * count))
    scale = 1 + Z * Z / count
    return (middle - half) / scale, (middle + half) / scale

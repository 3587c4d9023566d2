"""Times of requests in logarithmic buckets: small, mergeable, within 2 % of every value.

Bucket i holds the times t (ms) with GAMMA^(i-1) < t <= GAMMA^i; bucket 0 all up to 1 ms. A sketch is a plain mapping
from bucket to count, so that the difference of two readings of a growing sketch is a sketch again. (Masson, Rim, Lee:
"DDSketch", VLDB 2019.)
"""

from collections.abc import Mapping
from math import ceil, log

GAMMA = 1.04
LAST_BUCKET = 420
"""About 14 million milliseconds; longer times are counted there."""
_LOG_GAMMA = log(GAMMA)

Buckets = Mapping[int, int]
"""Bucket → how many requests; no empty buckets needed."""


def bucket_of(ms: float) -> int:
    """Return the bucket of a time in milliseconds; negative times and NaN count as 0."""
    if not ms > 1.0:
        return 0
    return min(LAST_BUCKET, ceil(log(ms) / _LOG_GAMMA - 1e-9)) if ms < 1e15 else LAST_BUCKET


def upper_ms(bucket: int) -> float:
    """Return the longest time that belongs to a bucket."""
    return float(GAMMA**bucket)


def count(buckets: Buckets) -> int:
    """Return how many requests a sketch holds."""
    return sum(buckets.values())


def slower_than(buckets: Buckets, limit_ms: float) -> int:
    """Return how many requests are in buckets above the one that `limit_ms` belongs to."""
    limit = bucket_of(limit_ms)
    return sum(number for bucket, number in buckets.items() if bucket > limit)


def between(earlier: Buckets, later: Buckets) -> Buckets | None:
    """Return what came in from one reading of a growing sketch to the next; None if it began anew in between."""
    if any(later.get(bucket, 0) < number for bucket, number in earlier.items()):
        return None
    fresh = {bucket: number - earlier.get(bucket, 0) for bucket, number in later.items()}
    return {bucket: number for bucket, number in fresh.items() if number}


def merged(*sketches: Buckets) -> Buckets:
    """Return the sum of sketches."""
    total: dict[int, int] = {}
    for sketch in sketches:
        for bucket, number in sketch.items():
            total[bucket] = total.get(bucket, 0) + number
    return total

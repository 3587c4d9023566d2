"""The quantile of a sketch, for tests that compare times with what users and servers saw."""

from lbctl.model.sketch import Buckets, count, upper_ms


def quantile_ms(buckets: Buckets, part: float) -> float:
    """Return the time that `part` (0 < part <= 1) of the requests did not exceed; 0 for an empty sketch."""
    wanted = part * count(buckets)
    seen = 0
    for bucket in sorted(buckets):
        seen += buckets[bucket]
        if seen >= wanted:
            return upper_ms(bucket)
    return 0.0

"""From times of requests to counts of slow ones: the latency streams. Pure.

What is slow is taken from active's own quantiles up to the tick before, so that a tick never judges by what it holds
itself. Both colours are counted in the same tick by the same limit: a slow-down of both is no evidence.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from lbctl.core.judge.terms import SLOW, Counts, Pair, Stream
from lbctl.model import sketch
from lbctl.model.sketch import Buckets

QUANTILES = {Stream.SLOW50: 0.50, Stream.SLOW95: 0.95, Stream.SLOW99: 0.99}
MARGIN_REL = 1.25
MARGIN_MS = 5.0
"""A request is slow beyond MARGIN_REL x the quantile of active + MARGIN_MS."""
WARMUP_FACTOR = 4.0
"""The limits are so much higher while a candidate warms up (cold caches are no fault); errors stay strict."""
KNOWN_MIN = 200
"""Requests of active that must have been timed before anything counts as slow."""
_HALF_LIFE_S = 300.0
_FORGOTTEN = 1e-3


@dataclass(frozen=True, slots=True)
class Speed:
    """Active's times, older ones fading with a half-life of 300 s."""

    buckets: Mapping[int, float] = field(default_factory=dict)

    def after(self, fresh: Buckets, span_s: float) -> "Speed":
        """Return it with the times of a span of `span_s` seconds added."""
        kept = 0.5 ** (span_s / _HALF_LIFE_S)
        faded = {bucket: left for bucket, number in self.buckets.items() if (left := number * kept) > _FORGOTTEN}
        for bucket, number in fresh.items():
            faded[bucket] = faded.get(bucket, 0.0) + number
        return Speed(faded)

    def limits_ms(self, *, warming: bool = False) -> Mapping[Stream, float]:
        """Return above which time a request is slow, per stream; empty while too little is known."""
        total = sum(self.buckets.values())
        if total < KNOWN_MIN:
            return {}
        factor = WARMUP_FACTOR if warming else 1.0
        wanted = {stream: part * total for stream, part in QUANTILES.items()}
        limits: dict[Stream, float] = {}
        seen = 0.0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            for stream in SLOW:
                if stream not in limits and seen >= wanted[stream] - 1e-9:
                    limits[stream] = factor * (MARGIN_REL * sketch.upper_ms(bucket) + MARGIN_MS)
        return limits


def slow_pairs(limits_ms: Mapping[Stream, float], candidate: Buckets, active: Buckets) -> Mapping[Stream, Pair]:
    """Return the latency streams of one tick."""
    return {
        stream: Pair(slow_counts(candidate, limit), slow_counts(active, limit), limit)
        for stream, limit in limits_ms.items()
    }


def slow_counts(times: Buckets, limit_ms: float) -> Counts:
    """Return how many requests there were, and how many of them took longer than the limit."""
    return Counts(sketch.count(times), sketch.slower_than(times, limit_ms))

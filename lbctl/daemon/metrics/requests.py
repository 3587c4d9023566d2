"""Requests and their times, by pool, from counters and sketches of load balancers that come and go."""

from bisect import bisect_left
from collections.abc import Mapping

from lbctl.core.state import State
from lbctl.daemon.metrics.catalogue import REQUEST_S
from lbctl.daemon.metrics.counts import Growing, Histogram
from lbctl.model.names import Colour
from lbctl.model.reading import InstanceReading
from lbctl.model.sketch import GAMMA, LAST_BUCKET, Buckets, upper_ms

SKETCH_S = tuple(upper_ms(bucket) / 1_000 for bucket in range(LAST_BUCKET + 1))
SKETCH_BUCKET = tuple(bisect_left(REQUEST_S, seconds) for seconds in SKETCH_S)
MIDDLE = 2 / (1 + GAMMA)
"""The middle of a bucket of a sketch, as part of its upper end."""

Key = tuple[str, ...]


class Requests:
    """Sums since lbctld looks on. `look` takes what is known now; called at each scrape, it misses only what a load
    balancer counted between a scrape and its own restart."""

    def __init__(self) -> None:
        self._counts = Growing()
        self._times = Growing()
        self._good: dict[Key, float] = {}

    def look(self, state: State) -> None:
        """Take what every load balancer has counted, and forget services that left the config."""
        for instance, reading in state.observed.instances.items():
            if isinstance(reading, InstanceReading):
                self._take_counts(instance, reading)
        for (instance, service), timing in state.observed.timing.items():
            for colour in Colour:
                values = _fixed(timing.pools.get(colour, {}))
                self._times.take(instance, (service, colour.value), timing.source, values)
        known = {str(name) for name in state.topology.services}
        self._counts.keep(known)
        self._times.keep(known)
        self._good = {key: count for key, count in self._good.items() if key[0] in known}

    def counts(self) -> Mapping[Key, tuple[float, float]]:
        """Return good requests and bad ones, by service and colour. Neither ever goes back: a TCP connection counts
        when it begins, and is found to be a bad one later."""
        sums = self._counts.sums()
        self._good |= {key: max(self._good.get(key, 0.0), total - bad) for key, (total, bad) in sums.items()}
        return {key: (self._good[key], bad) for key, (_, bad) in sums.items()}

    def times(self) -> dict[Key, Histogram]:
        """Return the times, by service and colour."""
        return {key: _histogram(sums) for key, sums in self._times.sums().items()}

    def _take_counts(self, instance: str, reading: InstanceReading) -> None:
        for service, seen in reading.services.items():
            for colour, pool in seen.pools.items():
                counted = (float(pool.requests), float(pool.errors))
                self._counts.take(instance, (service, colour.value), reading.generation, counted)


def _fixed(sketch: Buckets) -> tuple[float, ...]:
    """Return a sketch in the buckets of the metric, and the sum of all times at the end."""
    counts, total = [0.0] * (len(REQUEST_S) + 1), 0.0
    for bucket, number in sketch.items():
        counts[SKETCH_BUCKET[bucket]] += number
        total += SKETCH_S[bucket] * MIDDLE * number
    return (*counts, total)


def _histogram(sums: list[float]) -> Histogram:
    found = Histogram(REQUEST_S)
    found.counts, found.total = [int(one) for one in sums[:-1]], sums[-1]
    return found

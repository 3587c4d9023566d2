"""Chance for many requests at once: as random as one die for each, and much faster."""

from collections import Counter
from math import exp, log, log1p
from random import Random

SLOTS = 1_024
SPREAD = 0.5
"""Standard deviation of the logarithm of a time: its p99 is three times its median."""


def hits(chance: Random, count: int, ratio: float) -> int:
    """Return how many of `count` independent events of probability `ratio` happen."""
    if ratio <= 0.0 or not count:
        return 0
    if ratio >= 1.0:
        return count
    if ratio > 0.5:
        return count - hits(chance, count, 1.0 - ratio)
    # The gap to the next one is geometric: only those that happen cost a draw.
    found, at, rate = 0, 0, log1p(-ratio)
    while True:
        at += int(log(1.0 - chance.random()) / rate) + 1
        if at > count:
            return found
        found += 1


def times(chance: Random, count: int, slots: tuple[int, ...]) -> Counter[int]:
    """Return the buckets of `count` times."""
    return Counter(slots[chance.getrandbits(10)] for _ in range(count))


def slots_of(chance: Random, median_ms: float, extra_ms: float) -> tuple[float, ...]:
    """Return so many equally likely times: log-normal around a median, and something added to each."""
    return tuple(median_ms * exp(SPREAD * chance.gauss(0.0, 1.0)) + extra_ms for _ in range(SLOTS))


class Carry:
    """Whole numbers of a stream of fractions: nothing is lost, and nothing is left to chance."""

    def __init__(self) -> None:
        self._left = 0.0

    def take(self, amount: float) -> int:
        """Return the whole part of what came up to now and was not taken yet."""
        self._left += amount
        # What a thousand tenths leave behind must not be missed.
        whole = int(self._left + 1e-9)
        self._left -= whole
        return whole

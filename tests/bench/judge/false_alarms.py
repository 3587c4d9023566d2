"""Healthy releases of every class: how often each rule rolls one back, and how often lbctl holds it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from lbctl.core.judge.terms import Settings
from tests.bench.judge import dispersion, rivals, worlds
from tests.bench.judge.fleet import HOLD, RETREAT, ROLLBACK, Fleet, Known
from tests.bench.judge.vector import Floats, Mask
from tests.bench.judge.worlds import CLASSES, Traffic

FIXED = (2.0, 1.0)
"""Dispersions that are tried beside the learned one: the default where nothing is learned, and none."""


@dataclass(frozen=True)
class Row:
    """What lbctl and the rivals did in the releases of one class."""

    releases: int
    rolled_back: int
    held: int
    """Releases that saw any hold but "not enough evidence"."""
    retreated: int
    worse_than_before: int
    """Releases in which the account against the baseline alone, which never rolls back, proved its point."""
    highest_odds: Floats
    phi: Floats
    """The learned dispersion of each release."""
    others: Mapping[str, int]
    """Releases that each rival rolled back."""
    fixed: Mapping[float, tuple[int, int]]
    """Rolled back, and of how many, with a dispersion that was not learned."""

    def __add__(self, other: "Row") -> "Row":
        return Row(
            self.releases + other.releases,
            self.rolled_back + other.rolled_back,
            self.held + other.held,
            self.retreated + other.retreated,
            self.worse_than_before + other.worse_than_before,
            np.concatenate([self.highest_odds, other.highest_odds]),
            np.concatenate([self.phi, other.phi]),
            {name: count + other.others[name] for name, count in self.others.items()},
            {**other.fixed, **self.fixed},
        )

    def odds_quantile(self, part: float) -> float:
        """Return a quantile of the highest odds that each release saw."""
        return float(np.quantile(self.highest_odds, part))


def chunk(name: str, seed: int, releases: int, *, rivals_too: bool, fixed_too: bool) -> Row:
    """Run one seeded portion of a class."""
    world = CLASSES[name]
    rng = np.random.default_rng([seed, ord(name)])
    known = dispersion.known(world, releases, rng)
    traffic = worlds.healthy(world, releases, rng)
    said = _followed(traffic, known)
    rules = rivals.RULES if rivals_too else {}
    fixed = {phi: _followed(traffic, replace(known, phi=np.full(releases, phi))) for phi in FIXED if fixed_too}
    return Row(
        releases=releases,
        rolled_back=int(said.rolled_back.sum()),
        held=int(said.held.sum()),
        retreated=int(said.retreated.sum()),
        worse_than_before=int(said.worse_than_before.sum()),
        highest_odds=said.highest_odds,
        phi=known.phi,
        others={rule: int((judge(traffic, world.base) > 0).sum()) for rule, judge in rules.items()},
        fixed={phi: (int(one.rolled_back.sum()), releases) for phi, one in fixed.items()},
    )


@dataclass
class _Followed:
    rolled_back: Mask
    held: Mask
    retreated: Mask
    worse_than_before: Mask
    highest_odds: Floats


def _followed(traffic: Traffic, known: Known, tick_s: float = 1.0) -> _Followed:
    fleet = Fleet(known, Settings(horizon_s=float(worlds.RELEASE_S)))
    share = worlds.shares(tick_s)
    said = np.zeros((4, traffic.releases), dtype=bool)
    highest, worse = np.zeros(traffic.releases), np.zeros(traffic.releases, dtype=bool)
    for tick in range(traffic.ticks):
        if tick % traffic.step_ticks == 0:
            fleet.step()
        seen = fleet.tick(traffic.at(tick), tick_s, share[tick])
        highest = np.maximum(highest, seen.odds)
        worse |= fleet.candidate.faulty
        said[seen.words, np.arange(traffic.releases)] |= ~seen.waits
    return _Followed(said[ROLLBACK], said[HOLD], said[RETREAT], worse, highest)

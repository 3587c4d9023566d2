"""Quick figures of the judge: how fast it convicts, how often it is wrong, what a tick costs.

Run: python -m tests.bench.judge_quick [runs per cell, default 40]
"""

import sys
import time
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import accumulate
from math import exp, lgamma, log, log1p
from random import Random

from lbctl.core.judge import Account, Counts, Sample, Settings, Word, judge, new_step


class Dice:
    """Seeded binomial and Poisson draws by inverted tables, one per (n, p)."""

    _tables: dict[tuple[int, float], list[float]] = {}  # noqa: RUF012

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def binomial(self, n: int, p: float) -> int:
        if n == 0 or p <= 0.0 or p >= 1.0:
            return n if p >= 1.0 else 0
        if (n, p) not in self._tables:
            logs = [
                lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) + k * log(p) + (n - k) * log1p(-p)
                for k in range(n + 1)
            ]
            self._tables[n, p] = list(accumulate(exp(value) for value in logs))
        return min(bisect_left(self._tables[n, p], self._random.random()), n)

    def poisson(self, mean: float) -> int:
        if (-1, mean) not in self._tables:
            top = int(mean + 10 * mean**0.5 + 20)
            logs = [k * log(mean) - mean - lgamma(k + 1) for k in range(top)] if mean > 0 else [0.0]
            self._tables[-1, mean] = list(accumulate(exp(value) for value in logs))
        table = self._tables[-1, mean]
        return min(bisect_left(table, self._random.random()), len(table) - 1)


@dataclass
class Outcome:
    """What a simulated release came to."""

    rollback_tick: int | None = None
    harmed: int = 0
    candidate_total: int = 0
    highest_odds: float = 0.0
    held: dict[str, int] = field(default_factory=dict)
    """Tick of the first hold of each code but not_enough_evidence."""


Ratios = Callable[[int], tuple[float, float]]


def steady(candidate: float, active: float) -> Ratios:
    """Return a world in which nothing moves."""
    return lambda _tick: (candidate, active)


@dataclass(frozen=True)
class World:
    """Traffic of `rate` requests/s, `share_bp` of it on the candidate, judged every `tick_s`."""

    rate: float = 1000.0
    share_bp: int = 1000
    tick_s: float = 0.1

    def run(
        self, account: Account, settings: Settings, dice: Dice, ratios: Ratios, ticks: int
    ) -> tuple[Account, Outcome]:
        """Run until a rollback or `ticks` are over."""
        outcome = Outcome()
        mean = self.rate * self.tick_s
        for tick in range(1, ticks + 1):
            p_candidate, p_active = ratios(tick)
            g = dice.poisson(mean * self.share_bp / 10_000)
            b = dice.poisson(mean * (10_000 - self.share_bp) / 10_000)
            k, m = dice.binomial(g, p_candidate), dice.binomial(b, p_active)
            sample = Sample(self.tick_s, self.share_bp, Counts(g, k), Counts(b, m))
            account, verdict = judge(account, sample, settings)
            outcome.harmed += k
            outcome.candidate_total += g
            outcome.highest_odds = max(outcome.highest_odds, verdict.odds)
            if verdict.word is Word.ROLLBACK:
                outcome.rollback_tick = tick
                break
            if verdict.word is Word.HOLD and verdict.code != "not_enough_evidence":
                outcome.held.setdefault(verdict.code, tick)
        return account, outcome


def opened(settings: Settings, share_bp: int) -> Account:
    """Return the account of a release that has just begun its step."""
    return new_step(Account.fresh(settings), settings, share_bp=share_bp)


def convict(
    world: World, settings: Settings, seed: int, fault: float, base: float, *, healthy_s: float, limit_s: float
) -> Outcome:
    """Run a fault that comes with the step (`healthy_s` 0) or in the middle of it."""
    dice = Dice(seed)
    account = opened(settings, world.share_bp)
    healthy_ticks = round(healthy_s / world.tick_s)
    account, before = world.run(account, settings, dice, steady(base, base), healthy_ticks)
    assert before.rollback_tick is None, f"false rollback, seed {seed}"
    return world.run(account, settings, dice, steady(fault, base), round(limit_s / world.tick_s))[1]


def later_step(
    world: World, settings: Settings, seed: int, fault: float, base: float, *, limit_s: float, healthy_ticks: int = 100
) -> Outcome:
    """Run a fault that comes with a later step: a healthy step at half the share goes before it."""
    dice = Dice(seed)
    account, before = replace(world, share_bp=world.share_bp // 2).run(
        opened(settings, world.share_bp // 2), settings, dice, steady(base, base), healthy_ticks
    )
    assert before.rollback_tick is None, f"false rollback, seed {seed}"
    account = new_step(account, settings, share_bp=world.share_bp)
    return world.run(account, settings, dice, steady(fault, base), round(limit_s / world.tick_s))[1]


def _cell(world: World, settings: Settings, fault: float, base: float, healthy_s: float, runs: int) -> str:
    limit_s = 900.0 if fault < 0.01 else 120.0
    outcomes = [
        convict(world, settings, seed, fault, base, healthy_s=healthy_s, limit_s=limit_s) for seed in range(runs)
    ]
    delays = sorted(o.rollback_tick * world.tick_s for o in outcomes if o.rollback_tick is not None)
    if not delays:
        return "never"
    mean, median = sum(delays) / len(delays), delays[len(delays) // 2]
    harmed = sum(o.harmed for o in outcomes) / len(outcomes)
    return (
        f"mean {mean:6.2f} s  median {median:6.2f}  max {delays[-1]:6.2f}  "
        f"failed requests {harmed:6.1f}  missed {runs - len(delays)}"
    )


def _detection(runs: int) -> None:
    few = max(runs // 4, 5)
    for tick_s, faults in ((0.1, (1.0, 0.2, 0.05, 0.02)), (1.0, (1.0, 0.2, 0.05, 0.02, 0.005))):
        for phi in (1.0, 2.0):
            for fault in faults:
                for healthy_s in (0.0, 130.0):
                    world, settings = World(tick_s=tick_s), Settings(dispersion=phi)
                    count = runs if tick_s == 1.0 or healthy_s == 0.0 else few
                    text = _cell(world, settings, fault, 0.001, healthy_s, count)
                    place = "mid-step" if healthy_s else "at step "
                    print(f"tick {tick_s:3} s  phi {phi:.0f}  fault {fault:6.1%} {place}  {text}", flush=True)


def _shared(runs: int) -> None:
    for tick_s in (0.2, 1.0):
        for level in (0.2, 1.0):
            held, wrong = [], 0
            for seed in range(runs):
                settings, dice, world = Settings(), Dice(seed), World(tick_s=tick_s)
                account = opened(settings, world.share_bp)
                account, _ = world.run(account, settings, dice, steady(0.001, 0.001), round(30 / tick_s))
                _, outcome = world.run(account, settings, dice, steady(level, level), round(20 / tick_s))
                wrong += outcome.rollback_tick is not None
                held.append(min(outcome.held.values(), default=10**9) * tick_s)
            print(f"shared {level:4.0%}  tick {tick_s} s  held after max {max(held):.1f} s  rollbacks {wrong}")


def _cost() -> None:
    settings, dice, world = Settings(), Dice(1), World()
    account = opened(settings, world.share_bp)
    started = time.process_time()
    world.run(account, settings, dice, steady(0.001, 0.001), 3000)
    print(f"CPU per tick: {(time.process_time() - started) / 3000 * 1e3:.3f} ms (draws included)")


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    _cost()
    _shared(runs // 2)
    _detection(runs)


if __name__ == "__main__":
    main()

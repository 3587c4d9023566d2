"""The judges of many releases, side by side: every account of `lbctl.core.judge`, and its words."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lbctl.core.judge.terms import SLOW_MARGINS, WEIGHTS, Settings, Stream
from tests.bench.judge.vector import Comparisons, Floats, Mask, Watches

ADVANCE, HOLD, RETREAT, ROLLBACK = range(4)
WORDS = ("advance", "hold", "retreat", "rollback")
Words = NDArray[np.int64]
Quad = tuple[Floats, Floats, Floats, Floats]
"""Requests of the candidate, bad ones of them, requests of active, bad ones of them; per release."""


@dataclass(frozen=True)
class Known:
    """What was learned of each release's service before: dispersion, and active's requests of the last hour."""

    phi: Floats
    baseline_total: Floats
    baseline_bad: Floats
    slow_phi: Mapping[Stream, Floats] | None = None
    """None: latency is not judged."""

    @staticmethod
    def of(phi: Floats) -> "Known":
        """Return the same without a baseline."""
        return Known(phi, np.zeros(len(phi)), np.zeros(len(phi)))


@dataclass
class Said:
    """What the judges of all releases say about one tick."""

    words: Words
    odds: Floats
    waits: Mask
    """Held only because the step has too little evidence yet."""


class Servers:
    """One account per server of the candidate, judged in blocks of a second, four of them per tick."""

    def __init__(self, known: Known, settings: Settings, count: int) -> None:
        self.count, self.releases = count, len(known.phi)
        phi = np.tile(known.phi, count)
        self.errors = Comparisons(phi, settings, settings.margin_abs, settings.margin_rel)
        self.decisive = count / settings.false_rollback
        self.quiet_s = np.full(len(phi), 30.0)

    @property
    def faulty(self) -> NDArray[np.bool_]:
        """Return which server of which release is named, [server, release]."""
        return (self.quiet_s < 30.0).reshape(self.count, self.releases)

    def take(self, g: Floats, k: Floats, b: Floats, m: Floats, dt_s: float) -> None:
        """Take in one tick; `g` and `k` are [server, release]."""
        self.errors.wait(g.ravel(), k.ravel(), np.tile(b, self.count), np.tile(m, self.count), dt_s)
        self.quiet_s = np.minimum(self.quiet_s + dt_s, 30.0)
        due = self._due()
        self.errors.judge(due)
        fired = due & (self.errors.capital.odds >= self.decisive * (1 - 1e-12))
        self.errors.capital.renew(fired)
        self.quiet_s = np.where(fired, 0.0, self.quiet_s)

    def keep(self, which: Mask) -> None:
        """Go on with these releases only."""
        every = np.tile(which, self.count)
        self.errors.keep(every)
        self.quiet_s, self.releases = self.quiet_s[every], int(which.sum())

    def _due(self) -> Mask:
        g, _, b, _, span = (each.reshape(self.count, self.releases) for each in self.errors.pending)
        ready = (span >= 1.0 - 1e-6) & (g > 0) & (b > 0)
        order = np.argsort(np.where(ready, -span, np.inf), axis=0, kind="stable")
        rank = np.argsort(order, axis=0, kind="stable")
        due: Mask = (ready & (rank < 4)).ravel()
        return due


class Fleet:
    """As many accounts as there are releases."""

    def __init__(self, known: Known, settings: Settings, servers: int = 0) -> None:
        self.settings, self.known = settings, known
        self.errors = Comparisons(known.phi, settings, settings.margin_abs, settings.margin_rel)
        self.slow = {
            stream: Comparisons(phi, settings, SLOW_MARGINS[stream], settings.latency_margin_rel)
            for stream, phi in (known.slow_phi or {}).items()
        }
        self.servers = Servers(known, settings, servers) if servers else None
        self.has_baseline = known.baseline_total >= 1000
        ratio = (known.baseline_bad + 3) / (known.baseline_total + 3)
        learned = np.minimum(settings.margin_abs + settings.margin_rel * ratio, settings.candidate_limit)
        self.active = Watches(known.phi, settings, settings.active_limit)
        self.candidate = Watches(known.phi, settings, np.where(self.has_baseline, learned, settings.candidate_limit))
        self.evidence = np.zeros(len(known.phi))
        self.waiting = np.zeros(len(known.phi))

    def step(self, where: Mask | bool = True) -> None:
        """Begin a step in the releases of `where`."""
        for stream in (self.errors, *self.slow.values()):
            stream.capital.stake(np.where(where, 0.1, 0.0))
        self.evidence = np.where(where, 0.0, self.evidence)
        self.waiting = np.where(where, 0.0, self.waiting)

    def tick(
        self,
        counts: Quad,
        dt_s: float,
        share: Floats | float,
        slow: Mapping[Stream, Quad] | None = None,
        servers: tuple[Floats, Floats] | None = None,
    ) -> Said:
        """Take in one tick of all releases (as floats) and say what each asks for."""
        g, k, b, m = counts
        self.errors.take(g, k, b, m, dt_s)
        for stream, pair in (slow or {}).items():
            self.slow[stream].take(*pair, dt_s)
        tick = np.stack(counts)
        self.active.take((b, m), tick, dt_s)
        self.candidate.take((g, k), tick, dt_s)
        if servers is not None and self.servers is not None:
            self.servers.take(*servers, b, m, dt_s)
        self.waiting = self.waiting + g
        judged = (self.errors.pending[0] == 0) | (np.asarray(share) >= 1.0)
        self.evidence = self.evidence + np.where(judged, self.waiting, 0.0)
        self.waiting = np.where(judged, 0.0, self.waiting)
        return self._said(share)

    def keep(self, which: Mask) -> None:
        """Go on with these releases only."""
        for part in (self.errors, *self.slow.values(), self.active, self.candidate):
            part.keep(which)
        if self.servers is not None:
            self.servers.keep(which)
        self.evidence, self.waiting = self.evidence[which], self.waiting[which]
        self.has_baseline = self.has_baseline[which]

    @property
    def odds(self) -> Floats:
        """Return the odds of all streams together."""
        if not self.slow:
            return self.errors.capital.odds
        odds = WEIGHTS[Stream.ERROR] * self.errors.capital.odds
        for stream, comparison in self.slow.items():
            odds = odds + WEIGHTS[stream] * comparison.capital.odds
        return odds

    def _said(self, share: Floats | float) -> Said:
        odds = self.odds
        holding = self.active.faulty | self.candidate.faulty | (odds >= 20.0)
        if self.servers is not None:
            holding |= self.servers.faulty.any(axis=0)
        waits = ~holding & (self.evidence < self.settings.evidence_min)
        words = np.where(holding | waits, HOLD, ADVANCE)
        words = np.where(self._retreats(share), RETREAT, words)
        words = np.where(odds >= (1.0 / self.settings.false_rollback) * (1 - 1e-12), ROLLBACK, words)
        return Said(words, odds, waits)

    def _retreats(self, share: Floats | float) -> Mask:
        _, _, b, m = self.candidate.episode
        shared = (m >= 2) & (m > 4.0 * self.candidate.limit * b)
        above = np.asarray(share) * 10_000 > self.settings.retreat_above_bp
        worse: Mask = self.candidate.faulty & self.has_baseline & ~self.active.faulty & ~shared & above
        return worse

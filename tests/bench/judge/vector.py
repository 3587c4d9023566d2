"""The shipped judge's evidence once more, for many releases at once (numpy). A second writing, to be held against it.

Only the numbers: no windows, no wording. Capitals are kept as plain numbers instead of logarithms; a stake too small
for a double is too small to matter. Arrays are [release] or [expert, release]; a tick has one length for all releases.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lbctl.core.judge.terms import Settings

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

EXPERTS = 8
_WORST = 0.98
_INDEX = np.arange(EXPERTS, dtype=np.float64)[:, None]


def alternatives(tolerated: Floats) -> Floats:
    """Return the fault ratios bet on, [expert, release]."""
    mildest = np.minimum(1.4 * tolerated, _WORST)
    steps: Floats = mildest * (_WORST / mildest) ** (_INDEX / (EXPERTS - 1))
    return steps


def _border_guess(g: Floats, b: Floats, q: Floats, guessed: Floats, d: float, r: float) -> Floats:
    low = np.broadcast_to(guessed, q.shape).copy()
    high = np.minimum((q - d) / r, 1.0 - 1e-9)
    settled = high <= low
    rg = r * g
    for _ in range(16):
        x = np.sqrt(low * high)
        y = d + r * x
        rising = rg * (q - y) * (x * (1.0 - x)) > b * (x - guessed) * (y * (1.0 - y))
        low = np.where(rising, x, low)
        high = np.where(rising, high, x)
    return np.where(settled, guessed, np.sqrt(low * high))


def hedged(g: Floats, k: Floats, b: Floats, m: Floats, guessed: Floats, d: float, r: float) -> Floats:
    """Return the log pay-off of every expert; only meant where both colours have a request (`g`, `b` > 0)."""
    q = alternatives(d + r * guessed)
    x = _border_guess(g, b, q, guessed, d, r)
    y = d + r * x
    is_bet = y < q
    s = np.where(is_bet, (q - y) / (y * (1.0 - y)), 0.0)
    h = r * s * g / b
    most = 0.98 / (1.0 - x)
    scale = np.where(h > most, most / np.where(h > 0.0, h, 1.0), 1.0)
    s, h = s * scale, h * scale
    gain = k * np.log1p(s * (1.0 - y)) + (g - k) * np.log1p(-s * y)
    gain += m * np.log1p(-h * (1.0 - x)) + (b - m) * np.log1p(h * x)
    return np.where(is_bet, gain, 0.0)


def alone(total: Floats, bad: Floats, limit: Floats) -> Floats:
    """Return the log pay-off of every expert against "the ratio is at most `limit`"."""
    q = alternatives(limit)
    gain = bad * np.log(q / limit) + (total - bad) * (np.log1p(-q) - np.log1p(-limit))
    return np.where(q > limit, gain, 0.0)


@dataclass
class Capitals:
    """Reserve and stakes of every release; `phi` divides evidence."""

    reserve: Floats
    stakes: Floats
    staked_s: Floats
    phi: Floats
    rise: Floats
    """How far the stakes have grown since they last stopped falling."""
    most: float
    horizon_s: float

    @staticmethod
    def fresh(phi: Floats, settings: Settings) -> "Capitals":
        count = len(phi)
        most = 0.9 * -float(np.log(settings.false_rollback))
        stakes = np.full((EXPERTS, count), 0.5 / EXPERTS)
        return Capitals(np.full(count, 0.5), stakes, np.zeros(count), phi, np.zeros(count), most, settings.horizon_s)

    @property
    def odds(self) -> Floats:
        return self.reserve + self.stakes.sum(axis=0)

    def stake(self, part: Floats | float) -> None:
        self.stakes = self.stakes + self.reserve * part / EXPERTS
        self.reserve = self.reserve * (1.0 - part)

    def settle(self, gain: Floats, span_s: Floats, where: Mask) -> None:
        """Stake for the block's time and pay it off, in the releases of `where`."""
        staked_s = np.where(where, self.staked_s + span_s, self.staked_s)
        self.stake(np.where(where, np.minimum(span_s / (self.horizon_s + staked_s), 0.9), 0.0))
        self.staked_s = staked_s
        before = self.stakes.sum(axis=0)
        pay = np.exp(np.minimum(gain / self.phi, self.most))
        # A release long convicted goes on being told; it must not run out of double precision.
        self.stakes = np.minimum(np.where(where, self.stakes * pay, self.stakes), 1e290)
        grown = np.maximum(self.rise + np.log(np.maximum(self.stakes.sum(axis=0), 1e-300) / before), 0.0)
        self.rise = np.where(where, grown, self.rise)

    def renew(self, where: Mask) -> None:
        """Start anew in the releases of `where`."""
        self.reserve = np.where(where, 0.5, self.reserve)
        self.stakes = np.where(where, 0.5 / EXPERTS, self.stakes)
        self.staked_s = np.where(where, 0.0, self.staked_s)
        self.rise = np.where(where, 0.0, self.rise)

    def keep(self, which: Mask) -> None:
        self.reserve, self.stakes = self.reserve[which], self.stakes[:, which]
        self.staked_s, self.phi, self.rise = self.staked_s[which], self.phi[which], self.rise[which]


class Comparisons:
    """Candidate against active, one stream of many releases."""

    def __init__(self, phi: Floats, settings: Settings, d: float, r: float) -> None:
        count = len(phi)
        self.capital = Capitals.fresh(phi, settings)
        self.d, self.r = d, r
        self.pending = np.zeros((5, count))  # g, k, b, m, span
        self.recent = np.zeros((2, count))  # total, bad of active

    def guess(self) -> Floats:
        prior = max(self.d, 1e-4) * 50.0
        return np.clip((self.recent[1] + prior) / (self.recent[0] + 50.0), 1e-6, 1.0 - 1e-6)

    def learn(self, total: Floats, bad: Floats, span_s: Floats | float, where: Mask | bool = True) -> None:
        """Take active's requests into the guess of its ratio."""
        after = self.recent * 0.5 ** (np.asarray(span_s) / 300.0) + np.stack([total, bad])
        self.recent = np.where(where, after, self.recent)

    def take(self, g: Floats, k: Floats, b: Floats, m: Floats, dt_s: float) -> None:
        """Take in one tick, judge where both colours have a request by now."""
        self.wait(g, k, b, m, dt_s)
        self.judge(np.ones(len(g), dtype=bool))

    def wait(self, g: Floats, k: Floats, b: Floats, m: Floats, dt_s: float) -> None:
        """Take in one tick without judging it."""
        self.pending = self.pending + np.stack([g, k, b, m, np.full(len(g), dt_s)])

    def judge(self, where: Mask) -> None:
        """Judge what waits."""
        g, k, b, m, span = self.pending
        ready = where & (g > 0) & (b > 0)
        if not ready.any():
            return
        gain = hedged(
            np.where(ready, g, 1.0),
            np.where(ready, k, 0.0),
            np.where(ready, b, 1.0),
            np.where(ready, m, 0.0),
            self.guess(),
            self.d,
            self.r,
        )
        self.capital.settle(gain, span, ready)
        self.learn(b, m, span, ready)
        self.pending = np.where(ready, 0.0, self.pending)

    def keep(self, which: Mask) -> None:
        self.capital.keep(which)
        self.pending, self.recent = self.pending[:, which], self.recent[:, which]


class Watches:
    """One colour against a limit; a proof marks it faulty for 30 s and starts a new account.

    `episode`: g, k, b, m since the onset of the present fault.
    """

    def __init__(self, phi: Floats, settings: Settings, limit: Floats | float) -> None:
        count = len(phi)
        self.capital = Capitals.fresh(phi, settings)
        self.limit = np.broadcast_to(np.asarray(limit, dtype=np.float64), phi.shape)
        self.quiet_s = np.full(count, 30.0)
        self.decisive = 1.0 / settings.false_rollback
        self.window = np.zeros((4, count))
        self.episode = np.zeros((4, count))

    @property
    def faulty(self) -> Mask:
        return self.quiet_s < 30.0

    def take(self, own: tuple[Floats, Floats], tick: Floats, dt_s: float) -> None:
        """Take in one tick of the watched colour, `own` being its part of `tick` (g, k, b, m)."""
        total, bad = own
        some = total > 0
        self.capital.settle(alone(total, bad, self.limit), np.full(len(total), dt_s), some)
        window = np.where(self.capital.rise > 0.0, self.window + tick, 0.0)
        self.window = np.where(some, window, self.window)
        fired = some & (self.capital.odds >= self.decisive * (1 - 1e-12))
        quiet_s = np.minimum(self.quiet_s + dt_s, 30.0)
        going_on = self.faulty & (fired | (quiet_s < 30.0))
        self.episode = np.where(going_on, self.episode + tick, np.where(fired, self.window, 0.0))
        self.capital.renew(fired)
        self.window = np.where(fired, 0.0, self.window)
        self.quiet_s = np.where(fired, 0.0, quiet_s)

    def keep(self, which: Mask) -> None:
        self.capital.keep(which)
        self.limit, self.quiet_s = self.limit[which], self.quiet_s[which]
        self.window, self.episode = self.window[:, which], self.episode[:, which]

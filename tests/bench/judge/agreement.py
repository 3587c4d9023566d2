"""The second writing of the judge held against the shipped one: tick by tick, over releases of every kind.

Every release has its own rate, fault, onset, dispersion and baseline; all share the ticks and the steps, whose shares
go high enough for retreats. Latency streams and servers are drawn as counts.
"""

from dataclasses import dataclass

import numpy as np

from lbctl.core.judge import Account, Counts, Pair, Sample, Settings, Stream, Terms, judge, new_step
from lbctl.core.judge.terms import SLOW
from tests.bench.judge.fleet import WORDS, Fleet, Known, Said
from tests.bench.judge.vector import Floats

SHARES = (0.01, 0.10, 0.50, 0.95, 1.0)
SERVERS = 7
_SLOW_USUAL = {Stream.SLOW50: 0.28, Stream.SLOW95: 0.03, Stream.SLOW99: 0.006}
_KINDS = ("healthy", "errors", "shared", "bursts", "slow", "one server", "active ill", "idle")


@dataclass(frozen=True)
class Agreement:
    """How well both agree."""

    releases: int
    ticks: int
    words_differ: int
    odds_differ: float
    """Largest relative difference."""
    seen: tuple[str, ...]
    """Every word that was said."""


@dataclass(frozen=True)
class _Drawn:
    """One tick: g and k per server, [server, release]; b, m; the latency streams."""

    g: Floats
    k: Floats
    b: Floats
    m: Floats
    slow: dict[Stream, tuple[Floats, Floats, Floats, Floats]]


class _Worlds:
    """Releases of every kind, ticked together."""

    def __init__(self, releases: int, rng: np.random.Generator, ticks: int) -> None:
        self.rng = rng
        self.kind = np.arange(releases) % len(_KINDS)
        self.rate = rng.choice([3.0, 40.0, 1000.0], releases)
        self.base = rng.choice([0.0001, 0.001, 0.01], releases)
        self.worse = rng.choice([2.0, 10.0, 60.0, 900.0], releases)
        self.onset = rng.integers(0, ticks, releases)

    def _is(self, name: str, tick: int) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        return (self.kind == _KINDS.index(name)) & (tick >= self.onset)

    def draw(self, tick: int, share: float, dt_s: float) -> _Drawn:
        rng = self.rng
        ill = np.minimum(self.base * self.worse, 1.0)
        shared = self._is("shared", tick)
        p1 = np.where(self._is("errors", tick) | shared, ill, self.base)
        p0 = np.where(shared | self._is("active ill", tick), ill, self.base)
        by_server = np.tile(p1, (SERVERS, 1))
        by_server[2] = np.where(self._is("one server", tick), ill, p1)
        rate = np.where(self._is("idle", tick), 0.0, self.rate)
        g = rng.poisson(rate * share * dt_s / SERVERS, by_server.shape)
        k = rng.binomial(g, by_server)
        burst = np.where(self._is("bursts", tick) & (rng.random(len(rate)) < 0.05), 20, 0)
        g[0] += burst
        k[0] += burst
        b = rng.poisson(rate * (1 - share) * dt_s)
        slow = {stream: self._slow(tick, g.sum(axis=0), b, usual) for stream, usual in _SLOW_USUAL.items()}
        return _Drawn(*(side.astype(float) for side in (g, k, b, rng.binomial(b, p0))), slow)

    def _slow(self, tick: int, g: Floats, b: Floats, usual: float) -> tuple[Floats, Floats, Floats, Floats]:
        ratio = np.where(self._is("slow", tick), min(3 * usual, 0.9), usual)
        sides = g, self.rng.binomial(g.astype(int), ratio), b, self.rng.binomial(b.astype(int), usual)
        return tuple(side.astype(float) for side in sides)  # type: ignore[return-value]


def compare(releases: int, ticks: int, seed: int, *, latency: bool, servers: bool, dt_s: float = 1.0) -> Agreement:
    """Run both over the same ticks."""
    rng = np.random.default_rng([seed, 3])
    worlds, settings = _Worlds(releases, rng, ticks), Settings()
    known = _known(releases, rng, latency=latency)
    fleet = Fleet(known, settings, SERVERS if servers else 0)
    accounts = [Account.fresh(settings, terms=_terms(known, index)) for index in range(releases)]
    differ, worst, words = 0, 0.0, set[str]()
    for tick in range(ticks):
        share = SHARES[tick * len(SHARES) // ticks]
        if tick == 0 or share != SHARES[(tick - 1) * len(SHARES) // ticks]:
            fleet.step()
            accounts = [new_step(account, settings, share_bp=round(share * 10_000)) for account in accounts]
        drawn = worlds.draw(tick, share, dt_s)
        said = _told(fleet, drawn, share, dt_s, latency=latency, servers=servers)
        for index in range(releases):
            sample = _sample(drawn, index, share, dt_s, latency=latency, servers=servers)
            accounts[index], verdict = judge(accounts[index], sample, settings)
            words.add(verdict.word.value)
            differ += verdict.word.value != WORDS[said.words[index]]
            if verdict.odds < 1e200:
                worst = max(worst, abs(verdict.odds / said.odds[index] - 1))
    return Agreement(releases, ticks, differ, worst, tuple(sorted(words)))


def _told(fleet: Fleet, drawn: _Drawn, share: float, dt_s: float, *, latency: bool, servers: bool) -> Said:
    counts = drawn.g.sum(axis=0), drawn.k.sum(axis=0), drawn.b, drawn.m
    each = (drawn.g, drawn.k) if servers else None
    return fleet.tick(counts, dt_s, share, drawn.slow if latency else None, each)


def _known(releases: int, rng: np.random.Generator, *, latency: bool) -> Known:
    total = rng.choice([0.0, 50_000.0], releases)
    return Known(
        phi=rng.uniform(1.0, 3.0, releases),
        baseline_total=total,
        baseline_bad=np.rint(total * 0.001),
        slow_phi={stream: rng.uniform(1.0, 3.0, releases) for stream in SLOW} if latency else None,
    )


def _terms(known: Known, index: int) -> Terms:
    slow = known.slow_phi or {}
    return Terms(
        dispersion=float(known.phi[index]),
        slow_dispersion={stream: float(phi[index]) for stream, phi in slow.items()},
        latency=known.slow_phi is not None,
        baseline=Counts(int(known.baseline_total[index]), int(known.baseline_bad[index])),
    )


def _sample(drawn: _Drawn, index: int, share: float, dt_s: float, *, latency: bool, servers: bool) -> Sample:
    slow = {
        stream: Pair(Counts(int(g[index]), int(k[index])), Counts(int(b[index]), int(m[index])))
        for stream, (g, k, b, m) in drawn.slow.items()
    }
    each = {f"s{n}": Counts(int(drawn.g[n, index]), int(drawn.k[n, index])) for n in range(SERVERS)}
    return Sample(
        dt_s=dt_s,
        share_bp=round(share * 10_000),
        candidate=Counts(int(drawn.g[:, index].sum()), int(drawn.k[:, index].sum())),
        active=Counts(int(drawn.b[index]), int(drawn.m[index])),
        slow=slow if latency else {},
        servers=each if servers else {},
    )

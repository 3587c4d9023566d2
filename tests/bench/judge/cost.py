"""What a tick of the shipped judge costs: four streams, seven servers, both watches."""

import time

import numpy as np

from lbctl.core.judge import Account, Counts, Pair, Sample, Settings, Terms, judge, new_step
from lbctl.core.judge.terms import SLOW

SERVERS = 7
_USUAL = dict(zip(SLOW, (0.28, 0.03, 0.006), strict=True))
_RUNS, _TICKS = 5, 200


def samples(count: int, seed: int, *, full: bool, fault: float = 0.001) -> list[Sample]:
    """Return ticks of 1 s of a busy service: `full` with latency and servers, else errors alone."""
    rng = np.random.default_rng([seed, 31])
    return [_sample(rng, fault, full=full) for _ in range(count)]


def _sample(rng: np.random.Generator, fault: float, *, full: bool) -> Sample:
    each = [int(n) for n in rng.poisson(100 / SERVERS, SERVERS)]
    bad = [int(rng.binomial(n, fault)) for n in each]
    g, b = sum(each), int(rng.poisson(900))
    slow = {
        stream: Pair(Counts(g, int(rng.binomial(g, part))), Counts(b, int(rng.binomial(b, part))), 70.0)
        for stream, part in _USUAL.items()
    }
    return Sample(
        dt_s=1.0,
        share_bp=1000,
        candidate=Counts(g, sum(bad)),
        active=Counts(b, int(rng.binomial(b, 0.001))),
        slow=slow if full else {},
        servers={f"b-green-{n}": Counts(each[n], bad[n]) for n in range(SERVERS)} if full else {},
    )


def cpu_ms(*, full: bool, runs: int = _RUNS, ticks: int = _TICKS) -> float:
    """Return the CPU of one tick in ms: the best of several runs, as a noisy neighbour only adds."""
    settings = Settings()
    told = samples(ticks, 1, full=full)
    terms = Terms(1.0, dict.fromkeys(SLOW, 1.0), full, Counts(100_000, 100))
    best = float("inf")
    for _ in range(runs):
        account = new_step(Account.fresh(settings, terms=terms), settings, share_bp=1000)
        began = time.process_time()
        for sample in told:
            account, _ = judge(account, sample, settings)
        best = min(best, (time.process_time() - began) / ticks)
    return 1000 * best

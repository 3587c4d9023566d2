"""Many runs beside each other, in processes of their own: a run needs one core, and knows nothing of any other."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

from lbctl.sim.chance import FAULTS, Rates
from lbctl.sim.run import Report, run
from lbctl.sim.unit.run import run_unit

AHEAD = 8
"""Runs given to each process at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One run by its seed."""

    seed: int
    ticks: int
    rates: Rates = FAULTS
    liveness: bool = False
    unit: bool = False
    """Two services that go over together, not one alone."""


def run_many(wanted: Iterable[Wanted], jobs: int) -> Iterator[Report]:
    """Give the reports in the order in which they are wanted; whoever stops reading ends what has not begun."""
    if jobs == 1:
        yield from map(_run, wanted)
        return
    # Not forked: whoever calls may have threads.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        try:
            yield from pool.map(_run, wanted, chunksize=AHEAD)
        finally:
            pool.shutdown(cancel_futures=True)


def _run(one: Wanted) -> Report:
    running = run_unit if one.unit else run
    return running(one.seed, one.ticks, rates=one.rates, liveness=one.liveness)

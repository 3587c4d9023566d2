"""The real core in the simulated world: nothing forbidden happens, and everything ends."""

import os
import time

import pytest

from lbctl.sim.chance import FAULTS
from lbctl.sim.many import Wanted, run_many
from lbctl.sim.run import Report, run


def repeat(report: Report, ticks: int, more: str = "") -> str:
    return f"{report.violation}\nrepeat: python -m lbctl.sim --seeds {report.seed} --ticks {ticks}{more}"


def holds(seeds: range, ticks: int, *, liveness: bool = False, rough: float = 1.0, jobs: int = 1) -> int:
    """Run these seeds; returns the number of ticks."""
    rates = FAULTS.times(rough)
    more = " --liveness" * liveness + f" --rough {rough:g}" * (rough != 1)
    spent = 0
    for report in run_many([Wanted(seed=seed, ticks=ticks, rates=rates, liveness=liveness) for seed in seeds], jobs):
        assert not report.violation, repeat(report, ticks, more)
        spent += report.ticks
    return spent


def test_nothing_forbidden_happens_under_any_faults() -> None:
    holds(range(1, 16), 600)


def test_nothing_forbidden_happens_in_a_rough_world() -> None:
    holds(range(100, 112), 500, rough=3)


def test_every_release_ends_once_the_faults_stop() -> None:
    holds(range(200, 215), 400, liveness=True)


def test_equal_seeds_give_equal_runs() -> None:
    assert run(7, 300) == run(7, 300)


def test_a_run_meets_what_it_is_for() -> None:
    counts: dict[str, int] = {}
    for seed in range(1, 17):
        for what, count in run(seed, 300, rates=FAULTS.times(1 + seed % 3)).counts.items():
            counts[what] = counts.get(what, 0) + count
    for what in (
        "crash",
        "reboot",
        "reload",
        "restart",
        "edit",
        "landed",
        "finished",
        "rolled_back",
        "cancelled",
        "session moved",
    ):
        assert counts.get(what), what


def test_runs_beside_each_other_are_the_same_runs() -> None:
    wanted = [Wanted(seed=seed, ticks=60) for seed in range(1, 5)]
    assert list(run_many(wanted, 2)) == [run(one.seed, one.ticks) for one in wanted]


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_a_million_ticks() -> None:
    jobs, began = os.cpu_count() or 1, time.monotonic()
    ticks = holds(range(1_000, 1_400), 1_500, jobs=jobs)
    ticks += holds(range(2_000, 2_300), 1_000, rough=3, jobs=jobs)
    ticks += holds(range(3_000, 3_200), 500, liveness=True, jobs=jobs)
    spent = time.monotonic() - began
    print(f"\n{ticks} ticks in {spent:.0f} s by {jobs} processes: {ticks / spent:.0f} ticks/s, 0 violations")

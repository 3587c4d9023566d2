"""The real core in the simulated world: nothing forbidden happens, and everything ends."""

import os
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import pytest

from lbctl.sim.chance import EVERYTHING, NONE, Rates
from lbctl.sim.many import Wanted, run_many
from lbctl.sim.points import OUTCOMES, POINTS
from lbctl.sim.run import Report, run
from tests.bench.rows import Row, told


def repeat(report: Report, ticks: int, more: str = "") -> str:
    return f"{report.violation}\nrepeat: python -m lbctl.sim --seeds {report.seed} --ticks {ticks}{more}"


def holds(
    seeds: Iterable[int], ticks: int, *, liveness: bool = False, rates: Rates = EVERYTHING, jobs: int = 1
) -> Counter[str]:
    """Run these seeds; returns what happened how often, and the number of `ticks`."""
    more = " --liveness" * liveness
    met: Counter[str] = Counter()
    for report in run_many([Wanted(seed=seed, ticks=ticks, rates=rates, liveness=liveness) for seed in seeds], jobs):
        assert not report.violation, repeat(report, ticks, more)
        met.update(report.counts)
        met["ticks"] += report.ticks
    return met


ROUGH = EVERYTHING.times(3)
KILLED = replace(NONE, crash=0.04, hooks=1.0, hook_fails=0.2, full=0.02, slow=0.2, heal=0.1, reload=0.01, person=0.06)
REGRETTED = replace(NONE, slow=0.4, person=0.03, heal=0.3, full=0.003, late=0.1, regret=0.3)
OVERTAKEN = replace(
    NONE, late=0.7, stuck=0.3, mute=0.1, person=0.08, crash=0.02, idle_crash=0.02, keeps_no_fence=0.0, heal=0.1
)
STAYING = replace(NONE, stays=0.7, visit=0.1, person=0.03)
DEPLOYED = replace(NONE, jobs=0.1, late=0.1, crash=0.002, slow=0.1)
BLACKED_OUT = replace(NONE, crash=0.02, reboot=1.0, torn=0.5, set_back=0.8, person=0.06, jobs=0.02)
FREED = replace(NONE, reload=0.05, edit_boot=0.08, person=0.1, crash=0.02)
RELOADED = replace(NONE, crash=0.01, edit=0.03, reload=0.02, person=0.08)
CUT_OFF = replace(NONE, cut_off=0.01, person=0.05, late=0.1, heal=0.1)
RARE = (
    (1, 300, KILLED),
    (5, 300, KILLED),
    (55, 300, KILLED),
    (6, 400, REGRETTED),
    (11, 300, OVERTAKEN),
    (1, 500, STAYING),
    (2, 300, RELOADED),
    (2, 250, FREED),
    (1, 400, DEPLOYED),
    (1, 300, BLACKED_OUT),
    (4, 600, CUT_OFF),
)
"""Where what is rare is met."""


def test_nothing_forbidden_happens_under_any_faults_and_every_named_fault_is_met() -> None:
    met = holds(range(1, 13), 500) + holds(range(100, 109), 400, rates=ROUGH)
    for seed, ticks, rates in RARE:
        met += holds([seed], ticks, rates=rates)
    assert [point for point in POINTS if not met[point]] == []
    unnamed = met.keys() - {*POINTS, *OUTCOMES, "ticks"}
    assert not unnamed, "a fault without a name in lbctl/sim/points.py"
    assert [outcome for outcome in OUTCOMES if not met[outcome]] == []


def test_every_release_ends_once_the_faults_stop() -> None:
    holds(range(200, 213), 400, liveness=True)


def test_equal_seeds_give_equal_runs() -> None:
    assert run(7, 300) == run(7, 300)


def test_runs_beside_each_other_are_the_same_runs() -> None:
    wanted = [Wanted(seed=seed, ticks=60) for seed in range(1, 5)]
    assert list(run_many(wanted, 2)) == [run(one.seed, one.ticks) for one in wanted]


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_a_million_ticks() -> None:
    jobs, began = os.cpu_count() or 1, time.monotonic()
    met = holds(range(1_000, 1_400), 1_500, jobs=jobs)
    met += holds(range(2_000, 2_300), 1_000, rates=ROUGH, jobs=jobs)
    met += holds(range(3_000, 3_200), 500, liveness=True, jobs=jobs)
    ticks = met["ticks"]
    spent = time.monotonic() - began
    seen = f"{spent:.0f} s by {jobs} processes: {ticks / spent:.0f} ticks/s, 0 violations"
    assert (
        told("million_ticks", [Row("ticks", "ticks of the core, nothing forbidden", ticks, "", 1e6, ">=", seen)]) == 0
    )

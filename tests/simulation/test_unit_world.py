"""Two services that go over together, in the simulated world: nothing forbidden happens, and everything ends."""

import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context

import pytest

from lbctl.sim.chance import TEAMS, UNIT, Rates
from lbctl.sim.points import UNIT_OUTCOMES, UNIT_POINTS
from lbctl.sim.run import Report
from lbctl.sim.unit.run import run_unit
from tests.simulation.damaged import Mutant, damaged
from tests.simulation.unit_mutants import MUTANTS, SICK

ROUGH = UNIT.times(3)
KILLED = replace(
    TEAMS,
    crash=0.04,
    idle_crash=0.01,
    reboot=0.3,
    late=0.3,
    full=0.02,
    slow=0.3,
    person=0.08,
    server_dies=0.01,
    checker=0.02,
    edit=0.01,
    heal=0.1,
    stuck=0.05,
    lost=0.03,
)
REGRETTED = replace(
    TEAMS, person=0.15, pool_dies=0.01, errors=0.01, heal=0.15, checker=0.01, regret=0.3, stops_old=0.02
)
OVERTAKEN = replace(TEAMS, jobs=0.15, late=0.7, stuck=0.3, mute=0.1, person=0.08, crash=0.03, idle_crash=0.03, heal=0.1)
EDITED = replace(TEAMS, edit=0.06, late=0.8, stuck=0.2, jobs=0.15, heal=0.1)
MET = (
    (6, 300, ROUGH),
    (3, 300, ROUGH),
    (23, 400, REGRETTED),
    (4, 400, KILLED),
    (3, 300, OVERTAKEN),
    (4, 300, OVERTAKEN),
    (57, 400, EDITED),
    *((seed, 400, UNIT) for seed in (2, 8, 14, 16)),
)
"""Where every fault is met."""
FIRST = {mutant.name: mutant for mutant in MUTANTS}
TICKS = 400


def test_both_services_go_over_together_and_nobody_meets_a_version_it_does_not_know() -> None:
    report = run_unit(3, 300, rates=TEAMS)
    assert report.violation == ""
    assert report.counts["joint finished"] >= 1
    assert report.counts["certified"] >= 4


def test_nothing_forbidden_happens_to_a_unit_under_any_faults_and_every_named_fault_is_met() -> None:
    met = Counter[str]()
    for seed, ticks, rates in MET:
        report = run_unit(seed, ticks, rates=rates)
        assert not report.violation, f"seed {seed}: {report.violation}"
        met.update(report.counts)
    assert [point for point in (*UNIT_POINTS, *UNIT_OUTCOMES) if not met[point]] == []
    assert not met.keys() - {*UNIT_POINTS, *UNIT_OUTCOMES}, "a fault without a name in lbctl/sim/points.py"


def test_everything_of_a_unit_ends_once_the_faults_stop() -> None:
    for seed in (201, 202):
        report = run_unit(seed, 300, rates=UNIT, liveness=True)
        assert not report.violation, f"seed {seed}: {report.violation}"


def test_equal_seeds_give_equal_runs_of_a_unit() -> None:
    assert run_unit(7, 150, rates=UNIT) == run_unit(7, 150, rates=UNIT)


def test_a_first_run_of_the_rates_of_mutants_breaks_nothing() -> None:
    assert run_unit(12, TICKS, rates=SICK).violation == ""


def test_mutants_of_a_unit_have_names_of_their_own() -> None:
    assert len(FIRST) == len(MUTANTS)


@pytest.mark.parametrize(
    "mutant",
    [pytest.param(one, marks=pytest.mark.long) if one.liveness else one for one in MUTANTS],
    ids=lambda mutant: mutant.name,
)
def test_a_rule_of_a_unit_left_out_is_missed(mutant: Mutant) -> None:
    report = run_unit(mutant.seed, TICKS, core=damaged(mutant), rates=mutant.rates, liveness=mutant.liveness)
    assert report.violation, f"seed {mutant.seed} misses nothing: find another one"


def _run(rates: Rates, ticks: int, seed: int) -> Report:
    return run_unit(seed, ticks, rates=rates, liveness=seed % 4 == 0)


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_thousands_of_units_under_faults_mix_nothing_and_end() -> None:
    with ProcessPoolExecutor(os.cpu_count() or 1, mp_context=get_context("spawn")) as pool:
        for rates, seeds in ((UNIT, range(1_000, 3_000)), (ROUGH, range(3_000, 3_600)), (TEAMS, range(4_000, 4_400))):
            for report in pool.map(partial(_run, rates, 500), seeds, chunksize=8):
                assert not report.violation, f"seed {report.seed}: {report.violation}"

"""The simulated world catches every rule that is left out: else it would prove nothing when it finds nothing."""

from pathlib import Path

import pytest

from lbctl.sim.run import run
from tests.simulation.damaged import Mutant, damaged
from tests.simulation.mutants import MUTANTS
from tests.simulation.rules import RULES

TICKS = 500
SEEDS_MAX = 60
"""A rule that is not missed within so many seeds is not tested by this world."""
FIRST = {mutant.name: mutant for mutant in MUTANTS}


def test_mutants_have_names_of_their_own() -> None:
    assert len(FIRST) == len(MUTANTS)


def test_every_necessary_rule_is_caught_by_a_mutant_or_a_test_that_exists() -> None:
    tests = Path(__file__).parents[1]
    for rule, catchers in RULES.items():
        for catcher in catchers:
            file, _, name = catcher.partition("::")
            known = f"def {name}(" in (tests / file).read_text() if name else catcher in FIRST
            assert known, f"{rule}: {catcher} is gone"


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_rule_left_out_is_missed(mutant: Mutant) -> None:
    core = damaged(mutant)
    seeds = [mutant.seed, *range(1, SEEDS_MAX)]
    caught = (run(seed, TICKS, core=core, rates=mutant.rates, liveness=mutant.liveness) for seed in seeds)
    assert any(report.violation for report in caught), f"nothing forbidden in {SEEDS_MAX} seeds"


@pytest.mark.long
@pytest.mark.parametrize("rates", {mutant.rates for mutant in MUTANTS}, ids=lambda rates: f"{hash(rates) & 0xFFFF:04x}")
def test_the_whole_core_breaks_nothing_under_the_same_faults(rates: object) -> None:
    reports = [run(seed, TICKS, rates=rates) for seed in range(1, 4)]
    assert not [report for report in reports if report.violation]

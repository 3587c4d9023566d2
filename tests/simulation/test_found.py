"""A run that breaks a rule shrinks to the smallest that still does, is kept as a file, and never breaks it again."""

from pathlib import Path

import pytest

from lbctl.sim.__main__ import main
from lbctl.sim.chance import EVERYTHING, NONE
from lbctl.sim.shrink import Found, shrunk
from tests.simulation.damaged import damaged
from tests.simulation.mutants import MUTANTS

FOUND = sorted((Path(__file__).parent / "found").glob("*.json"))
SKIPS = next(mutant for mutant in MUTANTS if mutant.name == "a step is skipped")


@pytest.mark.parametrize("file", FOUND, ids=[file.stem for file in FOUND])
def test_what_was_found_once_is_not_found_again(file: Path) -> None:
    assert Found.from_json(file.read_text()).again().violation == ""


def test_a_failing_run_shrinks_to_few_faults_and_is_the_same_when_it_is_read_again() -> None:
    core = damaged(SKIPS)
    first = Found(seed=SKIPS.seed, ticks=150, rates=SKIPS.rates)
    small = shrunk(first, core)
    assert "a step was skipped" in small.violation
    assert small.ticks < first.ticks
    assert [name for name in NONE.__slots__ if getattr(small.rates, name)] == ["person"]
    again = Found.from_json(small.to_json())
    assert again == small
    assert again.again(core).violation == small.violation
    assert again.again().violation == ""


def test_a_run_that_breaks_nothing_does_not_shrink() -> None:
    with pytest.raises(ValueError, match="seed 1 breaks nothing"):
        shrunk(Found(seed=1, ticks=20, rates=NONE))


def test_a_file_with_a_fault_that_is_none_is_refused() -> None:
    text = '{"violation": "", "seed": 1, "ticks": 1, "liveness": false, "faults": {"earthquake": 1}}'
    with pytest.raises(ValueError, match="there is no fault earthquake"):
        Found.from_json(text)


def test_a_kept_run_can_be_run_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "run.json"
    file.write_text(Found(seed=1, ticks=30, rates=EVERYTHING).to_json())
    assert main(["--again", str(file)]) == 0
    assert "nothing was broken" in capsys.readouterr().out

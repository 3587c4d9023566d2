"""The real core in the simulated world: nothing forbidden happens, and everything ends."""

import pytest

from lbctl.sim.chance import FAULTS
from lbctl.sim.run import Report, run


def repeat(report: Report, ticks: int, more: str = "") -> str:
    return f"{report.violation}\nrepeat: python -m lbctl.sim --seeds {report.seed} --ticks {ticks}{more}"


def holds(seeds: range, ticks: int, *, liveness: bool = False, rough: float = 1.0) -> None:
    for seed in seeds:
        report = run(seed, ticks, liveness=liveness, rates=FAULTS.times(rough))
        more = " --liveness" * liveness + f" --rough {rough:g}" * (rough != 1)
        assert not report.violation, repeat(report, ticks, more)


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
    for what in ("crash", "reboot", "reload", "restart", "edit", "landed", "finished", "rolled_back", "cancelled"):
        assert counts.get(what), what


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_a_million_ticks() -> None:
    holds(range(1_000, 1_400), 1_500)
    holds(range(2_000, 2_300), 1_000, rough=3)
    holds(range(3_000, 3_200), 500, liveness=True)

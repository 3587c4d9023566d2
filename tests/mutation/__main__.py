"""`make mutants ARGS='--each 4'`: does any test notice a slip of the pen in the decision core?

Of every module's mutants a seeded sample is tried (`--each 0`: all of them, hours). A survivor that changes nothing
that anybody could see is listed with a word of explanation in `equivalent.txt` and counts for nothing.
"""

import argparse
import importlib
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

import lbctl.core
from tests.bench.rows import Row, told
from tests.mutation.damage import Mutant, mutants
from tests.mutation.patching import function_of
from tests.mutation.score import bounds
from tests.mutation.trial import TESTS_S, Trial

CORE = Path(lbctl.core.__file__).parent
EQUIVALENT = Path(__file__).parent / "equivalent.txt"
GOAL = 90.0
SUITE = (
    *("core", "judge", "planner", "plan_preview", "health", "patience", "freezing", "sketch", "preview"),
    *("daemon_versions", "daemon_explain", "cli_draining"),
)
"""The unit tests of the core, by the names of their files."""
MORE = (
    *("scenarios", "simulation/test_world.py"),
    *(f"property/test_{word}.py" for word in ("core_machine", "core_reconcile", "health_promises", "judge_promise")),
    *(f"property/test_{word}.py" for word in ("matrix_kept", "unit_orders")),
)
"""What tries the core as a whole: slow, so it comes last for every mutant."""
LONG = ("core_asked", "core_units", "core_ready", "judge_figures", "planner")
"""Unit tests that take nearly as long as all the others together."""
QUICK = (
    "-W",
    "ignore::pytest.PytestAssertRewriteWarning",
    "-p",
    "no:randomly",
    "-p",
    "no:xdist",
    "-p",
    "no:cacheprovider",
    "-q",
    "--no-header",
    "--no-summary",
)


def known_equivalent() -> set[str]:
    """The mutants that nobody could notice, by name."""
    if not EQUIVALENT.exists():
        return set()
    lines = (line.strip() for line in EQUIVALENT.read_text(encoding="utf-8").splitlines())
    return {line.partition("  # ")[0] for line in lines if line and not line.startswith("#")}


def sampled(each: int, seed: int, words: str) -> Iterator[Mutant]:
    """Yield a sample of every module, in the order of the modules; `words`: only modules whose name has that part."""
    skip = known_equivalent()
    for file in sorted(CORE.rglob("*.py")):
        parts = file.relative_to(CORE.parent.parent).with_suffix("").parts
        module = ".".join(parts).removesuffix(".__init__")
        if words in module:
            found = [one for one in mutants(module, file.read_text()) if one.name not in skip and reachable(one)]
            chosen = found if not each else random.Random(f"{seed}{module}").sample(found, min(each, len(found)))
            yield from sorted(chosen, key=lambda one: one.line)


def reachable(mutant: Mutant) -> bool:
    """Whether its function can be exchanged."""
    try:
        importlib.import_module(mutant.module)
        function_of(mutant.module, mutant.function)
    except LookupError:
        return False
    return True


def quick() -> None:
    """Property tests do not shrink, and remember nothing of what a mutant did."""
    calm = [HealthCheck.too_slow]
    phases = (Phase.explicit, Phase.generate)
    settings.register_profile(
        "mutants", deadline=None, database=None, derandomize=True, phases=phases, suppress_health_check=calm
    )
    settings.load_profile("mutants")


def main() -> int:
    """Try them and say the score."""
    parser = argparse.ArgumentParser(prog="make mutants ARGS=…", description=__doc__)
    parser.add_argument("--each", type=int, default=4, help="how many of every module; 0: all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--module", default="", help="only modules whose name has this part")
    parser.add_argument("--jobs", type=int, default=1, help="how many mutants are tried at the same time")
    parser.add_argument("--seconds", type=float, default=TESTS_S, help="of tests for one mutant, at most")
    parser.add_argument("--short", action="store_true", help="only what is quick of the unit tests, no scenarios")
    parser.add_argument("--keep", action="store_true", help="keep the score for the page of promises")
    options = parser.parse_args()
    quick()
    chosen = list(sampled(options.each, options.seed, options.module))
    # Whoever stops it early has a sample of everything.
    random.Random(options.seed).shuffle(chosen)
    print(f"{len(chosen)} mutants", flush=True)
    trial = Trial(chosen, jobs=options.jobs, tests_s=options.seconds)
    code = pytest.main([*QUICK, "-m", "not long", "--capture=sys", *suite(short=options.short)], plugins=[trial])
    if code not in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
        return int(code)
    return verdict(trial, options)


def suite(*, short: bool = False) -> list[str]:
    """The tests that are asked, by file."""
    named, left = tuple(f"test_{word}" for word in SUITE), {f"test_{word}" for word in LONG if short}
    files = [file for file in sorted(Path("tests/unit").glob("test_*.py")) if file.stem.startswith(named)]
    if short:
        return [str(file) for file in files if file.stem not in left]
    return [str(file) for file in files] + [f"tests/{place}" for place in MORE]


def verdict(trial: Trial, options: argparse.Namespace) -> int:
    """Say the score of the sample and what it says about all."""
    count = len(trial.killed) + len(trial.survived) + len(trial.untested)
    hits = len(trial.killed)
    low, high = bounds(hits, count)
    asked = f"{options.seconds:.0f} s of tests for each{', the quick ones of the unit tests' * options.short}"
    seen = f"{hits} of {count} noticed, a sample of every module (seed {options.seed}); of all 95 % sure: {low:.1%} to "
    seen += f"{high:.1%}; {asked}; {len(known_equivalent())} that nobody could notice are not counted"
    row = Row(
        "score", "mutants of the decision core that a test notices", 100 * hits / max(1, count), "%", GOAL, ">=", seen
    )
    return told("mutants", [row], keep=options.keep)


if __name__ == "__main__":
    sys.exit(main())

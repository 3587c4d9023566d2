"""`python -m lbctl.sim --seeds 1..100 --ticks 3000`: run many seeds; a failing one prints how to repeat it alone."""

import argparse
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from lbctl.sim.chance import EVERYTHING, UNIT
from lbctl.sim.many import Wanted, run_many
from lbctl.sim.run import Report, run
from lbctl.sim.shrink import Found, shrunk
from lbctl.sim.unit.run import run_unit


def main(arguments: list[str] | None = None) -> int:
    """Return 1 if a seed failed."""
    options = _options(arguments)
    if options.again:
        return _again(options.again)
    first, last = options.seeds
    began, ticks, counts = _cpu_s(), 0, dict[str, int]()
    for report in _reports(options):
        ticks += report.ticks
        for what, count in report.counts.items():
            counts[what] = counts.get(what, 0) + count
        if report.violation:
            return _failed(report, options)
    spent = max(_cpu_s() - began, 1e-9)
    told = ", ".join(f"{what} {count}" for what, count in sorted(counts.items()))
    _say(f"{last - first + 1} seeds, {ticks} ticks, 0 violations, {ticks / spent:.0f} ticks/s of CPU: {told}")
    return 0


def _cpu_s() -> float:
    """Return the CPU time of this process and of those that it has ended."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _reports(options: argparse.Namespace) -> Iterator[Report]:
    first, last = options.seeds
    rates = (UNIT if options.unit else EVERYTHING).times(options.rough)
    if first == last:
        running = run_unit if options.unit else run
        return iter([running(first, options.ticks, rates=rates, liveness=options.liveness, log=True)])
    seeds = range(first, last + 1)
    one = Wanted(seed=0, ticks=options.ticks, rates=rates, liveness=options.liveness, unit=options.unit)
    wanted = [replace(one, seed=seed) for seed in seeds]
    return run_many(wanted, options.jobs)


def _failed(report: Report, options: argparse.Namespace) -> int:
    for line in report.tail:
        _say(line)
    mode = " --liveness" * options.liveness + " --unit" * options.unit
    rough = "" if options.rough == 1 else f" --rough {options.rough:g}"
    _say(f"seed {report.seed}: {report.violation}")
    if options.shrink and not options.unit:
        found = Found(
            seed=report.seed, ticks=options.ticks, rates=EVERYTHING.times(options.rough), liveness=options.liveness
        )
        options.shrink.write_text(shrunk(found).to_json())
        _say(f"shrunk: python -m lbctl.sim --again {options.shrink}")
    _say(f"repeat: python -m lbctl.sim --seeds {report.seed}..{report.seed} --ticks {options.ticks}{mode}{rough}")
    return 1


def _again(path: Path) -> int:
    """Run what `--shrink` wrote, with its log."""
    report = Found.from_json(path.read_text()).again(log=True)
    for line in report.tail if report.violation else ():
        _say(line)
    _say(f"seed {report.seed}: {report.violation or 'nothing was broken'}")
    return 1 if report.violation else 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lbctl.sim", description="Simulate releases under faults.")
    parser.add_argument("--seeds", type=_seeds, default=(1, 20), help="FIRST..LAST, or one seed with its log")
    parser.add_argument("--ticks", type=int, default=2_000, help="ticks of 100 simulated ms for each seed")
    parser.add_argument("--rough", type=float, default=1.0, help="all fault rates times this")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes beside each other")
    parser.add_argument("--liveness", action="store_true", help="then stop the faults: every release must end")
    parser.add_argument("--unit", action="store_true", help="two services that go over together, not one alone")
    parser.add_argument(
        "--shrink", type=Path, metavar="FILE", help="write the smallest run of one service that still fails to FILE"
    )
    parser.add_argument("--again", type=Path, metavar="FILE", help="run what --shrink wrote, with its log")
    return parser.parse_args(arguments)


def _seeds(text: str) -> tuple[int, int]:
    first, _, last = text.partition("..")
    return int(first), int(last or first)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())

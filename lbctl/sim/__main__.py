"""`python -m lbctl.sim --seeds 1..100 --ticks 3000`: run many seeds; a failing one prints how to repeat it alone."""

import argparse
import sys
import time

from lbctl.sim.chance import FAULTS
from lbctl.sim.run import Report, run


def main(arguments: list[str] | None = None) -> int:
    """Return 1 if a seed failed."""
    options = _options(arguments)
    first, last = options.seeds
    began, ticks, counts = time.process_time(), 0, dict[str, int]()
    rates = FAULTS.times(options.rough)
    for seed in range(first, last + 1):
        report = run(seed, options.ticks, rates=rates, liveness=options.liveness, log=first == last)
        ticks += report.ticks
        for what, count in report.counts.items():
            counts[what] = counts.get(what, 0) + count
        if report.violation:
            return _failed(report, options)
    spent = time.process_time() - began
    told = ", ".join(f"{what} {count}" for what, count in sorted(counts.items()))
    _say(
        f"{last - first + 1} seeds, {ticks} ticks, 0 violations, {ticks / max(spent, 1e-9):.0f} ticks/s of CPU: {told}"
    )
    return 0


def _failed(report: Report, options: argparse.Namespace) -> int:
    for line in report.tail:
        _say(line)
    mode = " --liveness" if options.liveness else ""
    rough = "" if options.rough == 1 else f" --rough {options.rough:g}"
    _say(f"seed {report.seed}: {report.violation}")
    _say(f"repeat: python -m lbctl.sim --seeds {report.seed}..{report.seed} --ticks {options.ticks}{mode}{rough}")
    return 1


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lbctl.sim", description="Simulate releases under faults.")
    parser.add_argument("--seeds", type=_seeds, default=(1, 20), help="FIRST..LAST, or one seed with its log")
    parser.add_argument("--ticks", type=int, default=2_000, help="ticks of 100 simulated ms for each seed")
    parser.add_argument("--rough", type=float, default=1.0, help="all fault rates times this")
    parser.add_argument("--liveness", action="store_true", help="then stop the faults: every release must end")
    return parser.parse_args(arguments)


def _seeds(text: str) -> tuple[int, int]:
    first, _, last = text.partition("..")
    return int(first), int(last or first)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())

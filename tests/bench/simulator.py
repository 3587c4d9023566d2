"""How many ticks of the core the simulator makes in a second of CPU, with faults and every invariant checked.

Run `python -m tests.bench.simulator`; it takes about 30 s. The ratio is to a plain loop of Python in the same run,
which travels to other machines; the ticks do not.
"""

import sys
import time

from lbctl.sim.run import run
from tests.bench.rows import Row, told

SEEDS, TICKS = range(1, 21), 2_000
PASSES = 2_000_000


def passes_per_s() -> float:
    """A loop that adds and compares, per second of CPU."""
    began, total = time.process_time(), 0
    for number in range(PASSES):
        total += number & 7
    return PASSES / (time.process_time() - began)


def main() -> int:
    """Run the seeds and print."""
    plain, spent, ticks, broken = [passes_per_s()], 0.0, 0, 0
    for seed in SEEDS:
        began = time.process_time()
        report = run(seed, TICKS)
        spent += time.process_time() - began
        ticks += report.ticks
        broken += bool(report.violation)
        plain.append(passes_per_s())
    speed, steady = ticks / spent, sum(plain) / len(plain)
    seen = f"{speed:,.0f} ticks/s of CPU, a million in {1e6 / speed / 60:.1f} minutes on one core"
    rows = [
        Row(
            "worth",
            "one tick of the simulator, in passes of a plain Python loop",
            steady / speed,
            "",
            20_000,
            seen=seen,
        ),
        Row("broken", f"violations in {ticks:,} ticks with faults", broken, "", 0),
    ]
    return told("simulator", rows)


if __name__ == "__main__":
    sys.exit(main())

"""What a command of lbctl costs until it has answered, as multiples of an interpreter that does nothing.

Run `python -m tests.bench.cli_start`; it takes about 20 s. The rounds alternate; the cheapest of each is compared,
which is what a command costs where nobody disturbs it.
"""

import asyncio
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.bench.rows import Row, told
from tests.e2e.scene import adopted, haproxy

GOAL = 12.0
ROUNDS = 15


def cpu_s(call: Sequence[str]) -> float:
    """CPU of one process, user and system."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(call, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


async def main() -> int:
    """Ask a daemon that is really there, and print."""
    program = str(Path(sys.executable).with_name("lbctl"))
    async with adopted(haproxy()) as here:
        socket = str(here.directory / "run" / "control.sock")
        calls = {
            "bare": [sys.executable, "-c", "pass"],
            "version": [program, "--socket", socket, "version"],
            "status": [program, "--socket", socket, "status"],
            "json": [program, "--socket", socket, "status", "-o", "json"],
        }
        costs: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(ROUNDS):
            for name, call in calls.items():
                costs[name].append(await asyncio.to_thread(cpu_s, call))
    best = {name: min(seen) for name, seen in costs.items()}
    seen = f"{best['bare'] * 1_000:.0f} ms of CPU for the interpreter"
    words = {"version": "lbctl version", "status": "lbctl status", "json": "lbctl status -o json"}
    rows = [
        Row(name, f"CPU of `{command}` against a bare interpreter", best[name] / best["bare"], "x", GOAL, seen=seen)
        for name, command in words.items()
    ]
    return told("cli_start", rows)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

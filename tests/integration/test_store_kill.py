"""kill -9 at random moments: nothing that was acknowledged is lost, nothing is damaged."""

import os
import random
import re
import subprocess
import sys
from pathlib import Path

from lbctl.store.journal import Journal

KILLS = int(os.environ.get("LBCTL_TEST_KILLS", "12"))

CHILD = """
import asyncio, sys
from lbctl.model.record import Record
from lbctl.model.entry import Entry, Kind
from lbctl.store.journal import Journal

async def write(path):
    journal = Journal.open(path)
    found = journal.latest()
    rev = found.rev if found else 0
    print("open", journal.damage, flush=True)
    while True:
        futures = []
        for _ in range(rev % 7 + 1):
            rev += 1
            entry = Entry(kind=Kind.STEP_STARTED, at=rev, text=str(rev) * 50)
            futures.append((rev, journal.append(Record(rev=rev), [entry], wall="w")))
        for number, future in futures:
            await future
            print(number, flush=True)

asyncio.run(write(sys.argv[1]))
"""


def test_no_acknowledged_record_is_lost_by_kills_at_random_moments(tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)
    chance, acknowledged, damaged = random.Random(seed), 0, []
    for _ in range(KILLS):
        output = run_and_kill(tmp_path / "journal.db", chance.randint(1, 150))
        numbers = [int(line) for line in re.findall(rb"^(\d+)\n", output, re.MULTILINE)]
        acknowledged = max([acknowledged, *numbers])
        journal = Journal.open(tmp_path / "journal.db")
        found = journal.latest()
        damaged += [journal.damage] if journal.damage or journal.read_only else []
        journal.close()
        assert (found.rev if found else 0) >= acknowledged, f"seed {seed}"
    assert not damaged, f"seed {seed}"
    assert acknowledged > KILLS
    print(f"{KILLS} kills, {acknowledged} acknowledged, seed {seed}")


def run_and_kill(path: Path, after_lines: int) -> bytes:
    """Run a writer until it printed that many lines, kill it, return all it printed."""
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    try:
        lines = [child.stdout.readline() for _ in range(after_lines)]
    finally:
        child.kill()
    rest = child.stdout.read()
    child.stdout.close()
    child.wait()
    return b"".join(lines) + rest

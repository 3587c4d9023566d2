"""The judge alone, over counters that somebody else has: recorded, live, or made up."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, BinaryIO

import click

from lbctl.cli.counterlines import EXAMPLE, Fault, Opening, line_of
from lbctl.cli.failure import Exit, Failure
from lbctl.cli.judging import UNJUDGED, Judging
from lbctl.cli.output import tell, write

LINE_MAX = 1 << 20
"""Bytes of one line. A longer one is no tick."""


@click.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False, allow_dash=True))
@click.option("--detailed-exitcode", is_flag=True, help="Exit 20 if a verdict was rollback: the release would be back.")
@click.pass_context
def judge(ctx: click.Context, file: str | None, detailed_exitcode: bool) -> None:
    """Judge counters from FILE, else stdin: one line of JSON a tick in, one verdict a tick out, at once.

    A tick: {"t": 12.0, "dt": 1.0, "share_bp": 1000, "streams": {"error": {"candidate": [TOTAL, BAD], "active":
    [TOTAL, BAD]}}}. Counts are of this tick alone; "streams": null says that they could not be read. Optional:
    "candidate_down", "active_down" and "panic" (true or false); the streams "slow50", "slow95" and "slow99" beside
    "error"; "servers": {NAME: [TOTAL, BAD]} of the candidate. Another share_bp begins a new step.

    The first line may say what is known and set instead: {"baseline": {"error": [TOTAL, BAD]}, "dispersion":
    {"error": 1.0}, "horizon_s": 1800, "settings": {"false_rollback": 0.001, "blind_limit_s": 60}}, all of it optional.

    A verdict: {"t": 12.0, "verdict": "advance|hold|retreat|rollback", "code": …, "reason": …, "odds": 3.2, "limit":
    1000}. It forgets that it asked for a rollback: whoever acts on it remembers. Exits with 0 at the end of the
    input, with 2 at a line that cannot be used; what was judged before stays printed.
    """
    rolled_back = False
    with nullcontext(sys.stdin.buffer) if file in {None, "-"} else _opened(str(file)) as source:
        for told in _verdicts(source):
            write(json.dumps(told))
            rolled_back = rolled_back or told["verdict"] == "rollback"
    if detailed_exitcode and rolled_back:
        ctx.exit(Exit.BACK_BY_ITSELF)


def _opened(file: str) -> BinaryIO:
    try:
        return open(file, "rb")
    except OSError as error:
        raise Failure(f"{file} cannot be read: {error.strerror}", exit_code=Exit.USAGE) from None


def _verdicts(source: BinaryIO) -> Iterator[dict[str, Any]]:
    judging = Judging()
    for number, line in _lines(source):
        with _at(number):
            found = line_of(line, first=number == 1)
            if isinstance(found, Opening):
                judging.open(found)
                continue
            if judging.unjudged(found):
                tell(f"line {number}: {UNJUDGED}")
            told = judging.verdict(found)
        yield told


def _lines(source: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield every line that holds anything, as soon as it is there, with its number."""
    number = 0
    while line := source.readline(LINE_MAX + 1):
        number += 1
        if len(line) > LINE_MAX:
            with _at(number):
                raise Fault("", f"longer than {LINE_MAX} bytes", f"a tick is {EXAMPLE}")
        if line.strip():
            yield number, line


@contextmanager
def _at(number: int) -> Iterator[None]:
    try:
        yield
    except Fault as fault:
        what = f"line {number}: {fault}"
        raise Failure(what, then=fault.then, code="bad_line", exit_code=Exit.USAGE) from None

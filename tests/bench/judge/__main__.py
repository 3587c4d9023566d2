"""Measures the judge against what it promises: `python -m tests.bench.judge [--write] [--small]`.

Prints every table. `--write` also writes docs/reference/judge-figures.md and the drawings of docs/explanation/judge.
`--small` runs what runs among the tests. Exit code 1 when a line does not hold.
"""

import os
import sys
import time
from pathlib import Path

from tests.bench.judge import measure
from tests.bench.judge.drawings import drawings
from tests.bench.judge.lines import Line, lines
from tests.bench.judge.page import page
from tests.bench.rows import Row, told

DOCS = Path(__file__).parents[3] / "docs"


def main(words: list[str]) -> int:
    """Measure, print, write if asked to, and say whether everything holds."""
    unknown = set(words) - {"--write", "--small"}
    if unknown or len(words) == 2:
        print(f"usage: python -m tests.bench.judge [--write | --small], not {' '.join(words)}", file=sys.stderr)
        return 2
    size = measure.small() if "--small" in words else measure.full()
    began = time.monotonic()
    figures = measure.measure(size, os.cpu_count() or 1, lambda text: print(text, file=sys.stderr, flush=True))
    found = lines(size, figures)
    if size.wide:
        text = page(size, figures, found)
        print(text)
        if "--write" in words:
            _write(text)
            _keep(found)
    return _verdict(found, time.monotonic() - began)


def _write(text: str) -> None:
    (DOCS / "reference" / "judge-figures.md").write_text(text, encoding="utf-8")
    folder = DOCS / "explanation" / "judge"
    folder.mkdir(exist_ok=True)
    for name, drawing in drawings().items():
        (folder / name).write_text(drawing, encoding="utf-8")


def _keep(found: list[Line]) -> None:
    """The short of it, for the page of promises."""
    held, seen = sum(line.holds for line in found), "docs/reference/judge-figures.md has all of them"
    told(
        "judge",
        [Row("lines", f"of {len(found)} lines about the judge, those that hold", held, "", len(found), ">=", seen)],
    )


def _verdict(found: list[Line], took_s: float) -> int:
    broken = [line for line in found if not line.holds]
    for line in broken:
        print(f"DOES NOT HOLD  {line.name}: {line.must}; seen: {line.seen}", file=sys.stderr)
    print(f"{len(found) - len(broken)} of {len(found)} lines hold; {took_s:.0f} s", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

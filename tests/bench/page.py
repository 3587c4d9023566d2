"""Draws docs/reference/promises.md from the table of promises and the figures last measured; `make docs` prints it."""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.bench.promised import NUMBERS, Number
from tests.bench.rows import Row, kept, spoken
from tests.promises import PROMISES, Promise

TESTS = Path(__file__).parents[1]
HEAD = """# Promises

Generated from `tests/promises.py`, `tests/bench/promised.py` and `tests/bench/figures` by `make docs`; do not edit.

What lbctl promises whatever happens, which tests hold it to that, and the figures last measured. `make test` runs every
test that is not marked *long*, `make test-long` those; each fails when its promise is broken. `make bench` and `make
soak` fail when a goal is missed. Measured on two shared, noisy cores: ratios travel to other machines, seconds less so.
Mutants that nobody could notice (the time it takes, a tie of two sums of logarithms, what is excluded before) are
listed with the reason in `tests/mutation/equivalent.txt`, and are not counted.
"""


def page() -> str:
    """Return the whole page."""
    return "\n".join([HEAD, *_promises(), "", *_numbers()]) + "\n"


def _promises() -> Iterator[str]:
    yield "## Whatever happens\n\n| | promise | goal | put to the test by | tests |\n|---|---|---|---|---|"
    for one in PROMISES:
        kinds = ", ".join(kind.value for kind in one.kinds)
        yield f"| {one.id} | {one.sentence} | {one.goal} | {kinds} | {'<br>'.join(_tests(one))} |"


def _tests(promise: Promise) -> Iterator[str]:
    for test in promise.tests:
        file, _, name = test.partition("::")
        is_long = " (long)" if name in _long(file) else ""
        yield f"`{name or file}`{is_long}"


@cache
def _long(file: str) -> frozenset[str]:
    """The tests of a file that only `make test-long` runs, on any load balancer."""
    if not file.endswith(".py"):
        return frozenset()
    found = ast.parse((TESTS / file).read_text(encoding="utf-8")).body
    functions = (one for one in found if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(one.name for one in functions if "pytest.mark.long" in map(ast.unparse, one.decorator_list))


def _numbers() -> Iterator[str]:
    yield "## In numbers\n\n| what | goal | last figures | met | measure it |\n|---|---|---|---|---|"
    for number in NUMBERS:
        rows = list(_rows(number))
        figures = "<br>".join(_figure(*one) for one in rows) or "not measured yet"
        yield f"| {number.what} | {number.goal} | {figures} | {_met(number, rows)} | `{number.run}` |"


def _rows(number: Number) -> Iterator[tuple[str, Row]]:
    for file, *keys in number.kept:
        day, rows = kept(file)
        found = [row for key, row in rows.items() if not keys or key in keys]
        yield from ((f"{file}, {day}: " if not at else "", row) for at, row in enumerate(found))


def _figure(source: str, row: Row) -> str:
    seen = f" ({row.seen})" if row.seen else ""
    missed = "" if row.is_met else " **missed**"
    return f"{source}{row.what}: {spoken(row.figure, row.unit)}{missed}{seen}".replace("|", "\\|")


def _met(number: Number, rows: list[tuple[str, Row]]) -> str:
    if not all(kept(file)[1] for file, *_ in number.kept):
        return "not all measured"
    return "yes" if all(row.is_met for _, row in rows) else "**no**"


if __name__ == "__main__":
    sys.stdout.write(page())

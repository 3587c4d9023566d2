"""Sizes, names and words. The counts are a ratchet: they may fall."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import lbctl

PACKAGE = Path(lbctl.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 50
LONG_FUNCTION_LINES = 35
LONG_FUNCTIONS_MAX = 20
WALL_CLOCK_READERS = {
    "wall.py",
    "daemon/wiring.py",
    "control/call.py",
    "notify/webhook.py",
    "notify/alertmanager.py",
    "cli/supporting.py",
}
"""Times for people and signatures; nothing is decided by them."""
NO_NAMES = {"utils", "helpers", "manager", "common", "misc"}
WALL_CLOCK = re.compile(
    r"\b(datetime\.(now|utcnow|today)|time\.time(_ns)?|date\.today|utcfromtimestamp|localtime|gmtime)\b"
)
OPEN_ENDS = re.compile(r"\b(TODO|FIXME|XXX|HACK|NotImplementedError)\b")
SWALLOWED = re.compile(r"except( Exception| BaseException)?:\s*\n\s*(pass|\.\.\.)\b")


def _functions(file: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body
            documented = isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
            docstring = (body[0].end_lineno or 0) - body[0].lineno + 1 if documented else 0
            yield f"{file.relative_to(PACKAGE)}:{node.name}", (node.end_lineno or 0) - node.lineno + 1 - docstring


def test_no_module_is_longer_than_400_lines() -> None:
    long = {str(one.relative_to(PACKAGE)): len(one.read_text().splitlines()) for one in MODULES}
    assert not {name: lines for name, lines in long.items() if lines > MODULE_LINES_MAX}


def test_no_function_is_longer_than_50_lines_and_few_than_35() -> None:
    sizes = dict(size for file in MODULES for size in _functions(file))
    assert not {name: lines for name, lines in sizes.items() if lines > FUNCTION_LINES_MAX}
    long = {name: lines for name, lines in sizes.items() if lines > LONG_FUNCTION_LINES}
    assert len(long) <= LONG_FUNCTIONS_MAX, long


def test_no_module_is_called_utils() -> None:
    assert not [one for one in MODULES if NO_NAMES & {one.stem, *one.relative_to(PACKAGE).parts}]


def test_nothing_is_left_open_and_no_error_is_swallowed() -> None:
    for file in MODULES:
        text = file.read_text()
        assert not OPEN_ENDS.search(text), file
        assert not SWALLOWED.search(text), file


def test_the_wall_clock_is_read_only_where_it_is_printed_or_signed() -> None:
    reading = {str(one.relative_to(PACKAGE)) for one in MODULES if WALL_CLOCK.search(one.read_text())}
    assert reading <= WALL_CLOCK_READERS


def test_every_module_says_what_it_is_for() -> None:
    silent = [one for one in MODULES if one.read_text().strip() and not ast.get_docstring(ast.parse(one.read_text()))]
    assert not silent

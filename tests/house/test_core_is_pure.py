"""The core and the model do nothing but compute: import contracts cannot see built-ins, so the syntax tree is read."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import lbctl

PACKAGE = Path(lbctl.__file__).parent
PURE = sorted([*PACKAGE.glob("core/**/*.py"), *PACKAGE.glob("model/**/*.py")])
BUILT_INS = {"open", "print", "eval", "exec", "compile", "input", "breakpoint", "globals", "__import__"}
CLOCKS = {"datetime", "time", "random", "os", "asyncio", "secrets", "uuid", "sys"}


def _offences(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in BUILT_INS:
                yield f"line {node.lineno}: calls {name}"
            case ast.Import(names=names):
                yield from (f"line {node.lineno}: imports {one.name}" for one in names if _root(one.name) in CLOCKS)
            case ast.ImportFrom(module=str(module)) if _root(module) in CLOCKS:
                yield f"line {node.lineno}: imports {module}"
            case ast.AsyncFunctionDef() | ast.Await() | ast.Global():
                yield f"line {node.lineno}: {type(node).__name__}"
            case _:
                pass


def _root(module: str) -> str:
    return module.split(".", 1)[0]


@pytest.mark.parametrize("file", PURE, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_the_core_and_the_model_do_no_io_and_read_no_clock(file: Path) -> None:
    assert not list(_offences(ast.parse(file.read_text())))


def test_the_check_sees_what_it_is_for() -> None:
    planted = "import time\nfrom os import path\nopen('x')\nasync def f(): await f()\n"
    assert len(list(_offences(ast.parse(planted)))) == 5


def test_the_import_contracts_are_kept() -> None:
    tool = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run(
        [tool, "--no-cache"], cwd=PACKAGE.parent, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout

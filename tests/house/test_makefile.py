"""`make` on a checkout that was moved or copied, virtual environment and all."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAKE_OWN = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "VENV"}


def planned(checkout: Path) -> str:
    """Return what `make demo` would do there."""
    environ = {key: value for key, value in os.environ.items() if key not in MAKE_OWN}
    call = ["make", "-n", "demo"]
    return subprocess.run(call, cwd=checkout, env=environ, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    if shutil.which("make") is None:
        pytest.skip("make is not installed here")
    place = tmp_path / "a checkout"
    (place / ".venv").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, place)
    (place / ".venv" / ".installed").write_text(f"{place}\n")
    return place


def test_a_virtual_environment_that_stands_where_it_was_made_is_used(checkout: Path) -> None:
    assert planned(checkout) == ".venv/bin/lbctl demo \n"


def test_one_that_was_moved_or_copied_is_made_anew(checkout: Path) -> None:
    moved = checkout.rename(checkout.with_name("elsewhere"))
    assert "-m venv --clear .venv" in planned(moved)
    shutil.copytree(moved, checkout)
    assert "-m venv --clear" not in planned(checkout)


def test_a_change_of_what_is_installed_clears_nothing(checkout: Path) -> None:
    os.utime(checkout / ".venv" / ".installed", (1, 1))
    said = planned(checkout)
    assert "-m venv  .venv" in said
    assert "--clear" not in said

"""What many tests of this directory begin with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lbctl.store.journal import Journal


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where the control socket of a test is."""
    return str(tmp_path / "control.sock")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """A new journal."""
    opened = Journal.open(tmp_path / "journal.db")
    yield opened
    opened.close()

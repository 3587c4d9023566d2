"""In which order tests run beside one another: what waits goes first, what computes fills the gaps at the end."""

import signal
from pathlib import Path

import pytest

# Who starts pytest in the background of a script lets it, and all it starts, ignore Ctrl-C; some tests press it.
signal.signal(signal.SIGINT, signal.default_int_handler)

HERE = Path(__file__).parent
WAIT = {"e2e": 0, "recipes": 0, "integration": 1, "conformance": 1}
"""Tests of whole releases take seconds and hardly any processor; begun last, they would be all that is waited for."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort by the tests' directory; within one the order stays (it is shuffled)."""
    items.sort(key=lambda item: WAIT.get(item.path.relative_to(HERE).parts[0], 2))

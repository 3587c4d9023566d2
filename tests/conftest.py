"""In which order tests run beside one another, and which stay together: what waits goes first, what computes fills
the gaps at the end."""

import gc
import signal
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# Who starts pytest in the background of a script lets it, and all it starts, ignore Ctrl-C; some tests press it.
signal.signal(signal.SIGINT, signal.default_int_handler)

HERE = Path(__file__).parent
WAIT = {"e2e": 0, "recipes": 0, "integration": 1, "conformance": 1, "bench": 2}
"""Tests of whole releases take seconds and hardly any processor; begun last, they would be all that is waited for."""
BY_FILE = ("tests/unit/", "tests/house/", "tests/bench/", "tests/integration/test_control_contract.py")
"""Tests that are so short, or share so much, that one process has all of a file."""


class BesideOneAnother(LoadScopeScheduling):
    """Gives each process the next test, or the next file of `BY_FILE`, in the order in which they are.

    The mark `xdist_group` would say the same; pytest-xdist up to 3.8 loses it with pytest 9.2, without a word.
    """

    def __init__(self, config: pytest.Config, log: Producer) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.partition("::")[0] if nodeid.startswith(BY_FILE) else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> BesideOneAnother | None:
    """Answer pytest-xdist, where it is told to keep groups together."""
    return BesideOneAnother(config, log) if config.getvalue("dist") == "loadgroup" else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort by the tests' directory; within one the order stays (it is shuffled)."""
    items.sort(key=lambda item: WAIT.get(item.path.relative_to(HERE).parts[0], 3))


def pytest_collection_finish() -> None:
    """Keep some hundred thousand objects of the collection, which stay, out of every later search for garbage."""
    gc.collect()
    gc.freeze()

"""Every promise has tests, and every test that a promise names is there."""

import re
from functools import cache
from pathlib import Path

import pytest

from tests.promises import PROMISES, Promise

TESTS = Path(__file__).parents[1]
OF_MANY_HOSTS = {"P22", "P23", "P24", "P25"}


@cache
def _tests(file: str) -> frozenset[str]:
    return frozenset(re.findall(r"^(?:async )?def (\w+)", (TESTS / file).read_text(), re.MULTILINE))


def test_every_promise_is_there_once() -> None:
    expected = [f"P{number}" for number in range(1, 31) if f"P{number}" not in OF_MANY_HOSTS]
    assert [one.id for one in PROMISES] == expected


@pytest.mark.parametrize("promise", PROMISES, ids=lambda one: one.id)
def test_every_test_that_a_promise_names_is_there(promise: Promise) -> None:
    assert promise.tests
    assert len(set(promise.tests)) == len(promise.tests)
    assert not [test for test in promise.tests if not _is_there(test)]


def _is_there(test: str) -> bool:
    file, _, name = test.partition("::")
    return name in _tests(file) if name else (TESTS / file).is_file()

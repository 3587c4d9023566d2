"""The judge does not get worse: a small, seeded part of `make bench-judge`, held against the same promises.

What fails here is repeated by `.venv/bin/python -m tests.bench.judge --small`.
"""

import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest

from tests.bench.judge import measure
from tests.bench.judge.drawings import drawings
from tests.bench.judge.lines import Line, lines

pytestmark = pytest.mark.timeout(300)
Seen = Callable[[str], list[Line]]


@pytest.fixture(scope="module")
def seen() -> Seen:
    """Return the lines whose name begins so."""
    size = measure.small()
    found = lines(size, measure.measure(size, 2, lambda _text: None))
    return lambda name: [line for line in found if line.name.startswith(name)]


@pytest.mark.parametrize(
    ("promise", "name"),
    [
        ("the product's judge and its second writing say the same", "shipped judge"),
        ("a candidate within what is tolerated is not rolled back", "F1"),
        ("a quiet release is not held", "F2"),
        ("an outage of both pools is held and not rolled back", "F3"),
        ("a fault that comes with the step is found about as fast as anything could", "D1"),
        ("a fault that comes later is found about as fast as anything could", "D2"),
        ("a dead candidate is found in three readings", "D3"),
        ("a dead candidate with two requests a second harms a handful", "D4"),
        ("a fault at 99 % goes down to a half, then back", "R1"),
        ("without counters it holds, then goes back, and never on", "N1"),
        ("a slow candidate is found, a slow pair of pools is not", "L1"),
        ("a tick is cheap", "C1"),
    ],
)
def test_what_the_judge_promises_holds(seen: Seen, promise: str, name: str) -> None:
    found = seen(name)
    assert found, f"nothing was measured for {name}"
    for line in found:
        assert line.holds, f"{promise}: {line.name} must be: {line.must}; seen: {line.seen}"


def test_every_drawing_can_be_read_without_seeing_it() -> None:
    for name, text in drawings().items():
        root = ET.fromstring(text)
        words = [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]
        assert root.findtext("{http://www.w3.org/2000/svg}title"), name
        assert root.findtext("{http://www.w3.org/2000/svg}desc"), name
        assert "seconds" in words, name
        assert "odds against the candidate (log)" in words, name

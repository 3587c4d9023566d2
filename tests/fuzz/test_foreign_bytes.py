"""Whatever somebody else sends, each parser gives a value or its own named refusal, soon, and without eating memory."""

import time
import tracemalloc
from collections.abc import Iterator

import pytest

from tests.fuzz.shapes import numbers, shapes
from tests.fuzz.targets import CORPUS, TARGETS, Target

SLACK = 5
"""Other work on the same cores may slow a test down, never a parser by so much."""
MEMORY_MAX = 24 << 20
EACH = pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))


def test_every_parser_has_a_corpus_and_every_corpus_a_parser() -> None:
    assert {one.name for one in CORPUS.iterdir()} == set(TARGETS)
    for target in TARGETS.values():
        assert any(target.fed(sample) for sample in target.corpus), f"{target.name} has no sample that it takes"


@EACH
def test_what_was_found_once_is_refused_by_name(target: Target) -> None:
    for sample in target.corpus:
        target.fed(sample)


@EACH
def test_no_number_breaks_a_parser(target: Target) -> None:
    for sample in numbers(small(target)):
        target.fed(sample)


@EACH
def test_64_kib_of_anything_are_read_in_time_and_room(target: Target) -> None:
    slow = [f"{took:.0f} ms: {sample[:60]!r}" for sample, took in timed(target) if took > SLACK * target.most_ms]
    assert not slow


def small(target: Target) -> list[bytes]:
    return sorted((one for one in target.corpus if len(one) < 4_096), key=len)[:4]


def timed(target: Target) -> Iterator[tuple[bytes, float]]:
    for sample in shapes(small(target)[:3]):
        tracemalloc.start()
        yield sample, min(once(target, sample) for _ in range(1))
        tracemalloc.stop()


def once(target: Target, sample: bytes) -> float:
    began = time.process_time()
    target.fed(sample)
    return (time.process_time() - began) * 1_000

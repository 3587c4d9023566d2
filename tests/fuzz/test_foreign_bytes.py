"""Whatever somebody else sends, each parser gives a value or its own named refusal, soon, and without eating memory."""

import time
import tracemalloc
from collections.abc import Iterable, Iterator

import pytest

from tests.fuzz.damage import damaged
from tests.fuzz.shapes import PIECES, numbers, shapes
from tests.fuzz.targets import BESIDE_MS, CORPUS, TARGETS, Target

SLACK = 5
"""Other work on the same cores may slow a test down, never a parser by so much."""
MEMORY_MAX = 32 << 20
DAMAGED = 30
EACH = pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))


def test_every_parser_has_a_corpus_and_every_corpus_a_parser() -> None:
    assert {one.name for one in CORPUS.iterdir()} == set(TARGETS)
    for target in TARGETS.values():
        assert any(target.fed(sample) for sample in target.corpus), f"{target.name} has no sample that it takes"


@EACH
def test_what_was_found_once_and_what_is_like_it_is_refused_by_name(target: Target) -> None:
    samples = target.corpus
    for sample in (*samples, *(damaged(samples, seed) for seed in range(DAMAGED))):
        target.fed(sample)


@EACH
def test_no_number_breaks_a_parser(target: Target) -> None:
    for sample in numbers(small(target)[:2], 12 if target.most_ms < BESIDE_MS else 2):
        target.fed(sample)


@EACH
def test_64_kib_of_one_thing_are_read_in_time_and_room(target: Target) -> None:
    in_loop = target.most_ms < BESIDE_MS
    pieces = PIECES if in_loop else PIECES[::7]
    assert not [*slow(target, shapes(small(target)[: 1 if in_loop else 0], pieces))]


@pytest.mark.long
@EACH
def test_64_kib_of_anything_are_read_in_time_and_room(target: Target) -> None:
    assert not [*slow(target, shapes(small(target), PIECES))]


@pytest.mark.long
@EACH
def test_a_million_damaged_bytes_of_each(target: Target) -> None:
    """5 s for each; `python -m tests.fuzz` looks longer, and with eyes."""
    samples, until, seed = target.corpus, time.process_time() + 5, 0
    while time.process_time() < until:
        seed += 1
        target.fed(damaged(samples, seed))


def small(target: Target) -> list[bytes]:
    whole = (one for one in target.corpus if 0 < len(one) < 4_096)
    return sorted(whole, key=len)[:4]


def slow(target: Target, samples: Iterable[bytes]) -> Iterator[str]:
    """Yield what took too long twice, or too much."""
    for sample in samples:
        took_ms = once(target, sample)
        if took_ms > SLACK * target.most_ms and once(target, sample) > SLACK * target.most_ms:
            yield f"{took_ms:.0f} ms: {sample[:60]!r}"
        if (peak := taken(target, sample)) > MEMORY_MAX:
            yield f"{peak >> 20} MiB: {sample[:60]!r}"


def taken(target: Target, sample: bytes) -> int:
    """How many bytes it held at its most."""
    tracemalloc.start()
    try:
        target.fed(sample)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def once(target: Target, sample: bytes) -> float:
    began = time.process_time()
    target.fed(sample)
    return (time.process_time() - began) * 1_000

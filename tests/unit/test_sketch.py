"""The latency sketch: every quantile within 2 %, differences and sums exact."""

from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from lbctl.model import sketch
from tests.quantiles import quantile_ms

TIMES = st.lists(st.floats(min_value=1.0, max_value=1e6), min_size=1, max_size=200)


def counted(times: list[float]) -> dict[int, int]:
    buckets: dict[int, int] = {}
    for ms in times:
        buckets[sketch.bucket_of(ms)] = buckets.get(sketch.bucket_of(ms), 0) + 1
    return buckets


@given(TIMES, st.floats(min_value=0.01, max_value=1.0))
def test_a_quantile_is_never_below_and_at_most_four_percent_above_the_true_one(times: list[float], part: float) -> None:
    true = sorted(times)[ceil(part * len(times)) - 1]
    shown = quantile_ms(counted(times), part)
    assert true * 0.999 <= shown <= true * sketch.GAMMA * 1.001


@given(TIMES, TIMES)
def test_what_came_between_two_readings_is_what_was_added(first: list[float], more: list[float]) -> None:
    assert sketch.between(counted(first), counted(first + more)) == counted(more)
    assert sketch.merged(counted(first), counted(more)) == counted(first + more)


def test_a_sketch_that_began_anew_says_so() -> None:
    assert sketch.between({3: 2}, {3: 1}) is None
    assert sketch.between({3: 2}, {}) is None


def test_odd_times_have_a_bucket() -> None:
    assert sketch.bucket_of(float("nan")) == 0
    assert sketch.bucket_of(-5.0) == 0
    assert sketch.bucket_of(float("inf")) == sketch.LAST_BUCKET
    assert quantile_ms({}, 0.5) == 0.0


@given(st.floats(min_value=1.2, max_value=1e6))
def test_a_time_is_slower_than_a_limit_well_below_it_and_not_than_one_above(ms: float) -> None:
    one = counted([ms])
    assert sketch.slower_than(one, ms / 1.05) == 1
    assert sketch.slower_than(one, ms * 1.001) == 0

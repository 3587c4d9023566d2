"""Wall time as everything that lbctl tells has it."""

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from lbctl import wall


def test_a_time_of_any_zone_is_told_in_utc_to_the_millisecond() -> None:
    there = dt.timezone(dt.timedelta(hours=2))
    assert wall.text(dt.datetime(2026, 1, 2, 3, 4, 5, 678_900, tzinfo=there)) == "2026-01-02T01:04:05.678Z"
    assert wall.of_unix(0.0) == "1970-01-01T00:00:00.000Z"
    assert wall.now()[-1] == "Z"


@given(st.integers(0, 4_102_444_800_000))
def test_what_is_told_is_read_back(at_ms: int) -> None:
    assert wall.unix_ms(wall.text(dt.datetime.fromtimestamp(at_ms / 1_000, dt.UTC))) in range(at_ms - 1, at_ms + 2)

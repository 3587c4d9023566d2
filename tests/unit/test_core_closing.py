"""The rate of a forced closing is that of all load balancers together."""

from collections import Counter

import pytest

from lbctl.core.closing import shares
from lbctl.model.units import SECOND, Instant


@pytest.mark.parametrize(("count", "per_second"), [(8, 2), (8, 8), (3, 20), (5, 3), (1, 1)])
def test_all_load_balancers_together_keep_the_rate_and_each_has_its_turn(count: int, per_second: int) -> None:
    had: Counter[int] = Counter()
    for tens in range(40):
        now = [shares(per_second, count, Instant(tens * 10 * SECOND))[one] for one in range(count)]
        assert sum(now) == per_second
        had.update({one: part for one, part in enumerate(now) if part})
    assert set(had) == set(range(count))
    assert max(had.values()) - min(had.values()) <= 40

"""How a drained server empties, by its request counts alone."""

from lbctl.cli.burndown import BurnDown


def fed(rates: list[float]) -> tuple[BurnDown, float]:
    """A server that gets so many requests in each second."""
    burn, count = BurnDown(), 0.0
    for second, rate in enumerate(rates):
        burn.look(float(second), int(count))
        count += rate
    return burn, float(len(rates) - 1)


def test_a_rate_that_halves_has_an_end() -> None:
    burn, now_s = fed([64 * 0.5 ** (second / 10) for second in range(60)])
    eta_s = burn.eta_s(now_s)
    assert eta_s is not None
    assert 40 < eta_s < 90


def test_a_rate_that_stays_has_none_that_anybody_knows() -> None:
    burn, now_s = fed([20.0] * 40)
    assert burn.eta_s(now_s) is None


def test_nobody_comes_any_more() -> None:
    burn, now_s = fed([5.0] * 5 + [0.0] * 40)
    assert burn.eta_s(now_s) == 0.0
    assert burn.quiet_s(now_s) >= 38


def test_counters_that_begin_anew_are_no_negative_rate() -> None:
    burn, _ = fed([5.0] * 5)
    burn.look(5.0, 0)
    assert burn.rate is None


def test_where_nobody_knows_the_count_it_is_not_quiet() -> None:
    burn, now_s = fed([0.0] * 40)
    burn.look(now_s + 1, None)
    assert burn.quiet_s(now_s + 1) == 0.0

"""How a drained server empties, by its request counts alone."""

from random import Random

from lbctl.cli.burndown import BurnDown


def fed(rates: list[float]) -> tuple[BurnDown, float]:
    """A server that gets so many requests in each second."""
    burn, count = BurnDown(), 0.0
    for second, rate in enumerate(rates):
        burn.look(float(second), int(count))
        count += rate
    return burn, float(len(rates) - 1)


def test_a_rate_that_halves_has_an_end() -> None:
    burn, _ = fed([64 * 0.5 ** (second / 10) for second in range(60)])
    eta_s = burn.eta_s()
    assert eta_s is not None
    assert 40 < eta_s < 90


def test_a_rate_that_stays_has_none_that_anybody_knows() -> None:
    burn, _ = fed([20.0] * 40)
    assert burn.eta_s() is None


def test_the_end_of_some_and_a_rest_that_never_leaves_has_none() -> None:
    # Nine out of ten leave within half a minute, and the others do not: what was is no promise.
    for flat_s in (60, 120, 240, 600):
        burn, _ = fed([30.0 * 0.8**second for second in range(30)] + [3.0] * flat_s)
        assert burn.rate == 3.0
        assert burn.eta_s() is None


def test_chance_is_no_fall() -> None:
    for seed in range(20):
        chance = Random(seed)
        burn, _ = fed([float(sum(chance.random() < 0.3 for _ in range(10))) for _ in range(120)])
        assert burn.eta_s() is None


def test_before_the_drain_is_read_back_nothing_counts_as_an_ebb() -> None:
    burn, count = BurnDown(), 0
    for second in range(60):
        count += 30 if second < 20 else 3
        burn.look(float(second), count)
        if second < 20:
            burn.anew(float(second))
            assert burn.rate is None
        assert burn.eta_s() is None
    assert burn.rate == 3.0


def test_a_slow_fall_is_seen_after_some_minutes() -> None:
    burn, _ = fed([20 * 0.5 ** (second / 600) for second in range(400)])
    eta_s = burn.eta_s()
    assert eta_s is not None
    assert 3_000 < eta_s < 8_000


def test_nobody_comes_any_more() -> None:
    burn, now_s = fed([5.0] * 5 + [0.0] * 40)
    assert burn.eta_s() == 0.0
    assert burn.quiet_s(now_s) >= 38


def test_counters_that_begin_anew_are_no_negative_rate() -> None:
    burn, _ = fed([5.0] * 5)
    burn.look(5.0, 0)
    assert burn.rate is None


def test_where_nobody_knows_the_count_it_is_not_quiet() -> None:
    burn, now_s = fed([0.0] * 40)
    burn.look(now_s + 1, None)
    assert burn.quiet_s(now_s + 1) == 0.0

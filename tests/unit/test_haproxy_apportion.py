"""Shares as whole weights: how exact they are, what the least is, and that no stage on the way shoots over."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.dataplane.haproxy.apportion import WEIGHT_MAX, Units, apportion, floor_bp, spread, weights
from lbctl.dataplane.haproxy.weighed import Weighed
from lbctl.dataplane.haproxy.weightsform import larger_of, lifted_keeps, nobody_left
from lbctl.model.names import Colour, ServerName
from lbctl.model.route import Route

COUNTS = st.integers(1, 30)
SHARES = st.integers(0, 10_000)


def alive(blue: int, green: int, dead: frozenset[str] = frozenset()) -> dict[Colour, dict[ServerName, bool]]:
    counts = {Colour.BLUE: blue, Colour.GREEN: green}
    return {
        colour: {ServerName(f"{colour}-{n}"): f"{colour}-{n}" not in dead for n in range(count)}
        for colour, count in counts.items()
    }


@pytest.mark.parametrize(
    ("green_bp", "error_pp"),
    [(10, 0.031), (50, 0), (100, 0), (500, 0), (2_500, 0), (5_000, 0), (9_000, 0), (9_990, 0.012)],
)
def test_three_and_seven_servers_make_the_shares_of_a_plan(green_bp: int, error_pp: float) -> None:
    units = apportion(green_bp, 3, 7)
    assert abs(units.green_bp - green_bp) / 100 <= error_pp
    assert units.blue >= 1
    assert units.green >= 1


def test_equal_weights_in_a_pool_could_not_make_the_small_ones() -> None:
    equal = [Units(3 * blue, 7 * green) for blue in range(1, 257) for green in range(1, 257)]
    assert min(units.green_bp for units in equal) == pytest.approx(90.3, abs=0.1)
    assert min(abs(units.green_bp - 10) for units in equal) / 100 == pytest.approx(0.80, abs=0.01)


@pytest.mark.parametrize(("blue", "green", "worst_bp"), [(3, 7, 2), (2, 2, 3), (1, 1, 5), (50, 3, 2)])
def test_every_share_between_the_floors_is_met_within_a_few_basis_points(
    blue: int, green: int, worst_bp: float
) -> None:
    for green_bp in range(floor_bp(blue), 10_001 - floor_bp(green), 7):
        assert abs(apportion(green_bp, blue, green).green_bp - green_bp) <= worst_bp, green_bp


def test_the_floor_is_one_unit_against_all_others() -> None:
    assert (floor_bp(3), floor_bp(7)) == (13, 6)
    for count in (1, 3, 7, 40):
        least = apportion(floor_bp(count), count, 5)
        assert least.green == 1
        assert abs(least.green_bp - floor_bp(count)) < 1


@given(SHARES, COUNTS, COUNTS)
def test_units_fit_the_servers_and_both_pools_get_some_of_a_split(green_bp: int, blue: int, green: int) -> None:
    units = apportion(green_bp, blue, green)
    assert 0 <= units.blue <= blue * WEIGHT_MAX
    assert 0 <= units.green <= green * WEIGHT_MAX
    assert (units.blue > 0) == (green_bp < 10_000)
    assert (units.green > 0) == (green_bp > 0)


@given(st.integers(0, 5_000), COUNTS)
def test_spread_adds_up_and_is_at_most_one_apart(units: int, count: int) -> None:
    found = spread(units, count)
    assert sum(found) == units
    assert max(found) - min(found) <= 1
    assert list(found) == sorted(found, reverse=True)


def test_at_zero_every_server_of_a_pool_has_weight_zero_also_a_dead_one() -> None:
    found = weights(0, alive(3, 7, frozenset({"green-1", "blue-2"})))
    assert {found[ServerName(f"green-{n}")] for n in range(7)} == {0}
    assert {found[ServerName(f"blue-{n}")] for n in range(3)} == {WEIGHT_MAX}


def test_the_living_make_the_share_and_a_dead_server_has_what_its_peers_have() -> None:
    found = weights(5_000, alive(3, 7, frozenset({"blue-0"})))
    living = sum(found[ServerName(f"blue-{n}")] for n in (1, 2))
    assert living == sum(found[ServerName(f"green-{n}")] for n in range(7))
    assert found[ServerName("blue-0")] == found[ServerName("blue-2")] > 0


def test_a_pool_without_any_living_server_keeps_its_weights_for_when_they_return() -> None:
    assert weights(2_500, alive(2, 2, frozenset({"green-0", "green-1"}))) == weights(2_500, alive(2, 2))


@given(SHARES, SHARES, COUNTS, COUNTS)
def test_on_the_way_the_smaller_pool_never_gets_more_than_before_or_after(
    before_bp: int, after_bp: int, blue: int, green: int
) -> None:
    before, after = apportion(before_bp, blue, green), apportion(after_bp, blue, green)
    small = larger_of(Route(after_bp)).other
    now = {Colour.BLUE: before.blue, Colour.GREEN: before.green}
    goal = {Colour.BLUE: after.blue, Colour.GREEN: after.green}
    highest = max(_share(now, small), _share(goal, small))
    stages = [(small.other, max), (small, max), (small, min), (small.other, min)]
    for colour, choose in stages:
        now = {**now, colour: choose(now[colour], goal[colour])}
        assert _share(now, small) <= highest + 1e-9
        assert sum(now.values()) > 0
    assert now == goal


@given(SHARES, SHARES, COUNTS, COUNTS)
def test_between_raising_and_lowering_the_share_lies_between_both(
    before_bp: int, after_bp: int, blue: int, green: int
) -> None:
    before, after = apportion(before_bp, blue, green), apportion(after_bp, blue, green)
    raised = Units(max(before.blue, after.blue), max(before.green, after.green))
    low, high = sorted((before.green_bp, after.green_bp))
    assert low - 1e-9 <= raised.green_bp <= high + 1e-9


def _share(units: dict[Colour, int], colour: Colour) -> float:
    return units[colour] / sum(units.values())


@pytest.mark.parametrize(
    ("blue_lives", "green_lives", "left"),
    [(True, True, True), (True, False, True), (False, True, False), (False, False, True)],
)
def test_nobody_is_left_where_only_dead_servers_would_have_weight(
    blue_lives: bool, green_lives: bool, left: bool
) -> None:
    pools = {
        Colour.BLUE: {ServerName("b"): Weighed(serving=blue_lives, weight=256)},
        Colour.GREEN: {ServerName("g"): Weighed(serving=green_lives, weight=256)},
    }
    assert nobody_left(pools, {ServerName("b"): 256, ServerName("g"): 0}) is not left


def test_a_raise_that_did_not_take_leaves_nobody_either() -> None:
    pools = {
        Colour.BLUE: {ServerName("b"): Weighed(serving=True, weight=0)},
        Colour.GREEN: {ServerName("g"): Weighed(serving=True, weight=256)},
    }
    assert nobody_left(pools, {ServerName("b"): 256, ServerName("g"): 0})


def test_sessions_are_honoured_on_the_way_if_either_end_honours_them() -> None:
    assert lifted_keeps(Route(10_000, 0, 10_000), Route(500)) == Route(10_000)
    assert lifted_keeps(Route(500), Route(0, 10_000, 0)) == Route(500)


@pytest.mark.parametrize("green_bp", [100, 500, 2_500, 4_000])
def test_servers_that_come_back_while_nobody_watches_do_not_multiply_a_small_share(green_bp: int) -> None:
    dead = frozenset(f"green-{number}" for number in range(1, 10))
    found = weights(green_bp, alive(10, 10, dead))
    green = sum(weight for name, weight in found.items() if name.startswith("green"))
    assert green * 10_000 / sum(found.values()) <= green_bp + 350

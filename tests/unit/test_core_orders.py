"""What one load balancer is ordered, by what it reads back and what is allowed now: at its borders."""

import pytest

from lbctl.core.reconcile import Leave, lowering, reconcile, routed
from lbctl.model.names import Colour, Generation, ServiceName
from lbctl.model.operation import Place, SetRoute
from lbctl.model.reading import InstanceReading, ServiceReading
from lbctl.model.route import Route
from lbctl.model.units import Instant

GREEN, NOW, SHOP = Colour.GREEN, Instant(1_000_000), ServiceName("shop")
OLD, NEW = Generation("1@0"), Generation("2@0")
ALL, DOWN, NOTHING = (Leave(raises=r, lowers=w) for r, w in ((True, True), (False, True), (False, False)))
UP = Leave(raises=True, lowers=False)


def read(boot: Route | None, **runtime: Route) -> InstanceReading:
    """A reading of lives: `old`, and `new`, which is the present one."""
    lives = {OLD if name == "old" else NEW: route for name, route in runtime.items()}
    return InstanceReading(NOW, NEW, {SHOP: ServiceReading(lives, boot, {})})


def ordered(want: Route, reading: InstanceReading, leave: Leave = ALL) -> dict[str, Route]:
    return {one.place.value: one.route for one in reconcile(SHOP, want, reading, GREEN, 7, leave)}


def test_a_share_that_may_not_rise_leaves_the_fewest_sessions_that_any_life_honours() -> None:
    few, more = Route(0, keep_green_bp=2_000), Route(0, keep_green_bp=3_000)
    assert ordered(Route(1_000), read(few, old=few, new=more), DOWN) == {"runtime": few}
    assert ordered(Route(1_000), read(few, old=more, new=few), DOWN) == {"runtime": few}


def test_where_nothing_may_be_lowered_the_most_sessions_that_any_life_honours_stay() -> None:
    few, more = Route(0, keep_green_bp=2_000), Route(0, keep_green_bp=3_000)
    none = Route(0, keep_green_bp=0)
    assert ordered(none, read(more, old=few, new=more), NOTHING) == {"runtime": more}
    assert ordered(none, read(more, new=more), NOTHING) == {}
    assert ordered(none, read(more, new=more), DOWN) == {"runtime": none, "boot": none}


def test_a_life_that_did_not_tell_its_route_is_lowered_and_not_raised() -> None:
    half, little = Route(5_000), Route(1_000)
    assert ordered(half, read(half, old=little)) == {}
    assert ordered(Route(0), read(half, old=little)) == {"runtime": Route(0), "boot": Route(0)}
    assert ordered(Route(0), read(half, old=little), UP) == {}
    assert ordered(half, InstanceReading(NOW, NEW, {})) == {}


def test_a_raise_comes_to_the_boot_value_only_after_it_is_read_back() -> None:
    half, little = Route(5_000), Route(1_000)
    assert ordered(half, read(little, new=little)) == {"runtime": half}
    assert ordered(half, read(little, new=half)) == {"boot": half}
    assert ordered(half, read(None, new=half)) == {"boot": half}
    assert ordered(half, read(None, new=half), DOWN) == {}, "an unknown value may be less"
    assert ordered(Route(0), read(None, new=Route(0)), DOWN) == {"boot": Route(0)}
    assert ordered(half, read(half, new=half)) == {}


def test_too_high_a_boot_value_comes_down_to_what_routes_and_not_to_what_is_not_routed_yet() -> None:
    little, some, half, most = Route(500), Route(1_000), Route(5_000), Route(9_000)
    assert ordered(half, read(most, new=some), DOWN) == {"boot": some}
    assert ordered(half, read(most, new=some), ALL) == {"runtime": half, "boot": some}
    assert ordered(half, read(most, old=little, new=some), DOWN)["boot"] == little
    assert ordered(half, read(most, new=half)) == {"boot": half}
    assert ordered(half, read(most, new=some), UP) == {"runtime": half}


def test_the_boot_value_that_comes_down_honours_no_more_sessions_than_what_routes() -> None:
    routes, boots = Route(1_000, keep_green_bp=3_000), Route(9_000)
    assert ordered(Route(5_000), read(boots, new=routes), DOWN)["boot"] == Route(1_000, keep_green_bp=3_000)


@pytest.mark.parametrize("resolved", [True, False])
def test_a_lowering_that_may_still_land_forbids_what_would_be_a_raise_after_it_and_nothing_else(resolved: bool) -> None:
    half, little = Route(5_000), Route(1_000)
    down = Leave(raises=False, lowers=True, resolved=resolved)
    assert ordered(little, read(half, new=little), down) == {"boot": little}
    stays = Leave(raises=False, lowers=False, resolved=resolved)
    pinned = read(Route(5_000, keep_blue_bp=0), new=little)
    assert ordered(little, pinned, stays).get("boot") == (half if resolved else None)


def test_what_is_right_is_sent_again_while_an_earlier_order_is_unresolved() -> None:
    half = Route(5_000)
    again = Leave(raises=True, lowers=True, resend=True)
    assert ordered(half, read(half, new=half), again) == {"runtime": half}


def test_an_order_above_nothing_must_meet_what_was_read() -> None:
    half, none = Route(5_000), Route(0)

    def bound(want: Route, leave: Leave) -> list[tuple[Generation | None, Route | None]]:
        found = reconcile(SHOP, want, read(half, new=Route(9_000)), GREEN, 7, leave)
        return [(one.expect_generation, one.expect) for one in found]

    assert bound(half, ALL) == [(NEW, Route(9_000))]
    assert bound(none, ALL) == [(None, None), (None, None)]


def test_a_rollback_that_nobody_can_read_is_ordered_everywhere() -> None:
    want = Route(0)
    assert lowering(SHOP, want, 7) == tuple(SetRoute(service=SHOP, place=one, route=want, fence=7) for one in Place)


def test_a_route_is_proved_by_every_life_and_by_the_boot_value() -> None:
    half, little = Route(5_000), Route(1_000)
    assert routed(read(half, old=half, new=half), SHOP, half)
    assert not routed(read(half, old=little, new=half), SHOP, half)
    assert not routed(read(little, new=half), SHOP, half)
    assert not routed(read(None, new=half), SHOP, half)
    assert not routed(read(half), SHOP, half)
    assert not routed(InstanceReading(NOW, NEW, {}), SHOP, half)

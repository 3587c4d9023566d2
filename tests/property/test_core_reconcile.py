"""Plans: what is sent is absolute, bounded by what is wanted and allowed, and enough."""

from hypothesis import given, settings
from hypothesis import strategies as st

from lbctl.core.reconcile import Leave, reconcile, routed
from lbctl.model.names import Colour, Generation, ServiceName
from lbctl.model.operation import Place, SetRoute
from lbctl.model.reading import InstanceReading, ServiceReading
from lbctl.model.route import Route
from lbctl.model.units import Instant

SHOP = ServiceName("shop")
SHARES = st.sampled_from((0, 1, 100, 700, 2_500, 5_000, 9_999, 10_000))
ROUTES = st.builds(Route, SHARES, st.sampled_from((0, 10_000)), st.sampled_from((0, 10_000)))
COLOURS = st.sampled_from(tuple(Colour))
LEAVES = st.builds(Leave, raises=st.booleans(), lowers=st.booleans(), resend=st.booleans())


@st.composite
def readings(draw: st.DrawFn) -> InstanceReading:
    runtime = draw(st.lists(ROUTES, min_size=1, max_size=3))
    generations = {Generation(f"{number}@0"): route for number, route in enumerate(runtime)}
    skewed = {
        life: Route(draw(SHARES), route.keep_blue_bp, route.keep_green_bp)
        for life, route in generations.items()
        if draw(st.booleans())
    }
    seen = ServiceReading(generations, draw(ROUTES), {}, skewed)
    return InstanceReading(Instant(1), Generation(f"{len(runtime) - 1}@0"), {SHOP: seen})


def applied(reading: InstanceReading, operations: tuple[SetRoute, ...]) -> InstanceReading:
    """What a load balancer would read back."""
    seen = reading.services[SHOP]
    for operation in operations:
        if operation.place is Place.RUNTIME:
            seen = ServiceReading(dict.fromkeys(seen.runtime, operation.route), seen.boot, {})
        else:
            seen = ServiceReading(seen.runtime, operation.route, {})
    return InstanceReading(reading.taken_at, reading.generation, {SHOP: seen})


@given(want=ROUTES, reading=readings(), away=COLOURS, leave=LEAVES)
def test_no_plan_raises_what_it_may_not_or_above_what_is_wanted(
    want: Route, reading: InstanceReading, away: Colour, leave: Leave
) -> None:
    seen = reading.services[SHOP]
    for operation in reconcile(SHOP, want, reading, away, 7, leave):
        here = seen.effective.values() if operation.place is Place.RUNTIME else (seen.boot,)
        share = operation.route.share_bp(away)
        before = [route.share_bp(away) for route in here if route is not None]
        if any(share > one for one in before):
            assert leave.raises
            assert share <= want.share_bp(away)
            assert operation.expect_generation == reading.generation
        if any(share < one for one in before):
            assert leave.lowers
            # One value is written for all generations, and no boot value stands above what routes.
            lowest = min(route.share_bp(away) for route in seen.runtime.values())
            assert share >= min(want.share_bp(away), lowest, *before)


@given(want=ROUTES, reading=readings(), away=COLOURS, leave=LEAVES)
def test_a_share_that_servers_moved_is_ordered_again_as_far_as_it_may_be(
    want: Route, reading: InstanceReading, away: Colour, leave: Leave
) -> None:
    seen = reading.services[SHOP]
    skewed = {life: want.with_share(away, route.share_bp(away)) for life, route in seen.skewed.items()}
    stands = ServiceReading(dict.fromkeys(seen.runtime, want), want, {}, skewed)
    here = InstanceReading(reading.taken_at, reading.generation, {SHOP: stands})
    plan = reconcile(SHOP, want, here, away, 7, leave)
    above = any(route.share_bp(away) > want.share_bp(away) for route in stands.effective.values())
    below = any(route.share_bp(away) < want.share_bp(away) for route in stands.effective.values())
    ordered = any(operation.place is Place.RUNTIME and operation.route == want for operation in plan)
    assert routed(here, SHOP, want) is not (above or below)
    assert not ordered or above or below or leave.resend
    if not leave.resend and above and not below:
        assert ordered is leave.lowers
    if not leave.resend and below and not above:
        assert ordered is leave.raises


@given(want=ROUTES, reading=readings(), away=COLOURS, leave=LEAVES)
def test_no_plan_takes_sessions_from_a_pool_whose_way_home_is_closed(
    want: Route, reading: InstanceReading, away: Colour, leave: Leave
) -> None:
    if leave.lowers:
        return
    seen = reading.services[SHOP]
    for operation in reconcile(SHOP, want, reading, away, 7, leave):
        here = seen.runtime.values() if operation.place is Place.RUNTIME else (seen.boot,)
        keep = operation.route.keep_bp(away)
        moved = [route for route in here if route is not None and keep < route.keep_bp(away)]
        assert not moved or operation.route.share_bp(away) == 0


@given(want=ROUTES, reading=readings(), away=COLOURS, leave=LEAVES)
def test_equal_inputs_give_equal_plans_of_at_most_one_operation_for_each_place(
    want: Route, reading: InstanceReading, away: Colour, leave: Leave
) -> None:
    plan = reconcile(SHOP, want, reading, away, 7, leave)
    assert plan == reconcile(SHOP, want, reading, away, 7, leave)
    assert len({operation.place for operation in plan}) == len(plan)
    assert all(operation.fence == 7 for operation in plan)


@settings(max_examples=300)
@given(want=ROUTES, reading=readings(), away=COLOURS)
def test_two_rounds_of_applying_and_reading_reach_any_target(
    want: Route, reading: InstanceReading, away: Colour
) -> None:
    free = Leave(raises=True, lowers=True)
    for _ in range(2):
        reading = applied(reading, reconcile(SHOP, want, reading, away, 7, free))
    assert routed(reading, SHOP, want)
    assert reconcile(SHOP, want, reading, away, 7, free) == ()


@given(want=ROUTES, reading=readings(), away=COLOURS)
def test_a_boot_value_is_raised_only_after_the_runtime_reads_back(
    want: Route, reading: InstanceReading, away: Colour
) -> None:
    seen = reading.services[SHOP]
    plan = reconcile(SHOP, want, reading, away, 7, Leave(raises=True, lowers=True))
    for operation in plan:
        assert seen.boot is not None
        if operation.place is Place.BOOT and operation.route.share_bp(away) > seen.boot.share_bp(away):
            assert all(route == want for route in seen.runtime.values())


@given(want=SHARES, reading=readings(), away=COLOURS)
def test_an_unresolved_instance_is_sent_its_target_though_it_reads_right(
    want: int, reading: InstanceReading, away: Colour
) -> None:
    target = Route(want)
    there = applied(reading, tuple(SetRoute(service=SHOP, place=place, route=target, fence=1) for place in Place))
    sent = reconcile(SHOP, target, there, away, 9, Leave(raises=False, lowers=True, resend=True))
    assert [(one.place, one.route, one.fence) for one in sent] == [(Place.RUNTIME, target, 9)]

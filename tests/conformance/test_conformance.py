"""One suite for every load balancer: what lbctl relies on, seen through the driver and by users."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from lbctl.demo.binomial import within_binomial
from lbctl.model.errors import Unreachable
from lbctl.model.names import Colour, Generation
from lbctl.model.operation import Place, Status
from lbctl.model.route import Route
from tests.conformance.harness import NAMES, SHOP, TILL, Opened, Operator, Visitor, adopted
from tests.conformance.worlds import ALL

pytestmark = pytest.mark.parametrize("opened", ALL)

ROUTES = (Route(500), Route(10_000, 0, 10_000), Route(1), Route(3_333), Route(9_999, 10_000, 0), Route(20), Route(0))


async def colours(visitors: list[Visitor]) -> list[Colour | None]:
    """Who answers each of them now."""
    return [(await visitor.ask()).colour for visitor in visitors]


async def until(holds: Callable[[], Awaitable[bool]], seconds: float = 5.0) -> None:
    """Wait until something holds. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not await holds():
            await asyncio.sleep(0.01)


async def seen_dead(here: Operator, *servers: str) -> None:
    """Kill servers, and wait until the load balancer knows."""
    for server in servers:
        here.world.let(server, dead=True)

    async def known() -> bool:
        pools = (await here.reading()).pools.values()
        return {name for pool in pools for name, one in pool.servers.items() if not one.usable} == set(servers)

    await until(known)


async def test_a_written_route_is_read_back_in_every_generation_and_as_boot_value(opened: Opened) -> None:
    async with adopted(opened) as here:
        for route in [one for one in ROUTES if await here.makes(one)]:
            await here.bring(SHOP, route)
            reading = await here.reading()
            assert set(reading.runtime.values()) == {route}
            assert reading.boot == route
            assert await here.world.driver.verify(SHOP, route) is True
            assert await here.world.driver.verify(SHOP, Route(4_321)) is False


async def test_a_route_that_it_says_it_cannot_make_is_refused_and_changes_nothing(opened: Opened) -> None:
    async with adopted(opened) as here:
        before = await here.reading()
        for route in [one for one in ROUTES if not await here.makes(one)]:
            for place in Place:
                result = await here.apply(route, place=place)
                assert result.status is Status.REFUSED
                assert result.detail
        after = await here.reading()
        assert (after.runtime, after.boot) == (before.runtime, before.boot)


async def test_the_generation_is_among_those_that_route(opened: Opened) -> None:
    async with adopted(opened) as here:
        reading = await here.world.driver.observe()
        assert reading.generation in reading.services[SHOP].runtime
        assert reading.generation not in reading.draining_generations
        assert (await here.world.driver.observe()).taken_at >= reading.taken_at


async def test_writing_the_same_route_again_changes_nothing(opened: Opened) -> None:
    async with adopted(opened) as here:
        for _ in range(3):
            await here.bring(SHOP, Route(2_500))
        operation = here.operation(Route(2_500))
        assert [(await here.world.driver.apply(operation)).status for _ in range(2)] == [Status.DONE] * 2
        assert set((await here.reading()).runtime.values()) == {Route(2_500)}


@pytest.mark.parametrize("place", list(Place))
async def test_an_operation_with_a_lower_fence_is_stale_and_does_nothing(opened: Opened, place: Place) -> None:
    async with adopted(opened) as here:
        late = replace(here.operation(Route(9_000)), place=place)
        await here.route(0)
        assert (await here.world.driver.apply(late)).status is Status.STALE
        reading = await here.reading()
        assert {*reading.runtime.values(), reading.boot} == {Route(0)}


async def test_the_same_fence_again_is_not_stale(opened: Opened) -> None:
    async with adopted(opened) as here:
        first = here.operation(Route(100))
        assert (await here.world.driver.apply(first)).status is Status.DONE
        assert (await here.world.driver.apply(replace(first, service=TILL))).status is Status.DONE


async def test_another_generation_than_expected_is_stale(opened: Opened) -> None:
    async with adopted(opened) as here:
        operation = replace(here.operation(Route(9_000)), expect_generation=Generation("1@1"))
        assert (await here.world.driver.apply(operation)).status is Status.STALE
        right = replace(here.operation(Route(100)), expect_generation=await here.generation(), expect=Route(0))
        assert (await here.world.driver.apply(right)).status is Status.DONE


async def test_another_route_than_expected_is_stale(opened: Opened) -> None:
    async with adopted(opened) as here:
        operation = replace(here.operation(Route(9_000)), expect=Route(500))
        assert (await here.world.driver.apply(operation)).status is Status.STALE
        assert set((await here.reading()).runtime.values()) == {Route(0)}


async def test_an_unknown_service_is_refused_by_name(opened: Opened) -> None:
    async with adopted(opened) as here:
        result = await here.world.driver.apply(replace(here.operation(Route(0)), service="nobody"))
        assert result.status is Status.REFUSED
        assert "nobody" in result.detail


async def test_the_boot_value_survives_a_restart_without_lbctl(opened: Opened) -> None:
    async with adopted(opened) as here:
        route = await here.chosen(Route(2_500, 10_000, 4_000), Route(2_500))
        await here.bring(SHOP, route)
        before = await here.generation()
        await here.world.driver.close()
        await here.world.restart()
        here.world.driver = here.world.another_driver()
        assert await here.generation() != before
        reading = await here.reading()
        assert set(reading.runtime.values()) == {route}
        assert reading.boot == route


@pytest.mark.parametrize("green_bp", [0, 500, 5_000, 9_000, 10_000])
async def test_new_traffic_is_shared_as_asked(opened: Opened, green_bp: int) -> None:
    async with adopted(opened) as here:
        await here.route(green_bp)
        visitor = here.world.visitor()
        seen = Counter([(await visitor.ask()).colour for _ in range(600)])
        assert seen[None] == 0
        assert within_binomial(seen[Colour.GREEN], 600, green_bp / 10_000)


async def test_sessions_keep_colour_and_server_while_the_share_moves_both_ways(opened: Opened) -> None:
    async with adopted(opened) as here:
        await here.route(5_000)
        visitors = [here.world.visitor(session=True) for _ in range(40)]
        home = [(await visitor.ask()).server for visitor in visitors]
        assert {name.split("-")[0] for name in home} == {"blue", "green"}
        for green_bp in (9_000, 10_000, 2_500, 0, 5_000):
            await here.route(green_bp)
            assert [(await visitor.ask()).server for visitor in visitors] == home


@pytest.mark.parametrize("old", list(Colour))
async def test_keep_zero_moves_every_session_exactly_once(opened: Opened, old: Colour) -> None:
    async with adopted(opened) as here:
        await here.bring(SHOP, Route.all_to(old))
        visitors: list[Visitor] = [here.world.visitor(session=True) for _ in range(30)]
        assert await colours(visitors) == [old] * 30
        await here.bring(SHOP, Route.all_to(old.other))
        assert await colours(visitors) == [old] * 30
        await here.bring(SHOP, Route.all_to(old.other).with_keep(old, 0))
        home = [(await visitor.ask()).server for visitor in visitors]
        assert {name.split("-")[0] for name in home} == {old.other.value}
        for _ in range(3):
            assert [(await visitor.ask()).server for visitor in visitors] == home


async def test_lowering_keep_moves_a_part_of_the_sessions_and_none_of_them_twice(opened: Opened) -> None:
    async with adopted(opened) as here:
        visitors: list[Visitor] = [here.world.visitor(session=True) for _ in range(80)]
        assert await colours(visitors) == [Colour.BLUE] * 80
        before = 80
        for keep_bp in (7_500, 5_000, 2_500, 0):
            if not await here.makes(Route(10_000, keep_bp)):
                continue
            await here.route(10_000, keep_bp)
            now = (await colours(visitors)).count(Colour.BLUE)
            assert now <= before
            assert within_binomial(now, 80, keep_bp / 10_000)
            before = now


async def test_counters_are_right_and_rise_also_with_answers_that_are_500(opened: Opened) -> None:
    async with adopted(opened) as here:
        visitor = here.world.visitor()
        for _ in range(20):
            await visitor.ask()
        before = await here.pool(Colour.BLUE)
        assert (before.requests, before.errors) == (20, 0)
        here.world.let("blue-1", fails=True)
        answers = Counter([(await visitor.ask()).status for _ in range(40)])
        after = await here.pool(Colour.BLUE)
        assert after.requests - before.requests == 40
        assert after.errors == answers[500] > 0
        requests, errors = await here.server("blue-1")
        assert errors == answers[500] <= requests
        assert sum(one.requests for one in after.servers.values()) == 60
        assert (await here.pool(Colour.GREEN)).requests == 0


async def test_a_server_that_dies_is_seen_and_gets_nothing(opened: Opened) -> None:
    async with adopted(opened) as here:
        assert all(one.usable for one in (await here.pool(Colour.BLUE)).servers.values())
        await seen_dead(here, "blue-1")
        visitor = here.world.visitor()
        assert {(await visitor.ask()).server for _ in range(10)} == {"blue-2"}
        assert (await here.server("blue-1"))[0] == 0


@pytest.mark.parametrize("active", list(Colour))
async def test_an_empty_pool_with_all_the_traffic_answers_503_and_never_the_other_pool(
    opened: Opened, active: Colour
) -> None:
    async with adopted(opened) as here:
        await here.bring(SHOP, Route.all_to(active))
        await seen_dead(here, *(name for name in NAMES if name.startswith(active)))
        visitor = here.world.visitor()
        answers = [await visitor.ask() for _ in range(20)]
        assert {(one.status, one.server) for one in answers} == {(503, "")}
        pool = await here.pool(active)
        assert (pool.requests, pool.errors) == (20, 20)
        assert (await here.pool(active.other)).requests == 0


async def test_nobody_there_is_unreachable_and_the_text_names_the_socket(opened: Opened) -> None:
    async with adopted(opened) as here:
        await here.world.end()
        for call in (here.world.driver.observe(), here.world.driver.probe()):
            with pytest.raises(Unreachable, match=here.world.socket.replace(".", r"\.")):
                await call
        assert await here.world.driver.verify(SHOP, Route(0)) is None
        assert (await here.apply(Route(100))).status is not Status.DONE


async def test_two_services_on_one_instance_do_not_touch_each_other(opened: Opened) -> None:
    async with adopted(opened) as here:
        till = await here.chosen(Route(0, 10_000, 5_000), Route(0, 10_000, 0))
        shop = await here.chosen(Route(10_000, 3_000), Route(10_000))
        await here.bring(SHOP, Route(10_000, 0, 10_000))
        await here.bring(TILL, till)
        await asyncio.gather(*(here.bring(SHOP, route) for route in (shop,)))
        for service, colour in ((SHOP, Colour.GREEN), (TILL, Colour.BLUE)):
            visitor = here.world.visitor(service)
            assert {(await visitor.ask()).colour for _ in range(10)} == {colour}
        assert (await here.reading(TILL)).boot == till
        assert set((await here.reading(SHOP)).runtime.values()) == {shop}
        assert (await here.pool(Colour.GREEN, TILL)).requests == 0
        assert (await here.pool(Colour.BLUE, SHOP)).requests == 0


async def test_what_it_can_do_is_said_beforehand(opened: Opened) -> None:
    async with adopted(opened) as here:
        able = await here.world.driver.probe()
        assert able.fenced
        assert able.durable
        assert any(character.isdigit() for character in able.version)
        assert all(": " in text for text in able.cannot)

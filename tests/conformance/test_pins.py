"""Pins, one suite for every load balancer that has them: consumer pools are sent where their pin says, and counted."""

from collections import Counter
from dataclasses import replace

import pytest

from lbctl.demo.binomial import within_binomial
from lbctl.model.names import Colour
from lbctl.model.operation import Place, Status
from lbctl.model.route import Caller, Cell, Pin, Route
from lbctl.model.topology import PinKind
from tests.conformance.harness import CALLERS, NAMES, SHOP, TILL, Answered, Opened, Operator, adopted
from tests.conformance.test_conformance import seen_dead
from tests.conformance.worlds import PINNING

pytestmark = pytest.mark.parametrize("opened", PINNING)

BLUE, GREEN = CALLERS


async def calls(here: Operator, caller: Caller | None, count: int = 20) -> list[Answered]:
    """The answers to a caller's calls."""
    visitor = here.world.visitor(caller=caller)
    return [await visitor.ask() for _ in range(count)]


async def answering(here: Operator, caller: Caller | None) -> set[Colour | None]:
    """The pools that answer a caller."""
    return {one.colour for one in await calls(here, caller)}


async def matrix(here: Operator) -> dict[Cell, int]:
    """The counts of the newest generation."""
    return dict((await here.reading()).matrix[await here.generation()])


async def test_it_says_beforehand_that_it_can_pin(opened: Opened) -> None:
    async with adopted(opened) as here:
        able = await here.world.driver.probe()
        assert PinKind.LISTENER in able.pins
        assert not [text for text in (*able.cannot, *able.of(SHOP).cannot) if text.startswith("NO_PINS")]
        assert (await here.reading()).obstacles == ()


@pytest.mark.parametrize("share", [0, 5_000, 10_000])
@pytest.mark.parametrize("pin", [Pin.BLUE, Pin.GREEN])
async def test_a_pinned_caller_goes_where_its_pin_says_whatever_the_split_is(
    opened: Opened, pin: Pin, share: int
) -> None:
    async with adopted(opened) as here:
        await here.pin(Pin.SPLIT, pin, Route(share))
        assert await answering(here, GREEN) == {Colour(pin.value)}


async def test_both_callers_go_where_their_own_pin_says(opened: Opened) -> None:
    async with adopted(opened) as here:
        for blue, green in ((Pin.BLUE, Pin.GREEN), (Pin.GREEN, Pin.BLUE)):
            await here.pin(blue, green, Route(5_000))
            assert await answering(here, BLUE) == {Colour(blue.value)}
            assert await answering(here, GREEN) == {Colour(green.value)}


@pytest.mark.parametrize("caller", [None, *CALLERS])
async def test_who_is_not_pinned_follows_the_split(opened: Opened, caller: Caller | None) -> None:
    async with adopted(opened) as here:
        for share in (0, 2_500, 10_000):
            await here.pin(Pin.SPLIT, Pin.SPLIT, Route(share))
            seen = Counter(one.colour for one in await calls(here, caller, 300))
            assert within_binomial(seen[Colour.GREEN], 300, share / 10_000)


async def test_users_do_not_notice_pins(opened: Opened) -> None:
    async with adopted(opened) as here:
        await here.pin(Pin.NONE, Pin.GREEN)
        assert await answering(here, None) == {Colour.BLUE}


async def test_a_pin_is_stronger_than_a_session(opened: Opened) -> None:
    async with adopted(opened) as here:
        session = here.world.visitor(session=True, caller=GREEN)
        assert (await session.ask()).colour is Colour.BLUE
        await here.pin(Pin.SPLIT, Pin.GREEN)
        assert {(await session.ask()).colour for _ in range(5)} == {Colour.GREEN}


async def test_who_is_pinned_to_nobody_is_refused_told_so_and_counted_nowhere(opened: Opened) -> None:
    async with adopted(opened) as here:
        await here.pin(Pin.BLUE, Pin.NONE)
        assert set(await calls(here, GREEN)) == {Answered(503, "", refused=True)}
        assert {one.refused for one in (*await calls(here, BLUE), *await calls(here, None))} == {False}
        reading = await here.reading()
        assert {colour: (pool.requests, pool.errors) for colour, pool in reading.pools.items()} == {
            Colour.BLUE: (40, 0),
            Colour.GREEN: (0, 0),
        }
        assert Counter(await matrix(here)) == {Cell(BLUE, Colour.BLUE): 20, Cell(None, Colour.BLUE): 20}


async def test_a_refused_caller_is_served_on_the_same_connection_as_soon_as_its_pin_is_another(opened: Opened) -> None:
    async with adopted(opened) as here:
        visitor = here.world.visitor(caller=GREEN)
        for pin, status in ((Pin.NONE, 503), (Pin.GREEN, 200), (Pin.NONE, 503), (Pin.SPLIT, 200)):
            await here.pin(Pin.SPLIT, pin)
            assert (await visitor.ask()).status == status


@pytest.mark.parametrize("share", [0, 5_000, 10_000])
async def test_an_empty_pool_answers_its_pinned_callers_503_and_never_sends_them_to_the_other(
    opened: Opened, share: int
) -> None:
    async with adopted(opened) as here:
        await here.pin(Pin.SPLIT, Pin.GREEN, Route(share))
        await seen_dead(here, *(name for name in NAMES if name.startswith("green")))
        assert set(await calls(here, GREEN)) == {Answered(503, "")}
        assert (await here.pool(Colour.BLUE)).requests == 0


async def test_pins_are_read_back_with_the_split_in_every_generation_and_as_boot_value(opened: Opened) -> None:
    async with adopted(opened) as here:
        for blue, green in ((Pin.BLUE, Pin.NONE), (Pin.NONE, Pin.GREEN), (Pin.SPLIT, Pin.BLUE)):
            route = await here.pin(blue, green, Route(2_500, 10_000, 9_000))
            reading = await here.reading()
            assert set(reading.runtime.values()) == {route}
            assert reading.boot == route
            assert await here.world.driver.verify(SHOP, route) is True
            other = replace(route, pins=((BLUE, Pin.SPLIT), (GREEN, Pin.SPLIT)))
            assert await here.world.driver.verify(SHOP, other) is False


async def test_pins_survive_a_restart_without_lbctl(opened: Opened) -> None:
    async with adopted(opened) as here:
        route = await here.pin(Pin.NONE, Pin.GREEN, Route(2_500))
        await here.world.driver.close()
        await here.world.restart()
        here.world.driver = here.world.another_driver()
        reading = await here.reading()
        assert {*reading.runtime.values(), reading.boot} == {route}
        assert await answering(here, GREEN) == {Colour.GREEN}
        assert {one.refused for one in await calls(here, BLUE)} == {True}


async def test_what_another_hand_pins_is_seen(opened: Opened) -> None:
    async with adopted(opened) as here:
        route = await here.pin(Pin.BLUE, Pin.GREEN)
        hand = here.world.another_driver()
        other = replace(route, pins=((BLUE, Pin.BLUE), (GREEN, Pin.BLUE)))
        assert (await hand.apply(here.operation(other))).status is Status.DONE
        reading = await here.reading()
        assert set(reading.runtime.values()) == {other}
        assert await here.world.driver.verify(SHOP, route) is False
        expecting = replace(here.operation(route), expect=route)
        assert (await here.world.driver.apply(expecting)).status is Status.STALE
        assert (await here.apply(route)).status is Status.DONE
        assert await here.world.driver.verify(SHOP, route) is True
        await hand.close()


@pytest.mark.parametrize("place", list(Place))
async def test_pins_of_somebody_else_are_refused_by_name_and_change_nothing(opened: Opened, place: Place) -> None:
    async with adopted(opened) as here:
        route = await here.pin(Pin.BLUE, Pin.GREEN)
        stranger = Caller(SHOP, Colour.BLUE)
        for pins in (((stranger, Pin.BLUE),), ((BLUE, Pin.GREEN),)):
            result = await here.apply(Route(10_000, pins=pins), place=place)
            assert result.status is Status.REFUSED
            assert str(pins[0][0]) in result.detail
        reading = await here.reading()
        assert {*reading.runtime.values(), reading.boot} == {route}


async def test_the_matrix_counts_every_call_by_caller_and_pool(opened: Opened) -> None:
    async with adopted(opened) as here:
        await here.pin(Pin.GREEN, Pin.BLUE, Route(10_000))
        for caller, count in ((BLUE, 7), (GREEN, 11), (None, 13)):
            await calls(here, caller, count)
        expected = Counter({Cell(BLUE, Colour.GREEN): 7, Cell(GREEN, Colour.BLUE): 11, Cell(None, Colour.GREEN): 13})
        assert Counter(await matrix(here)) == expected
        await here.pin(Pin.BLUE, Pin.SPLIT, Route(0))
        await calls(here, BLUE, 3)
        await calls(here, GREEN, 5)
        expected += Counter({Cell(BLUE, Colour.BLUE): 3, Cell(GREEN, Colour.BLUE): 5})
        assert Counter(await matrix(here)) == expected
        reading = await here.reading()
        for colour, pool in reading.pools.items():
            assert pool.requests == sum(count for cell, count in expected.items() if cell.colour is colour)


async def test_calls_that_fail_are_in_the_matrix_too(opened: Opened) -> None:
    async with adopted(opened) as here:
        await here.pin(Pin.SPLIT, Pin.GREEN)
        for name in NAMES:
            here.world.let(name, fails=True)
        assert {one.status for one in await calls(here, GREEN, 9)} == {500}
        assert Counter(await matrix(here)) == {Cell(GREEN, Colour.GREEN): 9}


async def test_a_service_without_consumers_has_neither_pins_nor_a_matrix(opened: Opened) -> None:
    async with adopted(opened) as here:
        await here.pin(Pin.GREEN, Pin.NONE)
        reading = await here.reading(TILL)
        assert {*reading.runtime.values(), reading.boot} == {Route(0)}
        assert dict(reading.matrix) == {}

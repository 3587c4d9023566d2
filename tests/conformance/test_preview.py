"""Preview, one suite for every load balancer that has it: who may name a pool is answered by it, and never counted."""

from collections.abc import Iterable

import pytest

from lbctl.model.names import Colour
from lbctl.model.route import Pin, Route
from tests.conformance.harness import CALLERS, LISTED, NAMES, UNLISTED, Answered, Opened, Visitor, adopted
from tests.conformance.test_conformance import seen_dead
from tests.conformance.worlds import PINNING

pytestmark = pytest.mark.parametrize("opened", PINNING)

_, GREEN = CALLERS


async def asked(visitor: Visitor, count: int = 10) -> list[Answered]:
    """The answers to some requests on one connection."""
    return [await visitor.ask() for _ in range(count)]


def pools(answers: Iterable[Answered]) -> set[tuple[Colour | None, str]]:
    """Which pools answered, and which they said they are."""
    return {(one.colour, one.previewed) for one in answers}


@pytest.mark.parametrize("share", [0, 5_000, 10_000])
async def test_who_may_is_answered_by_the_pool_that_he_names_whatever_the_split_is(opened: Opened, share: int) -> None:
    async with adopted(opened) as here:
        await here.pin(Pin.SPLIT, Pin.SPLIT, Route(share))
        for colour in Colour:
            assert pools(await asked(here.world.previewer(colour, source=LISTED))) == {(colour, colour.value)}


async def test_from_elsewhere_the_header_means_nothing(opened: Opened) -> None:
    async with adopted(opened) as here:
        for source in (UNLISTED, "127.0.40.129", "127.0.0.1"):
            assert pools(await asked(here.world.previewer("green", source=source))) == {(Colour.BLUE, "")}


async def test_an_address_that_a_client_only_claims_to_have_means_nothing(opened: Opened) -> None:
    async with adopted(opened) as here:
        liar = here.world.previewer("green", source=UNLISTED, claims=LISTED)
        assert pools(await asked(liar)) == {(Colour.BLUE, "")}
        modest = here.world.previewer("green", source=LISTED, claims=UNLISTED)
        assert pools(await asked(modest)) == {(Colour.GREEN, "green")}


@pytest.mark.parametrize("wanted", ["", "red", "GREEN", "green,blue", "green, green", "candidate", "green\t-"])
async def test_what_names_no_pool_means_nothing(opened: Opened, wanted: str) -> None:
    async with adopted(opened) as here:
        assert pools(await asked(here.world.previewer(wanted, source=LISTED), 3)) == {(Colour.BLUE, "")}


async def test_a_consumer_pool_goes_by_its_pin_whatever_it_passes_on(opened: Opened) -> None:
    async with adopted(opened) as here:
        for pin in (Pin.BLUE, Pin.SPLIT):
            await here.pin(Pin.SPLIT, pin)
            answers = await asked(here.world.previewer("green", source=LISTED, caller=GREEN))
            assert pools(answers) == {(Colour.BLUE, "")}
        await here.pin(Pin.SPLIT, Pin.NONE)
        assert (await here.world.previewer("green", source=LISTED, caller=GREEN).ask()).refused


async def test_a_preview_is_counted_nowhere(opened: Opened) -> None:
    async with adopted(opened) as here:
        await asked(here.world.previewer("green", source=LISTED))
        here.world.let("green-1", fails=True)
        here.world.let("green-2", fails=True)
        await asked(here.world.previewer("green", source=LISTED))
        await asked(here.world.visitor(), 3)
        reading = await here.reading()
        assert {colour: (pool.requests, pool.errors) for colour, pool in reading.pools.items()} == {
            Colour.BLUE: (3, 0),
            Colour.GREEN: (0, 0),
        }
        assert all(one.requests == 0 for one in reading.pools[Colour.GREEN].servers.values())
        assert sum(reading.matrix[await here.generation()].values()) == 3


async def test_a_preview_is_nobodys_session_and_ends_none(opened: Opened) -> None:
    async with adopted(opened) as here:
        await here.pin(Pin.SPLIT, Pin.SPLIT)
        session = here.world.visitor(session=True)
        first = await session.ask()
        fresh = here.world.previewer("green", source=LISTED, session=True)
        assert pools(await asked(fresh)) == {(Colour.GREEN, "green")}
        assert fresh.jar == {}
        assert {one.server for one in await asked(session)} == {first.server}


async def test_a_session_of_active_previews_the_candidate_and_goes_on_where_it_was(opened: Opened) -> None:
    async with adopted(opened) as here:
        session = here.world.visitor(session=True)
        first = await session.ask()
        known = dict(session.jar or {})
        preview = here.world.previewer("green", source=LISTED, session=True)
        assert preview.jar is not None
        preview.jar.update(known)
        assert pools(await asked(preview)) == {(Colour.GREEN, "green")}
        assert preview.jar == known
        assert (await session.ask()).server == first.server


async def test_an_empty_pool_is_previewed_as_empty(opened: Opened) -> None:
    async with adopted(opened) as here:
        await here.pin(Pin.SPLIT, Pin.SPLIT, Route(5_000))
        await seen_dead(here, *(name for name in NAMES if name.startswith("green")))
        answers = await asked(here.world.previewer("green", source=LISTED), 3)
        assert {(one.status, one.server) for one in answers} == {(503, "")}
        assert (await here.pool(Colour.BLUE)).requests == 0


async def test_previews_go_on_after_a_restart_without_lbctl(opened: Opened) -> None:
    async with adopted(opened) as here:
        await here.world.driver.close()
        await here.world.restart()
        here.world.driver = here.world.another_driver()
        assert (await here.reading()).obstacles == ()
        assert pools(await asked(here.world.previewer("green", source=LISTED))) == {(Colour.GREEN, "green")}
        assert pools(await asked(here.world.previewer("green", source=UNLISTED))) == {(Colour.BLUE, "")}

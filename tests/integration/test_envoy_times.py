"""Times and retries as a real Envoy counts them."""

import asyncio
import time
from math import ceil

import pytest

from lbctl.model.names import Colour
from lbctl.model.reading import PoolReading, Timing
from lbctl.model.sketch import GAMMA, bucket_of, count
from lbctl.model.units import Instant
from tests.conformance.envoy_harness import SHOP, Client, EnvoyWorld, ToyServer, envoy_world
from tests.quantiles import quantile_ms

pytestmark = pytest.mark.envoy

BIN = 1.05
"""Half the width of Envoy's widest bin: the middle stands for all of it."""


async def timing(world: EnvoyWorld[ToyServer]) -> Timing:
    """What Envoy tells now."""
    return (await world.driver.observe()).timing[SHOP]


async def timed(world: EnvoyWorld[ToyServer], colour: Colour, number: int) -> Timing:
    """Wait until so many requests of a pool are in its histogram: Envoy adds them up at each flush."""
    async with asyncio.timeout(10):
        while count((found := await timing(world)).pools[colour]) < number:
            await asyncio.sleep(0.02)
    return found


async def pool(world: EnvoyWorld[ToyServer]) -> PoolReading:
    """The blue pool."""
    return (await world.driver.observe()).services[SHOP].pools[Colour.BLUE]


async def flushed() -> None:
    """Wait for Envoy's next sum."""
    await asyncio.sleep(0.6)


async def ask(client: Client, path: str) -> float:
    """Send one request; returns how many ms the user waited."""
    began = time.monotonic()
    assert (await client.get(path)).status == 200
    return (time.monotonic() - began) * 1_000


async def test_p50_and_p95_of_each_colour_are_those_of_its_servers() -> None:
    async with envoy_world() as world:
        for colour, (usual_ms, rare_ms), green_bp in ((Colour.BLUE, (30, 90), 0), (Colour.GREEN, (60, 300), 10_000)):
            await world.route(green_bp)
            clients, waited = [world.client() for _ in range(10)], []
            for turn in range(10):
                paths = [f"/after/{rare_ms if index == turn else usual_ms}" for index in range(10)]
                waited += await asyncio.gather(*map(ask, clients, paths))
            found = await timed(world, colour, 100)
            for part, slept_ms in ((0.5, usual_ms), (0.95, rare_ms)):
                shown = quantile_ms(found.pools[colour], part)
                longest = sorted(waited)[ceil(part * len(waited)) - 1] + 1
                assert (slept_ms - 1) / BIN <= shown <= longest * GAMMA * BIN
        assert {one: count(buckets) for one, buckets in found.pools.items()} == {Colour.BLUE: 100, Colour.GREEN: 100}
        assert (found.lost, found.sampled) == (0, False)


async def test_the_time_to_the_last_byte_counts_and_not_the_one_to_the_first() -> None:
    async with envoy_world() as world:
        await world.route(0)
        await world.client().get("/drip/150")
        (bucket,) = (await timed(world, Colour.BLUE, 1)).pools[Colour.BLUE]
        assert bucket >= bucket_of(149 / BIN)


async def test_a_websocket_is_never_slow_however_it_ends() -> None:
    async with envoy_world() as world:
        await world.route(0)
        for ends_well in (True, False):
            reader, writer = await world.client().upgrade()
            writer.write(b"hello\n")
            assert await reader.readline() == b"hello\n"
            assert (await pool(world)).in_flight == 1
            await asyncio.sleep(0.6)
            if ends_well:
                writer.write_eof()
                assert await reader.read() == b""
            writer.transport.abort()
        await flushed()
        closed = await pool(world)
        assert (closed.requests, closed.in_flight) == (2, 0)
        assert count((await timing(world)).pools[Colour.BLUE]) == 0


async def test_a_connection_that_failed_and_was_tried_again_is_a_retry_and_no_error() -> None:
    async with envoy_world() as world:
        await world.route(0)
        world.servers["blue-1"].close()
        for _ in range(10):
            assert (await world.client().get("/")).status == 200
        seen = await pool(world)
        assert (seen.requests, seen.errors) == (10, 0)
        assert seen.retries >= 1
        assert seen.retries == seen.servers["blue-1"].errors  # type: ignore[index]


async def test_an_answer_that_was_not_taken_and_tried_again_is_neither_request_nor_error() -> None:
    async with envoy_world() as world:
        await world.route(0)
        await retry_on(world, "5xx")
        world.servers["blue-1"].mode = "error"
        for _ in range(10):
            assert (await world.client().get("/")).status == 200
        hidden = await pool(world)
        assert (hidden.requests, hidden.errors) == (10, 0)
        assert hidden.retries >= 1
        world.servers["blue-2"].mode = "error"
        for _ in range(5):
            assert (await world.client().get("/")).status == 500
        told = await pool(world)
        assert (told.requests, told.errors) == (15, 5)
        assert told.retries >= hidden.retries + 5
        await flushed()
        assert count((await timing(world)).pools[Colour.BLUE]) == 15


async def retry_on(world: EnvoyWorld[ToyServer], what: str) -> None:
    """Give Envoy a retry policy as an operator's own may be."""
    text = world.route_file.read_text()
    other = text.replace("connect-failure,refused-stream", what).replace('"version_info":"1;', '"version_info":"2;')
    assert text.count("connect-failure") == 1
    fresh = world.route_file.with_suffix(".new")
    fresh.write_text(other)
    fresh.rename(world.route_file)
    async with asyncio.timeout(5):
        while (await world.driver._look())[0].stats["http.shop.rds.shop.version_text"] != "2;0:10000:10000":
            await asyncio.sleep(0.02)


async def test_what_envoy_answers_itself_what_breaks_off_and_who_leaves_has_no_time() -> None:
    async with envoy_world() as world:
        await world.route(0)
        blues = [world.servers[name] for name in ("blue-1", "blue-2")]
        for server in blues:
            server.mode = "reset"
        assert (await world.client().get("/")).status == 503
        for server in blues:
            server.mode = "truncated"
        with pytest.raises(asyncio.IncompleteReadError):
            await world.client().get("/")
        for server in blues:
            server.mode = "error"
        for path in ("/drip/500", "/after/500"):
            client = world.client()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.get(path), 0.15)
            client.close()
        await asyncio.sleep(0.6)
        assert (await world.client().get("/after/40")).status == 500
        (bucket,) = (await timed(world, Colour.BLUE, 1)).pools[Colour.BLUE]
        assert bucket_of(39 / BIN) <= bucket < bucket_of(400)


async def test_users_who_leave_wait_no_longer_and_those_who_stay_do() -> None:
    async with envoy_world() as world:
        await world.route(0)
        for _ in range(3):
            client = world.client()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.get("/after/5000"), 0.15)
            client.close()
        staying = asyncio.create_task(world.client().get("/after/800"))
        await asyncio.sleep(0.3)
        seen = await pool(world)
        assert (seen.started - seen.answered, seen.in_flight) == (1, 1)
        await staying
        seen = await pool(world)
        assert (seen.started, seen.answered, seen.in_flight) == (4, 4, 0)


async def test_another_life_of_envoy_is_another_source() -> None:
    async with envoy_world() as world:
        before = await timing(world)
        assert (await timing(world)).source == before.source
        assert before.taken_at > Instant(0)
        await world.stop()
        await world.driver.ensure_running()
        assert (await timing(world)).source != before.source

"""An attached Envoy restarted by its owner, cold or hot: which lives there are, what they route, what lbctl knows."""

import asyncio
import contextlib
import os
import signal
import time

import pytest

from lbctl.model.errors import Unreachable
from lbctl.model.names import Colour
from lbctl.model.operation import Status
from lbctl.model.reading import InstanceReading
from lbctl.model.route import Route
from tests.conformance.envoy_attached import PARENT_SHUTDOWN_S, AttachedWorld, attached_world
from tests.conformance.envoy_harness import SHOP, Client, ToyServer

pytestmark = pytest.mark.envoy

World = AttachedWorld[ToyServer]


def colour_of(body: str) -> str:
    return body.split("-", maxsplit=1)[0]


async def seen(world: World) -> InstanceReading:
    return await world.driver.observe()


def unseen(reading: InstanceReading) -> bool:
    return any(warning.startswith("OLD_WORKERS_UNSEEN: ") for warning in reading.warnings)


async def only_one_life(world: World) -> InstanceReading:
    """Wait until no older life is seen or suspected."""
    async with asyncio.timeout(PARENT_SHUTDOWN_S + 15):
        while (reading := await seen(world)).draining_generations or unseen(reading):
            await asyncio.sleep(0.05)
    return reading


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_a_cold_restart_is_another_generation_on_the_same_split(number: signal.Signals) -> None:
    async with attached_world() as world:
        await world.route(10_000, keep_blue_bp=0)
        before = await seen(world)
        await world.owner.stop(number)
        with pytest.raises(Unreachable, match=r"admin\.sock.*whoever runs it must start it"):
            await seen(world)
        await world.owner.start()
        after = await seen(world)
        assert after.generation != before.generation
        assert after.services[SHOP].runtime == {after.generation: Route(10_000, 0, 10_000)}
        assert after.draining_generations == ()
        assert not unseen(after)
        assert colour_of((await world.client().get()).body) == "green"


async def test_after_a_hot_restart_both_lives_are_read_although_a_new_connection_reaches_one_only() -> None:
    async with attached_world() as world:
        await world.route(2_500)
        before = await seen(world)
        await world.owner.hot_restart()
        both = await seen(world)
        assert both.generation != before.generation
        assert both.draining_generations == (before.generation,)
        assert both.services[SHOP].runtime == dict.fromkeys((both.generation, before.generation), Route(2_500))
        assert not unseen(both)
        await world.owner.older_gone()
        after = await seen(world)
        assert (after.generation, after.draining_generations) == (both.generation, ())


async def test_a_route_is_confirmed_by_every_life_and_users_of_the_older_one_follow_it() -> None:
    async with attached_world() as world:
        await world.route(0)
        await seen(world)
        kept = world.client()
        assert colour_of((await kept.get()).body) == "blue"
        reader, writer = await world.client().upgrade()
        await world.owner.hot_restart()
        assert (await world.route(10_000)).status is Status.DONE
        assert await world.driver.verify(SHOP, Route(10_000)) is True
        # On the connection that the older process still has.
        assert colour_of((await kept.get()).body) == "green"
        assert colour_of((await world.client().get()).body) == "green"
        writer.write(b"still here\n")
        assert await asyncio.wait_for(reader.readline(), 5) == b"still here\n"
        blue = (await seen(world)).services[SHOP].pools[Colour.BLUE]
        assert blue.in_flight == 1
        writer.transport.abort()
        reading = await only_one_life(world)
        assert set(reading.services[SHOP].runtime.values()) == {Route(10_000)}


async def test_whoever_comes_after_a_hot_restart_knows_that_an_older_life_may_be_there_and_for_how_long() -> None:
    async with attached_world() as world:
        await world.route(5_000)
        await world.owner.hot_restart()
        late = world.another_driver()
        reading = await late.observe()
        assert reading.draining_generations == ()
        assert unseen(reading)
        await world.owner.older_gone()
        async with asyncio.timeout(PARENT_SHUTDOWN_S + 15):
            while unseen(await late.observe()):
                await asyncio.sleep(0.1)
        await late.close()


async def test_an_older_life_that_hangs_stops_no_write_and_no_call_waits_for_it() -> None:
    async with attached_world() as world:
        await world.route(0)
        await seen(world)
        old = world.owner.pid
        await world.owner.hot_restart()
        os.kill(old, signal.SIGSTOP)
        try:
            began = time.monotonic()
            # The new Envoy's own admin may wait for the old one, whose figures it takes over; its users do not.
            assert (await world.route(10_000)).status in {Status.DONE, Status.UNKNOWN}
            with contextlib.suppress(Unreachable):
                await seen(world)
            assert time.monotonic() - began < 2.5
            assert colour_of((await world.client().get()).body) == "green"
        finally:
            os.kill(old, signal.SIGCONT)
        async with asyncio.timeout(PARENT_SHUTDOWN_S + 15):
            while await world.driver.verify(SHOP, Route(10_000)) is not True:
                await asyncio.sleep(0.05)
        assert set((await only_one_life(world)).services[SHOP].runtime.values()) == {Route(10_000)}


async def test_an_older_life_whose_connection_was_lost_is_there_until_it_ends() -> None:
    async with attached_world() as world:
        await world.route(0)
        await seen(world)
        await world.owner.hot_restart()
        assert (await seen(world)).draining_generations
        for client in world.driver._lives._older:
            await client.close()
        reading = await seen(world)
        assert (reading.draining_generations, unseen(reading)) == ((), True)
        await world.owner.older_gone()
        assert not unseen(await only_one_life(world))


async def test_several_hot_restarts_in_a_row_are_followed() -> None:
    async with attached_world() as world:
        await world.route(0)
        lives = [(await seen(world)).generation]
        for green_bp in (2_500, 10_000):
            await world.owner.hot_restart()
            assert (await world.route(green_bp)).status is Status.DONE
            reading = await seen(world)
            lives.insert(0, reading.generation)
            assert set(reading.services[SHOP].runtime.values()) == {Route(green_bp)}
            told = (reading.generation, *reading.draining_generations)
            assert told == tuple(lives[: len(told)])
            # Envoy itself allows a third life only when the first one has ended.
            await world.owner.older_gone()
        assert (await only_one_life(world)).generation == lives[0]


async def test_a_hot_restart_under_load_fails_no_request_while_the_split_moves() -> None:
    async with attached_world() as world:
        await world.route(0)
        done = asyncio.Event()
        bad: list[int] = []
        count = 0

        async def user(client: Client) -> None:
            nonlocal count
            while not done.is_set():
                answer = await client.get()
                count += 1
                if answer.status != 200:
                    bad.append(answer.status)

        users = [asyncio.create_task(user(world.client(session=bool(who % 2)))) for who in range(6)]
        restarting = asyncio.create_task(world.owner.hot_restart())
        changes = 0
        while not restarting.done() or changes < 60:
            with contextlib.suppress(Unreachable):
                assert (await world.route(changes * 700 % 10_001)).status in {Status.DONE, Status.UNKNOWN}
            changes += 1
        await restarting
        assert (await world.route(10_000)).status is Status.DONE
        done.set()
        await asyncio.wait_for(asyncio.gather(*users), 10)
        print(f"{count} requests, {changes} changes")
        assert bad == []
        assert count > 100

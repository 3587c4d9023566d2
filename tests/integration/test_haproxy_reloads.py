"""A real HAProxy that is reloaded, killed and edited by other hands while lbctl writes to it."""

import asyncio
import os
import signal
from dataclasses import replace

import pytest

from lbctl.dataplane.haproxy.client import ask
from lbctl.model.errors import DataPlaneError
from lbctl.model.names import Colour
from lbctl.model.operation import Place, Status
from lbctl.model.route import Route
from lbctl.model.topology import HaproxyForm
from tests.conformance.haproxy_harness import HaproxyWorld, haproxy_world
from tests.conformance.harness import SHOP, TILL, Operator

pytestmark = pytest.mark.haproxy

BLUE = Colour.BLUE


async def in_flight(here: Operator) -> int:
    return (await here.pool(BLUE)).in_flight


async def by_hand(world: HaproxyWorld, *commands: str, socket: str = "admin.sock") -> list[list[str]]:
    """What a person does with socat."""
    return await ask(str(world.directory / socket), commands, 1.0)


async def test_an_old_worker_with_a_websocket_is_seen_written_and_counted() -> None:
    async with haproxy_world() as world:
        here = Operator(world)
        reader, writer = await world.upgraded()
        assert await in_flight(here) == 1
        before = await here.generation()
        await world.reloaded()
        reading = await world.driver.observe()
        assert reading.draining_generations == (before,)
        assert set(reading.services[SHOP].runtime) == {before, reading.generation}
        assert await in_flight(here) == 1
        await here.route(2_500, 10_000, 9_000)
        assert set((await here.reading()).runtime.values()) == {Route(2_500, 10_000, 9_000)}
        pid = str(before).split("@", maxsplit=1)[0]
        (lines,) = await by_hand(world, f"@!{pid} show map {world.map}", socket="master.sock")
        assert any(line.endswith("shop 2500:10000:9000") for line in lines)
        writer.write(b"still here\n")
        assert await reader.readline() == b"still here\n"
        writer.transport.abort()
        async with asyncio.timeout(10):
            while (await world.driver.observe()).draining_generations:
                await asyncio.sleep(0.02)
        assert await in_flight(here) == 0


async def test_an_old_worker_that_has_a_pool_under_another_name_says_that_it_does_not_count_it() -> None:
    """Its WebSocket is on the old pool still, in a backend that nobody asks for any more."""
    async with haproxy_world() as world:
        here = Operator(world)
        reader, writer = await world.upgraded()
        before = await here.generation()
        shop = world.service()
        assert shop.haproxy is not None
        renamed = replace(shop.haproxy, backends={colour: f"{SHOP}-{colour}" for colour in Colour})
        world.services = (replace(shop, haproxy=renamed), world.service(TILL))
        await world.driver.close()
        world.driver = world.another_driver()
        world.write_config()
        world.reload()
        async with asyncio.timeout(10):
            while await world._generation() in {before, None}:
                await asyncio.sleep(0.02)
        pool = await here.pool(BLUE)
        assert (pool.in_flight, pool.untold) == (0, (before,))
        assert (await here.pool(BLUE, TILL)).untold == ()
        writer.write(b"still here\n")
        assert await reader.readline() == b"still here\n"
        writer.transport.abort()
        async with asyncio.timeout(10):
            while (await here.pool(BLUE)).untold:
                await asyncio.sleep(0.02)


async def test_an_idle_connection_of_an_old_worker_is_routed_by_what_was_written_after_the_reload() -> None:
    async with haproxy_world() as world:
        here = Operator(world)
        visitors = [world.visitor() for _ in range(5)]
        assert [(await visitor.ask()).colour for visitor in visitors] == [BLUE] * 5
        await world.reloaded()
        assert (await world.driver.observe()).draining_generations
        await here.route(10_000)
        assert [(await visitor.ask()).colour for visitor in visitors] == [Colour.GREEN] * 5


@pytest.mark.parametrize("form", list(HaproxyForm))
@pytest.mark.parametrize("late_s", [0.0, 0.02, 0.05, 0.1])
async def test_a_write_that_falls_into_a_reload_reaches_every_worker(late_s: float, form: HaproxyForm) -> None:
    async with haproxy_world(form=form) as world:
        here = Operator(world)
        _, writer = await world.upgraded()
        for turn in range(3):
            route = Route(1_000 + turn)
            world.reload()
            await asyncio.sleep(late_s)
            async with asyncio.timeout(10):
                while (result := await here.apply(route)).status is not Status.DONE:
                    assert result.status is Status.UNKNOWN, result
            assert set((await here.reading()).runtime.values()) == {route}
            # The reload itself may still be to come: what a new worker brings is the boot value, and is seen.
            await asyncio.sleep(0.3)
            values = set((await here.reading()).runtime.values())
            assert values <= {route, Route(0)}
        writer.transport.abort()


@pytest.mark.parametrize("form", list(HaproxyForm))
async def test_readings_go_on_through_reloads_and_never_mix_up_the_newest_worker(form: HaproxyForm) -> None:
    async with haproxy_world(form=form) as world:
        lives: list[str] = []
        failures = 0
        for _ in range(3):
            world.reload()
            for _ in range(20):
                try:
                    reading = await world.driver.observe()
                except DataPlaneError:
                    failures += 1
                    continue
                assert reading.generation not in reading.draining_generations
                if reading.generation not in lives:
                    lives.append(reading.generation)
                assert lives[-1] == reading.generation
                await asyncio.sleep(0.01)
        assert len(lives) > 1
        assert failures == 0


async def test_a_reload_with_a_broken_config_leaves_the_worker_that_serves_the_newest() -> None:
    async with haproxy_world() as world:
        here = Operator(world)
        before = await here.generation()
        world.write_config("frontend nonsense\n    no such word\n")
        world.reload()
        await asyncio.sleep(0.5)
        assert await here.generation() == before
        await here.route(5_000)
        assert set((await here.reading()).runtime.values()) == {Route(5_000)}


async def test_a_file_changed_by_hand_is_seen_as_boot_value_and_after_a_reload_as_route() -> None:
    async with haproxy_world() as world:
        here = Operator(world)
        fresh = world.map.with_suffix(".new")
        fresh.write_text(f"{SHOP} 7000:10000:10000\n# a remark\n   {TILL}   0:10000:10000\n")
        fresh.rename(world.map)
        reading = await here.reading()
        assert (set(reading.runtime.values()), reading.boot) == ({Route(0)}, Route(7_000))
        await world.reloaded()
        assert Route(7_000) in (await here.reading()).runtime.values()
        await here.route(0)
        assert (await here.reading(TILL)).boot == Route(0)
        assert world.map.stat().st_size == 32_768


async def test_a_killed_haproxy_comes_back_with_the_boot_value_without_lbctl() -> None:
    async with haproxy_world() as world:
        here = Operator(world)
        await here.route(10_000)
        assert (await here.apply(Route(0))).status is Status.DONE
        await world.driver.close()
        await world.restart()
        assert {(await world.visitor().ask()).colour for _ in range(5)} == {Colour.GREEN}
        world.driver = world.another_driver()
        assert set((await here.reading()).runtime.values()) == {Route(10_000)}


async def test_a_killed_worker_takes_everything_down_and_is_reported_not_guessed() -> None:
    async with haproxy_world() as world:
        (worker,) = await world.workers()
        os.kill(worker, signal.SIGKILL)
        assert world.process is not None
        await world.process.wait()
        with pytest.raises(DataPlaneError):
            await world.driver.observe()
        assert (await Operator(world).apply(Route(100))).status is Status.UNKNOWN


async def test_a_missing_key_means_all_to_blue_and_the_warning_names_it_until_it_is_written() -> None:
    async with haproxy_world(begin=False) as world:
        here = Operator(world)
        world.map.write_text("till 0:10000:10000\n")
        await world.begin()
        reading = await world.driver.observe()
        assert reading.services[SHOP].runtime == {reading.generation: Route(0)}
        assert [text for text in reading.warnings if "STATE_KEY_MISSING: shop in HAProxy" in text]
        assert [text for text in reading.warnings if "STATE_KEY_MISSING: shop in its file" in text]
        assert {(await world.visitor().ask()).colour for _ in range(5)} == {BLUE}
        await here.route(10_000)
        assert (await world.driver.observe()).warnings == ()
        assert {(await world.visitor().ask()).colour for _ in range(5)} == {Colour.GREEN}


@pytest.mark.parametrize("value", ["nonsense", "10000", "10001:0:0", "10000:0:0:0", "-1:5:5", "1e3:0:0"])
async def test_a_damaged_entry_is_all_to_blue_with_every_session_kept_for_users_and_for_lbctl(value: str) -> None:
    async with haproxy_world() as world:
        here = Operator(world)
        await here.route(10_000)
        session = world.visitor(session=True)
        home = await session.ask()
        assert home.colour is Colour.GREEN
        await by_hand(world, f"set map {world.map} shop {value}")
        assert set((await here.reading()).runtime.values()) == {Route(0)}
        assert {(await world.visitor().ask()).colour for _ in range(20)} == {BLUE}
        assert await session.ask() == home


async def test_other_hands_at_the_socket_are_seen() -> None:
    async with haproxy_world() as world:
        here = Operator(world)
        await by_hand(world, f"set map {world.map} shop 4000:10000:10000")
        assert set((await here.reading()).runtime.values()) == {Route(4_000)}
        await by_hand(world, f"del map {world.map} shop")
        assert set((await here.reading()).runtime.values()) == {Route(0)}
        assert (await here.apply(Route(300))).status is Status.DONE


async def test_an_old_worker_from_before_the_map_is_named_and_stops_nothing() -> None:
    async with haproxy_world(begin=False) as world:
        here = Operator(world)
        blue = world.servers["blue-1"].port
        listen = world.service().listen
        assert listen is not None
        world.write_config(
            f"listen plain\n mode http\n bind {listen}\n timeout tunnel 1h\n server one 127.0.0.1:{blue}\n"
        )
        await world.begin()
        _, writer = await world.upgraded()
        old = (await world.workers())[0]
        world.write_config()
        world.reload()
        async with asyncio.timeout(10):
            while len(await world.workers()) < 2 or not await answers(world):
                await asyncio.sleep(0.02)
        reading = await world.driver.observe()
        assert [text for text in reading.warnings if text.startswith(f"OLD_WORKER_WITHOUT_MAP: {old}@")]
        assert set(reading.services[SHOP].runtime) == {reading.generation}
        await here.route(2_500)
        writer.transport.abort()


async def answers(world: HaproxyWorld) -> bool:
    try:
        await world.driver.observe()
    except DataPlaneError:
        return False
    return True


async def unseen(world: HaproxyWorld) -> bool:
    return any("OLD_WORKERS_UNSEEN" in text for text in (await world.driver.observe()).warnings)


async def test_without_a_master_socket_it_works_and_says_what_it_cannot_see() -> None:
    async with haproxy_world(master=False) as world:
        here = Operator(world)
        able = await world.driver.probe()
        assert not able.sees_old_generations
        assert able.cannot[0].startswith("NO_MASTER_SOCKET: ")
        await here.route(2_500)
        assert not await unseen(world)
        _, writer = await world.upgraded()
        await world.reloaded()
        assert await unseen(world)
        assert set((await here.reading()).runtime.values()) == {Route(2_500)}
        # A daemon that was started since knows of it as well, and of its end.
        await world.driver.close()
        world.driver = world.another_driver()
        assert await unseen(world)
        assert not (await world.driver.observe()).blind
        writer.transport.abort()
        async with asyncio.timeout(10):
            while await unseen(world):
                await asyncio.sleep(0.02)


async def test_two_commands_with_one_prefix_would_lose_the_second_and_ours_do_not() -> None:
    async with haproxy_world() as world:
        (pid,) = await world.workers()
        lost = await ask(str(world.socket), [f"@!{pid} show info", "show map"], 1.0)
        assert "Unknown command" in lost[1][0]
        for place in Place:
            assert (await Operator(world).apply(Route(0), place=place)).status is Status.DONE

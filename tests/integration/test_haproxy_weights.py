"""Form `weights` on a real HAProxy: shares by weights, other hands on them, servers that die, reloads, sessions."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from lbctl.dataplane.haproxy.client import ask
from lbctl.dataplane.haproxy.firstfiles import write_maps
from lbctl.dataplane.haproxy.serverstate import StateFile, state_path
from lbctl.model.names import Colour, ServerName
from lbctl.model.operation import Place, SetServer, Status
from lbctl.model.reading import Admin, ServiceReading
from lbctl.model.route import Route
from lbctl.model.topology import Address, HaproxyForm, Pool, Server, Service
from tests.conformance.haproxy_harness import HaproxyWorld, haproxy_world
from tests.conformance.harness import SHOP, Operator

pytestmark = pytest.mark.haproxy

BACKEND = "shop_all"
STORY = (*(f"blue-{n}" for n in range(1, 4)), *(f"green-{n}" for n in range(1, 8)))
"""Three servers beside seven."""


@asynccontextmanager
async def weights_world(**more: object) -> AsyncIterator[tuple[HaproxyWorld, Operator]]:
    """A started world in form weights, adopted on blue."""
    async with haproxy_world(form=HaproxyForm.WEIGHTS, **more) as world:  # type: ignore[arg-type]
        here = Operator(world)
        for service in (one.name for one in world.services):
            await here.bring(service, Route(0))
        yield world, here


async def command(world: HaproxyWorld, *commands: str) -> list[list[str]]:
    """What a person types into the admin socket."""
    return await ask(str(world.directory / "admin.sock"), commands, 2.0)


async def set_weights(world: HaproxyWorld, **weights: int) -> None:
    """A person's hand on the weights."""
    lines = [f"set server {BACKEND}/{name.replace('_', '-')} weight {weight}" for name, weight in weights.items()]
    assert await command(world, *lines) == [[] for _ in lines]


async def weights_of(world: HaproxyWorld) -> dict[str, int]:
    """The weights as HAProxy says them."""
    (lines,) = await command(world, f"show servers state {BACKEND}")
    rows = [line.split() for line in lines[2:]]
    return {row[3]: int(row[7]) for row in rows}


async def until(holds: Callable[[], Awaitable[bool]], seconds: float = 5.0) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(seconds):
        while not await holds():
            await asyncio.sleep(0.01)


async def known_dead(here: Operator, *names: str) -> None:
    """Wait until exactly these servers are dead for HAProxy."""

    async def known() -> bool:
        pools = (await here.reading()).pools.values()
        return {name for pool in pools for name, one in pool.servers.items() if not one.usable} == set(names)

    await until(known)


async def measured(world: HaproxyWorld, count: int = 600) -> Counter[Colour | None]:
    """Who answers new requests. Round robin is exact: no binomial noise."""
    visitor = world.visitor()
    return Counter([(await visitor.ask()).colour for _ in range(count)])


def only(reading: ServiceReading) -> Route:
    """The route of the one worker."""
    (route,) = reading.runtime.values()
    return route


@pytest.mark.parametrize("green_bp", [100, 500, 2_500, 5_000, 9_000])
async def test_three_beside_seven_servers_share_new_traffic_to_the_request(green_bp: int) -> None:
    async with weights_world(names=STORY) as (world, here):
        await here.route(green_bp)
        seen = await measured(world, 2_000)
        assert abs(seen[Colour.GREEN] - green_bp / 5) <= 7, seen
        assert seen[None] == 0


# ---- a server dies and comes back


@pytest.mark.parametrize("dies", ["blue-1", "green-1"])
async def test_a_server_that_dies_in_mid_split_moves_the_share_until_it_is_ordered_again(dies: str) -> None:
    async with weights_world() as (world, here):
        await here.route(5_000)
        world.let(dies, dead=True)
        await known_dead(here, dies)
        reading = await here.reading()
        assert only(reading) == Route(5_000)
        (instead,) = reading.skewed.values()
        assert instead == Route(6_667 if dies.startswith("blue") else 3_333)
        assert await world.driver.verify(SHOP, Route(5_000)) is False
        await here.route(5_000)
        reading = await here.reading()
        assert (only(reading), reading.skewed) == (Route(5_000), {})
        seen = await measured(world, 400)
        assert abs(seen[Colour.GREEN] - 200) <= 3, seen
        await world.servers[dies].open()
        await known_dead(here)
        assert (await here.reading()).skewed, "it serves at once, and the share moves back"
        await here.route(5_000)
        assert (await here.reading()).skewed == {}


@pytest.mark.parametrize("green_bp", [0, 10_000])
async def test_at_nothing_and_everything_a_death_moves_nothing(green_bp: int) -> None:
    async with weights_world() as (world, here):
        await here.route(green_bp)
        for name in ("blue-1", "green-1"):
            world.let(name, dead=True)
        await known_dead(here, "blue-1", "green-1")
        reading = await here.reading()
        assert (only(reading), reading.skewed) == (Route(green_bp), {})


async def test_nothing_is_lowered_while_nobody_could_take_over() -> None:
    async with weights_world() as (world, here):
        await here.route(10_000)
        for name in ("blue-1", "blue-2"):
            world.let(name, dead=True)
        await known_dead(here, "blue-1", "blue-2")
        result = await here.apply(Route(0))
        assert result.status is Status.REFUSED
        assert "nobody would be left to serve" in result.detail
        assert {(await world.visitor().ask()).colour for _ in range(20)} == {Colour.GREEN}
        await world.servers["blue-1"].open()
        await known_dead(here, "blue-2")
        assert (await here.apply(Route(0))).status is Status.DONE
        assert {(await world.visitor().ask()).colour for _ in range(20)} == {Colour.BLUE}


# ---- other hands


async def test_a_share_changed_by_hand_is_read_and_can_be_put_right() -> None:
    async with weights_world() as (world, here):
        await here.route(5_000)
        await set_weights(world, green_1=0)
        reading = await here.reading()
        assert (only(reading), reading.skewed) == (Route(3_333), {})
        assert (await here.apply(Route(5_000))).status is Status.DONE
        assert only(await here.reading()) == Route(5_000)


async def test_a_raise_does_not_meet_a_share_that_somebody_changed_meanwhile() -> None:
    async with weights_world() as (world, here):
        await here.route(500)
        raise_ = replace(here.operation(Route(2_500)), expect=Route(500))
        await set_weights(world, green_1=0, green_2=0)
        result = await world.driver.apply(raise_)
        assert result.status is Status.STALE
        assert "it routes 0:10000:10000" in result.detail


async def test_all_weights_taken_away_by_hand_are_no_route_at_all() -> None:
    async with weights_world() as (world, here):
        await set_weights(world, blue_1=0, blue_2=0)
        assert {(await world.visitor().ask()).status for _ in range(3)} == {503}
        assert only(await here.reading()) == Route(5_000), "no route that is wanted at rest, so it is put right"
        await here.route(0)
        assert {(await world.visitor().ask()).status for _ in range(3)} == {200}


async def test_a_server_drained_by_hand_is_not_usable_and_its_share_goes_to_the_others() -> None:
    async with weights_world() as (world, here):
        await here.route(5_000)
        await command(world, f"set server {BACKEND}/green-1 state drain")
        reading = await here.reading()
        assert not reading.pools[Colour.GREEN].servers[ServerName("green-1")].usable
        assert reading.skewed
        await here.route(5_000)
        assert (await here.reading()).skewed == {}
        (lines,) = await command(world, f"show stat {BACKEND} 4 -1")
        assert any(",green-1," in line and ",DRAIN," in line for line in lines), "a person's state is a person's"


async def test_a_percentage_of_a_server_configured_with_zero_is_zero_and_our_weights_are_absolute() -> None:
    async with weights_world() as (world, here):
        assert await command(world, f"set server {BACKEND}/green-1 weight 100%") == [[]]
        assert (await weights_of(world))["green-1"] == 0
        await here.route(5_000)
        assert (await weights_of(world))["green-1"] > 0


# ---- the next start


async def test_a_reload_keeps_the_share_exactly() -> None:
    async with weights_world() as (world, here):
        for route in (Route(3_333), Route(10_000, 0), Route(500)):
            await here.bring(SHOP, route)
            await world.reloaded()
            reading = await here.reading()
            assert (only(reading), reading.boot, reading.obstacles) == (route, route, ())


async def test_an_old_state_file_is_read_as_what_it_says_and_brings_that_back() -> None:
    async with weights_world() as (world, here):
        await here.route(2_500)
        old = state_path(world.instance, SHOP).read_bytes()
        await here.route(0)
        state_path(world.instance, SHOP).write_bytes(old)
        assert (await here.reading()).boot == Route(2_500)
        await world.reloaded()
        assert only(await here.reading()) == Route(2_500), "which is then seen, and put right"
        await here.route(0)
        await world.reloaded()
        assert only(await here.reading()) == Route(0)


async def test_no_reload_brings_back_a_maintenance_that_a_person_has_ended() -> None:
    async with weights_world() as (world, here):
        await command(world, f"set server {BACKEND}/blue-1 state drain", f"set server {BACKEND}/blue-2 state maint")
        await here.route(0)
        await command(world, f"set server {BACKEND}/blue-1 state ready", f"set server {BACKEND}/blue-2 state ready")
        await world.reloaded()
        await known_dead(here)


async def test_a_state_file_that_does_not_fit_the_config_is_no_boot_value_and_is_written_anew() -> None:
    async with weights_world() as (world, here):
        await here.route(500)
        config = world.directory / "h.cfg"
        config.write_text(config.read_text().replace("weight 100", "weight 77"))
        await world.reloaded()
        reading = await here.reading()
        assert reading.boot is None
        await here.route(500)
        assert (await here.reading()).boot == Route(500)
        await world.reloaded()
        assert only(await here.reading()) == Route(500)


async def test_a_changed_port_comes_back_from_the_file_until_haproxy_was_told_too() -> None:
    async with weights_world() as (world, here):
        port = world.servers["blue-1"].port
        await command(world, f"set server {BACKEND}/blue-1 addr 127.0.0.1 port {port + 1}")
        assert (await here.reading()).boot is None, "the file would bring the old port back"
        await here.route(0)
        states = StateFile(world.instance, SHOP, BACKEND).read()
        assert states is not None
        assert states[ServerName("blue-1")].port == str(port + 1)


async def test_without_the_lines_about_the_state_file_it_says_that_nothing_is_durable() -> None:
    async with haproxy_world(form=HaproxyForm.WEIGHTS, begin=False) as world:
        config = world.directory / "h.cfg"
        whole = config.read_text()
        config.write_text("\n".join(line for line in whole.splitlines() if "server-state" not in line) + "\n")
        await world.begin()
        here = Operator(world)
        assert any(text.startswith("NOT_DURABLE: ") for text in (await here.reading()).obstacles)
        await here.route(5_000)
        await world.reloaded()
        assert only(await here.reading()) == Route(0), "what it said would happen"
        config.write_text(whole)
        await world.reloaded()
        assert (await here.reading()).obstacles == ()


async def test_an_old_worker_is_left_to_its_end_and_a_new_share_is_done() -> None:
    async with weights_world() as (world, here):
        await here.route(5_000)
        _, writer = await world.upgraded()
        await world.reloaded()
        old = (await world.workers())[0]
        (said,) = await ask(world.socket, [f"@!{old} set server {BACKEND}/blue-1 weight 1"], 2.0)
        assert said == ["Proxy is disabled."], "which is why"
        await here.route(0)
        reading = await world.driver.observe()
        assert set(reading.services[SHOP].runtime) == {reading.generation}
        assert len(reading.draining_generations) == 1
        assert only(reading.services[SHOP]) == Route(0)
        writer.transport.abort()


async def test_work_on_an_old_worker_is_counted_for_its_pool() -> None:
    async with weights_world() as (world, here):
        await here.route(10_000)
        _, writer = await world.upgraded()
        await here.route(0)
        await world.reloaded()
        assert (await here.pool(Colour.GREEN)).in_flight == 1
        assert (await here.pool(Colour.BLUE)).in_flight == 0
        writer.transport.abort()


async def test_what_an_old_worker_counted_of_a_server_that_is_gone_from_the_config_stays_counted() -> None:
    """Else its count would fall, which looks as if somebody had cleared it and came."""
    async with weights_world(names=STORY) as (world, here):
        await measured(world, 30)
        _, writer = await world.upgraded()
        await here.route(10_000)
        before = await here.pool(Colour.BLUE)
        ((old, count),) = before.arrived.items()
        assert sum(before.rows[old].values()) == count == 31
        config = world.directory / "h.cfg"
        kept = [line for line in config.read_text().splitlines(keepends=True) if "server blue-2 " not in line]
        config.write_text("".join(kept))
        await world.reloaded()
        after = await here.pool(Colour.BLUE)
        assert (after.arrived[old], after.rows[old]) == (count, before.rows[old])
        assert ServerName("blue-2") in after.rows[old]
        (new,) = after.arrived.keys() - {old}
        assert (after.arrived[new], len(after.rows[new])) == (0, 2)
        writer.transport.abort()


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
async def test_a_state_file_that_cannot_be_read_is_no_boot_value() -> None:
    async with weights_world() as (world, here):
        state_path(world.instance, SHOP).chmod(0)
        assert (await here.reading()).boot is None


async def test_a_state_file_that_cannot_be_written_is_refused_by_name_and_the_runtime_goes_on() -> None:
    async with weights_world() as (world, here):
        path = state_path(world.instance, SHOP)
        path.unlink()
        path.mkdir()
        result = await here.apply(Route(500), place=Place.BOOT)
        assert result.status is Status.REFUSED
        assert str(path) in result.detail
        assert (await here.apply(Route(500))).status is Status.DONE
        reading = await here.reading()
        assert (only(reading), reading.boot) == (Route(500), None)


# ---- sessions

HOSTILE = (
    "SRV=",
    "SRV=nobody",
    "SRV=nobody; SRV=blue-1",
    "SRV=blue-1; SRV=green-1",
    "XSRV=blue-1",
    "a=1;SRV=blue-1;b=2",
    "SRV=blue-1x",
    "=; ;;; SRV",
    "SRV=" + "a" * 8_000,
    "x=" + "y" * 8_000 + "; SRV=blue-1",
)


@pytest.mark.parametrize("route", [Route(5_000), Route(10_000, 0)])
async def test_no_cookie_does_harm(route: Route) -> None:
    async with weights_world() as (world, here):
        await here.bring(SHOP, route)
        for cookie in HOSTILE:
            answer = await world.client(cookie=cookie).get()
            assert answer.status == 200, cookie
            again = world.client(session=True)
            again.jar = dict(answer.cookies)
            assert (await again.get()).status == 200


async def test_a_session_that_moves_keeps_its_other_cookies_and_gets_a_new_server() -> None:
    async with weights_world() as (world, here):
        await here.bring(SHOP, Route(10_000, 0))
        for cookie in ("SRV=blue-1", "id=7; SRV=blue-1; SRV=blue-2; theme=x", "id=7;SRV=blue-2", "SRV=blue-1; theme=x"):
            client = world.client(cookie=cookie)
            answer = await client.get()
            assert answer.body.startswith("green")
            assert answer.cookies["SRV"] == answer.body
            (head,) = world.servers[answer.body].seen[-1:]
            got = next(line for line in head.split("\r\n") if line.lower().startswith("cookie: "))
            assert "SRV=" not in got
            assert ("id=7" in cookie) == ("id=7" in got)
            assert ("theme=x" in cookie) == ("theme=x" in got)


async def test_sessions_are_honoured_again_with_the_raise_that_brings_their_pool_back() -> None:
    async with weights_world() as (world, here):
        visitors = [world.visitor(session=True) for _ in range(20)]
        home = [(await one.ask()).server for one in visitors]
        await here.bring(SHOP, Route(10_000))
        await here.bring(SHOP, Route(10_000, 0))
        moved = [(await one.ask()).server for one in visitors]
        assert {name[:5] for name in (*home, *moved)} == {"blue-", "green"}
        await here.bring(SHOP, Route(5_000))
        fresh = [world.visitor(session=True) for _ in range(20)]
        born = [(await one.ask()).server for one in fresh]
        for _ in range(3):
            assert [(await one.ask()).server for one in fresh] == born
            assert [(await one.ask()).server for one in visitors] == moved


# ---- many servers


async def test_a_thousand_weights_go_out_in_batches_that_haproxy_takes_whole() -> None:
    async with haproxy_world(form=HaproxyForm.WEIGHTS, begin=False) as world:
        world.services = [many(world.service(), 500)]
        state_path(world.instance, SHOP).unlink()
        write_maps(world.instance, world.services, {SHOP: Colour.BLUE})
        world.write_config()
        await world.begin()
        world.driver = world.another_driver()
        here = Operator(world)
        for green_bp in (5_000, 1, 10_000, 3_333, 0):
            began = time.monotonic()
            await here.route(green_bp)
            assert time.monotonic() - began < 2.0
            reading = await here.reading()
            assert (only(reading), reading.boot) == (Route(green_bp), Route(green_bp))
        assert len(await weights_of(world)) == 1_000
        await world.reloaded()
        assert only(await here.reading()) == Route(0)


def many(service: Service, count: int) -> Service:
    """The same service with so many servers a pool that nobody checks, under names as long as names can be."""
    pools = {
        colour.value: Pool(
            colour,
            tuple(
                Server(ServerName(f"{colour}-{number:04}-".ljust(63, "x")), Address("127.0.0.1", 1_000 + number))
                for number in range(count)
            ),
        )
        for colour in Colour
    }
    return replace(service, health=None, **pools)  # type: ignore[arg-type]


async def test_a_server_drained_while_its_pool_has_no_weight_reads_as_drained_until_it_is_ready_again() -> None:
    async with weights_world() as (world, here):

        async def told(admin: Admin) -> Admin:
            order = SetServer(service=SHOP, colour=Colour.GREEN, server=ServerName("green-1"), admin=admin)
            assert (await world.driver.administer(order)).status is Status.DONE
            return (await here.reading()).pools[Colour.GREEN].servers[ServerName("green-1")].admin

        await here.route(0)
        untouched = (await here.reading()).pools[Colour.GREEN].servers[ServerName("green-2")]
        assert untouched.admin is Admin.READY, "no weight is no order"
        assert await told(Admin.DRAIN) is Admin.DRAIN
        assert await told(Admin.READY) is Admin.READY
        await here.route(10_000)
        assert (await here.reading()).pools[Colour.GREEN].servers[ServerName("green-1")].usable

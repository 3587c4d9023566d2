"""A real HAProxy that stands in the way of form `weights`, or hides something: each is named before a release."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from lbctl.dataplane.haproxy.client import ask
from lbctl.dataplane.haproxy.render import render
from lbctl.model.errors import Garbled
from lbctl.model.names import Colour, ServerName
from lbctl.model.operation import Status, Stickiness
from lbctl.model.route import Route
from lbctl.model.topology import Address, HaproxyForm, Pool, Protocol, Server
from tests.conformance.haproxy_harness import HaproxyWorld, haproxy_world
from tests.conformance.harness import SHOP, Operator

pytestmark = pytest.mark.haproxy


@asynccontextmanager
async def edited(
    *edits: tuple[str, str], form: HaproxyForm = HaproxyForm.WEIGHTS
) -> AsyncIterator[tuple[HaproxyWorld, Operator]]:
    """A started world whose config somebody edited."""
    async with haproxy_world(form=form, begin=False) as world:
        config = world.directory / "h.cfg"
        text = config.read_text()
        for old, new in edits:
            assert old in text
            text = text.replace(old, new)
        config.write_text(text)
        await world.begin()
        yield world, Operator(world)


async def codes(here: Operator) -> list[str]:
    """The obstacles as they are now."""
    return [text.partition(":")[0] for text in (await here.reading()).obstacles]


async def cannot(world: HaproxyWorld) -> list[str]:
    """What cannot be done with the service, by code."""
    return [text.partition(":")[0] for text in (await world.driver.probe()).of(SHOP).cannot]


@pytest.mark.parametrize("algorithm", ["leastconn", "random", "static-rr", "source", "first", "uri"])
async def test_an_algorithm_that_does_not_follow_the_weights_is_an_obstacle(algorithm: str) -> None:
    async with edited(("balance roundrobin", f"balance {algorithm}")) as (_, here):
        assert await codes(here) == ["BALANCE_IGNORES_WEIGHTS"]


async def test_a_static_algorithm_takes_no_weight_and_the_refusal_repeats_what_haproxy_says() -> None:
    async with edited(("balance roundrobin", "balance static-rr")) as (_, here):
        result = await here.apply(Route(2_500))
        assert result.status is Status.REFUSED
        assert "Backend is using a static LB algorithm" in result.detail


async def test_a_least_loaded_server_is_given_far_more_than_its_weight_which_is_why() -> None:
    async with edited(("balance roundrobin", "balance leastconn")) as (world, here):
        assert (await here.apply(Route(500))).status is Status.DONE
        visitor = world.visitor()
        green = sum([(await visitor.ask()).colour is Colour.GREEN for _ in range(200)])
        assert green > 40, "asked for 10"


async def test_an_agent_that_sets_weights_is_an_obstacle_and_would_overwrite_ours() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"7%\n")
        writer.close()

    agent = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = agent.sockets[0].getsockname()[1]
    words = f"cookie blue-1 agent-check agent-port {port} agent-inter 100ms"
    async with edited(("cookie blue-1", words)) as (world, here):
        async with asyncio.timeout(5):
            while "AGENT_OWNS_WEIGHT" not in await codes(here):
                await asyncio.sleep(0.02)
        await here.apply(Route(5_000))
        async with asyncio.timeout(5):
            while (await here.pool(Colour.BLUE)).servers[ServerName("blue-1")].weight != 7:
                await asyncio.sleep(0.02)
        assert set((await here.reading()).runtime.values()) != {Route(5_000)}
        assert world.process is not None
    agent.close()


async def test_a_server_that_is_in_no_pool_is_an_obstacle() -> None:
    async with haproxy_world(form=HaproxyForm.WEIGHTS) as world:
        shop, till = world.services
        world.driver = world.another_driver([replace(shop, green=Pool(Colour.GREEN, shop.green.servers[:1])), till])
        assert await codes(Operator(world)) == ["UNKNOWN_SERVER"]


async def test_a_pool_whose_servers_haproxy_does_not_know_is_an_obstacle_and_nothing_is_written() -> None:
    async with haproxy_world(form=HaproxyForm.WEIGHTS) as world:
        shop, till = world.services
        ghosts = Pool(Colour.GREEN, (Server(ServerName("ghost"), Address("127.0.0.1", 1)),))
        world.driver = world.another_driver([replace(shop, green=ghosts), till])
        here = Operator(world)
        assert await codes(here) == ["UNKNOWN_SERVER", "NO_SERVER"]
        result = await here.apply(Route(500))
        assert result.status is Status.REFUSED
        assert "does not have the servers of both pools" in result.detail


async def test_a_server_added_at_run_time_has_no_cookie_and_is_an_obstacle() -> None:
    async with haproxy_world(form=HaproxyForm.WEIGHTS) as world:
        shop, till = world.services
        admin = str(world.directory / "admin.sock")
        add = f"add server shop_all/green-9 127.0.0.1:{world.servers['green-1'].port} weight 0"
        (said,) = await ask(admin, [f"{add} cookie g9"], 2.0)
        assert "cookie" in said[0], "HAProxy refuses the word"
        await ask(admin, [add, "enable server shop_all/green-9"], 2.0)
        grown = (*shop.green.servers, Server(ServerName("green-9"), Address("127.0.0.1", 1)))
        world.driver = world.another_driver([replace(shop, green=Pool(Colour.GREEN, grown)), till])
        assert await codes(Operator(world)) == ["SERVER_WITHOUT_COOKIE"]


async def test_a_backup_server_is_an_obstacle() -> None:
    async with edited(("cookie green-2 weight 0", "cookie green-2 weight 0 backup")) as (_, here):
        assert await codes(here) == ["BACKUP_SERVER"]


async def test_servers_that_weigh_differently_in_one_pool_are_an_obstacle() -> None:
    async with edited(("cookie blue-1 weight 100", "cookie blue-1 weight 50")) as (_, here):
        assert "UNEVEN_WEIGHTS" in await codes(here)


async def test_what_weights_cannot_do_is_said_of_the_service_and_of_no_other() -> None:
    async with haproxy_world(form=HaproxyForm.WEIGHTS) as world:
        able = await world.driver.probe()
        assert able.cannot == ()
        assert able.of(SHOP).keep_grain_bp == 1
        assert dict(able.of(SHOP).floor_bp) == {Colour.BLUE: 19, Colour.GREEN: 19}
        assert {"CANNOT_MOVE_WHILE_SPLIT", "OLD_WORKERS_KEEP_WEIGHTS", "SHARE_NOT_ATOMIC"} <= {*await cannot(world)}
        assert all("shop: " in text for text in able.of(SHOP).cannot)


# ---- stickiness

TABLE = "\n    stick-table type ip size 1k expire 1m"


@pytest.mark.parametrize("form", list(HaproxyForm))
async def test_sessions_by_cookie_are_recognised(form: HaproxyForm) -> None:
    async with haproxy_world(form=form) as world:
        assert (await world.driver.probe()).of(SHOP).stickiness == (Stickiness.COOKIE,)
        assert "STICK_TABLE" not in await cannot(world)


@pytest.mark.parametrize("form", list(HaproxyForm))
async def test_a_stick_table_that_binds_users_is_recognised_empty_or_not(form: HaproxyForm) -> None:
    backend = "\nbackend shop_all" if form is HaproxyForm.WEIGHTS else "\nbackend shop_green"
    async with edited((backend, f"{backend}{TABLE}\n    stick on src"), form=form) as (world, _):
        able = (await world.driver.probe()).of(SHOP)
        assert able.stickiness == (Stickiness.COOKIE, Stickiness.TABLE)
        assert "STICK_TABLE" in await cannot(world)
        await world.client().get()
        assert (await world.driver.probe()).of(SHOP).stickiness == able.stickiness


async def test_a_table_that_only_counts_binds_nobody() -> None:
    counting = f"backend shop_all{TABLE} store http_req_rate(10s)\n    http-request track-sc0 src"
    async with edited(("backend shop_all", counting)) as (world, _):
        await world.client().get()
        assert (await world.driver.probe()).of(SHOP).stickiness == (Stickiness.COOKIE,)


async def test_a_user_in_a_stick_table_stays_at_weight_zero_which_is_why() -> None:
    sticky = f"backend shop_all{TABLE}\n    stick on src"
    async with edited(("backend shop_all", sticky)) as (world, here):
        await here.route(0)
        assert (await world.visitor().ask()).colour is Colour.BLUE
        await here.bring(SHOP, Route(10_000))
        assert {(await world.visitor().ask()).colour for _ in range(5)} == {Colour.BLUE}
        await here.bring(SHOP, Route(10_000, 0))
        assert {(await world.visitor().ask()).colour for _ in range(5)} == {Colour.GREEN}


async def test_without_cookie_and_table_nobody_is_bound() -> None:
    async with edited(("    cookie SRV insert indirect nocache httponly\n", "")) as (world, here):
        assert (await world.driver.probe()).of(SHOP).stickiness == ()
        assert await codes(here) == []


# ---- other refusals


@pytest.mark.parametrize(
    ("form", "protocol", "backend"),
    [(HaproxyForm.MAP, Protocol.TCP, "shop_blue"), (HaproxyForm.WEIGHTS, Protocol.TCP, "shop_all")],
)
async def test_a_backend_of_another_mode_than_the_protocol_is_named(
    form: HaproxyForm, protocol: Protocol, backend: str
) -> None:
    async with haproxy_world(form=form) as world:
        world.driver = world.another_driver([replace(world.service(), protocol=protocol)])
        texts = (await world.driver.probe()).of(SHOP).cannot
        assert any(text.startswith("WRONG_MODE: ") and f"backend {backend} is `mode http`" in text for text in texts)


async def test_without_the_backend_it_names_it() -> None:
    async with haproxy_world(form=HaproxyForm.WEIGHTS, begin=False) as world:
        world.write_config(render(world.instance, world.services[:1]))
        await world.begin()
        for call in (world.driver.probe(), world.driver.observe()):
            with pytest.raises(Garbled, match="till_all"):
                await call


@pytest.mark.parametrize("table", ["shop_all", "elsewhere"])
async def test_whom_a_table_brings_to_a_pool_without_weight_is_counted_until_the_entry_is_gone(table: str) -> None:
    rule = f"stick on src table {table}"
    sticky = ("\nbackend shop_all", f"\nbackend shop_all{TABLE}\n    {rule}")
    if table == "elsewhere":
        sticky = ("\nbackend shop_all", f"\nbackend elsewhere{TABLE}\n\nbackend shop_all\n    {rule}")
    async with edited(sticky) as (world, here):

        async def until(count: int) -> None:
            async with asyncio.timeout(5):
                while (pool := (await here.reading()).pools[Colour.BLUE]).uncounted or pool.bound != count:
                    await asyncio.sleep(0.02)

        assert "blue" in (await world.client().get()).body
        assert (await here.reading()).pools[Colour.BLUE].uncounted, "more may come: nobody counts"
        await here.route(10_000)
        await until(1)
        assert "blue" in (await world.client().get()).body
        assert await ask(str(world.directory / "admin.sock"), [f"clear table {table} key 127.0.0.1"], 1.0) == [[]]
        await until(0)
        assert "green" in (await world.client().get()).body
        await here.route(5_000)
        await here.route(10_000, 0, 10_000)
        await until(0)


async def test_servers_of_a_pool_in_a_backend_of_somebody_else_are_named_for_that_pool() -> None:
    """What comes to them that way is in no row of the pool, and HAProxy's connections are its own."""
    async with haproxy_world() as world:
        await world.driver.probe()
        assert (await world.driver.observe()).warnings == ()
        blue = world.service().blue.servers[0].address
        admin = f"\nbackend admin_api\n    server any {blue}\n"
        world.write_config(render(world.instance, world.services, None) + admin)
        await world.reloaded()
        await world.driver.probe()
        assert (await world.driver.observe()).warnings == (
            "SERVERS_ELSEWHERE: blue of shop has servers in admin_api, too: what comes that way is not counted",
            "SERVERS_ELSEWHERE: blue of till has servers in admin_api, too: what comes that way is not counted",
        )

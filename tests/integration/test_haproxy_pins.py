"""A real HAProxy that pins callers: three ways to tell them apart, reloads in mid-change, rules left out."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from lbctl.dataplane.haproxy.client import ask
from lbctl.dataplane.haproxy.firstfiles import write_maps
from lbctl.demo.ports import free_port
from lbctl.model.names import Colour, ServerName, ServiceName
from lbctl.model.operation import Place, Status
from lbctl.model.route import Caller, Cell, Pin, Route
from lbctl.model.topology import Address, Consumer, HaproxyForm, PinKind, Pool, Protocol, Server
from tests.conformance.envoy_harness import Client
from tests.conformance.haproxy_harness import CALL_FROM, HaproxyWorld, haproxy_world, moved
from tests.conformance.harness import CALLERS, SHOP, TILL, Operator, by_listener
from tests.conformance.tcp_toy import TcpServer, dial

pytestmark = pytest.mark.haproxy

BLUE, GREEN = CALLERS
HEADER = "X-Calling"
SOURCE = {TILL: Consumer(kind=PinKind.SOURCE)}
BY_HEADER = {TILL: Consumer(kind=PinKind.HEADER, header=HEADER)}
KINDS = list(PinKind)


def consumers(kind: PinKind) -> Mapping[ServiceName, Consumer]:
    return {PinKind.SOURCE: SOURCE, PinKind.HEADER: BY_HEADER}.get(kind) or by_listener(free_port(), free_port())


@asynccontextmanager
async def pinning(
    known_by: Mapping[ServiceName, Consumer], *, edits: tuple[tuple[str, str], ...] = (), master: bool = True
) -> AsyncIterator[tuple[HaproxyWorld, Operator]]:
    """A started world whose `till` calls `shop`.

    `edits` are what somebody changed in the rendered config.
    """
    async with haproxy_world(begin=False, consumers=known_by, master=master) as world:
        config = world.directory / "h.cfg"
        text = config.read_text()
        for old, new in edits:
            assert old in text
            text = text.replace(old, new)
        config.write_text(text)
        await world.begin()
        here = Operator(world)
        yield world, here


async def said(world: HaproxyWorld, caller: Caller | None, count: int = 8) -> set[str]:
    """Which pools answer a caller; `refused` and `503` where none does."""
    visitor = world.visitor(caller=caller)
    answers = [await visitor.ask() for _ in range(count)]
    return {"refused" if one.refused else str(one.colour or one.status) for one in answers}


async def counts(here: Operator) -> Counter[Cell]:
    """The calls that all workers counted."""
    cells: Counter[Cell] = Counter()
    for counted in (await here.reading()).matrix.values():
        cells.update(counted)
    return cells


async def codes(here: Operator) -> list[str]:
    return [text.partition(":")[0] for text in (await here.reading()).obstacles]


async def by_hand(world: HaproxyWorld, *commands: str) -> list[list[str]]:
    """What a person does with socat."""
    return await ask(str(world.directory / "admin.sock"), commands, 1.0)


# ---- three ways to know who calls


@pytest.mark.parametrize("kind", KINDS)
async def test_every_value_of_a_pin_is_obeyed_whatever_tells_who_calls(kind: PinKind) -> None:
    async with pinning(consumers(kind)) as (world, here):
        assert await codes(here) == []
        for pin, goes in ((Pin.GREEN, "green"), (Pin.BLUE, "blue"), (Pin.NONE, "refused"), (Pin.SPLIT, "blue")):
            await here.pin(Pin.BLUE, pin)
            assert await said(world, GREEN) == {goes}
            assert await said(world, BLUE) == {"blue"}
            assert await said(world, None) == {"blue"}


@pytest.mark.parametrize("kind", KINDS)
async def test_calls_are_counted_by_caller_and_strangers_by_themselves(kind: PinKind) -> None:
    async with pinning(consumers(kind)) as (world, here):
        await here.pin(Pin.BLUE, Pin.GREEN)
        for caller, count in ((BLUE, 3), (GREEN, 4), (None, 5)):
            await said(world, caller, count)
        assert await counts(here) == {
            Cell(BLUE, Colour.BLUE): 3,
            Cell(GREEN, Colour.GREEN): 4,
            Cell(None, Colour.BLUE): 5,
        }


async def test_both_pools_on_the_same_hosts_are_told_apart_by_listener() -> None:
    async with pinning(by_listener(free_port(), free_port())) as (world, here):
        hosts = {one.address.host for pool in (world.services[1].blue, world.services[1].green) for one in pool.servers}
        assert hosts == {"127.0.0.1"}
        await here.pin(Pin.GREEN, Pin.BLUE)
        assert (await said(world, BLUE), await said(world, GREEN)) == ({"green"}, {"blue"})


async def test_both_pools_on_the_same_hosts_are_told_apart_by_header() -> None:
    async with haproxy_world(begin=False, consumers=BY_HEADER) as world:
        here = Operator(world)
        hosts = dict.fromkeys(Colour, CALL_FROM[Colour.BLUE])
        world.services = (world.services[0], moved(world.services[1], hosts))
        world.driver = world.another_driver()
        write_maps(world.instance, world.services, {})
        world.write_config()
        await world.begin()
        await here.pin(Pin.BLUE, Pin.GREEN)
        for caller in CALLERS:
            visitor = world.visitor(caller=caller)
            visitor.client.source = CALL_FROM[Colour.BLUE]
            assert (await visitor.ask()).colour is caller.colour


@pytest.mark.parametrize(
    ("said_by", "headers"),
    [
        ("127.0.0.1", [str(GREEN)]),
        ("127.0.22.1", [str(GREEN)]),
        (CALL_FROM[Colour.BLUE], []),
        (CALL_FROM[Colour.BLUE], [""]),
        (CALL_FROM[Colour.BLUE], ["till"]),
        (CALL_FROM[Colour.BLUE], ["shop-green"]),
        (CALL_FROM[Colour.BLUE], [f"{BLUE},{GREEN}"]),
        (CALL_FROM[Colour.BLUE], [str(GREEN), str(GREEN)]),
        (CALL_FROM[Colour.BLUE], [f"{GREEN}<x", "unknown"]),
    ],
)
async def test_a_header_of_somebody_else_or_with_something_else_is_not_believed(
    said_by: str, headers: list[str]
) -> None:
    async with pinning(BY_HEADER) as (world, here):
        await here.pin(Pin.SPLIT, Pin.GREEN)
        client = world.client()
        client.source = said_by
        client.headers["accept"] = "\r\n".join(["*/*", *(f"{HEADER}: {one}" for one in headers)])
        assert (await client.get()).body.startswith("blue")
        assert await counts(here) == {Cell(None, Colour.BLUE): 1}


async def test_the_header_reaches_neither_the_provider_nor_through_a_consumer() -> None:
    async with pinning(BY_HEADER) as (world, here):
        await here.pin(Pin.BLUE, Pin.GREEN)
        assert await said(world, GREEN, 1) == {"green"}
        client = world.client()
        client.headers[HEADER] = str(GREEN)
        await client.get()
        heads = [head.lower() for server in world.servers.values() for head in server.seen]
        assert len(heads) == 2
        assert not [head for head in heads if HEADER.lower() in head]
        text = (world.directory / "h.cfg").read_text()
        assert text.count(f"http-request del-header {HEADER}\n") == 2, "also before the consumer, whom users reach"


async def test_tcp_callers_are_pinned_and_refused_ones_are_hung_up_on() -> None:
    servers = {name: await TcpServer(name).open() for name in ("blue-1", "green-1")}
    ports = free_port(), free_port()
    async with haproxy_world(begin=False, protocol=Protocol.TCP, consumers=by_listener(*ports)) as world:
        here = Operator(world)
        pools = {
            colour: Pool(
                colour, (Server(ServerName(f"{colour}-1"), Address("127.0.0.1", servers[f"{colour}-1"].port)),)
            )
            for colour in Colour
        }
        shop = replace(world.services[0], blue=pools[Colour.BLUE], green=pools[Colour.GREEN], health=None)
        world.services = (shop, world.services[1])
        world.driver = world.another_driver()
        write_maps(world.instance, world.services, {})
        world.write_config()
        await world.begin()
        for pin, taken in ((Pin.GREEN, "green-1"), (Pin.NONE, ""), (Pin.SPLIT, "blue-1")):
            await here.pin(Pin.BLUE, pin)
            line = await dial(ports[1])
            assert line.server == taken
            line.close()
        assert await counts(here) == {Cell(GREEN, Colour.GREEN): 1, Cell(GREEN, Colour.BLUE): 1}
        assert (await here.pool(Colour.BLUE)).requests == 1
    for server in servers.values():
        server.close()


# ---- reloads


@pytest.mark.parametrize("kind", KINDS)
async def test_an_old_worker_obeys_what_was_pinned_after_the_reload_and_goes_on_counting(kind: PinKind) -> None:
    async with pinning(consumers(kind)) as (world, here):
        await here.pin(Pin.BLUE, Pin.BLUE)
        old = {caller: world.visitor(caller=caller) for caller in CALLERS}
        for visitor in old.values():
            await visitor.ask()
        _, writer = await world.upgraded()
        await world.reloaded()
        route = await here.pin(Pin.NONE, Pin.GREEN)
        reading = await here.reading()
        assert len(reading.runtime) == 2
        assert set(reading.runtime.values()) == {route}
        assert (await old[BLUE].ask()).refused
        assert (await old[GREEN].ask()).colour is Colour.GREEN
        assert await said(world, GREEN, 3) == {"green"}
        # The WebSocket is a stranger's call.
        expected = {
            Cell(BLUE, Colour.BLUE): 1,
            Cell(GREEN, Colour.BLUE): 1,
            Cell(None, Colour.BLUE): 1,
            Cell(GREEN, Colour.GREEN): 4,
        }
        assert await counts(here) == expected
        writer.transport.abort()


@pytest.mark.parametrize("late_s", [0.0, 0.02, 0.05, 0.1])
async def test_pins_that_are_written_into_a_reload_reach_every_worker(late_s: float) -> None:
    async with pinning(by_listener(free_port(), free_port())) as (world, here):
        await here.pin(Pin.SPLIT, Pin.SPLIT)
        _, writer = await world.upgraded()
        for pins in ((Pin.BLUE, Pin.GREEN), (Pin.NONE, Pin.BLUE), (Pin.SPLIT, Pin.NONE)):
            route = Route(1_000, pins=tuple(zip(CALLERS, pins, strict=True)))
            world.reload()
            await asyncio.sleep(late_s)
            async with asyncio.timeout(10):
                while (result := await here.apply(route)).status is not Status.DONE:
                    assert result.status is Status.UNKNOWN, result
            assert (await here.apply(route, place=Place.BOOT)).status is Status.DONE
            await asyncio.sleep(0.3)
            # The reload itself may still have been to come; the boot value was the one before then.
            assert (await here.apply(route)).status is Status.DONE
            assert set((await here.reading()).runtime.values()) == {route}
        writer.transport.abort()


async def test_calls_under_way_during_changes_and_reloads_go_by_a_pin_that_stood_and_are_all_counted() -> None:
    async with pinning(by_listener(free_port(), free_port())) as (world, here):
        await here.pin(Pin.BLUE, Pin.GREEN)
        answered: Counter[Cell] = Counter()
        ended = asyncio.Event()

        async def call(caller: Caller) -> None:
            visitor = world.visitor(caller=caller)
            while not ended.is_set():
                answer = await visitor.ask()
                assert answer.colour is caller.colour, answer
                answered[Cell(caller, answer.colour)] += 1

        calls = [asyncio.create_task(call(caller)) for caller in CALLERS * 3]
        _, writer = await world.upgraded()
        for share in (100, 5_000, 10_000, 0):
            await here.pin(Pin.BLUE, Pin.GREEN, Route(share))
            await world.reloaded()
        ended.set()
        await asyncio.gather(*calls)
        # Workers that ended meanwhile took their counts with them; the one with the WebSocket has not.
        seen = await counts(here)
        assert set(seen) == {*answered, Cell(None, Colour.BLUE)}
        assert all(seen[cell] <= answered[cell] for cell in answered)
        writer.transport.abort()


async def test_a_config_without_previews_is_named_and_nothing_goes_forward_until_it_has_them() -> None:
    async with haproxy_world() as world:
        here = Operator(world)
        await here.route(0)
        world.services = (replace(world.services[0], preview=("127.0.0.0/8",)), world.services[1])
        await world.driver.close()
        world.driver = world.another_driver()
        assert await codes(here) == ["PREVIEW_RULES_MISSING"]
        world.write_config()
        await world.reloaded()
        assert await codes(here) == []


async def test_a_preview_that_is_under_way_is_in_flight_and_nothing_else() -> None:
    async with haproxy_world(preview=("127.0.0.0/8",)) as world:
        here = Operator(world)
        await here.route(0)
        client = world.client(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ==", Sec_WebSocket_Version="13")
        client.headers["x-lbctl-preview"] = "green"
        await client.upgrade()
        pool = await here.pool(Colour.GREEN)
        assert (pool.in_flight, pool.started, pool.requests, sum(pool.arrived.values())) == (1, 0, 0, 1)


async def test_an_old_worker_from_before_the_rules_is_read_as_unpinned_until_it_ends() -> None:
    async with haproxy_world() as world:
        here = Operator(world)
        await here.route(0)
        _, writer = await world.upgraded()
        known_by = by_listener(free_port(), free_port())
        world.services = (replace(world.services[0], consumers=known_by), world.services[1])
        await world.driver.close()
        world.driver = world.another_driver()
        assert await codes(here) == ["PIN_RULES_MISSING", "PIN_LISTENER_MISSING", "PIN_LISTENER_MISSING"]
        write_maps(world.instance, world.services, {})
        world.write_config()
        await world.reloaded()
        assert await codes(here) == []
        route = await here.pin(Pin.BLUE, Pin.NONE)
        reading = await here.reading()
        unpinned = replace(route, pins=tuple((caller, Pin.SPLIT) for caller in CALLERS))
        assert Counter(reading.runtime.values()) == {route: 1, unpinned: 1}
        assert await world.driver.verify(SHOP, route) is False
        writer.transport.abort()
        async with asyncio.timeout(10):
            while await world.driver.verify(SHOP, route) is not True:
                await asyncio.sleep(0.02)


# ---- what is missing, damaged or done by other hands


@pytest.mark.parametrize("value", ["nonsense", "GREEN", "split2", "blue,green", "0", "none."])
async def test_a_damaged_or_missing_pin_is_none_for_callers_and_for_lbctl_and_is_told(value: str) -> None:
    async with pinning(by_listener(free_port(), free_port())) as (world, here):
        route = await here.pin(Pin.BLUE, Pin.GREEN)
        unpinned = replace(route, pins=((BLUE, Pin.BLUE), (GREEN, Pin.SPLIT)))
        for damage in (
            f"set map {world.map} shop<{GREEN} {value}",
            f"del map {world.map} shop<{GREEN}",
        ):
            await by_hand(world, damage)
            assert await said(world, GREEN) == {"blue"}
            assert set((await here.reading()).runtime.values()) == {unpinned}
            warnings = (await world.driver.observe()).warnings
            assert [text for text in warnings if text.startswith(f"STATE_KEY_MISSING: shop<{GREEN} in HAProxy")]
        assert (await here.apply(route)).status is Status.DONE
        assert await said(world, GREEN) == {"green"}
        assert (await world.driver.observe()).warnings == ()


async def test_a_config_whose_rules_somebody_left_out_is_an_obstacle_that_names_them() -> None:
    table = "table calls type string len 160 size 1k nopurge store http_req_cnt"
    known_by = by_listener(free_port(), free_port())
    at = known_by[TILL].listeners[Colour.GREEN]
    listener = f"bind {at} name {GREEN}"
    for edits, expected in (
        (((listener, f"bind {at} name other"),), ["PIN_LISTENER_MISSING"]),
        (((listener, f"bind 127.0.0.1:{free_port()} name {GREEN}"),), ["PIN_LISTENER_MISSING"]),
        ((("    option socket-stats\n", ""),), ["PIN_LISTENER_MISSING"] * 2),
        (((table, table.replace("calls", "other")), ("lbctl_shop/calls", "lbctl_shop/other")), ["PIN_RULES_MISSING"]),
    ):
        async with pinning(known_by, edits=edits) as (world, here):
            reading = await here.reading()
            assert [text.partition(":")[0] for text in reading.obstacles] == expected
            assert all("lbctl config render haproxy" in text for text in reading.obstacles)
            cannot = (await world.driver.probe()).of(SHOP).cannot
            assert set(reading.obstacles) <= set(cannot)


async def test_a_map_of_addresses_that_is_not_that_of_the_config_is_an_obstacle_that_names_one() -> None:
    async with pinning(SOURCE) as (world, here):
        assert await codes(here) == []
        moved_on = moved(world.services[1], CALL_FROM | {Colour.GREEN: "127.0.23.1"})
        world.services = (world.services[0], moved_on)
        await world.driver.close()
        world.driver = world.another_driver()
        (text,) = (await here.reading()).obstacles
        assert text.startswith("CALLERS_STALE: ")
        assert "127.0.21.1 is till-green there and nobody in lbctl's config" in text
        (wrote,) = write_maps(world.instance, world.services, {})
        assert wrote.endswith("shop.callers: 2 addresses")
        await world.reloaded()
        assert await codes(here) == []
        assert write_maps(world.instance, world.services, {}) == ()


async def test_a_call_that_comes_in_past_the_rules_is_counted_as_a_strangers() -> None:
    port = free_port()
    past = f"frontend past\n    mode http\n    bind 127.0.0.1:{port}\n    default_backend shop_green\n\nfrontend shop\n"
    async with pinning(by_listener(free_port(), free_port()), edits=(("frontend shop\n", past),)) as (_, here):
        client = Client(port)
        assert (await client.get()).body.startswith("green")
        client.close()
        assert await counts(here) == {Cell(None, Colour.GREEN): 1}


async def test_without_a_master_socket_nothing_is_promised() -> None:
    async with pinning(by_listener(free_port(), free_port()), master=False) as (world, _):
        able = await world.driver.probe()
        assert able.pins == frozenset()
        assert able.cannot[0].startswith("NO_MASTER_SOCKET: ")


async def test_form_weights_cannot_pin_says_so_and_does_not_try() -> None:
    async with haproxy_world(form=HaproxyForm.WEIGHTS) as world:
        here = Operator(world)
        shop = replace(world.services[0], consumers=by_listener(1, 2))
        world.driver = world.another_driver([shop, world.services[1]])
        cannot = (await world.driver.probe()).of(SHOP).cannot
        assert [text for text in cannot if text.startswith("NO_PINS: shop: ")]
        pins = tuple((caller, Pin.SPLIT) for caller in CALLERS)
        result = await here.apply(Route(0, pins=pins))
        assert result.status is Status.REFUSED
        assert "cannot pin" in result.detail

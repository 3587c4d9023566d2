"""Pins on a real Envoy: where each consumer pool's calls go, what is counted of them, and what survives a change."""

import asyncio
import random
import subprocess
from collections import Counter
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest
import yaml

from lbctl.dataplane.envoy.admin import AdminClient
from lbctl.dataplane.envoy.binary import locate
from lbctl.dataplane.envoy.layout import layout_of
from lbctl.dataplane.envoy.render import render_static
from lbctl.model.errors import Garbled
from lbctl.model.names import Colour, ServerName, ServiceName
from lbctl.model.operation import Status
from lbctl.model.route import Caller, Cell, Pin, Route
from lbctl.model.topology import Address, EnvoyMode, PinKind, Pool, Protocol, Server
from tests.conformance.envoy_attached import AttachedWorld
from tests.conformance.envoy_callers import (
    BLUE,
    GREEN,
    HEADER,
    OUTSIDER,
    Called,
    called,
    called_at,
    route,
    storefront,
    with_consumer,
)
from tests.conformance.envoy_harness import NAMES, SHOP, Answer, Client, envoy_world, require_envoy
from tests.conformance.grpc_toy import GrpcClient, GrpcServer
from tests.conformance.tcp_toy import TcpServer, dial
from tests.unit.test_envoy_routes import a_service

pytestmark = pytest.mark.envoy
everywhere = pytest.mark.parametrize("mode", list(EnvoyMode))
every_kind = pytest.mark.parametrize("kind", list(PinKind))
CHANGES = 200
FIRST = {(EnvoyMode.EMBEDDED, PinKind.LISTENER), (EnvoyMode.ATTACHED, PinKind.HEADER)}
"""Where two hundred changes are made in every run; the others, a minute of processor, in the long suite."""


def colour_of(answer: Answer) -> Colour | None:
    return next((colour for colour in Colour if answer.body in NAMES and answer.body.startswith(colour)), None)


async def colours(client: Client, count: int = 6) -> set[Colour | None]:
    return {colour_of(await client.get()) for _ in range(count)}


@everywhere
@every_kind
async def test_each_value_sends_each_pool_where_it_says_and_the_matrix_is_exact(mode: EnvoyMode, kind: PinKind) -> None:
    async with called(mode, kind) as here:
        clients = {caller: here.client(caller) for caller in (BLUE, GREEN, None)}
        wanted: Counter[str] = Counter()
        for green_bp, blue, green in (
            (0, Pin.GREEN, Pin.SPLIT),
            (10_000, Pin.BLUE, Pin.NONE),
            (10_000, Pin.SPLIT, Pin.BLUE),
            (0, Pin.NONE, Pin.GREEN),
            (0, Pin.NONE, Pin.NONE),
            (10_000, Pin.GREEN, Pin.BLUE),
        ):
            assert (await here.apply(route(green_bp, blue, green))).status is Status.DONE
            everybody = Colour.GREEN if green_bp else Colour.BLUE
            for caller, pin in ((BLUE, blue), (GREEN, green), (None, Pin.SPLIT)):
                to = None if pin is Pin.NONE else everybody if pin is Pin.SPLIT else Colour(pin.value)
                assert await colours(clients[caller]) == {to}, (caller, pin)
                wanted += Counter({str(Cell(caller, to)): 6} if to else {})
            assert await here.matrix() == wanted
            assert await here.world.driver.verify(SHOP, route(green_bp, blue, green)) is True
        able = await here.world.driver.probe()
        assert kind in able.pins
        assert not any(text.startswith("NO_PINS") for text in able.of(SHOP).cannot)


@everywhere
async def test_a_pool_that_follows_the_split_is_drawn_like_everybody_and_counted_by_pool(mode: EnvoyMode) -> None:
    async with called(mode, PinKind.LISTENER) as here:
        await here.apply(route(5_000, Pin.SPLIT, Pin.BLUE))
        seen: Counter[str] = Counter()
        for caller in (BLUE, None):
            client = here.client(caller)
            for _ in range(100):
                colour = colour_of(await client.get())
                assert colour is not None
                seen[str(Cell(caller, colour))] += 1
        assert len(seen) == 4
        assert await here.matrix() == seen


@everywhere
@every_kind
async def test_pins_and_split_survive_a_restart_without_lbctl(mode: EnvoyMode, kind: PinKind) -> None:
    async with called(mode, kind) as here:
        wanted = route(0, Pin.NONE, Pin.GREEN)
        await here.apply(wanted)
        await here.restart()
        assert await colours(here.client(BLUE)) == {None}
        assert await colours(here.client(GREEN)) == {Colour.GREEN}
        assert await colours(here.client(None)) == {Colour.BLUE}
        reading = (await here.world.driver.observe()).services[SHOP]
        assert set(reading.runtime.values()) == {wanted}
        assert reading.boot == wanted


@every_kind
async def test_a_refused_call_says_why_reaches_nobody_and_counts_for_nothing(kind: PinKind) -> None:
    async with called(EnvoyMode.EMBEDDED, kind) as here:
        await here.apply(route(10_000, Pin.NONE, Pin.BLUE))
        before = (await here.world.driver.observe()).services[SHOP]
        client = here.client(BLUE)
        for _ in range(20):
            answer = await client.get()
            assert answer.status == 503
            assert ("x-lbctl-refused", "pin") in answer.headers
            assert "storefront-blue is idle" in answer.body
        after = (await here.world.driver.observe()).services[SHOP]
        assert after.pools == before.pools
        assert after.matrix == before.matrix
        assert all(not server.seen for server in here.world.servers.values())


async def test_an_older_life_obeys_a_changed_pin_and_the_newest_counts_what_it_still_routes() -> None:
    async with called(EnvoyMode.ATTACHED, PinKind.LISTENER) as here:
        assert isinstance(here.world, AttachedWorld)
        await here.apply(route(0, Pin.BLUE, Pin.NONE))
        kept = here.client(GREEN)
        assert await colours(kept) == {None}
        await here.world.driver.observe()
        await here.world.owner.hot_restart()
        assert (await here.apply(route(0, Pin.BLUE, Pin.GREEN))).status is Status.DONE
        reading = await here.world.driver.observe()
        assert len(reading.services[SHOP].runtime) == 2
        # On the connection that the older process still has.
        assert await colours(kept) == {Colour.GREEN}
        async with asyncio.timeout(5):
            while await here.matrix() != {"storefront-green>green": 6}:
                await asyncio.sleep(0.05)


async def test_counters_that_are_hidden_are_an_obstacle_and_not_a_matrix_without_calls() -> None:
    async with called(EnvoyMode.ATTACHED, PinKind.LISTENER) as here:
        assert isinstance(here.world, AttachedWorld)
        assert (await here.world.driver.observe()).services[SHOP].obstacles == ()
        hidden = "stats_config: {stats_matcher: {exclusion_list: {patterns: [{prefix: vhost.}]}}}\n"
        here.world.write_bootstrap(here.services, lambda text: text + hidden)
        await here.world.owner.restart()
        (obstacle,) = (await here.world.driver.observe()).services[SHOP].obstacles
        assert obstacle.startswith("MATRIX_UNSEEN: ")


@everywhere
async def test_nobody_can_pass_for_another_pool_by_what_he_writes(mode: EnvoyMode) -> None:
    for kind in PinKind:
        async with called(mode, kind) as here:
            await here.apply(route(0, Pin.BLUE, Pin.GREEN))
            forged = {"x_lbctl_caller": "storefront-green", "x_lbctl_src": here.way(GREEN).host, "x_pool": str(GREEN)}
            liar = here.client(None, **forged, X_Lbctl_Caller="storefront-green")
            assert await colours(liar) == {Colour.BLUE}
            assert set(await here.matrix()) == {"unknown>blue"}
            if kind is not PinKind.HEADER:
                assert await colours(here.client(BLUE, **forged)) == {Colour.BLUE}


async def test_a_server_does_not_get_what_only_routes_and_cannot_pass_it_on() -> None:
    async with called(EnvoyMode.EMBEDDED, PinKind.HEADER) as here:
        await here.apply(route(0, Pin.BLUE, Pin.BLUE))
        await here.client(BLUE, x_lbctl_caller="storefront-green").get()
        (head,) = [head.lower() for server in here.world.servers.values() for head in server.seen]
        assert "x-lbctl" not in head
        assert OUTSIDER not in head
        assert HEADER not in head


@pytest.mark.parametrize("green_bp", [0, 5_000])
async def test_a_pinned_pool_whose_servers_are_dead_gets_503_and_never_the_other_pool(green_bp: int) -> None:
    async with called(EnvoyMode.EMBEDDED, PinKind.LISTENER) as here:
        await here.apply(route(green_bp, Pin.BLUE, Pin.GREEN))
        for name in ("green-1", "green-2"):
            here.world.servers[name].close()
        client = here.client(GREEN)
        for _ in range(40):
            assert (await client.get()).status == 503
            await asyncio.sleep(0.02)
        assert await here.matrix() == {}
        pools = (await here.world.driver.observe()).services[SHOP].pools
        assert (pools[Colour.GREEN].requests, pools[Colour.GREEN].errors) == (40, 40)
        assert pools[Colour.BLUE].requests == 0


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        pytest.param(mode, kind, marks=() if (mode, kind) in FIRST else pytest.mark.long)
        for mode in EnvoyMode
        for kind in PinKind
    ],
)
async def test_two_hundred_changes_of_pins_and_split_under_load_are_never_wrong_once_read_back(
    mode: EnvoyMode, kind: PinKind
) -> None:
    """Every request that was sent after the change was read back, and answered before the next began, is held to it."""
    async with called(mode, kind) as here:
        load = Load(here)
        rng = random.Random(11)
        users = [asyncio.create_task(load.user(caller)) for caller in (BLUE, GREEN, None) for _ in range(4)]
        for number in range(CHANGES):
            split = 10_000 * (number % 2)
            pins = {caller: rng.choice([Pin.BLUE, Pin.GREEN, Pin.SPLIT, Pin.NONE]) for caller in (BLUE, GREEN)}
            await load.change(route(split, pins[BLUE], pins[GREEN]))
            await asyncio.sleep(rng.random() * 0.02)
        load.done = True
        await asyncio.gather(*users)
        assert load.wrong == []
        assert load.held > CHANGES
        assert await here.matrix() == {cell: count for cell, count in load.seen.items() if count}
        print(f"{kind}: {load.asked} requests, {load.held} held to a route that was read back")


class Load:
    """Keep-alive users of every kind, and what they may see."""

    def __init__(self, here: Called) -> None:
        self._here = here
        self._route: Route | None = None
        self._changes = 0
        self.done = False
        self.asked = self.held = 0
        self.seen: Counter[str] = Counter()
        self.wrong: list[tuple[Caller | None, Route, Answer]] = []

    async def change(self, wanted: Route) -> None:
        """Bring it there; what is under way meanwhile may go by either route."""
        self._route, self._changes = None, self._changes + 1
        assert (await self._here.apply(wanted)).status is Status.DONE
        self._route = wanted

    async def user(self, caller: Caller | None) -> None:
        """Ask and ask again over one connection; a request that fails otherwise than by a pin raises."""
        client = self._here.client(caller)
        while not self.done:
            route, changes = self._route, self._changes
            answer = await client.get()
            self.asked += 1
            refused = ("x-lbctl-refused", "pin") in answer.headers
            assert answer.status == (503 if refused else 200), answer
            colour = colour_of(answer)
            if colour is not None:
                self.seen[str(Cell(caller, colour))] += 1
            if route is not None and changes == self._changes:
                self.held += 1
                if colour is not self._wanted(route, caller):
                    self.wrong.append((caller, route, answer))

    def _wanted(self, route: Route, caller: Caller | None) -> Colour | None:
        pin = Pin.SPLIT if caller is None else dict(route.pins)[caller]
        if pin is Pin.NONE:
            return None
        return (Colour.GREEN if route.green_bp else Colour.BLUE) if pin is Pin.SPLIT else Colour(pin.value)


async def test_a_consumer_that_comes_later_touches_no_listener_of_the_users() -> None:
    """A changed listener would cut their WebSockets when it has drained."""
    async with envoy_world() as world:
        await world.route(0)
        reader, writer = await world.client().upgrade()
        here = Called(world, PinKind.LISTENER, (with_consumer(world.service, PinKind.LISTENER),))
        await world.replace_service(here.services[0])
        assert await world.driver.ensure_running() == ("wrote lds/listeners.json",)
        await here.apply(route(0, Pin.GREEN, Pin.NONE))
        assert await colours(here.client(BLUE)) == {Colour.GREEN}
        client = AdminClient(layout_of(world.instance).admin_socket)
        _, (body,) = await client.ask(["/stats?filter=^listener_manager.(listener_modified|listener_removed)$"], 1)
        await client.close()
        assert {line.split(b": ")[1] for line in body.splitlines()} == {b"0"}
        writer.write(b"still\n")
        assert await asyncio.wait_for(reader.readline(), 5) == b"still\n"


@pytest.mark.parametrize("kind", [PinKind.LISTENER, PinKind.SOURCE])
async def test_an_attached_envoy_whose_listeners_do_not_say_who_calls_is_told_so(kind: PinKind) -> None:
    async with called(EnvoyMode.ATTACHED, kind) as here:
        assert isinstance(here.world, AttachedWorld)
        here.world.write_bootstrap(here.services, _without_stamps)
        await here.world.owner.restart()
        with pytest.raises(Garbled, match=r"shop: .*x-lbctl-"):
            await here.world.driver.probe()


def _without_stamps(text: str) -> str:
    document = yaml.safe_load(text)
    for listener in document["static_resources"]["listeners"]:
        listener["filter_chains"][0]["filters"][0]["typed_config"].pop("early_header_mutation_extensions")
    return str(yaml.safe_dump(document))


@every_kind
@pytest.mark.parametrize("protocol", list(Protocol))
def test_the_static_document_of_a_service_with_consumers_is_what_envoy_accepts(
    tmp_path: Path, kind: PinKind, protocol: Protocol
) -> None:
    require_envoy()
    shop = with_consumer(replace(a_service(), protocol=protocol), kind)
    pins = tuple((Caller(ServiceName("storefront"), colour), Pin.SPLIT) for colour in Colour)
    document = tmp_path / "static.json"
    document.write_text(render_static([shop, storefront(a_service())], {shop.name: Route(2_500, 3_333, pins=pins)}))
    command = [locate(), "--mode", "validate", "-c", str(document)]
    said = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    assert said.returncode == 0, said.stderr


def test_no_number_of_addresses_makes_a_route_that_envoy_refuses(tmp_path: Path) -> None:
    rng = random.Random(3)
    hosts = {
        Colour.BLUE: [f"10.1.{n // 250}.{n % 250}" for n in range(500)]
        + [_any_address(rng, 1 << 32) for _ in range(300)],
        Colour.GREEN: [_any_address(rng, 1 << 128) for _ in range(200)],
    }
    require_envoy()
    caller = storefront(a_service())
    pools = [Pool(colour, tuple(_server(host) for host in sorted(set(hosts[colour])))) for colour in Colour]
    shop = with_consumer(a_service(), PinKind.SOURCE)
    pins = tuple((Caller(caller.name, colour), Pin.BLUE) for colour in Colour)
    text = render_static([shop, replace(caller, blue=pools[0], green=pools[1])], {shop.name: Route(0, pins=pins)})
    document = tmp_path / "static.json"
    document.write_text(text)
    command = [locate(), "--mode", "validate", "-c", str(document)]
    said = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert said.returncode == 0, said.stderr[-400:]


def test_no_length_of_a_network_makes_a_route_that_envoy_refuses(tmp_path: Path) -> None:
    require_envoy()
    fours = [f"{(255 << 24 >> (32 - n) << (32 - n) & 0xFFFFFFFF) >> 24}.0.0.0/{n}" for n in range(1, 9)]
    networks = (*fours, "0.0.0.0/1", "10.0.0.0/9", "10.128.0.0/17", "10.0.0.128/25", "2001:db8:1:2:3:4:5::/112")
    document = tmp_path / "static.json"
    document.write_text(render_static([replace(a_service(), preview=networks)], {SHOP: Route(2_500)}))
    command = [locate(), "--mode", "validate", "-c", str(document)]
    said = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    assert said.returncode == 0, said.stderr[-400:]


def _any_address(rng: random.Random, below: int) -> str:
    return str(ip_address(rng.randrange(1 << 30, below)))


def _server(host: str) -> Server:
    return Server(ServerName(f"s-{host.replace(':', '-')}"), Address(host, 80))


async def test_a_pin_that_names_a_stranger_is_refused_and_changes_nothing() -> None:
    async with called(EnvoyMode.EMBEDDED, PinKind.LISTENER) as here:
        before = (await here.world.driver.observe()).services[SHOP].runtime
        stranger = Caller(SHOP, Colour.BLUE)
        for pins in ((), ((stranger, Pin.GREEN),), ((BLUE, Pin.GREEN), (GREEN, Pin.GREEN), (stranger, Pin.SPLIT))):
            assert (await here.apply(Route(10_000, pins=pins))).status is Status.REFUSED
        assert (await here.world.driver.observe()).services[SHOP].runtime == before


@everywhere
async def test_grpc_calls_are_pinned_and_a_refused_one_is_unavailable(mode: EnvoyMode) -> None:
    servers = {name: await GrpcServer(name).open() for name in NAMES}
    async with called_at(servers, mode, PinKind.LISTENER, Protocol.GRPC) as here:
        await here.apply(route(0, Pin.NONE, Pin.GREEN))
        refused, pinned = (GrpcClient(here.way(caller).port) for caller in (BLUE, GREEN))
        assert {(one.server, one.code) for one in await refused.call(5)} == {("", 14)}
        assert {one.server.partition("-")[0] for one in await pinned.call(5)} == {"green"}
        pools = (await here.world.driver.observe()).services[SHOP].pools
        assert [(pools[colour].requests, pools[colour].errors) for colour in Colour] == [(0, 0), (5, 0)]
        assert await here.matrix() == {"storefront-green>green": 5}
        for client in (refused, pinned):
            client.close()


@everywhere
@pytest.mark.parametrize("kind", [PinKind.LISTENER, PinKind.SOURCE])
async def test_tcp_connections_are_pinned_and_a_refused_one_is_closed(mode: EnvoyMode, kind: PinKind) -> None:
    servers = {name: await TcpServer(name).open() for name in NAMES}
    async with called_at(servers, mode, kind, Protocol.TCP) as here:
        await here.apply(route(0, Pin.NONE, Pin.GREEN))
        for caller, wanted in ((BLUE, ""), (GREEN, "green"), (None, "blue")):
            way = here.way(caller)
            lines = [await dial(way.port, way.host) for _ in range(4)]
            assert {line.server.partition("-")[0] for line in lines} == {wanted}
            for line in lines:
                line.close()
        assert await here.matrix() == {"storefront-green>green": 4, "unknown>blue": 4}
        pools = (await here.world.driver.observe()).services[SHOP].pools
        assert [(pools[colour].requests, pools[colour].errors) for colour in Colour] == [(4, 0), (4, 0)]


async def test_tcp_callers_cannot_say_who_they_are_and_that_is_said_beforehand() -> None:
    servers = {name: await TcpServer(name).open() for name in NAMES}
    async with called_at(servers, EnvoyMode.EMBEDDED, PinKind.HEADER, Protocol.TCP) as here:
        able = await here.world.driver.probe()
        assert any(text.startswith("TCP_REFUSED_CLOSES: shop: ") for text in able.of(SHOP).cannot)
        assert any(text.startswith("NO_PINS: shop: ") for text in able.of(SHOP).cannot)
        assert (await here.apply(route(10_000, Pin.GREEN, Pin.SPLIT))).status is Status.REFUSED

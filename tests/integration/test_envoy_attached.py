"""What lbctl needs of an Envoy that others configured, and in which words it says that something is missing."""

import asyncio
import json
import os
import signal
import stat
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from lbctl.dataplane.envoy import attached
from lbctl.dataplane.envoy.admin import AdminClient
from lbctl.dataplane.envoy.files import endpoints, write_file
from lbctl.dataplane.envoy.layout import layout_of
from lbctl.model.errors import Garbled, Refused, Unreachable
from lbctl.model.names import Colour
from lbctl.model.operation import Capabilities, Status
from lbctl.model.reading import PoolReading
from lbctl.model.route import Route
from lbctl.model.topology import Protocol
from tests.conformance.envoy_attached import AttachedWorld, attached_to, attached_world
from tests.conformance.envoy_harness import NAMES, SHOP, Client, ToyServer
from tests.conformance.grpc_toy import GrpcClient, GrpcServer
from tests.conformance.tcp_toy import TcpServer, dial

pytestmark = pytest.mark.envoy

World = AttachedWorld[ToyServer]
Change = Callable[[str], str]


def said(old: str, new: str) -> Change:
    """An operator who writes `new` where the proposal has `old`, everywhere."""

    def change(text: str) -> str:
        assert old in text, old
        return text.replace(old, new)

    return change


def edited(edit: Callable[[dict], object]) -> Change:  # type: ignore[type-arg]
    """An operator who changes the document."""

    def change(text: str) -> str:
        document = yaml.safe_load(text)
        edit(document)
        return yaml.safe_dump(document)

    return change


def manager(document: dict) -> dict:  # type: ignore[type-arg]
    """The HTTP side of the only listener."""
    found: dict = document["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]  # type: ignore[type-arg]
    return found


def clusters(document: dict) -> list[dict]:  # type: ignore[type-arg]
    found: list[dict] = document["static_resources"]["clusters"]  # type: ignore[type-arg]
    return found


def without(key: str) -> Callable[[dict], object]:  # type: ignore[type-arg]
    """Take a key out of every cluster."""
    return lambda document: [one.pop(key) for one in clusters(document)]


def by_own_server_list(document: dict) -> None:  # type: ignore[type-arg]
    """Clusters as an operator may have them already."""
    for one in clusters(document):
        one["type"] = "STATIC"
        name = json.loads(Path(one.pop("eds_cluster_config")["eds_config"]["path_config_source"]["path"]).read_text())
        resource = name["resources"][0]
        one["load_assignment"] = {"cluster_name": one["name"], "endpoints": resource["endpoints"]}


def codes(able: Capabilities) -> set[str]:
    """What cannot be done with the service."""
    return {text.partition(":")[0] for text in (*able.cannot, *able.of(SHOP).cannot)}


async def pool(world: World, colour: Colour) -> PoolReading:
    return (await world.driver.observe()).services[SHOP].pools[colour]


STANDARD = {"TRUNCATED_ANSWERS_UNSEEN"}


async def test_the_proposal_lacks_nothing_and_serves_by_the_files_before_lbctl_ever_runs() -> None:
    async with attached_world() as world:
        answer = await world.client().get()
        assert (answer.status, answer.body.split("-")[0]) == (200, "blue")
        able = await world.driver.probe()
        assert codes(able) == STANDARD
        assert able.version.startswith("envoy 1.40.")
        reading = await world.driver.observe()
        assert reading.warnings == ()
        assert reading.services[SHOP].runtime == {reading.generation: Route(0)}
        assert reading.services[SHOP].boot == Route(0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (said("route_config_name: shop", "route_config_name: other"), "no listener of this Envoy takes its routes by"),
        (said("name: shop_green", "name: green"), "this Envoy has no cluster shop_green"),
        (
            edited(
                lambda it: manager(it)["rds"]["config_source"]["path_config_source"].update(
                    watched_directory={"path": "/etc"}
                )
            ),
            "Envoy watches /etc, where nothing changes: leave `watched_directory` out",
        ),
        (
            edited(
                lambda it: it.update(
                    stats_config={"stats_matcher": {"exclusion_list": {"patterns": [{"contains": ".rds."}]}}}
                )
            ),
            "its `stats_config` hides the counters of the routes",
        ),
        (
            edited(lambda it: manager(it).update(route_config={"name": "shop"}) or manager(it).pop("rds")),
            "no listener of this Envoy takes its routes by",
        ),
    ],
    ids=["another name", "no cluster", "another directory watched", "counters hidden", "routes inline"],
)
async def test_what_makes_it_unusable_is_said_in_words(change: Change, words: str) -> None:
    async with attached_world(change) as world:
        with pytest.raises(Garbled, match=f"cannot be driven: .*shop: .*{words}"):
            await world.driver.probe()
        found = await attached.status(world.instance, [world.service])
        assert (found.running, len(found.faults)) == (True, 1)
        assert "lbctl cannot drive it" in found.detail


HIDDEN = [".upstream_rq_active", ".upstream_rq_total", ".upstream_rq_pending_active"]


@pytest.mark.parametrize("hidden", HIDDEN)
async def test_a_pool_whose_figures_are_hidden_is_not_one_that_nobody_uses(hidden: str) -> None:
    def change(document: Any) -> None:
        patterns = {"exclusion_list": {"patterns": [{"suffix": hidden}]}}
        document["stats_config"] = {"stats_matcher": patterns}

    async with attached_world(edited(change)) as world:
        await world.route(0)
        assert (await world.client().get()).status == 200
        reading = await world.driver.observe()
        for colour, pool in reading.services[SHOP].pools.items():
            assert pool.untold == (reading.generation,)
            assert any(one.startswith(f"POOL_UNSEEN: {world.instance.name} ") for one in reading.warnings), colour
    async with attached_world() as world:
        pools = (await world.driver.observe()).services[SHOP].pools
        assert [pool.untold for pool in pools.values()] == [(), ()]


async def test_routes_that_are_read_from_another_file_are_named_with_both_files(tmp_path: Path) -> None:
    elsewhere = tmp_path / "shop.json"

    def change(text: str) -> str:
        document = yaml.safe_load(text)
        source = manager(document)["rds"]["config_source"]["path_config_source"]
        elsewhere.write_text(Path(source["path"]).read_text())
        source["path"] = str(elsewhere)
        return yaml.safe_dump(document)

    async with attached_world(change) as world:
        with pytest.raises(Garbled, match=f"reads its routes from {elsewhere}, and lbctl writes them to "):
            await world.driver.probe()
        result = await world.route(10_000)
        assert result.status is Status.UNKNOWN
        assert "`lbctl envoy status` may say why" in result.detail


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (
            edited(lambda it: [one["common_lb_config"].pop("healthy_panic_threshold") for one in clusters(it)]),
            "PANIC_THRESHOLD",
        ),
        (
            edited(lambda it: [one["common_lb_config"].pop("update_merge_window") for one in clusters(it)]),
            "LATE_HEALTH",
        ),
        (edited(without("health_checks")), "NO_HEALTH_CHECKS"),
        (edited(without("circuit_breakers")), "DEFAULT_LIMITS"),
        (edited(lambda it: it.pop("stats_flush_interval")), "LATE_TIMES"),
        (edited(lambda it: manager(it).pop("use_remote_address")), "FORGEABLE_BUCKETS"),
        (edited(lambda it: manager(it).update(generate_request_id=False)), "NO_SESSIONS"),
        (edited(lambda it: manager(it)["http_filters"].pop(0)), "NO_SERVER_SESSIONS"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_cannot_be_done_with_it_is_a_code_and_the_rest_works(change: Change, code: str) -> None:
    async with attached_world(change) as world:
        assert codes(await world.driver.probe()) == {*STANDARD, code}
        assert (await world.route(10_000)).status is Status.DONE
        assert (await world.client().get()).body.startswith("green")


async def test_grpc_without_its_counting_filter_or_without_http2_is_told() -> None:
    def unfiltered(document: dict) -> None:  # type: ignore[type-arg]
        manager(document)["http_filters"].pop(0)

    servers = {name: await GrpcServer(name).open() for name in NAMES}
    async with attached_to(servers, Protocol.GRPC, edited(unfiltered)) as world:
        assert "GRPC_STATUS_UNSEEN" in codes(await world.driver.probe())
        client = GrpcClient(world.port)
        assert {one.code for one in await client.call(4)} == {0}
        client.close()
    servers = {name: await GrpcServer(name).open() for name in NAMES}
    async with attached_to(servers, Protocol.GRPC, edited(without("typed_extension_protocol_options"))) as world:
        with pytest.raises(Garbled, match="cluster shop_blue does not speak HTTP/2"):
            await world.driver.probe()


async def test_tcp_goes_through_the_proposed_tunnel() -> None:
    servers = {name: await TcpServer(name).open() for name in NAMES}
    async with attached_to(servers, Protocol.TCP) as world:
        assert {"TCP_PAYLOAD_UNSEEN", "TCP_CONNECTIONS_STAY"} <= codes(await world.driver.probe())
        line = await dial(world.port)
        assert (await world.route(10_000)).status is Status.DONE
        other = await dial(world.port)
        assert [line.server.split("-")[0], other.server.split("-")[0]] == ["blue", "green"]
        assert await line.echo("still here") == "still here"
        line.close()
        other.close()


async def test_servers_from_the_operators_own_list_are_read_and_left_alone() -> None:
    async with attached_world(edited(by_own_server_list)) as world:
        assert codes(await world.driver.probe()) == STANDARD
        assert all(one.usable for one in (await pool(world, Colour.BLUE)).servers.values())
        blue = replace(world.service.blue, servers=world.service.blue.servers[:1])
        changed = world.another_driver([replace(world.service, blue=blue)])
        assert await changed.ensure_running() == ("wrote eds/shop_blue.json",)
        await changed.close()
        seen = set()
        for _ in range(20):
            seen.add((await world.client().get()).body)
        assert seen == {"blue-1", "blue-2"}


async def test_a_changed_list_of_servers_reaches_it_and_no_route_is_touched() -> None:
    async with attached_world() as world:
        await world.route(0)
        before = world.route_file.stat().st_mtime_ns
        reader, writer = await world.client().upgrade()
        blue = replace(world.service.blue, servers=world.service.green.servers[:1])
        changed = world.another_driver([replace(world.service, blue=blue)])
        assert await changed.ensure_running() == ("wrote eds/shop_blue.json",)
        assert await changed.ensure_running() == ()
        async with asyncio.timeout(5):
            while (await world.client().get()).body != "green-1":
                await asyncio.sleep(0.01)
        writer.write(b"still here\n")
        assert await asyncio.wait_for(reader.readline(), 5) == b"still here\n"
        # Its server is gone from Envoy's list of servers, but not from what the pool has in flight.
        seen = (await changed.observe()).services[SHOP].pools[Colour.BLUE]
        assert seen.in_flight == 1
        assert world.route_file.stat().st_mtime_ns == before
        await changed.close()


async def test_a_server_that_its_owner_drains_keeps_its_sessions_and_gets_no_new_ones() -> None:
    async with attached_world() as world:
        await world.route(0)
        sessions = [world.client(session=True) for _ in range(12)]
        born = [(await session.get()).body for session in sessions]
        assert set(born) == {"blue-1", "blue-2"}
        file = world.layout.endpoints("shop_blue")
        document = json.loads(file.read_text())
        document["version_info"] = "drained by hand"
        document["resources"][0]["endpoints"][0]["lb_endpoints"][0]["health_status"] = "DRAINING"
        fresh = file.with_name("fresh")
        fresh.write_text(json.dumps(document))
        fresh.rename(file)
        name = world.service.blue.servers[0].name
        async with asyncio.timeout(5):
            while (await pool(world, Colour.BLUE)).servers[name].usable:
                await asyncio.sleep(0.01)
        # Envoy's admin knows it a moment before its workers do.
        await asyncio.sleep(0.1)
        assert [(await session.get()).body for session in sessions] == born
        assert {(await world.client().get()).body for _ in range(12)} == {"blue-2"}


async def test_the_pools_are_not_bounded_by_envoys_default_limits() -> None:
    async with attached_world() as world:
        client = AdminClient(world.layout.admin_socket)
        _, (body,) = await client.ask(["/clusters?format=json"], 1)
        await client.close()
        limits = json.loads(body)["cluster_statuses"][0]["circuit_breakers"]["thresholds"][0]
        assert limits["max_requests"] == limits["max_connections"] == 65_536


async def test_nobody_a_closed_door_and_a_silent_one_are_told_apart() -> None:
    async with attached_world() as world:
        os.kill(world.owner.pid, signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(Unreachable, match="did not answer within"):
            await world.driver.probe()
        assert time.monotonic() - began < 1.5
        os.kill(world.owner.pid, signal.SIGCONT)
        await world.owner.stop()
        with pytest.raises(Unreachable, match=r"nobody answers on .*admin\.sock.*whoever runs it must start it"):
            await world.driver.probe()
        assert not (await attached.status(world.instance, [world.service])).running
        world.layout.admin_socket.unlink()
        with pytest.raises(Unreachable, match="there is no admin socket"):
            await world.driver.probe()
        assert (await world.driver.apply(world.set_route(Route(0)))).status is Status.UNKNOWN


async def test_a_route_file_that_envoy_refused_is_said_with_what_it_routes_by() -> None:
    async with attached_world() as world:
        await world.route(2_500)
        text = world.route_file.read_text().replace('"prefix":"/"', '"prefix":7').replace("1;2500", "2;2500")
        fresh = world.route_file.with_name("fresh")
        fresh.write_text(text)
        fresh.rename(world.route_file)
        with pytest.raises(Garbled, match=r"Envoy refused its route file 1 times and routes by 2500:10000:10000"):
            await world.driver.probe()


async def test_an_edit_in_place_is_not_seen_by_envoy_and_lbctl_knows_what_a_restart_would_bring() -> None:
    async with attached_world() as world:
        await world.route(2_500)
        other = world.route_file.read_text().replace("1;2500:", "9;9000:")
        world.route_file.write_text(other)
        await asyncio.sleep(0.2)
        reading = await world.driver.observe()
        assert reading.services[SHOP].runtime == {reading.generation: Route(2_500)}
        assert reading.services[SHOP].boot == Route(9_000)
        with pytest.raises(Garbled, match=r"routes by 2500:10000:10000 and does not see that its file says 9000:"):
            await world.driver.probe()
        assert (await world.driver.apply(replace(world.set_route(Route(0)), fence=10))).status is Status.DONE


async def test_a_damaged_route_file_is_404_for_all_after_a_restart_unless_prepare_comes_first() -> None:
    async with attached_world() as world:
        await world.route(10_000)
        await world.owner.stop()
        world.route_file.write_text("rubbish")
        await world.owner.start()
        assert (await world.client().get()).status == 404
        await world.owner.stop()
        did = attached.prepare(world.layout, [world.service], {})
        assert did == ("shop: the route file was damaged; now it says 10000:10000:10000",)
        await world.owner.start()
        assert (await world.client().get()).body.startswith("green")


async def test_an_envoy_that_came_up_on_a_damaged_file_is_put_right_by_lbctl() -> None:
    async with attached_world() as world:
        await world.route(10_000)
        await world.owner.stop()
        world.route_file.write_text("rubbish")
        await world.owner.start()
        assert (await world.driver.observe()).services[SHOP].boot is None
        assert "restored from its copy" in (await world.driver.ensure_running())[0]
        async with asyncio.timeout(5):
            while (await world.client().get()).status != 200:
                await asyncio.sleep(0.01)


async def test_where_nothing_is_known_no_route_is_made_up() -> None:
    async with attached_world() as world:
        await world.route(10_000)
        world.route_file.write_text("rubbish")
        world.layout.copy(SHOP).write_text("rubbish")
        (did,) = await world.driver.ensure_running()
        assert did == "shop: the route file was damaged; it stays so, because nothing else is known"
        assert world.route_file.read_text() == "rubbish"
        with pytest.raises(Refused, match="which pool of shop is active is not known"):
            attached.prepare(world.layout, [world.service], {})
        made = attached.prepare(world.layout, [world.service], {SHOP: Colour.GREEN})
        assert made == ("shop: the route file was damaged; now it says 10000:10000:10000",)
        # What is whole is never changed here, whoever is said to be active.
        assert attached.prepare(world.layout, [world.service], {SHOP: Colour.GREEN}) == ()
        (kept,) = attached.prepare(world.layout, [world.service], {SHOP: Colour.BLUE})
        assert kept == "shop: kept, although it is not all on blue: its route file says 10000:10000:10000"


async def test_a_service_that_envoy_does_not_route_cannot_go_forward_but_its_file_still_comes_down() -> None:
    async with attached_world(said("route_config_name: shop", "route_config_name: other")) as world:
        shop = (await world.driver.observe()).services[SHOP]
        assert (shop.runtime, shop.boot) == ({}, Route(0))
        (obstacle,) = shop.obstacles
        assert obstacle.startswith("NOT_ROUTED: edge/lb1 does not take the routes of shop from lbctl")
        assert await world.driver.verify(SHOP, Route(0)) is None
        assert (await world.route(0, keep_green_bp=0)).status is Status.UNKNOWN
        assert (await world.driver.observe()).services[SHOP].boot == Route(0, 10_000, 0)


async def test_files_are_as_open_to_a_group_as_their_directory_whatever_the_umask(tmp_path: Path) -> None:
    async with attached_world() as world:
        before = os.umask(0o077)
        try:
            for mode in (0o700, 0o2750):
                directory = tmp_path / f"{mode:o}"
                directory.mkdir()
                directory.chmod(mode)
                instance = replace(world.instance, directory=str(directory), socket=None)
                layout = layout_of(instance)
                attached.prepare(layout, [world.service], {SHOP: Colour.BLUE})
                group = mode & 0o040
                for file in (layout.routes(SHOP), layout.copy(SHOP), layout.endpoints("shop_blue")):
                    assert stat.S_IMODE(file.stat().st_mode) == 0o600 | group
                    assert stat.S_IMODE(file.parent.stat().st_mode) == mode
        finally:
            os.umask(before)


@pytest.mark.parametrize("watched", ["omitted", "its own"])
async def test_a_watched_directory_is_no_condition_and_does_no_harm(watched: str) -> None:
    def watching(document: dict) -> None:  # type: ignore[type-arg]
        source = manager(document)["rds"]["config_source"]["path_config_source"]
        source["watched_directory"] = {"path": str(Path(source["path"]).parent)}

    async with attached_world(edited(watching) if watched == "its own" else lambda text: text) as world:
        await world.driver.probe()
        for green_bp in (100, 5_000, 10_000, 0):
            assert (await world.route(green_bp)).status is Status.DONE
        reading = await world.driver.observe()
        assert reading.services[SHOP].runtime == {reading.generation: Route(0)}


async def test_two_listeners_of_one_service_are_moved_together() -> None:
    def doubled(document: dict) -> None:  # type: ignore[type-arg]
        listeners = document["static_resources"]["listeners"]
        second = yaml.safe_load(yaml.safe_dump(listeners[0]))
        second["name"] = "second"
        second["address"] = {"pipe": {"path": document["admin"]["address"]["pipe"]["path"] + "2"}}
        second["filter_chains"][0]["filters"][0]["typed_config"]["stat_prefix"] = "ingress_http"
        listeners.append(second)

    async with attached_world(edited(doubled)) as world:
        await world.driver.probe()
        assert (await world.route(10_000)).status is Status.DONE
        reader, writer = await asyncio.open_unix_connection(f"{world.layout.admin_socket}2")
        writer.write(b"GET / HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n\r\n")
        assert b"green-" in await asyncio.wait_for(reader.read(), 5)
        writer.close()


async def test_without_its_files_envoy_does_not_start_and_with_them_it_does() -> None:
    async with attached_world() as world:
        await world.route(10_000)
        await world.owner.stop()
        for file in (world.route_file, world.layout.endpoints("shop_blue")):
            file.unlink()
            with pytest.raises(AssertionError, match=f"paths must refer to an existing path in the system: '{file}'"):
                await world.owner.start()
            await world.owner.stop()
            attached.prepare(world.layout, [world.service], {})
        await world.owner.start()
        assert (await world.client().get()).body.startswith("green")


async def test_a_hundred_changes_of_the_servers_under_load_fail_no_request() -> None:
    async with attached_world() as world:
        await world.route(5_000)
        done = asyncio.Event()
        answers: list[int] = []

        async def user(client: Client) -> None:
            while not done.is_set():
                answers.append((await client.get()).status)

        users = [asyncio.create_task(user(world.client(session=bool(who % 2)))) for who in range(6)]
        for change in range(100):
            servers = world.service.blue.servers[: 1 + change % 2]
            service = replace(world.service, blue=replace(world.service.blue, servers=servers))
            file = endpoints(service, Colour.BLUE, world.layout)
            await asyncio.to_thread(write_file, file.path, file.text)
            await asyncio.sleep(0.01)
        done.set()
        await asyncio.wait_for(asyncio.gather(*users), 10)
        assert set(answers) == {200}
        assert len(answers) > 100

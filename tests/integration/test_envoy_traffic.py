"""What users get from a real Envoy while its routes change, and what its counters say about it."""

import asyncio
import os
import ssl
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from lbctl.dataplane.envoy.admin import AdminClient
from lbctl.dataplane.envoy.layout import layout_of
from lbctl.dataplane.envoy.render import routes_file
from lbctl.dataplane.envoy.routefile import RouteFile
from lbctl.dataplane.envoy.version import Written
from lbctl.dataplane.patience import Patience
from lbctl.model.names import Colour, Generation
from lbctl.model.operation import Place, SetRoute, Status
from lbctl.model.reading import PoolReading
from lbctl.model.route import Route
from lbctl.model.topology import Probe, ServerTls
from lbctl.model.units import Span
from tests.conformance.envoy_harness import SHOP, Client, EnvoyWorld, ToyServer, envoy_world
from tests.integration.probe_servers import Authority

pytestmark = pytest.mark.envoy


async def pool(world: EnvoyWorld[ToyServer], colour: Colour) -> PoolReading:
    return (await world.driver.observe()).services[SHOP].pools[colour]


class Refusable(RouteFile):
    """Writes for fence 2 what Envoy cannot take."""

    def write(self, written: Written, patience: Patience | None = None) -> str:
        if written.fence != 2:
            return super().write(written, patience)
        self._file.write(
            routes_file(self._service, written, self.callers).replace('"prefix":"/"', '"prefix":7').encode()
        )
        return ""


def colour_of(body: str) -> str:
    return body.split("-", maxsplit=1)[0]


async def test_before_adopt_users_get_503_with_the_command_and_the_reading_says_so() -> None:
    async with envoy_world() as world:
        answer = await world.client().get("/anything")
        assert answer.status == 503
        assert "lbctl adopt shop --active" in answer.body
        reading = await world.driver.observe()
        assert (reading.services[SHOP].runtime, reading.services[SHOP].boot) == ({}, None)
        assert reading.warnings[0].startswith("NOT_ADOPTED: edge/lb1 ")
        assert await world.driver.verify(SHOP, Route(0)) is False


async def test_every_route_is_read_back_as_what_envoy_runs() -> None:
    async with envoy_world() as world:
        for route in (
            Route(0),
            Route(1),
            Route(2_500),
            Route(9_999, 0, 10_000),
            Route(10_000, 0, 10_000),
            Route(0, 1, 2),
        ):
            assert (await world.driver.apply(world.set_route(route))).status is Status.DONE
            reading = await world.driver.observe()
            assert reading.services[SHOP].runtime == {reading.generation: route}
            assert reading.services[SHOP].boot == route
            assert await world.driver.verify(SHOP, route) is True
            assert await world.driver.verify(SHOP, Route(777)) is False


async def test_boot_is_the_same_file_and_done_where_it_is_right_already() -> None:
    async with envoy_world() as world:
        await world.route(2_500)
        content = world.route_file.read_bytes()
        assert (await world.driver.apply(world.set_route(Route(2_500), Place.BOOT))).status is Status.DONE
        assert world.route_file.read_bytes() == content
        world.route_file.write_text("rubbish")
        assert (await world.driver.observe()).services[SHOP].boot is None
        assert (await world.driver.apply(world.set_route(Route(2_500), Place.BOOT))).status is Status.DONE
        assert (await world.driver.observe()).services[SHOP].boot == Route(2_500)


async def test_an_older_fence_is_stale_also_for_a_driver_that_was_just_made() -> None:
    async with envoy_world() as world:
        await world.route(0)
        await world.route(5_000)
        fresh = world.another_driver()
        old = SetRoute(service=SHOP, place=Place.RUNTIME, route=Route(10_000), fence=1)
        for driver in (world.driver, fresh):
            result = await driver.apply(old)
            assert (result.status, "older than 2" in result.detail) == (Status.STALE, True)
        assert (await fresh.apply(replace(old, route=Route(5_000), fence=2))).status is Status.DONE
        assert await fresh.verify(SHOP, Route(5_000)) is True
        await fresh.close()


async def test_a_raise_for_another_process_or_from_another_route_is_stale_and_writes_nothing() -> None:
    async with envoy_world() as world:
        await world.route(500)
        generation = (await world.driver.observe()).generation
        raising = world.set_route(Route(2_500))
        for wrong in (
            replace(raising, expect_generation=Generation("1@1")),
            replace(raising, expect=Route(100)),
            replace(raising, expect_generation=generation, expect=Route(100)),
        ):
            assert (await world.driver.apply(wrong)).status is Status.STALE
        assert await world.driver.verify(SHOP, Route(500)) is True
        right = replace(raising, expect_generation=generation, expect=Route(500))
        assert (await world.driver.apply(right)).status is Status.DONE


@pytest.mark.parametrize("rubbish", ["", "{", '{"version_info":"99;0:0:0","resources":[{"@type":"nonsense"}]}'])
async def test_a_live_envoy_keeps_its_route_when_the_file_is_damaged(rubbish: str) -> None:
    async with envoy_world() as world:
        await world.route(10_000)
        fresh = world.route_file.with_name("fresh")
        fresh.write_text(rubbish)
        fresh.rename(world.route_file)
        client = world.client()
        for _ in range(20):
            assert colour_of((await client.get()).body) == "green"
        reading = await world.driver.observe()
        assert reading.services[SHOP].runtime == {reading.generation: Route(10_000)}
        assert (await world.driver.apply(replace(world.set_route(Route(0)), fence=100))).status is Status.DONE


async def test_a_route_that_envoy_refuses_is_refused_and_the_file_is_what_it_was() -> None:
    async with envoy_world() as world:
        await world.route(10_000)
        await world.driver.observe()
        world.driver._files[SHOP] = Refusable(world.service, [world.service], layout_of(world.instance))
        result = await world.route(0)
        assert (result.status, "refused the route file" in result.detail) == (Status.REFUSED, True)
        assert await world.driver.verify(SHOP, Route(10_000)) is True
        assert (await world.driver.observe()).services[SHOP].boot == Route(10_000)


async def test_shares_are_what_was_set_within_binomial_bounds() -> None:
    async with envoy_world() as world:
        for green_bp in (500, 2_500, 5_000):
            await world.route(green_bp)
            client = world.client()
            count, share = 1_000, green_bp / 10_000
            green = sum([colour_of((await client.get()).body) == "green" for _ in range(count)])
            assert abs(green - count * share) < 5 * (count * share * (1 - share)) ** 0.5


async def test_a_session_keeps_colour_and_server_in_both_directions() -> None:
    async with envoy_world() as world:
        for start, end in ((0, 10_000), (10_000, 0)):
            await world.route(start)
            sessions = [world.client(session=True) for _ in range(12)]
            born = [(await session.get()).body for session in sessions]
            assert len(set(born)) == 2
            for green_bp in (2_500, 5_000, 7_500, end):
                await world.route(green_bp)
                assert [(await session.get()).body for session in sessions] == born
            assert colour_of((await world.client().get()).body) == ("green" if end else "blue")


async def test_keep_zero_moves_every_session_exactly_once() -> None:
    async with envoy_world() as world:
        await world.route(5_000)
        sessions = [world.client(session=True) for _ in range(30)]
        born = [colour_of((await session.get()).body) for session in sessions]
        assert set(born) == {"blue", "green"}
        await world.route(0, keep_green_bp=0)
        for _ in range(3):
            assert {colour_of((await session.get()).body) for session in sessions} == {"blue"}
        moved = [(await session.get()).body for session in sessions]
        await world.route(2_500)
        assert [(await session.get()).body for session in sessions] == moved


async def test_a_partial_keep_moves_the_buckets_above_it_and_each_once() -> None:
    async with envoy_world() as world:
        await world.route(10_000, keep_blue_bp=5_000)
        for bucket, colour in (
            ("7ff00000", "blue"),
            ("80000000", "green"),
            ("00000000", "blue"),
            ("fff00000", "green"),
        ):
            client = world.client(cookie=f"LBC_shop=blue.{bucket}")
            answer = await client.get()
            assert colour_of(answer.body) == colour
            assert answer.cookies.get("LBC_shop", "").startswith("green." if colour == "green" else "")


async def test_what_a_client_sends_chooses_neither_bucket_nor_anything_but_its_own_colour() -> None:
    async with envoy_world() as world:
        await world.route(0)
        forged = {"x_request_id": "abcabcab-0000-4000-8000-000000000000", "x_envoy_upstream_rq_timeout_ms": "1"}
        client = world.client(x_envoy_retry_on="5xx", x_envoy_max_retries="9", x_lbctl_preview="green", **forged)
        buckets = {(await client.get()).cookies["LBC_shop"] for _ in range(5)}
        assert len(buckets) == 5
        assert "blue.abcabcab" not in buckets
        world.servers["blue-1"].mode = world.servers["blue-2"].mode = "error"
        seen = sum(len(server.seen) for server in world.servers.values())
        assert (await client.get()).status == 500
        assert sum(len(server.seen) for server in world.servers.values()) == seen + 1


async def test_cookie_garbage_is_harmless() -> None:
    async with envoy_world() as world:
        await world.route(0, keep_green_bp=0)
        garbage = [
            "LBC_shop=",
            "LBC_shop=green.zzzzzzzz; SRV=%%%",
            'SRV="Cg8xMjcuMC4wLjE6MQ=="',
            "SRV=" + "A" * 8_000,
            "LBC_shop=green.00000000; LBC_shop=blue.00000000",
            "\xff\xfe=\x80; LBC_shop=\xe9",
            "; ; ;=;==",
            "LBC_shop=green." + "0" * 20_000,
        ]
        for cookie in garbage:
            answer = await world.client(cookie=cookie).get()
            assert (answer.status, colour_of(answer.body)) == (200, "blue"), cookie[:60]


async def test_websockets_and_slow_requests_survive_twenty_route_changes() -> None:
    async with envoy_world() as world:
        await world.route(0)
        reader, writer = await world.client().upgrade()
        slow = asyncio.create_task(world.client().get("/slow"))
        while not any("/slow" in head for server in world.servers.values() for head in server.seen):
            await asyncio.sleep(0.01)
        assert (await pool(world, Colour.BLUE)).in_flight == 2
        for change in range(20):
            await world.route(10_000 if change % 2 else change * 100, keep_blue_bp=0 if change % 2 else 10_000)
            writer.write(b"%d\n" % change)
            assert await asyncio.wait_for(reader.readline(), 5) == b"%d\n" % change
        for server in world.servers.values():
            server.held.set()
        assert (await slow).status == 200
        writer.transport.abort()
        async with asyncio.timeout(5):
            while (await pool(world, Colour.BLUE)).in_flight:
                await asyncio.sleep(0.01)


async def test_two_hundred_route_changes_under_load_fail_no_request() -> None:
    async with envoy_world() as world:
        await world.route(0)
        done = asyncio.Event()
        bad: list[int] = []
        counts: list[int] = []
        took: list[float] = []

        async def user(client: Client) -> None:
            count = 0
            while not done.is_set():
                answer = await client.get()
                count += 1
                if answer.status != 200:
                    bad.append(answer.status)
            counts.append(count)

        users = [asyncio.create_task(user(world.client(session=bool(who % 2)))) for who in range(8)]
        for change in range(200):
            began = time.monotonic()
            result = await world.route((change * 3_700) % 10_001, keep_green_bp=10_000 if change % 3 else 0)
            took.append(time.monotonic() - began)
            assert result.status is Status.DONE, result
        done.set()
        await asyncio.wait_for(asyncio.gather(*users), 10)
        assert bad == []
        print(f"{sum(counts)} requests, change median {sorted(took)[100] * 1e3:.1f} ms, max {max(took) * 1e3:.1f} ms")
        assert sum(counts) > 200


async def test_pools_count_what_users_got_also_what_envoy_answered_itself() -> None:
    async with envoy_world() as world:
        await world.route(10_000)
        client = world.client()
        counted = {}
        for mode in ("ok", "error", "reset"):
            for name in ("green-1", "green-2"):
                world.servers[name].mode = mode
            for _ in range(4):
                await client.get()
            seen = await pool(world, Colour.GREEN)
            counted[mode] = (seen.requests, seen.errors)
            assert sum(server.errors for server in seen.servers.values()) == seen.errors
        assert counted == {"ok": (4, 0), "error": (8, 4), "reset": (12, 8)}
        assert (await pool(world, Colour.BLUE)).requests == 0


async def test_an_empty_pool_at_full_share_answers_503_counted_and_never_the_idle_pool() -> None:
    async with envoy_world() as world:
        await world.route(10_000)
        world.servers["green-1"].close()
        await asyncio.sleep(0.1)
        assert {(await world.client().get()).body for _ in range(10)} == {"green-2"}
        world.servers["green-2"].close()
        async with asyncio.timeout(5):
            while any(server.up for server in (await pool(world, Colour.GREEN)).servers.values()):
                await asyncio.sleep(0.02)
            # Envoy's admin knows it a moment before its workers do.
            while (await world.client().get()).body != "no healthy upstream":
                await asyncio.sleep(0.02)
        before = await pool(world, Colour.GREEN)
        for _ in range(5):
            assert (await world.client().get()).body == "no healthy upstream"
        after = await pool(world, Colour.GREEN)
        assert (after.requests - before.requests, after.errors - before.errors) == (5, 5)
        assert {server.detail for server in after.servers.values()} == {"its health check fails"}
        assert not any(server.usable for server in after.servers.values())


async def test_a_dead_server_loses_its_sessions_to_its_neighbour_not_to_the_other_colour() -> None:
    async with envoy_world() as world:
        await world.route(5_000)
        sessions = [world.client(session=True) for _ in range(16)]
        born = [(await session.get()).body for session in sessions]
        world.servers["green-1"].close()
        # A request on a connection that is just being cut is lost with it: nobody may send it twice.
        await asyncio.sleep(0.1)
        for session, body in zip(sessions, born, strict=True):
            answer = await session.get()
            assert (answer.status, answer.body) == (200, "green-2" if body == "green-1" else body)


async def test_health_by_envoys_own_checks_takes_a_sick_server_out_and_back() -> None:
    async with envoy_world() as world:
        await world.route(0)
        for healthy in (False, True):
            world.servers["blue-1"].healthy = healthy
            async with asyncio.timeout(5):
                while (await pool(world, Colour.BLUE)).servers[world.service.blue.servers[0].name].up is not healthy:
                    await asyncio.sleep(0.02)
        assert (await world.client().get()).status == 200


async def test_a_pool_that_is_said_to_be_usable_again_is_used_by_the_very_next_request() -> None:
    async with envoy_world() as world:
        await world.route(10_000)
        servers = [world.servers[one.name] for one in world.service.green.servers]
        async with asyncio.timeout(10):
            for server in servers:
                server.healthy = False
            while (await world.client().get()).body != "no healthy upstream":
                await asyncio.sleep(0.01)
            for server in servers:
                server.healthy = True
            while not all(one.usable for one in (await pool(world, Colour.GREEN)).servers.values()):
                await asyncio.sleep(0.01)
        assert (await world.client().get()).body.startswith("green")


async def test_cookies_are_secure_where_users_come_by_tls() -> None:
    async with envoy_world(listen_tls=True) as world:
        await world.route(5_000)
        cookies = [value for name, value in (await world.client().get()).headers if name == "set-cookie"]
        assert len(cookies) == 2
        assert all("Secure" in cookie and "HttpOnly" in cookie for cookie in cookies)


async def test_servers_over_tls_are_used_when_their_certificate_is_the_right_one_and_only_then(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    good = authority.server_context("shop.internal")
    expired = authority.server_context("old.internal", until="20210101000000Z")

    def chosen(connection: ssl.SSLObject, name: str, _: ssl.SSLContext) -> None:
        connection.context = expired if name == "old.internal" else good

    good.sni_callback = chosen  # type: ignore[assignment]
    async with envoy_world() as world:
        await world.route(0)
        for server in world.servers.values():
            server.close()
            await server.open(good)
        assert world.service.health is not None
        checks = replace(world.service.health, kind=Probe.HTTPS)
        for host, status in (("other.internal", 503), ("shop.internal", 200), ("old.internal", 503)):
            tls = ServerTls(str(authority.ca), host)
            await world.replace_service(replace(world.service, health=checks, tls=tls))
            assert await world.driver.ensure_running() == ("wrote cds/clusters.json",)
            async with asyncio.timeout(10):
                while (await pool(world, Colour.BLUE)).servers[world.service.blue.servers[0].name].up is (
                    status == 503
                ):
                    await asyncio.sleep(0.02)
            async with asyncio.timeout(10):
                while (await world.client().get()).status != status:
                    await asyncio.sleep(0.02)


async def test_a_full_disk_does_not_stop_a_lowering() -> None:
    if os.geteuid() != 0:
        pytest.skip("a small file system of its own needs root")
    with tempfile.TemporaryDirectory(prefix="lbe-") as mounted:
        command = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", mounted]
        if subprocess.run(command, check=False, capture_output=True).returncode:
            pytest.skip("no right to mount a tmpfs here")
        try:
            async with envoy_world(directory=Path(mounted) / "envoy") as world:
                await world.route(10_000)
                await world.route(5_000)
                fill(Path(mounted) / "filler")
                with pytest.raises(OSError, match="No space left"):
                    (Path(mounted) / "more").write_bytes(b"x")
                for green_bp in (2_500, 100, 0):
                    assert (await world.route(green_bp)).status is Status.DONE
                assert (await world.driver.observe()).services[SHOP].boot == Route(0)
                assert colour_of((await world.client().get()).body) == "blue"
        finally:
            subprocess.run(["umount", mounted], check=True, timeout=10)


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        for size in (65_536, 4_096, 1):
            with suppress(OSError):
                while file.write(b"x" * size) == size:
                    pass


async def test_a_reading_costs_little() -> None:
    async with envoy_world() as world:
        await world.route(5_000)
        await world.driver.observe()
        began = time.process_time()
        for _ in range(50):
            await world.driver.observe()
        each_ms = (time.process_time() - began) / 50 * 1e3
        print(f"observe: {each_ms:.2f} ms of CPU")
        assert each_ms < 10


async def test_counters_never_run_backwards_when_servers_or_checks_change() -> None:
    async with envoy_world() as world:
        await world.route(0)
        for _ in range(10):
            await world.client().get()
        before = await pool(world, Colour.BLUE)
        assert world.service.health is not None
        checks = replace(world.service.health, interval=Span(200))
        blue = replace(world.service.blue, servers=tuple(reversed(world.service.blue.servers)))
        for service in (replace(world.service, blue=blue), replace(world.service, health=checks)):
            changed = world.another_driver([service])
            assert await changed.ensure_running() != ()
            await changed.close()
            after = await pool(world, Colour.BLUE)
            assert after.requests >= before.requests
            for name, server in before.servers.items():
                assert after.servers[name].requests >= server.requests


async def raw_stat(world: EnvoyWorld[ToyServer], name: str) -> int:
    client = AdminClient(layout_of(world.instance).admin_socket)
    _, (body,) = await client.ask([f"/stats?filter=^{name}$"], 1)
    await client.close()
    return sum(int(line.rpartition(": ")[2]) for line in body.decode().splitlines())


async def test_a_server_that_refuses_is_left_for_its_neighbour_and_every_second_attempt_is_counted() -> None:
    async with envoy_world() as world:
        await world.route(0)
        world.servers["blue-1"].close()
        client = world.client()
        assert {(await client.get(method="POST")).body for _ in range(20)} == {"blue-2"}
        refused = sum(one.errors for one in (await pool(world, Colour.BLUE)).servers.values())
        assert refused > 0
        assert await raw_stat(world, "cluster.shop_blue.upstream_rq_retry") == refused
        seen = await pool(world, Colour.BLUE)
        assert (seen.requests, seen.errors) == (20, 0)
        assert len(world.servers["blue-2"].seen) == 20


async def test_a_request_that_a_server_may_have_seen_is_never_sent_again() -> None:
    async with envoy_world() as world:
        await world.route(0)
        for name in ("blue-1", "blue-2"):
            world.servers[name].mode = "reset"
        client = world.client()
        statuses = [(await client.get(method=method)).status for method in ("GET", "POST") * 10]
        assert statuses == [503] * 20
        assert sum(len(server.seen) for server in world.servers.values()) == 20
        assert await raw_stat(world, "cluster.shop_blue.upstream_rq_retry") == 0
        assert (await pool(world, Colour.BLUE)).errors == 20


async def test_a_pooled_connection_is_left_before_its_server_gives_it_up() -> None:
    async with envoy_world() as world:
        await world.route(0)
        for _ in range(4):
            await world.client().get()
        assert await raw_stat(world, "cluster.shop_blue.upstream_cx_active") > 0
        async with asyncio.timeout(8):
            while await raw_stat(world, "cluster.shop_blue.upstream_cx_active"):
                await asyncio.sleep(0.1)
        assert await raw_stat(world, "cluster.shop_blue.upstream_cx_idle_timeout") > 0

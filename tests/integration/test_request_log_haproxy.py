"""Times of requests from a real HAProxy: right per colour, tunnels and slow users left out, losses counted."""

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from math import ceil
from pathlib import Path

import pytest

from lbctl.dataplane.haproxy.logline import log_lines
from lbctl.dataplane.haproxy.render import render
from lbctl.model.names import Colour, InstanceName, PlaneName
from lbctl.model.operation import Place, SetRoute, Status
from lbctl.model.reading import InstanceReading, Timing
from lbctl.model.route import Route
from lbctl.model.sketch import GAMMA, bucket_of, count
from lbctl.model.topology import Address, Driver, HaproxyForm, Instance, Plane, RequestLog, Service, Topology
from lbctl.model.units import Instant
from lbctl.telemetry.logs import RequestLogs
from lbctl.telemetry.mailbox import opened
from tests.conformance.envoy_harness import Client, clock
from tests.conformance.haproxy_harness import HaproxyWorld, haproxy_world
from tests.conformance.harness import SHOP
from tests.quantiles import quantile_ms

pytestmark = pytest.mark.haproxy


class Logged:
    """A world, the receiver of its request log, and the last reading of its counters."""

    def __init__(self, world: HaproxyWorld, log: RequestLog, logs: RequestLogs) -> None:
        self.world, self.log, self.logs = world, log, logs
        self.readings: dict[InstanceName, InstanceReading] = {}

    def timing(self, after_ms: int = 0) -> Timing:
        """What is known of `shop` now, or would be if nothing came in for so long."""
        return self.logs.timing(self.readings, Instant(clock() + after_ms))[self.world.instance.name, SHOP]

    async def observe(self) -> Timing:
        """Read the counters, as the observer does, and compare them with the lines."""
        self.readings[self.world.instance.name] = await self.world.driver.observe()
        return self.timing()

    async def timed(self, colour: Colour, number: int) -> Timing:
        """Wait until so many requests of a pool are timed, by lines that HAProxy counted."""
        async with asyncio.timeout(5):
            while count((found := await self.observe()).pools.get(colour, {})) < number or not found.proved:
                await asyncio.sleep(0.005)
        return found

    async def only(self) -> int:
        """Wait for the first time of blue; returns its bucket, which must be the only one."""
        (bucket,) = (await self.timed(Colour.BLUE, 1)).pools[Colour.BLUE]
        return bucket

    async def route(self, green_bp: int) -> None:
        """Split the traffic of `shop`."""
        operation = SetRoute(service=SHOP, place=Place.RUNTIME, route=Route(green_bp), fence=1)
        assert (await self.world.driver.apply(operation)).status is Status.DONE

    async def requests(self, number: int) -> None:
        """Send some, five at a time."""
        clients = [self.world.client() for _ in range(5)]
        for _ in range(number // 5):
            await asyncio.gather(*(client.get("/") for client in clients))


def udp() -> RequestLog:
    """A UDP address that nobody has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return RequestLog(Address("127.0.0.1", probe.getsockname()[1]))


def topology(log: RequestLog, instances: Sequence[Instance], services: Sequence[Service]) -> Topology:
    """What lbctld would know of a world."""
    plane = Plane(name=PlaneName("edge"), driver=Driver.HAPROXY, instances=tuple(instances), request_log=log)
    return Topology({plane.name: plane}, {one.name: one for one in services})


@asynccontextmanager
async def logged(log: RequestLog | None = None) -> AsyncIterator[Logged]:
    """A world whose HAProxy logs to a receiver."""
    log = log or udp()
    mailbox = opened(log)
    logs = RequestLogs()
    async with haproxy_world(request_log=log) as world:
        logs.take(topology(log, [world.instance], world.services), {log: mailbox}, clock())
        try:
            yield Logged(world, log, logs)
        finally:
            logs.close()


async def ask(client: Client, path: str) -> tuple[str, float]:
    """Send one request; returns who answered, and how many ms the user waited."""
    began = time.monotonic()
    answer = await client.get(path)
    return answer.body.split("-")[0], (time.monotonic() - began) * 1_000


def quantile(times: list[float], part: float) -> float:
    """The time that `part` of them did not exceed."""
    return sorted(times)[ceil(part * len(times)) - 1]


async def test_p50_and_p95_of_each_colour_are_those_of_its_servers() -> None:
    async with logged() as here:
        for colour, (usual_ms, rare_ms), green_bp in ((Colour.BLUE, (30, 90), 0), (Colour.GREEN, (60, 300), 10_000)):
            await here.route(green_bp)
            clients, waited = [here.world.client() for _ in range(10)], []
            for turn in range(10):
                # One in ten is slow: p95 is among them, p50 is not.
                paths = [f"/after/{rare_ms if index == turn else usual_ms}" for index in range(10)]
                for who, ms in await asyncio.gather(*map(ask, clients, paths)):
                    assert who == colour
                    waited.append(ms)
            timing = await here.timed(colour, 100)
            for part, slept_ms in ((0.5, usual_ms), (0.95, rare_ms)):
                shown = quantile_ms(timing.pools[colour], part)
                # Never below what the server slept, never above what users waited, but for the grain of ms and sketch.
                assert slept_ms - 1 <= shown <= (quantile(waited, part) + 1) * GAMMA
        timing = await here.observe()
        assert (timing.lost, timing.sampled) == (0, False)


async def test_the_time_to_the_last_byte_counts_and_not_the_one_to_the_first() -> None:
    async with logged() as here:
        await here.world.client().get("/drip/150")
        assert await here.only() >= bucket_of(149)


async def test_a_client_that_sends_slowly_is_not_the_pools_fault() -> None:
    async with logged() as here:
        listen = here.world.service().listen
        assert listen is not None
        reader, writer = await asyncio.open_connection(listen.host, listen.port)
        writer.write(b"GET /after/10 HTTP/1.1\r\nhost: x\r\n")
        await asyncio.sleep(0.5)
        writer.write(b"\r\n")
        await reader.readuntil(b"\r\n\r\n")
        writer.close()
        assert bucket_of(9) <= await here.only() < bucket_of(400)


async def test_a_websocket_is_never_slow_and_its_line_is_not_missing() -> None:
    async with logged() as here:
        await here.observe()
        reader, writer = await here.world.upgraded()
        writer.write(b"hello\n")
        assert await reader.readline() == b"hello\n"
        assert not (await here.observe()).sampled
        await asyncio.sleep(0.5)
        writer.transport.abort()
        await here.world.client().get("/")
        assert await here.only() < bucket_of(400)
        await nothing_is_missing(here)


async def nothing_is_missing(here: Logged) -> None:
    """What was counted by now has its line."""
    await here.observe()
    timing = await here.observe()
    assert (timing.lost, timing.sampled) == (0, False)


async def test_what_haproxy_answers_itself_and_what_breaks_off_has_no_time() -> None:
    async with logged() as here:
        await here.observe()
        for server in here.world.servers.values():
            server.mode = "reset"
        assert (await here.world.client().get("/")).status == 502
        for server in here.world.servers.values():
            server.mode = "truncated"
        with pytest.raises(asyncio.IncompleteReadError):
            await here.world.client().get("/")
        for server in here.world.servers.values():
            server.mode = "error"
        assert (await here.world.client().get("/after/40")).status == 500
        assert await here.only() >= bucket_of(39)
        await nothing_is_missing(here)


async def test_a_user_who_leaves_in_the_middle_of_an_answer_has_no_time() -> None:
    async with logged() as here:
        await here.observe()
        listen = here.world.service(SHOP).listen
        assert listen is not None
        reader, writer = await asyncio.open_connection(listen.host, listen.port)
        writer.write(b"GET /drip/800 HTTP/1.1\r\nHost: shop\r\n\r\n")
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).startswith(b"HTTP/1.1 200 ")
        # Reset, not closed: HAProxy goes on for who only says that nothing more will be asked.
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        await asyncio.sleep(0.8)
        await here.world.client().get("/")
        assert await here.only() < bucket_of(400)
        await nothing_is_missing(here)


async def test_lines_that_nobody_fetches_are_counted_as_lost_and_calm_heals() -> None:
    log = udp()
    mailbox = opened(log)
    mailbox.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    async with haproxy_world(request_log=log) as world:
        here = Logged(world, log, RequestLogs())
        here.logs.take(topology(log, [world.instance], world.services), {log: mailbox}, clock())
        assert not (await here.observe()).sampled
        asyncio.get_running_loop().remove_reader(mailbox.socket)
        await here.requests(200)
        timing = await here.observe()
        assert 150 < timing.lost < 200
        assert timing.sampled
        calm = [here.timing(after_ms).sampled for after_ms in (5_000, 10_000, 25_000, 40_000)]
        assert calm == [True, True, False, False]
        here.logs.close()


async def test_lines_that_a_full_unix_socket_does_not_take_are_told_by_haproxy(tmp_path: Path) -> None:
    log = RequestLog(str(tmp_path / "log.sock"))
    mailbox = opened(log)
    async with haproxy_world(request_log=log) as world:
        here = Logged(world, log, RequestLogs())
        here.logs.take(topology(log, [world.instance], world.services), {log: mailbox}, clock())
        await here.observe()
        asyncio.get_running_loop().remove_reader(mailbox.socket)
        room = int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text()) + 1
        await here.requests(room + 200)
        timing = await here.observe()
        assert timing.sampled
        assert 195 <= timing.lost <= 205
        here.logs.close()


async def test_a_unix_socket_that_somebody_removed_is_found_out_and_opened_again(tmp_path: Path) -> None:
    log = RequestLog(str(tmp_path / "log.sock"))
    async with logged(log) as here:
        await here.observe()
        (tmp_path / "log.sock").unlink()
        await here.requests(50)
        await here.observe()
        timing = await here.observe()
        assert (timing.lost, timing.sampled) == (50, True)
        here.timing(after_ms=1_000)
        await here.requests(5)
        await here.timed(Colour.BLUE, 5)


async def test_an_haproxy_that_sends_no_lines_is_found_out_by_its_own_counters() -> None:
    async with logged() as here:
        here.world.write_config(render(here.world.instance, here.world.services))
        await here.world.reloaded()
        assert not (await here.observe()).sampled
        await here.requests(20)
        await here.observe()
        timing = await here.observe()
        assert (timing.lost, timing.sampled) == (20, True)
        assert timing.pools == {Colour.BLUE: {}, Colour.GREEN: {}}


async def test_lines_that_haproxy_never_sent_are_told_and_no_evidence(tmp_path: Path) -> None:
    async with logged() as here:
        await here.requests(20)
        assert (await here.timed(Colour.BLUE, 20)).trusted
        forged(here, 3)
        await here.requests(50)
        await asyncio.sleep(0.05)
        timing = here.timing()
        # Nothing of them is shown before they were compared.
        assert count(timing.pools[Colour.BLUE]) == 20
        timing = await here.observe()
        assert (timing.surplus, timing.forged, timing.trusted) == (3, True, False)
        assert here.timing(after_ms=9_000).forged
        assert not here.timing(after_ms=21_000).forged


def forged(here: Logged, number: int) -> None:
    """Send lines of slow requests that nobody made."""
    head = b"<134>1 2026-11-26T23:01:12.467689+00:00 - haproxy 29289 - "
    backend = here.world.service().haproxy
    assert backend is not None
    assert isinstance(here.log.at, Address)
    line = f'[lbctl@0 r="edge/lb1|{backend.backends[Colour.BLUE]}|blue-1|200|----|9000|0"] -'.encode()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as forger:
        for _ in range(number):
            forger.sendto(head + line, (here.log.at.host, here.log.at.port))


async def test_everything_that_haproxy_sends_it_counted_also_over_a_reload() -> None:
    async with logged() as here:
        await here.observe()
        for turn in range(6):
            await everything_that_happens(here)
            if turn == 2:
                await here.world.reloaded()
            await here.observe()
        await asyncio.sleep(1)
        for _ in range(3):
            timing = await here.observe()
        assert (timing.surplus, timing.forged) == (0, False)


async def everything_that_happens(here: Logged) -> None:
    """Good answers, errors, resets, cut answers, users who give up before and during one, and a WebSocket."""
    for mode in ("error", "reset", "truncated", "ok"):
        for server in here.world.servers.values():
            server.mode = mode
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await here.world.client().get("/")
    leaving = [here.world.client() for _ in range(2)]
    for client, path in zip(leaving, ("/after/500", "/drip/500"), strict=True):
        with suppress(TimeoutError):
            await asyncio.wait_for(client.get(path), 0.1)
        client.close()
    _, writer = await here.world.upgraded()
    writer.transport.abort()
    await here.requests(20)


async def test_a_receiver_that_comes_back_is_found_again_and_users_never_notice() -> None:
    async with logged() as here:
        await here.requests(5)
        await here.timed(Colour.BLUE, 5)
        here.logs.close()
        await here.requests(20)
        config = topology(here.log, [here.world.instance], here.world.services)
        here.logs.take(config, here.logs.opened_for(config), clock())
        await here.requests(5)
        await here.timed(Colour.BLUE, 5)
        await here.observe()
        assert sum(here.readings[here.world.instance.name].unsent_log_lines.values()) == 0


async def test_lines_of_an_old_worker_count_for_its_colour_too() -> None:
    async with logged() as here:
        slow = asyncio.create_task(here.world.client().get("/after/1500"))
        await asyncio.sleep(0.1)
        await here.world.reloaded()
        assert (await slow).status == 200
        assert await here.only() >= bucket_of(1_499)


async def test_two_haproxies_at_one_receiver_are_told_apart() -> None:
    async with logged() as here, haproxy_world(begin=False, request_log=here.log) as other:
        other.instance = replace(other.instance, name=InstanceName("edge/lb2"))
        other.write_config()
        await other.begin()
        both = topology(here.log, [here.world.instance, other.instance], here.world.services)
        here.logs.take(both, {}, clock())
        await here.world.client().get("/after/20")
        await other.client().get("/after/400")
        assert await here.only() < bucket_of(300)
        assert await Logged(other, here.log, here.logs).only() >= bucket_of(399)


async def test_in_form_weights_the_servers_of_one_backend_are_told_apart() -> None:
    async with logged() as here:
        shop = here.world.service()
        assert shop.haproxy is not None
        binding = replace(shop.haproxy, form=HaproxyForm.WEIGHTS, backends=dict.fromkeys(Colour, "both"))
        here.logs.take(topology(here.log, [here.world.instance], [replace(shop, haproxy=binding)]), {}, clock())
        here.world.write_config(one_backend(shop, here.log))
        await here.world.restart()
        client = here.world.client()
        for _ in range(20):
            await client.get("/")
        async with asyncio.timeout(5):
            # The counters are another form's: only the lines are looked at.
            while count((timing := here.timing()).pools.get(Colour.GREEN, {})) < 10:
                await asyncio.sleep(0.005)
        assert [count(timing.pools[colour]) for colour in Colour] == [10, 10]


def one_backend(shop: Service, log: RequestLog) -> str:
    """A backend with the servers of both pools, and the log lines that lbctl renders."""
    servers = [f"    server {one.name} {one.address}" for pool in (shop.blue, shop.green) for one in pool.servers]
    frontend = f"frontend f\n    mode http\n    bind {shop.listen}\n{log_lines('edge/lb1', str(log.at))}"
    backend = "\n".join(["backend both", "    mode http", "    balance roundrobin", *servers])
    return f"{frontend}    default_backend both\n{backend}\n"

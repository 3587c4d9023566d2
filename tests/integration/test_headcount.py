"""The kernel's count of draining pools, as the daemon keeps it."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import replace

from lbctl.daemon.headcount import AT_REST_MAX, REST, Headcount
from lbctl.model.census import Connections, Strangers
from lbctl.model.certificate import Certificate
from lbctl.model.names import Colour, Generation, InstanceName, PlaneName, ServerName, ServiceName
from lbctl.model.reading import InstanceReading, Unreadable
from lbctl.model.record import Adopted, Pool, PoolState, Record
from lbctl.model.topology import Address, Driver, Instance, Plane, Server, Service, Topology
from lbctl.model.topology import Pool as Servers
from lbctl.model.units import Instant
from lbctl.telemetry.sockets.census import SocketCensus

SHOP = ServiceName("shop")
RECORD = Record(
    services={
        SHOP: Adopted(active=Colour.GREEN, blue=Pool(state=PoolState.DRAINING), green=Pool(state=PoolState.ACTIVE))
    }
)
BLUE = (SHOP, Colour.BLUE)
LB = InstanceName("edge/lb1")
PLANE = Plane(name=PlaneName("edge"), driver=Driver.HAPROXY, instances=(Instance(name=LB, directory="/x"),))


def topology(blue: int, green: int) -> Topology:
    pools = {
        colour: Servers(colour, (Server(ServerName(f"{colour}-1"), Address("127.0.0.1", port)),))
        for colour, port in ((Colour.BLUE, blue), (Colour.GREEN, green))
    }
    shop = Service(name=SHOP, plane=PlaneName("edge"), blue=pools[Colour.BLUE], green=pools[Colour.GREEN])
    return Topology(planes={PLANE.name: PLANE}, services={SHOP: shop})


async def counted(kept: Headcount, record: Record = RECORD) -> None:
    """Let a census that is due be taken."""
    kept.census(record, {})
    await kept.close()


async def test_only_old_pools_are_counted_and_again_when_it_is_due() -> None:
    clock = [0]
    with socket.create_server(("127.0.0.1", 0)) as blue, socket.create_server(("127.0.0.1", 0)) as green:
        ports = blue.getsockname()[1], green.getsockname()[1]

        def now() -> Instant:
            return Instant(clock[0])

        kept = Headcount(topology(*ports), SocketCensus(now, own=lambda: ()), now)
        with socket.create_connection(("127.0.0.1", ports[0])), socket.create_connection(("127.0.0.1", ports[1])):
            assert kept.census(RECORD, {}) == {}
            await kept.close()
            (seen,) = kept.census(RECORD, {}).values()
            assert seen.servers == {Address("127.0.0.1", ports[0]): Connections(established=1)}
            await kept.close()
        clock[0] = 4_000
        await counted(kept)
        assert kept.census(RECORD, {})[BLUE].taken_at == 0
        clock[0] = 6_000
        await counted(kept)
        again = kept.census(RECORD, {})[BLUE]
        assert again.taken_at == 6_000
        assert again.total([Address("127.0.0.1", ports[0])]) is not None
        proved = Certificate(at=Instant(0), since=Instant(0))
        idle = RECORD.services[SHOP].with_pool(Colour.BLUE, Pool(state=PoolState.IDLE, certificate=proved))
        at_rest = replace(RECORD, services={SHOP: idle})
        clock[0] = 10_000
        await counted(kept, at_rest)
        assert kept.census(at_rest, {})[BLUE].taken_at == 10_000
        clock[0] = 24_000
        await counted(kept, at_rest)
        assert kept.census(at_rest, {})[BLUE].taken_at == 10_000
        clock[0] = 25_000
        await counted(kept, at_rest)
        assert kept.census(at_rest, {})[BLUE].taken_at == 25_000
        handed_out = idle.with_pool(Colour.BLUE, Pool(state=PoolState.CANDIDATE))
        assert kept.census(replace(RECORD, services={SHOP: handed_out}), {}) == {}
        await kept.close()


async def test_a_certified_pool_is_not_looked_at_while_nobody_knows_its_load_balancers() -> None:
    """A worker of one that restarts is gone by the next reading, and would be taken for a caller for ever."""
    proved = Pool(state=PoolState.IDLE, certificate=Certificate(at=Instant(0), since=Instant(0)))
    at_rest = replace(RECORD, services={SHOP: RECORD.services[SHOP].with_pool(Colour.BLUE, proved)})
    kept = Headcount(topology(1, 2), SocketCensus(lambda: Instant(0), own=lambda: ()), lambda: Instant(0))
    kept.census(at_rest, {LB: Unreadable(Instant(0), "it restarts")})
    await kept.close()
    assert kept.census(at_rest, balanced_by(1)) == {}
    await kept.close()
    assert [*kept.census(at_rest, balanced_by(1))] == [BLUE]
    await kept.close()


async def test_of_many_certified_pools_some_are_counted_at_a_time_in_turn() -> None:
    clock, names = [0], [ServiceName(f"shop-{number:02}") for number in range(AT_REST_MAX + 3)]
    one, proved = topology(1, 2), Pool(state=PoolState.IDLE, certificate=Certificate(at=Instant(0), since=Instant(0)))
    services = {name: replace(one.services[SHOP], name=name) for name in names}
    idle = Adopted(active=Colour.GREEN, blue=proved, green=Pool(state=PoolState.ACTIVE))
    record = Record(services=dict.fromkeys(names, idle))
    now = lambda: Instant(clock[0])  # noqa: E731
    kept = Headcount(replace(one, services=services), SocketCensus(now, own=lambda: ()), now)
    await counted(kept, record)
    assert len(kept.census(record, {})) == AT_REST_MAX
    clock[0] = 16_000
    await counted(kept, record)
    assert [at.taken_at for at in kept.census(record, {}).values()].count(Instant(16_000)) == AT_REST_MAX
    assert len(kept.census(record, {})) == len(names)


async def test_who_is_connected_is_named_by_program_and_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as blue:
        port = blue.getsockname()[1]
        kept = Headcount(topology(port, 1), SocketCensus(lambda: Instant(0), own=lambda: ()), lambda: Instant(0))
        with socket.create_connection(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)):
            (one,) = await kept.connections(SHOP, Colour.BLUE)
        assert (one["count"], one["server"]) == (2, f"127.0.0.1:{port}")
        assert one["process"]
        assert await kept.connections(ServiceName("gone"), Colour.BLUE) == []
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "census"]


async def test_a_look_that_takes_long_is_the_less_often_taken_at_certified_pools() -> None:
    clock = [0]

    def own() -> Collection[int]:
        clock[0] += 1_000
        return ()

    proved = Pool(state=PoolState.IDLE, certificate=Certificate(at=Instant(0), since=Instant(0)))
    at_rest = replace(RECORD, services={SHOP: RECORD.services[SHOP].with_pool(Colour.BLUE, proved)})
    now = lambda: Instant(clock[0])  # noqa: E731
    kept = Headcount(topology(1, 2), SocketCensus(now, own=own), now)
    await counted(kept, at_rest)
    took = clock[0]
    assert took >= 1_000
    clock[0] = took + REST * took - 1
    await counted(kept, at_rest)
    assert kept.census(at_rest, {})[BLUE].taken_at == 0
    clock[0] += 1
    await counted(kept, at_rest)
    assert kept.census(at_rest, {})[BLUE].taken_at == took + REST * took


HOLD = """
import socket, sys
one = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
print("here", flush=True)
sys.stdin.read()
"""


@asynccontextmanager
async def program(port: int) -> AsyncIterator[int]:
    """Another program with one connection; its pid."""
    pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE}
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", HOLD, str(port), **pipes)
    assert process.stdout is not None
    await process.stdout.readline()
    try:
        yield process.pid
    finally:
        await process.communicate(b"")


def balanced_by(*pids: int) -> dict[InstanceName, InstanceReading | Unreadable]:
    """A load balancer of these processes."""
    newest, *old = (Generation(f"{pid}@1") for pid in pids)
    return {LB: InstanceReading(Instant(0), newest, {}, draining_generations=tuple(old))}


async def test_whoever_is_connected_and_is_no_load_balancer_of_the_service_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as blue:
        port = blue.getsockname()[1]
        async with program(port) as stranger, program(port) as new, program(port) as old:
            kept = Headcount(topology(port, 1), SocketCensus(lambda: Instant(0), own=lambda: ()), lambda: Instant(0))
            kept.census(RECORD, balanced_by(new, old))
            await kept.close()
            seen = kept.census(RECORD, {})[BLUE]
            assert seen.servers[Address("127.0.0.1", port)].established == 3
            assert seen.strangers is not None
            assert [(one.pid, one.count, one.uid) for one in seen.strangers.programs] == [(stranger, 1, os.getuid())]
            assert seen.strangers.unnamed == 0
            await kept.close()


async def test_idle_connections_of_the_load_balancers_and_of_lbctl_are_nobodys() -> None:
    with socket.create_server(("127.0.0.1", 0)) as blue:
        port = blue.getsockname()[1]
        server = Address("127.0.0.1", port)
        sockets = SocketCensus(lambda: Instant(0), own=lambda: (os.getpid(),))
        async with program(port) as balancer:
            with socket.create_connection(("127.0.0.1", port)):
                assert await sockets.strangers([server], [balancer]) == Strangers()
                (one,) = (await sockets.strangers([server], [])).programs
                assert one.pid == balancer

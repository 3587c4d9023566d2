"""The kernel's count of draining pools, as the daemon keeps it."""

import asyncio
import socket
from dataclasses import replace

from lbctl.daemon.headcount import Headcount
from lbctl.model.census import Connections
from lbctl.model.names import Colour, PlaneName, ServerName, ServiceName
from lbctl.model.record import Adopted, Pool, PoolState, Record
from lbctl.model.topology import Address, Server, Service, Topology
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


def topology(blue: int, green: int) -> Topology:
    pools = {
        colour: Servers(colour, (Server(ServerName(f"{colour}-1"), Address("127.0.0.1", port)),))
        for colour, port in ((Colour.BLUE, blue), (Colour.GREEN, green))
    }
    shop = Service(name=SHOP, plane=PlaneName("edge"), blue=pools[Colour.BLUE], green=pools[Colour.GREEN])
    return Topology(planes={}, services={SHOP: shop})


async def counted(kept: Headcount, record: Record = RECORD) -> None:
    """Let a census that is due be taken."""
    kept.census(record)
    await kept.close()


async def test_only_draining_pools_are_counted_and_again_when_it_is_due() -> None:
    clock = [0]
    with socket.create_server(("127.0.0.1", 0)) as blue, socket.create_server(("127.0.0.1", 0)) as green:
        ports = blue.getsockname()[1], green.getsockname()[1]

        def now() -> Instant:
            return Instant(clock[0])

        kept = Headcount(topology(*ports), SocketCensus(now, own=lambda: ()), now)
        with socket.create_connection(("127.0.0.1", ports[0])), socket.create_connection(("127.0.0.1", ports[1])):
            assert kept.census(RECORD) == {}
            await kept.close()
            (seen,) = kept.census(RECORD).values()
            assert seen.servers == {Address("127.0.0.1", ports[0]): Connections(established=1)}
            await kept.close()
        clock[0] = 4_000
        await counted(kept)
        assert kept.census(RECORD)[BLUE].taken_at == 0
        clock[0] = 6_000
        await counted(kept)
        again = kept.census(RECORD)[BLUE]
        assert again.taken_at == 6_000
        assert again.total([Address("127.0.0.1", ports[0])]) is not None
        idle = RECORD.services[SHOP].with_pool(Colour.BLUE, Pool(state=PoolState.IDLE))
        assert kept.census(replace(RECORD, services={SHOP: idle})) == {}
        await kept.close()


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

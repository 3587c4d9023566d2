"""The fake closes what is in flight at its rate, by its own clock."""

from lbctl.dataplane.fake import FakeInstance
from lbctl.model.names import Colour, InstanceName, PlaneName, ServerName, ServiceName
from lbctl.model.operation import Place, SetClosing, SetRoute
from lbctl.model.reading import Closing
from lbctl.model.route import Route
from lbctl.model.topology import Address, Pool, Server, Service
from lbctl.model.units import Instant

SHOP = ServiceName("shop")


async def test_what_is_in_flight_is_closed_at_the_rate_and_only_where_nobody_is_sent() -> None:
    clock = [0]
    pools = [Pool(one, (Server(ServerName(f"{one}-1"), Address("127.0.0.1", 1)),)) for one in Colour]
    shop = Service(name=SHOP, plane=PlaneName("edge"), blue=pools[0], green=pools[1])
    fake = FakeInstance(InstanceName("edge/lb1"), (shop,), lambda: Instant(clock[0]))
    server = fake.pools[SHOP, Colour.BLUE].servers[ServerName("blue-1")]
    server.in_flight = 30

    async def closing(at: int) -> Closing:
        clock[0] = at
        return (await fake.observe()).services[SHOP].pools[Colour.BLUE].closing

    await fake.set_closing(SetClosing(service=SHOP, colour=Colour.BLUE, per_second=10, fence=1))
    assert (await closing(1_000)).trouble.startswith("STILL_ROUTED: ")
    await fake.apply(SetRoute(service=SHOP, place=Place.RUNTIME, route=Route(10_000, keep_blue_bp=0), fence=2))
    assert await closing(1_500) == Closing(10, closed=5, left=25)
    assert await closing(2_000) == Closing(10, closed=10, left=20)
    assert await closing(9_000) == Closing(10, closed=30, left=0)
    assert server.in_flight == 0

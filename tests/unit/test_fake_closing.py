"""The fake closes what is in flight at its rate, by its own clock."""

import asyncio

from lbctl.dataplane.closing import Closings, Cut
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


async def test_what_was_closed_counts_also_where_something_went_wrong_besides() -> None:
    async def cut(service: ServiceName, colour: Colour, most: int) -> Cut:
        del service, colour
        asked.append(most)
        return Cut(most, 100, "CLOSED_ANOTHER: somebody" if most else "")

    asked: list[int] = []
    closings = Closings(cut)
    closings.set(SetClosing(service=SHOP, colour=Colour.BLUE, per_second=50, fence=1))
    async with asyncio.timeout(5):
        while sum(asked) < 20:
            await asyncio.sleep(0.01)
    seen = closings.of(SHOP, Colour.BLUE)
    assert seen.closed == sum(asked)
    assert seen.trouble == "CLOSED_ANOTHER: somebody"
    closings.set(SetClosing(service=SHOP, colour=Colour.BLUE, per_second=0, fence=2))
    assert closings.of(SHOP, Colour.BLUE).left == 100
    closings.close()

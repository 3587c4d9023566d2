"""The beat of a forced closing goes on, whatever one beat met."""

import asyncio

from lbctl.dataplane.closing import Closings, Cut
from lbctl.model.names import Colour, ServiceName
from lbctl.model.operation import SetClosing

SHOP = ServiceName("shop")


async def test_a_host_that_refuses_once_stalls_a_closing_and_does_not_end_it() -> None:
    beats, again = list[int](), asyncio.Event()

    async def cut(_service: ServiceName, _colour: Colour, count: int) -> Cut:
        beats.append(count)
        if len(beats) == 1:
            raise OSError(24, "Too many open files")
        if len(beats) == 2:
            assert closings.of(SHOP, Colour.BLUE).trouble == ("CLOSING_STALLED: OSError(24, 'Too many open files')")
            again.set()
        return Cut(count, 5)

    closings = Closings(cut)
    closings.set(SetClosing(service=SHOP, colour=Colour.BLUE, per_second=1_000, fence=1))
    async with asyncio.timeout(10):
        await again.wait()
    await asyncio.sleep(0)
    assert closings.of(SHOP, Colour.BLUE).trouble == ""
    closings.close()

"""An HAProxy that carries out batches in another order than they came: what was answered done stays the last word.

A real one does so only under load that no test can order, so this one is played, on a real socket.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from lbctl.dataplane.haproxy.driver import HaproxyInstance
from lbctl.model.names import Colour, InstanceName, PlaneName, ServerName, ServiceName
from lbctl.model.operation import Place, Result, SetRoute, Status
from lbctl.model.route import Route
from lbctl.model.topology import Address, HaproxyBinding, Instance, Pool, Server, Service
from lbctl.model.units import Instant

SHOP = ServiceName("shop")
RAISE, LOWERING = Route(9_000), Route(0)


class Played:
    """One worker's admin socket. Batches in which `slow` is found wait for `go`; with `hangs_up` nobody hears of it."""

    def __init__(self) -> None:
        self.value = "100:10000:10000"
        self.slow = str(RAISE)
        self.go = asyncio.Event()
        self.hangs_up = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one batch, as HAProxy does: everything before the answers."""
        batch = (await reader.read()).decode().strip()
        if self.slow in batch:
            if self.hangs_up:
                writer.close()
            await self.go.wait()
        answer = "".join(self._carried_out(command) for command in batch.split(";"))
        if not writer.is_closing():
            writer.write(answer.encode())
            writer.close()

    def _carried_out(self, command: str) -> str:
        if command.startswith("set map"):
            self.value = command.rsplit(maxsplit=1)[-1]
            return "\n"
        return f"0x1 shop {self.value}\n\n"


@asynccontextmanager
async def played() -> AsyncIterator[tuple[Played, Callable[[Route, int], asyncio.Task[Result]]]]:
    """The played HAProxy, and how to apply a route with a fence."""
    haproxy = Played()
    with tempfile.TemporaryDirectory(prefix="lbp-") as directory:
        path = str(Path(directory) / "s")
        server = await asyncio.start_unix_server(haproxy.serve, path)
        instance = Instance(name=InstanceName("edge/lb1"), directory=directory, socket=path)
        pools = [Pool(colour, (Server(ServerName(colour), Address("127.0.0.1", 1)),)) for colour in Colour]
        backends = {colour: f"shop_{colour}" for colour in Colour}
        binding = HaproxyBinding(backends, cookie="SRV", bucket_cookie="LBK")
        service = Service(name=SHOP, plane=PlaneName("edge"), blue=pools[0], green=pools[1], haproxy=binding)
        driver = HaproxyInstance(instance, [service], lambda: Instant(0))

        def apply(route: Route, fence: int) -> asyncio.Task[Result]:
            operation = SetRoute(service=SHOP, place=Place.RUNTIME, route=route, fence=fence)
            return asyncio.create_task(driver.apply(operation))

        try:
            yield haproxy, apply
        finally:
            haproxy.go.set()
            await driver.close()
            server.close()


async def test_a_lowering_is_not_done_while_an_older_raise_may_still_be_carried_out() -> None:
    async with played() as (haproxy, apply):
        assert (await apply(RAISE, 1)).status is Status.UNKNOWN
        began = time.monotonic()
        assert (await apply(LOWERING, 2)).status is Status.UNKNOWN
        assert time.monotonic() - began < 1.1
        assert haproxy.value == str(LOWERING)
        haproxy.go.set()
        assert (await apply(LOWERING, 3)).status is Status.DONE
        await asyncio.sleep(0.2)
        assert haproxy.value == str(LOWERING)


async def test_a_lowering_beside_a_raise_that_has_not_timed_out_yet_waits_for_its_end() -> None:
    async with played() as (haproxy, apply):
        raising = apply(RAISE, 1)
        await asyncio.sleep(0.1)
        lowering = apply(LOWERING, 2)
        await asyncio.sleep(0.2)
        assert not lowering.done()
        haproxy.go.set()
        assert (await lowering).status is Status.DONE
        await raising
        await asyncio.sleep(0.1)
        assert haproxy.value == str(LOWERING)


async def test_a_raise_whose_connection_broke_off_does_not_outlive_a_lowering_that_was_done() -> None:
    async with played() as (haproxy, apply):
        haproxy.hangs_up = True
        assert (await apply(RAISE, 1)).status is Status.UNKNOWN
        asyncio.get_running_loop().call_later(0.05, haproxy.go.set)
        assert (await apply(LOWERING, 2)).status is Status.DONE
        await asyncio.sleep(0.2)
        assert haproxy.value == str(LOWERING)


async def test_a_raise_that_was_overtaken_before_it_was_sent_is_never_sent() -> None:
    async with played() as (haproxy, apply):
        raising, lowering = apply(RAISE, 1), apply(LOWERING, 2)
        assert (await raising).status in {Status.STALE, Status.UNKNOWN}
        assert (await lowering).status is Status.DONE
        assert haproxy.value == str(LOWERING)

"""HAProxy stopped and continued: answers in time, and no old raise after a later lowering that was done."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from lbctl.dataplane.haproxy.client import ask
from lbctl.dataplane.haproxy.writing import UNDER_WAY_MAX
from lbctl.model.errors import Unreachable
from lbctl.model.operation import Result, Status
from lbctl.model.route import Route
from lbctl.model.topology import HaproxyForm
from tests.conformance.haproxy_harness import HaproxyWorld, haproxy_world
from tests.conformance.harness import SHOP, Operator

pytestmark = pytest.mark.haproxy

IN_TIME_S = 1.1


async def only_the_worker(world: HaproxyWorld) -> list[int]:
    """The worker alone: the master goes on."""
    return await world.workers()


async def only_the_master(world: HaproxyWorld) -> list[int]:
    """The master alone: the worker goes on."""
    assert world.process is not None
    return [world.process.pid]


async def everything(world: HaproxyWorld) -> list[int]:
    """The whole process group."""
    return [*await only_the_master(world), *await world.workers()]


Chosen = Callable[[HaproxyWorld], Awaitable[list[int]]]


@asynccontextmanager
async def stopped(world: HaproxyWorld, chosen: Chosen) -> AsyncIterator[None]:
    """Stop processes, and continue them at the end."""
    pids = await chosen(world)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def timed(call: Awaitable[Result]) -> tuple[Result, float]:
    """An outcome and how long it took."""
    began = time.monotonic()
    return await call, time.monotonic() - began


async def done(here: Operator, route: Route) -> None:
    """Go on, as the daemon does, until a route is done."""
    async with asyncio.timeout(10):
        while (await here.apply(route)).status is not Status.DONE:
            await asyncio.sleep(0.01)


async def stays(here: Operator, route: Route, seconds: float = 0.6) -> None:
    """Nothing else is read for a while."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert set((await here.reading()).runtime.values()) == {route}
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("form", list(HaproxyForm))
@pytest.mark.parametrize("master", [True, False])
@pytest.mark.parametrize("chosen", [only_the_worker, everything])
async def test_an_old_raise_never_lands_after_a_lowering_that_was_done(
    chosen: Chosen, master: bool, form: HaproxyForm
) -> None:
    async with haproxy_world(master=master, form=form) as world:
        here = Operator(world)
        await here.route(100)
        for turn in range(2 if master else 1):
            async with stopped(world, chosen):
                result, took = await timed(here.apply(Route(9_000)))
                assert result.status is Status.UNKNOWN
                assert took < IN_TIME_S
                result, took = await timed(here.apply(Route(50 * turn)))
                assert result.status is Status.UNKNOWN
                assert took < IN_TIME_S
            await done(here, Route(50 * turn))
            await stays(here, Route(50 * turn))


@pytest.mark.parametrize("form", list(HaproxyForm))
async def test_a_lowering_beside_a_raise_that_is_not_yet_answered_has_the_last_word(form: HaproxyForm) -> None:
    async with haproxy_world(form=form) as world:
        here = Operator(world)
        for turn in range(3):
            async with stopped(world, everything):
                raising = asyncio.create_task(here.apply(Route(9_000)))
                await asyncio.sleep(0.05)
                lowering = asyncio.create_task(here.apply(Route(50 * turn)))
                await asyncio.sleep(0.05)
            assert (await lowering).status is Status.DONE
            assert (await raising).status in {Status.DONE, Status.UNKNOWN, Status.STALE, Status.REFUSED}
            await stays(here, Route(50 * turn), 0.2)


@pytest.mark.parametrize("form", list(HaproxyForm))
async def test_a_raise_whose_connection_broke_in_a_reload_cannot_land_later(form: HaproxyForm) -> None:
    async with haproxy_world(form=form) as world:
        here = Operator(world)
        _, writer = await world.upgraded()
        async with stopped(world, only_the_worker):
            raising = asyncio.create_task(here.apply(Route(9_000)))
            await asyncio.sleep(0.2)
            world.reload()
            assert (await raising).status is not Status.DONE
        await done(here, Route(0))
        await stays(here, Route(0))
        writer.transport.abort()


@pytest.mark.parametrize("form", list(HaproxyForm))
async def test_with_the_master_stopped_a_lowering_still_reaches_the_newest_worker_within_a_second(
    form: HaproxyForm,
) -> None:
    async with haproxy_world(form=form) as world:
        here = Operator(world)
        await here.route(5_000)
        async with stopped(world, only_the_master):
            result, took = await timed(here.apply(Route(0)))
            assert result.status is Status.UNKNOWN
            assert took < IN_TIME_S
            (lines,) = await ask(str(world.directory / "admin.sock"), [f"show map {world.map}"], 1.0)
            assert any(f" {SHOP} 0:10000:10000" in line for line in lines)
        await done(here, Route(0))


@pytest.mark.parametrize("chosen", [only_the_worker, only_the_master, everything])
async def test_a_stopped_haproxy_is_unreachable_in_time_and_read_again_at_once_when_it_goes_on(chosen: Chosen) -> None:
    async with haproxy_world() as world:
        here = Operator(world)
        async with stopped(world, chosen):
            for _ in range(2):
                began = time.monotonic()
                with pytest.raises(Unreachable, match=r"\.sock"):
                    await world.driver.observe()
                assert time.monotonic() - began < IN_TIME_S
        began = time.monotonic()
        assert set((await here.reading()).runtime.values()) == {Route(0)}
        assert time.monotonic() - began < IN_TIME_S


async def test_a_full_queue_at_a_stopped_haproxy_is_busy_and_costs_next_to_nothing() -> None:
    async with haproxy_world() as world, stopped(world, everything):
        held = []
        for _ in range(40):
            channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            channel.setblocking(False)
            held.append(channel)
            try:
                channel.connect(world.socket)
            except BlockingIOError:
                break
        assert len(held) < 40
        cpu = time.process_time()
        answers = await asyncio.gather(
            *(ask(world.socket, ["show proc"], 0.9) for _ in range(12)), return_exceptions=True
        )
        assert time.process_time() - cpu < 0.25
        assert all(isinstance(one, Unreachable) and "busy" in str(one) for one in answers), answers
        for channel in held:
            channel.close()


@pytest.mark.parametrize("form", list(HaproxyForm))
async def test_a_long_stall_leaves_a_bounded_number_of_connections(form: HaproxyForm) -> None:
    async with haproxy_world(form=form) as world:
        here = Operator(world)
        await here.route(100)
        before = len(os.listdir("/proc/self/fd"))
        async with stopped(world, only_the_worker):
            for turn in range(UNDER_WAY_MAX + 2):
                await asyncio.gather(here.apply(Route(50 * turn)), world.driver.observe(), return_exceptions=True)
            await asyncio.sleep(0)
            assert len(os.listdir("/proc/self/fd")) - before <= UNDER_WAY_MAX + 2
        await done(here, Route(0))
        await stays(here, Route(0), 0.2)
        async with asyncio.timeout(5):
            while len(os.listdir("/proc/self/fd")) > before + 1:
                await asyncio.sleep(0.05)

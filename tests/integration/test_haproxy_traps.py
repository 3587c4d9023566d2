"""Traps of HAProxy's command line, each sprung on a real process, and lbctl beside it."""

import asyncio

import pytest

from lbctl.dataplane.haproxy.client import BATCH_MAX, ask
from lbctl.dataplane.haproxy.statemap import map_path
from lbctl.model.errors import Garbled
from lbctl.model.operation import Status
from lbctl.model.route import Route
from lbctl.model.topology import HaproxyForm
from tests.conformance.haproxy_harness import HaproxyWorld, haproxy_world
from tests.conformance.harness import SHOP, Operator

pytestmark = [pytest.mark.haproxy, pytest.mark.parametrize("form", list(HaproxyForm))]


async def opened(path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that nobody closes."""
    return await asyncio.open_unix_connection(path)


async def said(reader: asyncio.StreamReader, seconds: float = 1.0) -> tuple[str, bool]:
    """What comes within a while, and whether the other side hung up."""
    text = b""
    try:
        async with asyncio.timeout(seconds):
            while chunk := await reader.read(65_536):
                text += chunk
    except TimeoutError:
        return text.decode(), False
    except ConnectionError:
        return text.decode(), True
    return text.decode(), True


def admin(world: HaproxyWorld) -> str:
    return str(world.directory / "admin.sock")


async def test_a_connection_kept_over_a_reload_speaks_of_a_dead_past_and_ours_does_not(form: HaproxyForm) -> None:
    async with haproxy_world(form=form) as world:
        before = (await world.driver.observe()).generation
        reader, writer = await opened(admin(world))
        writer.write(b"prompt\nshow info\n")
        assert f"Pid: {before.partition('@')[0]}\n" in (await said(reader, 0.3))[0]
        await world.reloaded()
        writer.write(b"show info\n")
        assert f"Pid: {before.partition('@')[0]}\n" in (await said(reader, 0.3))[0], "still the old one"
        assert (await world.driver.observe()).generation != before
        assert (await Operator(world).apply(Route(500))).status is Status.DONE
        writer.transport.abort()


async def test_an_entry_added_twice_keeps_its_old_value_and_ours_is_set(form: HaproxyForm) -> None:
    async with haproxy_world(form=form) as world:
        here = Operator(world)
        await here.route(0)
        path = map_path(world.instance)
        await ask(admin(world), [f"add map {path} {SHOP} 7000:10000:10000"], 1.0)
        assert set((await here.reading()).runtime.values()) == {Route(0)}, "the old one wins"
        await here.route(500)
        assert set((await here.reading()).runtime.values()) == {Route(500)}
        (lines,) = await ask(admin(world), [f"show map {path}"], 1.0)
        values = {line.split()[2] for line in lines if line.split()[1:2] == [SHOP]}
        assert len(values) == 1, "no other value waits behind it"


async def test_a_line_that_is_too_long_is_carried_out_in_part_and_ours_are_never_sent(form: HaproxyForm) -> None:
    async with haproxy_world(form=form) as world:
        path = map_path(world.instance)
        first = f"set map {path} {SHOP} 4321:10000:10000"
        filler = f"show map {path}"
        commands = [first, *[filler] * (17_000 // len(filler))]
        with pytest.raises(Garbled, match="longer than HAProxy takes"):
            await ask(admin(world), commands, 1.0)
        (lines,) = await ask(admin(world), [filler], 1.0)
        assert not any("4321" in line for line in lines)
        reader, writer = await opened(admin(world))
        writer.write((";".join(commands) + "\n").encode())
        assert len(";".join(commands)) > 2 * BATCH_MAX
        _, ended = await said(reader)
        assert ended
        (lines,) = await ask(admin(world), [filler], 1.0)
        assert any("4321" in line for line in lines), "its beginning was carried out"
        writer.transport.abort()


async def test_the_master_waits_for_more_unless_the_question_is_ended_and_ours_are(form: HaproxyForm) -> None:
    async with haproxy_world(form=form) as world:
        master = world.socket
        reader, writer = await opened(master)
        writer.write(b"show proc\n")
        text, ended = await said(reader, 0.3)
        assert "worker" in text
        assert not ended
        writer.transport.abort()
        async with asyncio.timeout(0.5):
            assert await ask(master, ["show proc"], 5.0)

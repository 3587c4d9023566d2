"""Whoever reads the load balancers steadily: what a reading says, and that it ends when it is told to."""

import asyncio
from pathlib import Path

import pytest

from lbctl.daemon.checks import Checks
from lbctl.daemon.observer import Observer
from lbctl.daemon.versions import Versions
from lbctl.dataplane.fake import FakeInstance
from lbctl.gate.attest import Asker
from lbctl.model.names import InstanceName
from lbctl.model.reading import Unreadable
from lbctl.model.units import Instant
from lbctl.sim.site import topology
from lbctl.store.token import TokenDir
from lbctl.telemetry.logs import RequestLogs

NAME = InstanceName("edge/lb1")


def now() -> Instant:
    return Instant(0)


async def reading(directory: Path, *, broken: str = "") -> Observer:
    """One that has read its only load balancer once."""
    plane = FakeInstance(NAME, [], now)
    plane.broken = broken
    seen, known = asyncio.Event(), topology([NAME], [])
    observer = Observer(
        {NAME: plane},
        Checks(known, now),
        TokenDir(directory / "tokens"),
        RequestLogs(),
        Versions(known, Asker().ask, now),
        now,
        seen=seen.set,
        repair=lambda _: None,
    )
    observer.start()
    async with asyncio.timeout(10):
        await seen.wait()
    return observer


async def test_a_reason_does_not_name_the_instance_that_everybody_names_before_it(tmp_path: Path) -> None:
    observer = await reading(tmp_path, broken="HAProxy has not loaded its map")
    await observer.stop()
    assert observer.readings[NAME] == Unreadable(Instant(0), "HAProxy has not loaded its map")


@pytest.mark.parametrize("turns", range(8))
async def test_it_ends_also_where_a_reading_is_asked_for_just_before(turns: int, tmp_path: Path) -> None:
    observer = await reading(tmp_path)
    await asyncio.sleep(0)
    observer.poke(NAME)
    for _ in range(turns):
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await observer.stop()

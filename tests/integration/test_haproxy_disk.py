"""A full disk under HAProxy's map file and under a slot file: a lowering goes through all the same."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from lbctl.dataplane.haproxy.firstfiles import write_maps
from lbctl.dataplane.slotfile import SlotFile
from lbctl.model.names import Colour
from lbctl.model.operation import Place, Status
from lbctl.model.route import Route
from lbctl.model.topology import HaproxyForm
from tests.conformance.haproxy_harness import haproxy_world
from tests.conformance.harness import SHOP, TILL, Operator

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    ran = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k,nr_inodes=12,mode=755", "tmpfs", str(place)],
        check=False,
        capture_output=True,
        text=True,
        timeout=10,
    )
    if ran.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {ran.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True, timeout=10)


def fill(place: Path) -> None:
    """Leave no byte and no name."""
    with (place / "ballast").open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"x" * 4096) == 4096:
            pass
    with suppress(OSError):
        for number in range(50):
            (place / f"name{number}").touch()
    room = os.statvfs(place)
    assert (room.f_bavail, room.f_favail) == (0, 0)


@pytest.mark.haproxy
@pytest.mark.parametrize("form", list(HaproxyForm))
async def test_a_full_disk_stops_neither_runtime_nor_boot_value(small_disk: Path, form: HaproxyForm) -> None:
    async with haproxy_world(begin=False, form=form) as world:
        world.instance = replace(world.instance, directory=str(small_disk))
        world.driver = world.another_driver()
        write_maps(world.instance, world.services, {SHOP: Colour.GREEN, TILL: Colour.BLUE})
        world.write_config()
        await world.begin()
        here = Operator(world)
        await here.bring(SHOP, Route(10_000))
        await asyncio.to_thread(fill, small_disk)
        for green_bp in (9_000, 500, 20, 0):
            await here.bring(SHOP, Route(green_bp))
            reading = await here.reading()
            assert {*reading.runtime.values(), reading.boot} == {Route(green_bp)}
        assert (await here.reading(TILL)).boot == Route(0)


@pytest.mark.haproxy
async def test_a_map_that_cannot_be_written_is_refused_by_name_and_the_runtime_goes_on() -> None:
    async with haproxy_world() as world:
        here = Operator(world)
        world.map.unlink()
        world.map.mkdir()
        result = await here.apply(Route(0), place=Place.BOOT)
        assert result.status is Status.REFUSED
        assert str(world.map) in result.detail
        assert (await here.apply(Route(700))).status is Status.DONE
        reading = await world.driver.observe()
        assert reading.services[SHOP].boot is None
        assert any(text.startswith("MAP_UNREADABLE: ") for text in reading.warnings)


def test_on_a_full_disk_a_slot_is_written_again_and_again(small_disk: Path) -> None:
    slot = SlotFile(small_disk / "slot", 16_384)
    slot.ensure(b"first")
    fill(small_disk)
    for number in range(20):
        slot.write(f"content {number}".encode())
        assert slot.read() == f"content {number}".encode()


def test_on_a_full_disk_a_slot_that_other_hands_replaced_by_a_small_file_is_still_written(small_disk: Path) -> None:
    slot = SlotFile(small_disk / "slot", 16_384)
    slot.ensure(b"first")
    (small_disk / "new").write_bytes(b"by hand")
    (small_disk / "new").rename(small_disk / "slot")
    fill(small_disk)
    for number in range(6):
        slot.write(f"content {number}".encode())
        assert slot.read() == f"content {number}".encode()


def test_on_a_full_disk_without_any_slot_the_old_content_stays_and_the_error_says_why(small_disk: Path) -> None:
    path = small_disk / "slot"
    path.write_bytes(b"old")
    fill(small_disk)
    with pytest.raises(OSError, match="slot"):
        SlotFile(path, 16_384).write(b"new")
    assert path.read_bytes() == b"old"

"""Patience with a disk that hangs: a raise that gave up never lands, a way back waits a moment only."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lbctl.dataplane.patience import HANGING_MAX, Patience, Patiences
from lbctl.dataplane.slotfile import SlotFile
from tests.hanging import Disk, hanging_disk

SIZE = 8_192
OLD, RAISED, LOWERED = b"the old content", b"raised", b"lowered"


@pytest.fixture
def disk() -> Iterator[Disk]:
    """A disk that hangs."""
    with hanging_disk() as hanging:
        yield hanging


@pytest.fixture
def slot(tmp_path: Path) -> SlotFile:
    """A slot with its spare."""
    found = SlotFile(tmp_path / "slot", SIZE)
    found.ensure(OLD)
    return found


def test_a_raise_whose_patience_is_over_changes_nothing_when_the_disk_answers_at_last(
    slot: SlotFile, disk: Disk
) -> None:
    with pytest.raises(OSError, match="the disk hangs, and nothing was replaced"):
        slot.write(RAISED, Patience(0.01, gives_up=True))
    assert slot.read() == OLD
    disk.well.set()
    disk.ended.acquire()
    assert slot.read() == OLD


def test_a_way_back_goes_on_without_the_disk(slot: SlotFile, disk: Disk) -> None:
    slot.write(LOWERED, Patience(0.01, gives_up=False))
    assert slot.read() == LOWERED
    assert not disk.ended.acquire(blocking=False)


def test_a_way_back_after_a_raise_that_gave_up_has_the_last_word(slot: SlotFile, disk: Disk) -> None:
    with pytest.raises(OSError, match="hangs"):
        slot.write(RAISED, Patience(0.01, gives_up=True))
    slot.write(LOWERED, Patience(0.01, gives_up=False))
    disk.well.set()
    for _ in range(2):
        disk.ended.acquire()
    assert slot.read() == LOWERED
    slot.write(RAISED, Patience(60, gives_up=True))
    assert slot.read() == RAISED


def test_a_raise_that_waits_is_woken_by_a_way_back(slot: SlotFile, disk: Disk) -> None:
    patiences = Patiences()
    failures: list[OSError] = []

    def raised() -> None:
        with patiences.out(3_600) as patience:
            try:
                slot.write(RAISED, patience)
            except OSError as error:
                failures.append(error)

    raising = threading.Thread(target=raised)
    raising.start()
    disk.met.acquire()
    began = time.monotonic()
    back = patiences.back()
    raising.join()
    slot.write(LOWERED, back)
    assert time.monotonic() - began < 30
    assert len(failures) == 1
    assert slot.read() == LOWERED


def test_a_raise_does_not_begin_while_an_earlier_one_still_waits_for_the_disk(slot: SlotFile, disk: Disk) -> None:
    patiences = Patiences()
    for seconds in (0.01, None, None):
        with patiences.out(seconds) as patience, pytest.raises(OSError, match="nothing was replaced"):
            slot.write(RAISED, patience)
    assert disk.met.acquire(blocking=False)
    assert not disk.met.acquire(blocking=False), "one thread waits, and no other was begun"
    disk.well.set()
    for thread in threading.enumerate():
        if thread.name == "disk":
            thread.join()
    with patiences.out() as patience:
        slot.write(RAISED, patience)
    assert slot.read() == RAISED


def test_a_raise_that_comes_too_late_does_not_begin(slot: SlotFile) -> None:
    with pytest.raises(OSError, match="nothing was replaced"):
        slot.write(RAISED, Patience(0, gives_up=True))
    assert slot.read() == OLD


def test_a_disk_that_works_costs_no_patience(slot: SlotFile) -> None:
    slot.write(RAISED, Patience(60, gives_up=True))
    slot.write(LOWERED, Patience(60, gives_up=False))
    assert slot.read() == LOWERED


def test_what_the_disk_says_is_said(slot: SlotFile, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", broken)
    for gives_up in (True, False):
        with pytest.raises(OSError, match="Input/output error"):
            slot.write(RAISED, Patience(60, gives_up=gives_up))
    assert slot.read() == OLD


def test_threads_that_wait_for_a_disk_are_bounded_and_beyond_that_only_ways_back_go_on(
    slot: SlotFile, disk: Disk
) -> None:
    patience = Patience(0, gives_up=False)
    for _ in range(HANGING_MAX):
        assert not patience.through(lambda: disk.sync(0))
    with pytest.raises(BlockingIOError, match="does one hang"):
        patience.through(lambda: disk.sync(0))
    with pytest.raises(BlockingIOError, match="does one hang"):
        slot.write(RAISED, Patience(60, gives_up=True))
    assert slot.read() == OLD
    slot.write(LOWERED, Patience(60, gives_up=False))
    assert slot.read() == LOWERED
    disk.well.set()
    for _ in range(HANGING_MAX):
        disk.ended.acquire()


def test_without_memory_for_a_thread_only_ways_back_go_on(slot: SlotFile, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(BlockingIOError, match="can't start new thread"):
        slot.write(RAISED, Patience(60, gives_up=True))
    assert slot.read() == OLD
    slot.write(LOWERED, Patience(60, gives_up=False))
    assert slot.read() == LOWERED

"""A slot file: old content or new, whatever happens in between."""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from lbctl.dataplane.slotfile import SlotFile

SIZE = 8_192
OLD, NEW = b"the old content", b"the new content"
CRASHED = 99


def slot_at(path: Path) -> SlotFile:
    """The slot under test, padded as the map file is."""
    return SlotFile(path / "slot", SIZE, b"\n")


def crashed_before(call: int, slot: SlotFile, content: bytes) -> bool:
    """Write in a child that ends before its system call number `call`; whether it came to that."""
    child = os.fork()
    if child == 0:
        left = call

        def count(frame: FrameType, event: str, function: Any) -> None:
            nonlocal left
            if event == "c_call" and getattr(function, "__module__", "") == "posix":
                left -= 1
                if left < 0:
                    sys.setprofile(None)
                    os._exit(CRASHED)

        sys.setprofile(count)
        slot.write(content)
        sys.setprofile(None)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == CRASHED


@pytest.mark.parametrize("begun", ["with a spare", "without a spare", "with no file at all"])
def test_a_crash_before_any_system_call_leaves_old_or_new_and_the_next_write_goes_through(
    tmp_path: Path, begun: str
) -> None:
    seen = set()
    for call in range(100):
        place = tmp_path / str(call)
        place.mkdir()
        slot = slot_at(place)
        if begun != "with no file at all":
            slot.ensure(OLD)
        if begun == "without a spare":
            (place / ".slot.spare").unlink()
        crashed = crashed_before(call, slot, NEW)
        content = slot.read()
        seen.add(content)
        assert content in {OLD, NEW, None if begun == "with no file at all" else NEW}
        assert crashed or content == NEW
        slot.write(b"the next")
        assert slot.read() == b"the next"
        assert {one.name for one in place.iterdir()} == {"slot", ".slot.spare"}
        assert all(one.stat().st_size == SIZE for one in place.iterdir())
        assert len({one.stat().st_ino for one in place.iterdir()}) == 2
        if not crashed:
            assert call > 10
            assert len(seen) == 2
            return
    pytest.fail("a write takes more than 100 system calls")


@pytest.fixture
def in_memory() -> Iterator[Path]:
    """A directory where a disk makes nobody wait: what counts is the order of the calls."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as path:
        yield Path(path)


def test_two_crashes_one_after_the_other_leave_old_or_new(in_memory: Path) -> None:
    for first in range(0, 34, 3):
        for second in range(0, 34, 3):
            place = in_memory / f"{first}-{second}"
            place.mkdir()
            slot = slot_at(place)
            slot.ensure(OLD)
            crashed_before(first, slot, NEW)
            crashed_before(second, slot, b"third")
            assert slot.read() in {OLD, NEW, b"third"}
            slot.write(b"the next")
            assert slot.read() == b"the next"


def test_what_is_read_has_no_padding_and_the_file_always_has_its_size(tmp_path: Path) -> None:
    slot = slot_at(tmp_path)
    assert slot.read() is None
    for content in (b"", b"x", b"a\nb", b"y" * SIZE):
        slot.write(content)
        assert slot.read() == content
        assert (tmp_path / "slot").stat().st_size == SIZE


def test_a_content_that_does_not_fit_is_refused_and_the_old_one_stays(tmp_path: Path) -> None:
    slot = slot_at(tmp_path)
    slot.ensure(OLD)
    with pytest.raises(ValueError, match="do not fit"):
        slot.write(b"x" * (SIZE + 1))
    assert slot.read() == OLD


def test_ensure_keeps_what_is_there(tmp_path: Path) -> None:
    slot_at(tmp_path).ensure(OLD)
    slot_at(tmp_path).ensure(NEW)
    assert slot_at(tmp_path).read() == OLD


@pytest.mark.parametrize("name", ["slot", ".slot.spare"])
def test_a_symlink_in_its_place_is_refused_and_its_target_untouched(tmp_path: Path, name: str) -> None:
    slot = slot_at(tmp_path)
    slot.ensure(OLD)
    target = tmp_path / "precious"
    target.write_bytes(b"precious")
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to(target)
    with pytest.raises(OSError, match=name):
        slot.read() if name == "slot" else slot.write(NEW)
    assert target.read_bytes() == b"precious"


def test_a_symlink_as_current_file_is_replaced_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_bytes(b"precious")
    (tmp_path / "slot").symlink_to(target)
    slot = slot_at(tmp_path)
    for content in (NEW, OLD, NEW):
        slot.write(content)
        assert slot.read() == content
        assert target.read_bytes() == b"precious"


def test_a_spare_that_is_no_file_is_refused(tmp_path: Path) -> None:
    slot = slot_at(tmp_path)
    slot.ensure(OLD)
    (tmp_path / ".slot.spare").unlink()
    (tmp_path / ".slot.spare").mkdir()
    with pytest.raises(OSError, match=r"\.slot\.spare"):
        slot.write(NEW)
    assert slot.read() == OLD


def test_leftovers_of_every_kind_are_repaired(tmp_path: Path) -> None:
    slot = slot_at(tmp_path)
    slot.ensure(OLD)
    current, spare, keep = tmp_path / "slot", tmp_path / ".slot.spare", tmp_path / ".slot.keep"
    os.link(current, keep)
    slot.write(NEW)
    assert slot.read() == NEW
    spare.rename(keep)
    slot.write(OLD)
    assert slot.read() == OLD
    spare.unlink()
    os.link(current, spare)
    slot.write(NEW)
    assert slot.read() == NEW
    assert not keep.exists()
    assert spare.stat().st_ino != current.stat().st_ino


def test_a_reader_that_holds_the_old_file_open_sees_it_whole_until_the_next_write(tmp_path: Path) -> None:
    slot = slot_at(tmp_path)
    slot.ensure(OLD)
    with (tmp_path / "slot").open("rb") as reader:
        slot.write(NEW)
        assert reader.read().rstrip(b"\n") == OLD


def test_a_file_made_larger_by_other_hands_is_read_up_to_a_bound(tmp_path: Path) -> None:
    (tmp_path / "slot").write_bytes(b"z" * (3 << 20))
    content = slot_at(tmp_path).read()
    assert content is not None
    assert len(content) == 1 << 20

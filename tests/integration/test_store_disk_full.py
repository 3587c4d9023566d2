"""A full disk on a small file system of its own: reads go on, writes fail fast, nothing is damaged, room heals it."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lbctl.model.errors import StoreError
from lbctl.model.names import ReleaseId
from lbctl.model.reading import Token
from lbctl.store.journal import Journal
from lbctl.store.kept import account_files
from lbctl.store.token import TokenDir
from tests.integration.test_store_journal import WALL, entry, record

SIZE = 2 << 20
BALLAST = 256 << 10
FULL_WITHIN_S = 0.1


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0700", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk: Path) -> Path:
    other = disk / "other-data"
    with other.open("ab", buffering=0) as file:
        for size in (4096, 1):
            try:
                while file.write(b"x" * size) == size:
                    pass
            except OSError:
                continue
    return other


async def until_full(journal: Journal, rev: int) -> int:
    """Append until it is refused; returns the last acknowledged revision."""
    for number in range(rev + 1, rev + 5000):
        try:
            await journal.append(record(number), [entry("x" * 500)], wall=WALL)
        except StoreError:
            return number - 1
    raise AssertionError("the disk never became full")


async def test_decisions_are_still_written_by_the_ballast_when_others_fill_the_disk(disk: Path) -> None:
    journal = Journal.open(disk / "journal.db", ballast_bytes=BALLAST)
    await journal.append(record(1), [entry()], wall=WALL)
    fill(disk)
    last = await until_full(journal, 1)
    print(f"written by the ballast of {BALLAST >> 10} KB after the disk was full: {last - 1} records")
    assert last > 10
    journal.close()


async def test_full_means_a_quick_error_and_going_on_reading_and_room_heals_it(disk: Path) -> None:
    journal = Journal.open(disk / "journal.db", ballast_bytes=BALLAST)
    await journal.append(record(1), [entry()], wall=WALL)
    other = fill(disk)
    last = await until_full(journal, 1)
    taken = []
    for _ in range(20):
        started = time.perf_counter()
        with pytest.raises(StoreError, match="free some space"):
            await journal.append(record(last + 1), [entry("y" * 3000)], wall=WALL)
        taken.append(time.perf_counter() - started)
    print(f"append on a full disk: median {sorted(taken)[10] * 1000:.1f} ms, max {max(taken) * 1000:.1f} ms")
    assert sorted(taken)[10] <= FULL_WITHIN_S
    assert journal.latest() == record(last)
    assert (await journal.entries(limit=5))[0].id == 1
    assert (await journal.releases())[0].release.id == "7"
    other.unlink()
    await journal.append(record(last + 2), [entry("room")], wall=WALL)
    journal.close()
    again = Journal.open(disk / "journal.db", ballast_bytes=BALLAST)
    assert (again.latest(), again.damage, again.read_only) == (record(last + 2), None, None)
    again.close()


async def test_a_journal_is_opened_and_read_while_the_disk_is_full(disk: Path) -> None:
    journal = Journal.open(disk / "journal.db", ballast_bytes=BALLAST)
    await journal.append(record(1), [entry()], wall=WALL)
    fill(disk)
    last = await until_full(journal, 1)
    journal.close()
    fill(disk)
    again = Journal.open(disk / "journal.db", ballast_bytes=BALLAST)
    assert (again.latest(), again.damage) == (record(last), None)
    again.close()


async def test_no_fill_of_many_damages_anything(disk: Path) -> None:
    rev = 0
    for turn in range(int(os.environ.get("LBCTL_TEST_FILLS", "25"))):
        journal = Journal.open(disk / "journal.db", ballast_bytes=BALLAST)
        assert (journal.damage, journal.read_only) == (None, None)
        found = journal.latest()
        assert (found.rev if found else 0) >= rev
        rev = found.rev if found else 0
        other = fill(disk)
        last = await until_full(journal, rev)
        rev = max(rev, last)
        other.unlink()
        if turn % 2:
            rev += 1
            await journal.append(record(rev), [], wall=WALL)
        journal.close()
        if (disk / "journal.db").stat().st_size > SIZE // 3:
            for name in ("journal.db", "journal.db-wal", "journal.seen"):
                (disk / name).unlink(missing_ok=True)
            rev = 0


def test_tokens_turn_back_and_accounts_stay_when_their_disk_is_full(disk: Path) -> None:
    tokens, accounts, seven = TokenDir(disk / "tokens"), account_files(disk), ReleaseId("7")
    tokens.make_go(seven, "ab")
    accounts.save(seven, {"odds": 1.5})
    fill(disk)
    with pytest.raises(StoreError, match="free some space"):
        accounts.save(seven, {"odds": [2.5] * 3000})
    assert accounts.load(seven).document == {"odds": 1.5}
    tokens.mark_hold(seven, "ab")
    tokens.mark_back(seven, "ab")
    assert tokens.read(seven, "ab") is Token.BACK

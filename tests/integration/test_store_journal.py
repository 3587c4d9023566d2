"""The journal on a real disk: what was acknowledged is there again, and whatever is not is said."""

import asyncio
import os
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from lbctl.model.entry import Entry, Kind
from lbctl.model.errors import StoreError
from lbctl.model.names import Colour, ReleaseId, ServiceName
from lbctl.model.record import Adopted, Phase, Pool, PoolState, Record, Release
from lbctl.model.topology import Plan
from lbctl.model.units import Instant
from lbctl.store.journal import Journal
from lbctl.store.retention import Retention

SHOP = ServiceName("storefront")
WALL = "2024-05-01T10:00:00Z"


def release(number: int = 7, **changes: object) -> Release:
    base = Release(
        id=ReleaseId(str(number)), service=SHOP, origin=Colour.GREEN, to=Colour.BLUE, version="4.2.0", plan=Plan(),
        version_was="4.1.0",
        nonce="ab12", reason="weekly", initiator="uid 1000 pid 1", started_at=Instant(5), started_wall=WALL,
        phase_since=Instant(5), phase=Phase.SHIFTING,
    )  # fmt: skip
    return replace(base, **changes)  # type: ignore[arg-type]


def record(rev: int, **changes: object) -> Record:
    pools = {"blue": Pool(state=PoolState.CANDIDATE), "green": Pool(state=PoolState.ACTIVE, version="4.1.0")}
    base = Record(
        rev=rev, clock=Instant(rev), services={SHOP: Adopted(active=Colour.GREEN, **pools)},
        releases={SHOP: release()}, next_release=8,
    )  # fmt: skip
    return replace(base, **changes)  # type: ignore[arg-type]


def entry(text: str = "went on", kind: Kind = Kind.STEP_STARTED, **changes: object) -> Entry:
    return replace(Entry(kind=kind, at=Instant(1), text=text, service=SHOP, release=ReleaseId("7")), **changes)  # type: ignore[arg-type]


async def test_what_was_appended_is_there_after_a_restart(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "state" / "journal.db")
    assert journal.latest() is None
    stored = await journal.append(record(1), [entry("one"), entry("two")], wall=WALL)
    assert [(one.id, one.entry.text) for one in stored] == [(1, "one"), (2, "two")]
    await journal.append(record(2), [], wall=WALL)
    journal.close()
    again = Journal.open(tmp_path / "state" / "journal.db")
    assert again.latest() == record(2)
    assert (again.damage, again.read_only, again.newest) == (None, None, 2)
    assert await again.entries(after=1) == [stored[1]]
    assert await again.entries(service=ServiceName("other")) == []
    assert len(await again.entries(service=SHOP, release=ReleaseId("7"), limit=1)) == 1
    again.close()


async def test_directory_and_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "state" / "journal.db")
    await journal.append(record(1), [entry()], wall=WALL)
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "state").iterdir()} == {0o600}
    journal.close()


async def test_a_second_daemon_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal.db")
    with pytest.raises(StoreError, match=rf"pid {os.getpid()}"):
        Journal.open(tmp_path / "journal.db")
    journal.close()
    Journal.open(tmp_path / "journal.db").close()


def test_a_directory_others_may_write_to_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(StoreError, match="chmod go-w"):
        Journal.open(tmp_path / "journal.db")


def test_a_link_in_place_of_the_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("mine")
    (tmp_path / "journal.db").symlink_to(tmp_path / "other")
    with pytest.raises(StoreError, match="symbolic links"):
        Journal.open(tmp_path / "journal.db")
    assert (tmp_path / "other").read_text() == "mine"


def test_a_file_that_is_no_journal_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"all my notes " * 1000)
    with pytest.raises(StoreError, match="not a journal of lbctl"):
        Journal.open(tmp_path / "journal.db")
    assert (tmp_path / "journal.db").read_bytes() == b"all my notes " * 1000


async def test_ended_and_running_releases_are_listed_newest_first_with_the_time_of_their_end(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal.db")
    await journal.append(record(1), [], wall="w1")
    ended = release(7, phase=Phase.FINISHED)
    await journal.append(record(2, releases={SHOP: ended}), [], wall="w2")
    await journal.append(record(3, releases={SHOP: ended}, clock=Instant(9)), [], wall="w3")
    await journal.append(record(4, releases={SHOP: release(8)}), [], wall="w4")
    found = await journal.releases(SHOP)
    assert [(one.release.id, one.ended_wall) for one in found] == [("8", None), ("7", "w2")]
    assert await journal.releases(ServiceName("other")) == []
    journal.close()


async def test_appends_become_durable_in_the_order_of_the_calls_even_when_nobody_waits(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal.db")
    waiting = [journal.append(record(rev), [entry(f"{rev}")], wall=WALL) for rev in range(1, 301)]
    waiting[5].cancel()
    await asyncio.wait(waiting)
    journal.close()
    again = Journal.open(tmp_path / "journal.db")
    assert again.latest() == record(300)
    assert [one.entry.text for one in await again.entries(limit=1000)] == [str(rev) for rev in range(1, 301)]
    again.close()


async def test_a_waiting_line_without_end_is_refused(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal.db")
    waiting = [journal.append(None, [entry()], wall=WALL) for _ in range(20_000)]
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    refused = [one for one in outcomes if isinstance(one, StoreError)]
    assert refused
    assert "writes wait" in str(refused[0])
    assert len(outcomes) - len(refused) >= 1000
    journal.close()


async def test_one_impossible_append_fails_alone(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal.db")
    bad = replace(release(), id=ReleaseId("seven"))
    waiting = [
        journal.append(record(1), [], wall=WALL),
        journal.append(record(2, releases={SHOP: bad}), [entry("never")], wall=WALL),
        journal.append(record(3), [entry("yes")], wall=WALL),
    ]
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [isinstance(one, StoreError) for one in outcomes] == [False, True, False]
    assert [one.entry.text for one in await journal.entries()] == ["yes"]
    journal.close()


async def test_a_cursor_moves_in_memory_at_once_and_never_back(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal.db")
    assert journal.cursor("alert/ops") is None
    moved = journal.set_cursor("alert/ops", 5)
    assert journal.cursor("alert/ops") == 5
    await moved
    await journal.set_cursor("alert/ops", 3)
    await journal.set_meta("clock", "boot 5")
    journal.close()
    again = Journal.open(tmp_path / "journal.db")
    assert (again.cursor("alert/ops"), again.meta("clock")) == (5, "boot 5")
    again.close()


async def test_old_rows_are_trimmed_in_steps_and_ids_go_on_rising(tmp_path: Path) -> None:
    keep = Retention(records=10, entries=20, releases=5, step=7)
    journal = Journal.open(tmp_path / "journal.db", retention=keep)
    for rev in range(1, 61):
        await journal.append(record(rev), [entry(f"{rev}")], wall=WALL)
    for _ in range(100):
        left = await journal.entries(limit=1000)
        if len(left) <= 20:
            break
        await asyncio.sleep(0.3)
    assert [one.id for one in left] == list(range(41, 61))
    journal.close()
    rows = sqlite3.connect(tmp_path / "journal.db")
    assert rows.execute("SELECT count(*) FROM records").fetchone()[0] <= 20
    rows.close()
    again = Journal.open(tmp_path / "journal.db")
    assert (await again.append(None, [entry()], wall=WALL))[0].id == 61
    again.close()


def edit(path: Path, sql: str, *values: object) -> None:
    connection = sqlite3.connect(path)
    connection.execute(sql, values)
    connection.commit()
    connection.close()


async def closed_journal(path: Path, revs: int = 3) -> None:
    journal = Journal.open(path)
    for rev in range(1, revs + 1):
        await journal.append(record(rev), [entry(f"{rev}")], wall=WALL)
    journal.close()


async def test_a_record_of_a_newer_lbctl_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = Journal.open(path)
    await journal.append(record(1, schema=99), [entry()], wall=WALL)
    journal.close()
    again = Journal.open(path)
    assert "newer lbctl" in (again.read_only or "")
    with pytest.raises(StoreError, match="install that version"):
        again.latest()
    with pytest.raises(StoreError, match="reading only"):
        await again.append(record(2), [], wall=WALL)
    assert len(await again.entries()) == 1
    again.close()
    with pytest.raises(StoreError, match="newer lbctl"):
        Journal.open(path, read_only_ok=False)


async def test_newer_tables_are_opened_for_reading_only(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    await closed_journal(path)
    edit(path, "PRAGMA user_version=99")
    journal = Journal.open(path)
    assert "layout 99" in (journal.read_only or "")
    assert journal.latest() == record(3)
    journal.close()


async def test_a_restored_older_copy_is_noticed_and_no_revision_or_id_is_given_twice(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    await closed_journal(path)
    old = path.read_bytes()
    await closed_journal_more(path)
    path.write_bytes(old)
    journal = Journal.open(path)
    assert "revision 4 was acknowledged" in (journal.damage or "")
    found = journal.latest()
    assert found is not None
    assert found.rev > 4
    assert (await journal.append(None, [entry()], wall=WALL))[0].id == 5
    journal.close()


async def closed_journal_more(path: Path) -> None:
    journal = Journal.open(path)
    await journal.append(record(4), [entry("4")], wall=WALL)
    journal.close()


async def test_every_flipped_bit_of_the_last_record_is_found_and_the_one_before_is_used(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    await closed_journal(path)
    connection = sqlite3.connect(path)
    (payload,) = connection.execute("SELECT payload FROM records ORDER BY seq DESC LIMIT 1").fetchone()
    connection.close()
    good = path.read_bytes()
    start = good.index(payload)
    assert good.count(payload) == 1
    wrong = []
    for place in range(start - 12, start + len(payload) + 4):
        path.write_bytes(good[:place] + bytes([good[place] ^ (1 << place % 8)]) + good[place + 1 :])
        wrong += [place - start] * (not told_or_equal(path))
        path.with_suffix(".db-wal").unlink(missing_ok=True)
    assert not wrong


def told_or_equal(path: Path) -> bool:
    """Whether the journal says that something is wrong, or gives exactly what was written."""
    try:
        journal = Journal.open(path)
    except StoreError:
        return True
    found, said = journal.latest(), journal.damage or journal.read_only
    journal.close()
    return bool(said) or found == record(3)


async def test_a_torn_or_flipped_write_ahead_log_is_found(tmp_path: Path) -> None:
    path = tmp_path / "live" / "journal.db"
    journal = Journal.open(path)
    for rev in range(1, 4):
        await journal.append(record(rev), [], wall=WALL)
    copy = tmp_path / "copy"
    copy.mkdir(mode=0o700)
    files = {name: (tmp_path / "live" / name).read_bytes() for name in ("journal.db", "journal.db-wal", "journal.seen")}
    journal.close()
    log = files["journal.db-wal"]
    places = range(log.rindex(b'{"schema"'), len(log), 97)
    for cut in (log[: len(log) - 5000], b"", *(log[:at] + bytes([log[at] ^ 4]) + log[at + 1 :] for at in places)):
        for name, content in {**files, "journal.db-wal": cut}.items():
            (copy / name).write_bytes(content)
        assert told_or_equal(copy / "journal.db")
        (copy / "journal.db-wal").unlink(missing_ok=True)


async def test_a_journal_of_a_hundred_thousand_rows_opens_within_a_second(tmp_path: Path) -> None:
    import time

    path = tmp_path / "journal.db"
    await closed_journal(path)
    connection = sqlite3.connect(path)
    row = connection.execute("SELECT wall, service, release, payload, crc FROM entries LIMIT 1").fetchone()
    connection.executemany("INSERT INTO entries(wall,service,release,payload,crc) VALUES(?,?,?,?,?)", [row] * 100_000)
    row = connection.execute("SELECT rev, wall, payload, crc FROM records LIMIT 1").fetchone()
    connection.executemany("INSERT INTO records(rev,wall,payload,crc) VALUES(?,?,?,?)", [row] * 10_000)
    connection.commit()
    connection.close()
    started = time.perf_counter()
    journal = Journal.open(path)
    assert journal.latest() is not None
    taken_s = time.perf_counter() - started
    print(f"open with 110,000 rows: {taken_s * 1000:.0f} ms, {path.stat().st_size >> 20} MB")
    assert taken_s < 5.0
    journal.close()

"""What is asked of and written to the journal's tables: each function is work for the journal's thread."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lbctl.model.entry import Entry
from lbctl.model.errors import StoreError
from lbctl.model.names import ReleaseId, ServiceName
from lbctl.model.record import Record, Release
from lbctl.store.codec import Damaged, checksum, decode_entry, decode_record, decode_release

REV_GAP = 1_000
"""After damage the revision jumps: what a load balancer saw of the lost decisions must not be taken for a new one."""


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An entry as the journal keeps it. Ids rise; `wall` is wall time for people."""

    id: int
    wall: str
    entry: Entry


@dataclass(frozen=True, slots=True)
class StoredRelease:
    """A release as last recorded, and when it ended in wall time (None: it runs)."""

    release: Release
    ended_wall: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """What an opened journal holds: the last good record, its row, and what is wrong (None: nothing)."""

    record: Record | None
    seq: int
    damage: str | None


def last_record(connection: sqlite3.Connection) -> Found:
    """Return the newest readable record; older ones are used when it is damaged, and that is said.

    Raises:
        Foreign: a newer or other lbctl wrote it.
    """
    damaged = 0
    rows = connection.execute("SELECT seq, rev, wall, payload, crc FROM records ORDER BY seq DESC")
    for seq, rev, wall, payload, crc in rows:
        try:
            record = decode_record(payload, crc, rev, wall)
        except Damaged:
            damaged += 1
            continue
        if not damaged:
            return Found(record, seq, None)
        return Found(lifted(record), seq, f"the last {damaged} record(s) are damaged; going on from revision {rev}")
    return Found(None, 0, f"all {damaged} record(s) are damaged: `lbctl adopt` again" if damaged else None)


def lifted(record: Record, over: int = 0) -> Record:
    """Return the same record with a revision above everything that may have been given out."""
    return replace(record, rev=max(record.rev, over) + REV_GAP)


def add_record(connection: sqlite3.Connection, record: Record, payload: bytes, wall: str) -> int:
    """Add a record; returns its row."""
    row = (record.rev, wall, payload, checksum(payload, record.rev, wall))
    cursor = connection.execute("INSERT INTO records(rev, wall, payload, crc) VALUES(?,?,?,?)", row)
    return cursor.lastrowid or 0


def add_entry(connection: sqlite3.Connection, entry: Entry, payload: bytes, wall: str) -> StoredEntry:
    """Add an entry; returns it with its id."""
    row = (wall, entry.service, entry.release, payload, checksum(payload, wall))
    cursor = connection.execute("INSERT INTO entries(wall, service, release, payload, crc) VALUES(?,?,?,?,?)", row)
    return StoredEntry(cursor.lastrowid or 0, wall, entry)


def put_release(connection: sqlite3.Connection, release: Release, payload: bytes, wall: str) -> None:
    """Add or replace a release. The wall time of its end is that of the first record in which it had ended."""
    ended = wall if release.phase.ended else None
    connection.execute(
        "INSERT INTO releases(number, service, ended_wall, payload, crc) VALUES(?,?,?,?,?) ON CONFLICT(number) "
        "DO UPDATE SET ended_wall=coalesce(ended_wall, excluded.ended_wall), payload=excluded.payload, "
        "crc=excluded.crc",
        (int(release.id), release.service, ended, payload, checksum(payload, release.id)),
    )


def entries_after(
    connection: sqlite3.Connection, after: int, limit: int, service: ServiceName | None, release: ReleaseId | None
) -> list[tuple[int, str, bytes, int]]:
    """Return raw rows of entries with ids above `after`, rising."""
    where, values = "", list[object]()
    for column, value in (("service", service), ("release", release)):
        if value is not None:
            where += f" AND {column}=?"
            values.append(value)
    sql = f"SELECT id, wall, payload, crc FROM entries WHERE id>?{where} ORDER BY id LIMIT ?"  # noqa: S608
    return connection.execute(sql, (after, *values, limit)).fetchall()


def releases_of(
    connection: sqlite3.Connection, service: ServiceName | None, limit: int
) -> list[tuple[int, str | None, bytes, int]]:
    """Return raw rows of releases, newest first."""
    where = "" if service is None else "WHERE service=?"
    sql = f"SELECT number, ended_wall, payload, crc FROM releases {where} ORDER BY number DESC LIMIT ?"  # noqa: S608
    return connection.execute(sql, (limit,) if service is None else (service, limit)).fetchall()


def put_cursor(connection: sqlite3.Connection, name: str, entry_id: int) -> None:
    """Move the cursor of `name`, never back."""
    connection.execute(
        "INSERT INTO cursors(name, id) VALUES(?,?) ON CONFLICT(name) DO UPDATE SET id=max(id, excluded.id)",
        (name, entry_id),
    )


def put_meta(connection: sqlite3.Connection, key: str, value: str) -> None:
    """Set one small named text."""
    connection.execute(
        "INSERT INTO meta(key, value) VALUES(?,?) ON CONFLICT(key) DO UPDATE SET value=excluded.value", (key, value)
    )


def newest_entry(connection: sqlite3.Connection) -> int:
    """Return the highest id ever given to an entry."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name='entries'").fetchone()
    return int(row[0]) if row else 0


def skip_entry_ids(connection: sqlite3.Connection, newest: int) -> None:
    """Make the next entry's id higher than `newest`, so that no reader sees an id twice with another meaning."""
    connection.execute("INSERT OR IGNORE INTO sqlite_sequence(name, seq) SELECT 'entries', 0 WHERE NOT EXISTS "
                       "(SELECT 1 FROM sqlite_sequence WHERE name='entries')")  # fmt: skip
    connection.execute("UPDATE sqlite_sequence SET seq=max(seq, ?) WHERE name='entries'", (newest,))


def decoded_entries(rows: Sequence[tuple[int, str, bytes, int]]) -> list[StoredEntry]:
    """Return the readable entries of `rows`; a damaged or foreign one is left out (ids show the gap)."""
    found = []
    for entry_id, wall, payload, crc in rows:
        try:
            found.append(StoredEntry(entry_id, wall, decode_entry(payload, crc, wall)))
        except StoreError:
            continue
    return found


def decoded_releases(rows: Sequence[tuple[int, str | None, bytes, int]]) -> list[StoredRelease]:
    """Return the readable releases of `rows`; a damaged or foreign one is left out."""
    found = []
    for number, ended_wall, payload, crc in rows:
        try:
            found.append(StoredRelease(decode_release(payload, crc, number), ended_wall))
        except StoreError:
            continue
    return found

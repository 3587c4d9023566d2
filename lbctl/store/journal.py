"""The journal: decisions and what happened, durable before anything else follows from them.

Reading and writing happen in a thread of their own, never on the event loop. Used by one daemon at a time (locked).
"""

import asyncio
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lbctl.crash import Point, passing
from lbctl.model.entry import Entry
from lbctl.model.errors import StoreError
from lbctl.model.names import ReleaseId, ServiceName
from lbctl.model.record import Record
from lbctl.store import tables
from lbctl.store.codec import Foreign, encode, encode_entry
from lbctl.store.database import Database, Work
from lbctl.store.files import private_directory, take_lock
from lbctl.store.retention import Retention
from lbctl.store.tables import StoredEntry, StoredRelease
from lbctl.store.witness import Seen, Witness
from lbctl.store.writer import Job, Writer

BALLAST_BYTES = 1 << 20
READ_MAX = 1_000
"""Rows that one question returns at most."""
CLOSE_S = 2.0


class Journal:
    """An opened journal. Made by `Journal.open`.

    `damage` says what was lost or cut when it was opened, `read_only` why nothing can be written; None when all is
    well. Both are sentences for people: tell them, go on.
    """

    def __init__(self, path: Path, lock: int, retention: Retention, ballast_bytes: int) -> None:
        self._lock = lock
        self._database = Database(path, ballast_bytes)
        self._witness = Witness(path.with_suffix(".seen"))
        self._seen = Seen()
        self._latest: Record | None = None
        self._written: dict[ReleaseId, bytes] = {}
        self._closed = False
        self.damage: str | None = None
        self._load()
        self._writer = Writer(self._database, retention)

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        read_only_ok: bool = True,
        retention: Retention | None = None,
        ballast_bytes: int = BALLAST_BYTES,
    ) -> "Journal":
        """Open or make the journal at `path` (directory 0700, files 0600) and check it; blocks up to about a second.

        A newer or structurally damaged journal is opened for reading only, unless `read_only_ok` is False.

        Raises:
            StoreError: another lbctld has it open (the pid is named), wrong owner, not a journal, no room to open it.
        """
        path = Path(path)
        private_directory(path.parent)
        lock = take_lock(path.with_suffix(".lock"), "this journal")
        try:
            journal = cls(path, lock, retention or Retention(), ballast_bytes)
        except BaseException:
            os.close(lock)
            raise
        if journal.read_only and not read_only_ok:
            journal.close()
            raise StoreError(f"{path}: {journal.read_only}")
        return journal

    @property
    def read_only(self) -> str | None:
        """Why nothing can be written, for people; None when it can."""
        return self._database.read_only

    @property
    def newest(self) -> int:
        """The id of the last durable entry."""
        return self._seen.entry_id

    def latest(self) -> Record | None:
        """Return the last durable record; None in a new journal. After damage its revision is raised by a gap.

        Raises:
            StoreError: a newer or other lbctl wrote it: install that version again.
        """
        if self._latest is None and self.read_only and self._seen.seq:
            raise StoreError(f"{self._database.path}: {self.read_only}: install that version of lbctl again")
        return self._latest

    def append(
        self, record: Record | None, entries: Sequence[Entry] = (), *, wall: str
    ) -> "asyncio.Future[tuple[StoredEntry, ...]]":
        """Write a record and entries in one transaction; the result are the entries with their ids.

        Queued by the call itself, in the order of calls, before anything is awaited. Cancelling the future (as
        `asyncio.wait_for` does) does not cancel the write; use `asyncio.wait` or `shield` to hear of a late outcome.

        Raises (through the future):
            StoreError: not written: disk full, failed or read-only, or too much waits. Hold; a rollback goes on.
        """
        try:
            job = self._append_job(record, entries, wall)
        except StoreError as error:
            return _failed(error)
        return self._give(job)

    async def entries(
        self, after: int = 0, limit: int = 100, *, service: ServiceName | None = None, release: ReleaseId | None = None
    ) -> list[StoredEntry]:
        """Return up to `limit` (at most 1,000) entries with ids above `after`, rising. Raises StoreError."""
        limit = max(0, min(limit, READ_MAX))
        rows = await self._read(lambda db: tables.entries_after(db, after, limit, service, release))
        return tables.decoded_entries(rows)

    async def releases(self, service: ServiceName | None = None, limit: int = 100) -> list[StoredRelease]:
        """Return up to `limit` (at most 1,000) releases, running and ended, newest first. Raises StoreError."""
        limit = max(0, min(limit, READ_MAX))
        return tables.decoded_releases(await self._read(lambda db: tables.releases_of(db, service, limit)))

    def cursor(self, name: str) -> int | None:
        """Return how far the reader `name` has come; None: it has never been set."""
        return self._cursors.get(name)

    def set_cursor(self, name: str, entry_id: int) -> "asyncio.Future[None]":
        """Move the reader `name` to `entry_id`, never back. In memory it moves at once, whatever the disk says.

        Raises (through the future):
            StoreError: not durable: after a restart the reader may see the entries since the last durable move again.
        """
        self._cursors[name] = max(entry_id, self._cursors.get(name, entry_id))
        return self._write(lambda db: tables.put_cursor(db, name, entry_id))

    def meta(self, key: str) -> str | None:
        """Return a small named text beside the record, as the origin of the clock."""
        return self._meta.get(key)

    def set_meta(self, key: str, value: str) -> "asyncio.Future[None]":
        """Set a small named text. Raises StoreError through the future."""
        self._meta[key] = value
        return self._write(lambda db: tables.put_meta(db, key, value))

    def close(self) -> None:
        """Write what waits, close the files and give the lock back; at most 2 s, then the process's end does it."""
        if self._closed:
            return
        self._closed = True
        if self._writer.close(CLOSE_S):
            self._witness.close()
            os.close(self._lock)

    def _load(self) -> None:
        db = self._database.connection
        try:
            self._cursors: dict[str, int] = dict(db.execute("SELECT name, id FROM cursors"))
            self._meta: dict[str, str] = dict(db.execute("SELECT key, value FROM meta"))
            self._load_record(db)
        except sqlite3.DatabaseError as error:
            self._database.connection.close()
            raise StoreError(
                f"{self._database.path}: cannot be read ({error}): move it aside, start lbctld and `lbctl adopt` again"
            ) from error

    def _load_record(self, db: sqlite3.Connection) -> None:
        witness, newest = self._witness.last, tables.newest_entry(db)
        try:
            found = tables.last_record(db)
        except Foreign as foreign:
            self._database.read_only = self._database.read_only or str(foreign)
            self._seen = Seen(1, 0, newest)
            return
        self._latest, self.damage = found.record, found.damage
        if witness.seq > found.seq and not found.damage:
            self.damage = f"revision {witness.rev} was acknowledged, but the journal ends before it"
            self._latest = found.record and tables.lifted(found.record, witness.rev)
        if witness.entry_id > newest and not self.read_only:
            self.damage = self.damage or f"entries after {newest} were acknowledged, but are not in the journal"
            tables.skip_entry_ids(db, witness.entry_id)
        self._seen = Seen(found.seq, found.record.rev if found.record else 0, max(newest, witness.entry_id))

    def _append_job(self, record: Record | None, entries: Sequence[Entry], wall: str) -> Job:
        payload = encode(record) if record is not None else b""
        texts = {release.id: encode(release) for release in record.releases.values()} if record is not None else {}
        changed = [one for one in (record.releases.values() if record else ()) if self._differs(one.id, texts)]
        rows = [(entry, encode_entry(entry)) for entry in entries]

        def work(db: sqlite3.Connection) -> tuple[int, tuple[StoredEntry, ...]]:
            seq = tables.add_record(db, record, payload, wall) if record is not None else 0
            passing(Point.JOURNAL_BETWEEN)
            for release in changed:
                tables.put_release(db, release, texts[release.id], wall)
            return seq, tuple(tables.add_entry(db, entry, text, wall) for entry, text in rows)

        def after(result: tuple[int, tuple[StoredEntry, ...]]) -> tuple[StoredEntry, ...]:
            self._note(record, *result)
            self._written = texts if record is not None else self._written
            return result[1]

        return Job(work, writes=True, answer=asyncio.get_running_loop().create_future(), after=after)

    def _differs(self, release: ReleaseId, texts: dict[ReleaseId, bytes]) -> bool:
        return self._written.get(release) != texts[release]

    def _note(self, record: Record | None, seq: int, stored: tuple[StoredEntry, ...]) -> None:
        """In the journal's thread, durable and not yet acknowledged: remember it as seen."""
        newest = stored[-1].id if stored else self._seen.entry_id
        if record is None:
            self._seen = Seen(self._seen.seq, self._seen.rev, newest)
        else:
            self._seen = Seen(seq, record.rev, newest)
            self._latest = record
        self._witness.write(self._seen)
        passing(Point.JOURNAL_WITNESSED)

    def _give(self, job: Job) -> "asyncio.Future[Any]":
        if self.read_only:
            return _failed(StoreError(f"{self._database.path}: opened for reading only: {self.read_only}"))
        self._writer.give(job)
        return job.answer

    def _write(self, work: Work) -> "asyncio.Future[None]":
        return self._give(Job(work, writes=True, answer=asyncio.get_running_loop().create_future()))

    def _read(self, work: Work) -> "asyncio.Future[Any]":
        job = Job(work, writes=False, answer=asyncio.get_running_loop().create_future())
        self._writer.give(job)
        return job.answer


def _failed(error: StoreError) -> "asyncio.Future[Any]":
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    future.set_exception(error)
    return future

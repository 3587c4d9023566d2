"""The SQLite file under the journal: opened alone, checked, written in whole transactions. One thread at a time."""

import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lbctl.crash import Point, passing
from lbctl.model.errors import StoreError
from lbctl.store.ballast import Ballast
from lbctl.store.files import open_private

LAYOUT = 1
"""Version of the tables."""
APPLICATION = 0x6C626374
"""`lbct`: tells our file from any other SQLite database."""
PAGE_BYTES = 4_096
FILE_BYTES_MAX = 64 << 20

_TABLES = """
CREATE TABLE records(seq INTEGER PRIMARY KEY AUTOINCREMENT, rev INTEGER NOT NULL, wall TEXT NOT NULL,
                     payload BLOB NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE entries(id INTEGER PRIMARY KEY AUTOINCREMENT, wall TEXT NOT NULL, service TEXT, release TEXT,
                     payload BLOB NOT NULL, crc INTEGER NOT NULL);
CREATE INDEX entries_by_service ON entries(service, id);
CREATE INDEX entries_by_release ON entries(release, id);
CREATE TABLE releases(number INTEGER PRIMARY KEY, service TEXT NOT NULL, ended_wall TEXT,
                      payload BLOB NOT NULL, crc INTEGER NOT NULL);
CREATE INDEX releases_by_service ON releases(service, number);
CREATE TABLE cursors(name TEXT PRIMARY KEY, id INTEGER NOT NULL);
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL);
"""

Work = Callable[[sqlite3.Connection], Any]
"""One piece of a transaction. It may run twice (the first run rolled back), so it keeps nothing in between."""

_SENTENCES = {
    sqlite3.SQLITE_FULL: "no room left on the device: free some space there, writing goes on by itself",
    sqlite3.SQLITE_READONLY: "cannot be written: check the mount and the owner of the directory, then restart lbctld",
    sqlite3.SQLITE_BUSY: "another program has it open for writing: close that program",
    sqlite3.SQLITE_CORRUPT: "damaged: stop lbctld, move the file aside, start lbctld and run `lbctl adopt` again",
    sqlite3.SQLITE_NOTADB: "not a journal of lbctl: move it aside or name another state_dir",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened: check that the directory exists and belongs to lbctld's user",
    sqlite3.SQLITE_IOERR: "the disk failed to read or write: check the device (dmesg), then restart lbctld",
}


def told(path: Path, error: sqlite3.Error) -> StoreError:
    """Return the error for people: the file, what happened, and what to do."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return StoreError(f"{path}: {_SENTENCES.get(code, 'unexpected answer of SQLite: see the log')} ({error})")


class Database:
    """The file `path`. `read_only` says why nothing is written (a newer layout, damaged structure), else it is None."""

    def __init__(self, path: Path, ballast_bytes: int) -> None:
        self.path = path
        self.ballast = Ballast(path.with_suffix(".ballast"), ballast_bytes)
        self.read_only: str | None = None
        self.connection = self._open()
        if not self.read_only:
            self.ballast.restore()

    def commit(self, works: Sequence[Work]) -> list[Any]:
        """Do all of `works` in one durable transaction, or none. On a full disk the ballast is spent once.

        Raises:
            sqlite3.Error: nothing was written (a power loss right now may still keep it: read the last record).
        """
        try:
            return self._transaction(works)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_FULL:
                raise
            self.ballast.free()
            self._recycle()
            return self._transaction(works)

    def checkpoint(self) -> None:
        """Move the write-ahead log into the database so that its room is used again."""
        self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def log_bytes(self) -> int:
        """The size of the write-ahead log."""
        try:
            return os.stat(f"{self.path}-wal").st_size
        except OSError:
            return 0

    def used_share(self) -> float:
        """How much of the allowed size holds data, 0 to 1. Deleted rows leave room that is used again."""
        (pages,) = self.connection.execute("PRAGMA page_count").fetchone()
        (free,) = self.connection.execute("PRAGMA freelist_count").fetchone()
        return float((pages - free) * PAGE_BYTES / FILE_BYTES_MAX)

    def _transaction(self, works: Sequence[Work]) -> list[Any]:
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            passing(Point.JOURNAL_BEGUN)
            results = [work(self.connection) for work in works]
            passing(Point.JOURNAL_WRITTEN)
            self.connection.execute("COMMIT")
            passing(Point.JOURNAL_COMMITTED)
        except BaseException:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise
        return results

    def _recycle(self) -> None:
        try:
            self.checkpoint()
        except sqlite3.OperationalError:
            # Moving pages needs room too; the transaction is then tried with the ballast's room alone.
            return

    def _open(self) -> sqlite3.Connection:
        try:
            return self._prepared()
        except sqlite3.Error as error:
            # A disk that was full at the last end may leave no room even to make the log: the ballast is for that.
            if not self.ballast.free():
                raise told(self.path, error) from error
        try:
            return self._prepared()
        except sqlite3.Error as error:
            raise told(self.path, error) from error

    def _prepared(self) -> sqlite3.Connection:
        os.close(open_private(self.path))
        connection = sqlite3.connect(self.path, timeout=0.05, isolation_level=None, check_same_thread=False)
        try:
            self._configure(connection)
            self._check(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _configure(self, connection: sqlite3.Connection) -> None:
        # Exclusive: no shared-memory file, so a full disk cannot keep us from reading, and no one else may write.
        for pragma in (
            "locking_mode=EXCLUSIVE", f"page_size={PAGE_BYTES}", "journal_mode=WAL", "synchronous=FULL",
            "wal_autocheckpoint=0", "journal_size_limit=8388608", "trusted_schema=OFF", "cell_size_check=ON",
            "mmap_size=0", "temp_store=MEMORY", f"max_page_count={FILE_BYTES_MAX // PAGE_BYTES}",
        ):  # fmt: skip
            connection.execute(f"PRAGMA {pragma}").fetchall()

    def _check(self, connection: sqlite3.Connection) -> None:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (layout,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if not tables:
            self._create(connection)
        elif application != APPLICATION:
            raise StoreError(f"{self.path}: {_SENTENCES[sqlite3.SQLITE_NOTADB]}")
        elif layout > LAYOUT:
            self.read_only = f"written by a newer lbctl (layout {layout}, this one knows {LAYOUT})"
        self.read_only = self.read_only or _structure_fault(connection)

    def _create(self, connection: sqlite3.Connection) -> None:
        connection.executescript(
            f"BEGIN;{_TABLES}PRAGMA application_id={APPLICATION};PRAGMA user_version={LAYOUT};COMMIT;"
        )


def _structure_fault(connection: sqlite3.Connection) -> str | None:
    try:
        (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        answer = str(error)
    if answer == "ok":
        return None
    return f"its structure is damaged ({answer}): stop lbctld, move it aside, start and `lbctl adopt` again"

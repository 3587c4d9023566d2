"""What the journal holds, read from a copy of it where no daemon answers. The journal itself is not opened."""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import msgspec

from lbctl.store import tables
from lbctl.store.codec import Foreign
from lbctl.store.database import FILE_BYTES_MAX
from lbctl.support.reading import CannotRead, read

Json = dict[str, Any]
LOG_BYTES_MAX = 64 << 20


@dataclass(frozen=True, slots=True)
class Past:
    """The last record, newest releases and newest events, as data. `damage` says what could not be read."""

    record: Json | None
    releases: list[Json]
    events: list[Json]
    damage: str = ""


def past(state_dir: str, releases_max: int, events_max: int) -> Past:
    """Return what the journal in `state_dir` holds. If a daemon writes it just now, rows that are torn are left out.

    Raises:
        CannotRead: there is none, or not for this user.
        sqlite3.Error: it is no journal, or damaged as a whole.
    """
    with _copied(os.path.join(state_dir, "journal.db")) as (db, cut):
        newest = tables.newest_entry(db)
        rows = tables.entries_after(db, max(0, newest - events_max), events_max, None, None)
        record, damage = _last(db)
        releases = tables.decoded_releases(tables.releases_of(db, None, releases_max))
        damage = "; ".join(filter(None, (damage, cut)))
        return Past(record, _plain(releases), _plain(tables.decoded_entries(rows)), damage)


def _last(db: sqlite3.Connection) -> tuple[Json | None, str]:
    try:
        found = tables.last_record(db)
    except Foreign as foreign:
        return None, str(foreign)
    return _plain(found.record), found.damage or ""


def _plain(value: object) -> Any:
    return msgspec.to_builtins(value, str_keys=True)


@contextmanager
def _copied(path: str) -> Iterator[tuple[sqlite3.Connection, str]]:
    """Yield a copy, and what is not in it."""
    with tempfile.TemporaryDirectory(prefix="lbctl-support-") as directory:
        copy = os.path.join(directory, "journal.db")
        cut = [_copy(path, copy, FILE_BYTES_MAX)]
        with suppress(CannotRead):
            cut.append(_copy(f"{path}-wal", f"{copy}-wal", LOG_BYTES_MAX))
        with closing(sqlite3.connect(copy, isolation_level=None)) as db:
            # Exclusive: no file of shared memory, which a copy does not have.
            db.execute("PRAGMA locking_mode=EXCLUSIVE").fetchall()
            db.execute("PRAGMA trusted_schema=OFF").fetchall()
            yield db, "; ".join(filter(None, cut))


def _copy(path: str, to: str, limit: int) -> str:
    """Copy a file, and say what of it was left out: the newest of a log is at its end."""
    raw = read(path, limit + 1)
    with open(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as stream:
        stream.write(raw[:limit])
    return f"only the first {limit} bytes of {path} were read: the newest may be missing" if len(raw) > limit else ""

"""What the journal holds, read from a copy of it where no daemon answers. The journal itself is not opened."""

import os
import sqlite3
from dataclasses import dataclass
from typing import Any

import msgspec

from lbctl.store import tables
from lbctl.store.codec import Foreign
from lbctl.store.copied import copied
from lbctl.support.reading import CannotRead

Json = dict[str, Any]


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
    path = os.path.join(state_dir, "journal.db")
    try:
        with copied(path) as (db, cut):
            return _read(db, cut, releases_max, events_max)
    except OSError as error:
        raise CannotRead(f"{path}: {error.strerror or error}") from None


def _read(db: sqlite3.Connection, cut: str, releases_max: int, events_max: int) -> Past:
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

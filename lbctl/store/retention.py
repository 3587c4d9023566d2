"""How much the journal keeps. Trimmed in small steps while nothing waits to be written."""

import sqlite3
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Retention:
    """The newest rows kept of each table, and how many are removed in one step."""

    records: int = 10_000
    entries: int = 100_000
    releases: int = 5_000
    step: int = 500


TABLES = (("records", "seq"), ("entries", "id"), ("releases", "number"))
SHARE_MAX = 0.75
"""From this part of the allowed file size on, the oldest rows go even if their number is in bounds."""
FLOOR = 100
"""Rows of each table that are kept however large they are."""


def trim(connection: sqlite3.Connection, keep: Retention, used_share: float) -> int:
    """Remove at most one step of the oldest rows of each table; returns how many went."""
    removed = 0
    for table, key in TABLES:
        # Two questions, because SQLite answers either from the end of the tree but both by reading all of it.
        (oldest,) = connection.execute(f"SELECT min({key}) FROM {table}").fetchone()  # noqa: S608
        (newest,) = connection.execute(f"SELECT max({key}) FROM {table}").fetchone()  # noqa: S608
        if oldest is None:
            continue
        bound = newest - getattr(keep, table)
        if used_share > SHARE_MAX:
            bound = max(bound, min(oldest + keep.step, newest - FLOOR))
        upto = min(bound, oldest + keep.step - 1)
        removed += connection.execute(f"DELETE FROM {table} WHERE {key}<=?", (upto,)).rowcount  # noqa: S608
    return removed

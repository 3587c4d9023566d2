"""A copy of a journal, for whoever only reads: the journal itself is not opened, locked or put in order."""

import os
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

from lbctl.store.database import FILE_BYTES_MAX

LOG_BYTES_MAX = 64 << 20


@contextmanager
def copied(path: str) -> Iterator[tuple[sqlite3.Connection, str]]:
    """Yield the opened copy, and what is not in it. If a daemon writes the journal just now, some of it may be torn.

    Raises:
        OSError: there is none, or not for this user.
    """
    with tempfile.TemporaryDirectory(prefix="lbctl-") as directory:
        copy = os.path.join(directory, "journal.db")
        cut = [_copy(path, copy, FILE_BYTES_MAX)]
        try:
            with suppress(FileNotFoundError):
                cut.append(_copy(f"{path}-wal", f"{copy}-wal", LOG_BYTES_MAX))
        except OSError as error:
            cut.append(f"{path}-wal cannot be read ({error.strerror}): the newest may be missing")
        with closing(sqlite3.connect(copy, isolation_level=None)) as db:
            # Exclusive: no file of shared memory, which a copy does not have.
            db.execute("PRAGMA locking_mode=EXCLUSIVE").fetchall()
            db.execute("PRAGMA trusted_schema=OFF").fetchall()
            yield db, "; ".join(filter(None, cut))


def _copy(path: str, to: str, limit: int) -> str:
    """Copy a file, and say what of it was left out: the newest of a log is at its end."""
    # O_NONBLOCK, so that a pipe in the file's place cannot hold us up.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW), "rb") as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise OSError(0, "not a regular file", path)
        raw = stream.read(limit + 1)
    with open(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as stream:
        stream.write(raw[:limit])
    return f"only the first {limit} bytes of {path} were read: the newest may be missing" if len(raw) > limit else ""

"""What became of a build that a pipeline said is ready: it waits, it goes or went with a release, or it left the board.

The order of things is that of the board: a build that stands on it waits, whatever it did before; else the newest of
its releases counts, unless the journal tells of something newer. The journal is read backwards, and only then.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from lbctl.core.ready import waiting
from lbctl.core.state import State
from lbctl.model.entry import Entry, Kind
from lbctl.model.errors import Refused
from lbctl.model.names import ServiceName
from lbctl.model.record import Release
from lbctl.store.tables import StoredEntry, StoredRelease

Json = dict[str, Any]
Read = Callable[[int, int], Awaitable[Sequence[StoredEntry]]]
"""(after, limit) → entries with ids above `after`, rising."""

PAGE = 1_000
PAGES_MAX = 20
"""A build that the last 20,000 entries do not name is not known any more."""
LEFT = {Kind.POOL_CLAIMED: "superseded", Kind.VERSION_READY: "superseded", Kind.VERSION_WITHDRAWN: "withdrawn"}
"""What the newest entry about a build says of it, once it is neither on the board nor in a later release."""


async def fate(state: State, build: str, stored: Sequence[StoredRelease], newest_id: int, read: Read) -> Json:
    """Return `word` (waiting, released, superseded, withdrawn, refused), and of what: service, version, release, text.

    `stored` are the journal's releases, newest first; `newest_id` is the id of its last entry.

    Raises:
        Refused: nobody said that such a build is ready, or it is long ago.
    """
    on_board = _on_board(state, build)
    if on_board is not None:
        return on_board
    found = next((one for one in _releases(state, stored) if build in _builds(one)), None)
    if found is not None and not found.phase.ended:
        return _released(found, build)
    entry = await _last_word(build, found, newest_id, read)
    if entry is not None:
        return _left(entry, build)
    if found is not None:
        return _released(found, build)
    what = f"nobody said that build {build} is ready"
    then = f"lbctl release ready UNIT --service SERVICE --version V --build {build}"
    raise Refused("no_such_build", what, why="the board, the releases and the journal do not name it", then=then,
                  exit_code=7)  # fmt: skip


def _answer(word: str, build: str, **more: str | None) -> Json:
    nothing: Json = {"service": None, "unit": None, "version": None, "release": None, "text": ""}
    return {"word": word, "build": build, **nothing, **more}


def _on_board(state: State, build: str) -> Json | None:
    found = [name for name, ready in state.record.board.items() if ready.build == build]
    if not found:
        return None
    reasons = [_reason(state, name) for name in found]
    version = state.record.board[found[0]].version
    return _answer("waiting", build, service=found[0], version=version, text="; ".join(dict.fromkeys(reasons)))


def _reason(state: State, name: ServiceName) -> str:
    if name not in state.topology.services:
        return f"{name} is not in the config"
    return waiting(state, state.topology.unit_of(name)).get(name, "")


def _releases(state: State, stored: Iterable[StoredRelease]) -> list[Release]:
    """Return all known releases, newest first; the record's own version of one is newer than the journal's row."""
    known = {one.release.id: one.release for one in stored}
    known |= {one.id: one for one in state.record.releases.values()}
    return sorted(known.values(), key=lambda one: int(one.id), reverse=True)


def _builds(release: Release) -> set[str]:
    return {member.build for member in release.members.values()}


def _released(release: Release, build: str) -> Json:
    name, member = next((name, one) for name, one in release.members.items() if one.build == build)
    about = {"service": name, "unit": release.unit_name, "version": member.version}
    return _answer("released", build, release=release.id, text=release.outcome, **about)


async def _last_word(build: str, release: Release | None, newest_id: int, read: Read) -> Entry | None:
    """Return the newest entry about a build that is newer than the start of its last release."""
    for page in range(PAGES_MAX):
        low = newest_id - PAGE * (page + 1)
        entries = [one.entry for one in await read(max(0, low), PAGE)]
        for entry in reversed(entries):
            if release is not None and _starts(entry, release):
                return None
            if entry.kind in LEFT and build in _named(entry):
                return entry
        if low <= 0:
            break
    return None


def _starts(entry: Entry, release: Release) -> bool:
    """Whether an entry is the start of a release, or older than that."""
    return (entry.kind is Kind.RELEASE_STARTED and entry.release == release.id) or entry.at < release.started_at


def _named(entry: Entry) -> list[str]:
    """Return the builds that an entry speaks of: one that became ready, those that left the board."""
    key = "superseded" if entry.kind is Kind.POOL_CLAIMED else "build"
    return str(entry.data.get(key, "")).split()


def _left(entry: Entry, build: str) -> Json:
    word = "refused" if entry.data.get("code") else LEFT[entry.kind]
    text = entry.text if entry.kind is not Kind.VERSION_READY else f"a later build of {entry.service} took its place"
    return _answer(word, build, service=entry.service, text=text)

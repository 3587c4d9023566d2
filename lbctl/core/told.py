"""The numbers that every entry about a running release is told with, whichever rule spoke. Pure."""

from collections.abc import Iterable
from dataclasses import replace

from lbctl.core.judge import Verdict
from lbctl.core.judge.wording import figures
from lbctl.core.state import State
from lbctl.model.entry import Entry
from lbctl.model.record import Phase, Release
from lbctl.model.units import since


def with_numbers(state: State, entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Return the entries with how long the release has run and what was last judged of both pools.

    What an entry says itself stays. `state` is as it was when they were decided.
    """
    running = {release.id: release for release in state.record.releases.values()}
    return tuple(one if one.release not in running else _numbered(state, running[one.release], one) for one in entries)


def _numbered(state: State, release: Release, entry: Entry) -> Entry:
    known = {"duration_ms": since(release.started_at, entry.at), **figures(_judged(state, release))}
    return replace(entry, data={**known, **entry.data})


def _judged(state: State, release: Release) -> Verdict | None:
    """Return the last word about it: on the way back nothing more is judged, and what led there is still of use."""
    progress = state.progress.get(release.id)
    if progress is None or release.phase in {Phase.PREFLIGHT, Phase.AWAITING_APPROVAL}:
        return None
    return progress.verdict or progress.judged_before

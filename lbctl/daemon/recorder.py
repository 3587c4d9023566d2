"""Writes down what the judge is told, tick by tick, for `lbctl replay`. Nothing is decided by it."""

from collections.abc import Mapping

import structlog

from lbctl import about
from lbctl.core.evidence import settings
from lbctl.core.judge import Account, Settings, Verdict
from lbctl.core.state import Progress, State
from lbctl.model.errors import StoreError
from lbctl.model.names import ReleaseId, ServiceName
from lbctl.model.record import Release
from lbctl.model.topology import Topology
from lbctl.model.units import Instant
from lbctl.store.recording import VERSION, Judged, Opening, Recordings, checksum

log = structlog.get_logger("lbctl.recorder")


class Recorder:
    """The recordings of the running releases. What cannot be written is logged once and not tried again."""

    def __init__(self, recordings: Recordings) -> None:
        self._recordings = recordings
        self._settings: dict[ReleaseId, Mapping[ServiceName, Settings]] = {}
        self._sampled_at: dict[ReleaseId, Instant] = {}
        self._begun: dict[ReleaseId, Mapping[ServiceName, Account]] = {}
        self._steps: dict[ReleaseId, int] = {}

    def keep(self, state: State, now: Instant) -> None:
        """Write what was judged in the tick that just ended."""
        for release in state.record.releases.values():
            progress = state.progress.get(release.id)
            if progress is None:
                continue
            if self._begun.get(release.id) is not progress.opened:
                self._begun[release.id] = progress.opened
                self._steps[release.id] = self._steps.get(release.id, 0) + 1
            if progress.sampled_at is not None and progress.sampled_at != self._sampled_at.get(release.id):
                self._sampled_at[release.id] = progress.sampled_at
                self._write(release, progress, state.topology, now)
        running = {one.id for one in state.record.releases.values() if not one.phase.ended}
        ended = self._begun.keys() - running
        for kept in (self._settings, self._sampled_at, self._begun, self._steps):
            for release_id in ended:
                kept.pop(release_id, None)
        if ended:
            self._closed(running)

    def _write(self, release: Release, progress: Progress, topology: Topology, now: Instant) -> None:
        judged = {name: settings(topology.services[name].judge, release) for name in release.members}
        try:
            if self._settings.get(release.id) != judged:
                self._settings[release.id] = judged
                self._recordings.write(release.id, _opening(release, progress, judged, now))
            self._recordings.write(release.id, _judged(progress, self._steps.pop(release.id, 0), now))
        except StoreError as error:
            log.warning("recording.ended", release=release.id, reason=str(error))

    def close(self) -> None:
        """Write what waits: lbctld ends."""
        self._closed(set())

    def _closed(self, running: set[ReleaseId]) -> None:
        try:
            self._recordings.close(running)
        except (OSError, StoreError) as error:
            log.warning("recording.unswept", reason=str(error))


def _opening(release: Release, progress: Progress, judged: Mapping[ServiceName, Settings], now: Instant) -> Opening:
    return Opening(
        version=VERSION,
        lbctl=about.VERSION,
        release=release.id,
        at=now,
        settings=judged,
        accounts={name: account.to_json() for name, account in progress.opened.items()},
    )


def _judged(progress: Progress, steps: int, now: Instant) -> Judged:
    said = {name: _word(progress.verdicts[name]) for name in progress.samples}
    return Judged(at=now, steps=steps, samples=progress.samples, said=said)


def _word(verdict: Verdict) -> tuple[str, str, int]:
    return verdict.word.value, verdict.code, checksum(verdict)

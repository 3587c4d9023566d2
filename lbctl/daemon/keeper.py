"""Saves what the judge knows and who called whom, so that a restart neither multiplies the budget of false alarms nor
forgets a service, nor a call against a pin."""

from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

import structlog

from lbctl.core import judge
from lbctl.core.matrix import Tally
from lbctl.core.matrix_kept import plain, recalled
from lbctl.core.state import Progress, State
from lbctl.daemon.recorder import Recorder
from lbctl.model.errors import StoreError
from lbctl.model.names import ReleaseId, ServiceName
from lbctl.model.record import Phase, Record, Release
from lbctl.model.topology import Topology
from lbctl.model.units import MINUTE, SECOND, Instant, since
from lbctl.store.kept import KeptFiles

log = structlog.get_logger("lbctl.keeper")

Known = TypeVar("Known")
LEARNED_EVERY = MINUTE
"""What is learned of a service changes slowly; losing a minute of it is nothing."""
MATRIX_EVERY = 10 * SECOND
"""Of one process of a load balancer nothing is lost that way: its counts go on from those that were saved."""


class Keeper:
    """The account of every moving release at every tick, once a minute what was learned, and who called whom; that at
    once if a call was against its pin, or was nobody's. No fsync."""

    def __init__(
        self, accounts: KeptFiles, learned: KeptFiles, matrix: KeptFiles, recorder: Recorder | None = None
    ) -> None:
        self._recorder = recorder
        self._accounts = accounts
        self._learned = learned
        self._matrix = matrix
        self._learned_at: Instant | None = None
        self._matrix_at: Instant | None = None
        self._grave: Mapping[ServiceName, object] = {}
        self._trouble = ""

    def keep(self, state: State, now: Instant) -> None:
        """Save; what cannot be saved is logged once until it can."""
        for release in state.record.releases.values():
            progress = state.progress.get(release.id)
            if progress is not None and release.phase in {Phase.SHIFTING, Phase.BAKING}:
                self._save(self._accounts, release.id, _documents(release, progress))
        if self._learned_at is None or since(self._learned_at, now) >= LEARNED_EVERY:
            self._learned_at = now
            for name, learned in state.learned.items():
                if learned.known_s:
                    self._save(self._learned, name, learned.to_json())
        self._keep_matrix(state.matrix, now)
        if self._recorder is not None:
            self._recorder.keep(state, now)

    def _keep_matrix(self, matrix: Mapping[ServiceName, Tally], now: Instant) -> None:
        grave = {name: (one.release, dict(one.wrong), bool(one.unknown)) for name, one in matrix.items()}
        due = self._matrix_at is None or since(self._matrix_at, now) >= MATRIX_EVERY
        if due or grave != self._grave:
            self._matrix_at, self._grave = now, grave
            for name, tally in matrix.items():
                self._save(self._matrix, name, plain(tally))

    def _save(self, files: KeptFiles, name: str, document: Mapping[str, object]) -> None:
        try:
            files.save(name, document)
            self._trouble = ""
        except StoreError as error:
            if str(error) != self._trouble:
                log.warning("memory.unsaved", name=name, reason=str(error))
            self._trouble = str(error)


def _documents(release: Release, progress: Progress) -> dict[str, object]:
    """Return the accounts of a release, by service."""
    accounts = {release.service: progress.account, **progress.followers}
    return {str(name): account.to_json() for name, account in accounts.items()}


def accounts_before(record: Record, files: KeptFiles) -> dict[ReleaseId, dict[ServiceName, judge.Account]]:
    """Return the judge's accounts of running releases as an earlier process left them; a lost one is told."""
    found: dict[ReleaseId, dict[ServiceName, judge.Account]] = {}
    _swept(files, {one.id for one in record.releases.values() if not one.phase.ended})
    for release in record.releases.values():
        if release.phase.ended:
            continue
        loaded = files.load(release.id)
        try:
            if loaded.document is not None:
                found[release.id] = {
                    ServiceName(name): judge.Account.from_json(one) for name, one in loaded.document.items()
                }
                continue
            reason = loaded.reason
        except ValueError as error:
            reason = str(error)
        if release.peak_bp:
            log.warning("account.lost", release=release.id, reason=reason)
    return found


def learned_before(topology: Topology, files: KeptFiles) -> dict[ServiceName, judge.Learned]:
    """Return what earlier processes learned of the services; what is lost is learned anew."""
    return _before(topology, files, judge.Learned.from_json, "learned.lost")


def tallies_before(topology: Topology, files: KeptFiles, now: Instant) -> dict[ServiceName, Tally]:
    """Return who called whom as earlier processes counted it; what is lost is counted anew."""
    return _before(topology, files, lambda document: recalled(document, now), "matrix.lost")


def _before(
    topology: Topology, files: KeptFiles, read: Callable[[Mapping[str, object]], Known], lost: str
) -> dict[ServiceName, Known]:
    """Return what was kept of each service; `lost` is the event that tells of a file which cannot be read."""
    found: dict[ServiceName, Known] = {}
    _swept(files, topology.services)
    for name in topology.services:
        loaded = files.load(name)
        if loaded.document is None:
            continue
        try:
            found[name] = read(loaded.document)
        except ValueError as error:
            log.warning(lost, service=name, reason=str(error))
    return found


def _swept(files: KeptFiles, wanted: Collection[str]) -> None:
    """Remove what nobody needs any more: files of releases that ended, and of services that are gone."""
    try:
        files.sweep(wanted)
    except StoreError as error:
        log.warning("memory.unswept", reason=str(error))

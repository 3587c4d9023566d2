"""What happened, counted where it happens: at durable entries, at writes of load balancers, at probes, at decisions."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from lbctl.daemon.metrics.catalogue import BACK_S, LAG_S, PROBE_S, RELEASE_S, WRITE_S
from lbctl.daemon.metrics.counts import Histogram
from lbctl.model.entry import Entry, Kind
from lbctl.model.names import InstanceName, ReleaseId
from lbctl.model.operation import Result
from lbctl.model.record import By, Record, Release
from lbctl.model.units import Instant
from lbctl.probe.port import OnResults, ProbeResult
from lbctl.store.tables import StoredEntry

WAYS_BACK_MAX = 100
"""Ways back under way: one for each unit at most, and what a journal that failed left behind."""
PROBE_WORDS = {True: "good", False: "bad", None: "unknown"}
ENDS = {Kind.ROLLBACK_FINISHED: "rolled_back", Kind.RELEASE_CANCELLED: "cancelled"}


class Counted:
    """Counts since the daemon was started. `record` is the newest one: it knows an entry's release and unit."""

    def __init__(self, record: Callable[[], Record]) -> None:
        self._record = record
        self._back_since: dict[ReleaseId, Instant] = {}
        self.releases: Counter[tuple[str, str]] = Counter()
        self.rollbacks: Counter[tuple[str, str]] = Counter()
        self.writes: Counter[tuple[str, str]] = Counter()
        self.probes: Counter[str] = Counter(dict.fromkeys(PROBE_WORDS.values(), 0))
        self.release_s: dict[tuple[str, ...], Histogram] = {}
        self.write_s: dict[str, Histogram] = {}
        self.rollback_s = Histogram(BACK_S)
        self.probe_s = Histogram(PROBE_S)
        self.lag_s = Histogram(LAG_S)

    def told(self, entries: Iterable[StoredEntry]) -> None:
        """Count what became durable."""
        for stored in entries:
            entry = stored.entry
            if entry.kind is Kind.ROLLBACK_STARTED:
                self._back_started(entry)
            elif entry.kind is Kind.RELEASE_FINISHED or entry.kind in ENDS:
                self._ended(entry)

    def wrote(self, instance: InstanceName, result: Result, took_s: float) -> None:
        """Count a change of a load balancer."""
        self.writes[instance, result.status.value] += 1
        self.write_s.setdefault(instance, Histogram(WRITE_S)).add(took_s)

    def probed(self, results: Sequence[ProbeResult]) -> None:
        """Count a batch of health checks. Called for each of them all the time: no more than a few steps each."""
        for result in results:
            self.probes[PROBE_WORDS[result.ok]] += 1
            if result.ok is not None:
                self.probe_s.add(result.latency_ms / 1_000)

    def beside(self, heard: OnResults) -> OnResults:
        """Return `heard`, with every batch counted after it."""

        def both(results: Sequence[ProbeResult]) -> None:
            heard(results)
            self.probed(results)

        return both

    def after(self, ticked: Callable[[], None]) -> Callable[[float], None]:
        """Return `ticked` for the loop, with every decision counted: how long after it was due it was made."""

        def both(lag_s: float) -> None:
            ticked()
            self.lag_s.add(lag_s)

        return both

    def _back_started(self, entry: Entry) -> None:
        by_itself = entry.data.get("by") == By.ITSELF.value
        cause = str(entry.data.get("code", "unknown")) if by_itself else "person"
        release = self._release(entry)
        self.rollbacks[_unit(entry, release), cause] += 1
        if entry.release is not None and len(self._back_since) < WAYS_BACK_MAX:
            self._back_since[entry.release] = entry.at

    def _ended(self, entry: Entry) -> None:
        release = self._release(entry)
        unit, result = _unit(entry, release), ENDS.get(entry.kind) or str(entry.data.get("outcome", "certified"))
        self.releases[unit, result] += 1
        if release is not None:
            took = self.release_s.setdefault((unit, result), Histogram(RELEASE_S))
            took.add((entry.at - release.started_at) / 1_000)
        began = self._back_since.pop(entry.release, None) if entry.release is not None else None
        if began is not None and result == "rolled_back":
            self.rollback_s.add((entry.at - began) / 1_000)

    def _release(self, entry: Entry) -> Release | None:
        return next((one for one in self._record().releases.values() if one.id == entry.release), None)


def _unit(entry: Entry, release: Release | None) -> str:
    return str(entry.service or "") if release is None else release.unit_name

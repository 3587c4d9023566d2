"""The answer to `GET /metrics`: all samples gathered, in the order of the catalogue, as Prometheus' text."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from lbctl.about import VERSION
from lbctl.core.situation import situations
from lbctl.core.state import State
from lbctl.daemon.ending import RESULTS
from lbctl.daemon.metrics import catalogue
from lbctl.daemon.metrics.catalogue import METRICS, Kind
from lbctl.daemon.metrics.counted import Counted
from lbctl.daemon.metrics.counts import Histogram
from lbctl.daemon.metrics.pools import Sample, service_samples
from lbctl.daemon.metrics.requests import Requests
from lbctl.daemon.metrics.units import unit_samples
from lbctl.daemon.ports import Alerts, Now, Silences
from lbctl.model.reading import InstanceReading

AT_ONCE = 200
"""So many samples are gathered before a decision that is due has its turn."""
FRESH_MS = 1_000
"""Scrapers that come one after another within a second get the same text."""
CAUSES = ("errors", "latency", "candidate_dead", "wrong_cell", "hook", "deadline", "person")
"""Shown from the start, so that the first one is an increase."""

Histograms = Mapping[tuple[str, ...], Histogram]
Found = dict[str, list[tuple[tuple[str, ...], float]]]
"""Samples by the name of their metric: label values and value."""


class Metrics:
    """Draws the text from the state as it is. With thousands of servers that takes a tenth of a second: it is gathered
    piece by piece and written by a thread, so that no decision waits for who scrapes."""

    def __init__(
        self,
        *,
        state: Callable[[], State],
        counted: Counted,
        alerts: Callable[[], Alerts],
        silences: Silences,
        now: Now,
    ) -> None:
        self._state = state
        self._counted = counted
        self._alerts = alerts
        self._silences = silences
        self._now = now
        self._requests = Requests()
        self._drawing = asyncio.Lock()
        self._drawn: tuple[int, bytes] | None = None

    async def text(self) -> bytes:
        """Return the text, at most a second old."""
        async with self._drawing:
            now = self._now()
            if self._drawn is None or now - self._drawn[0] >= FRESH_MS:
                found = await self._found()
                histograms = {one.name: one for one in self._histograms()}
                self._drawn = (now, await asyncio.to_thread(_written, found, histograms))
            return self._drawn[1]

    async def _found(self) -> Found:
        state = self._state()
        self._requests.look(state)
        found: Found = {}
        for count, (name, labels, value) in enumerate(self._samples(state), 1):
            found.setdefault(name, []).append((labels, value))
            if not count % AT_ONCE:
                await asyncio.sleep(0)
        return found

    def _samples(self, state: State) -> Iterator[Sample]:
        now = self._now()
        here = situations(state, now)
        yield "lbctl_build_info", (VERSION,), 1.0
        yield "lbctl_leader", (), 1.0
        yield "lbctl_journal_up", (), float(not state.journal_error)
        for name, service in state.topology.services.items():
            yield from service_samples(state, service, here.get(name), now)
        units = {unit.name: unit for unit in map(state.topology.unit_of, state.topology.services)}
        for unit in units.values():
            running = next((here[one] for one in unit.services if one in here), None)
            yield from unit_samples(state, unit, running, now)
        for instance in (one.name for plane in state.topology.planes.values() for one in plane.instances):
            up = isinstance(state.observed.instances.get(instance), InstanceReading)
            yield "lbctl_backend_up", (instance,), float(up)
        yield from self._counters(list(units))
        yield from self._watch(state)

    def _counters(self, units: list[str]) -> Iterator[Sample]:
        counted = self._counted
        ended = dict.fromkeys(((unit, result) for unit in units for result in RESULTS), 0) | counted.releases
        back = dict.fromkeys(((unit, cause) for unit in units for cause in CAUSES), 0) | counted.rollbacks
        yield from (("lbctl_releases_total", labels, value) for labels, value in ended.items())
        yield from (("lbctl_rollbacks_total", labels, value) for labels, value in back.items())
        yield from (("lbctl_backend_writes_total", labels, value) for labels, value in [*counted.writes.items()])
        yield from (("lbctl_probes_total", (word,), value) for word, value in [*counted.probes.items()])
        for labels, (good, bad) in self._requests.counts().items():
            yield "lbctl_pool_requests_total", (*labels, "5xx"), bad
            yield "lbctl_pool_requests_total", (*labels, "other"), good

    def _watch(self, state: State) -> Iterator[Sample]:
        """How well lbctl itself sees and tells."""
        now, alerts = self._now(), self._alerts()
        for service, silence in self._silences(now).items():
            check = state.topology.services[service].health if service in state.topology.services else None
            if check is not None:
                yield "lbctl_probe_age_seconds", (service,), silence / 1_000
                yield "lbctl_probe_interval_seconds", (service,), check.interval / 1_000
        for channel, counts in alerts.counters().items():
            for result in ("sent", "failed", "dropped"):
                yield "lbctl_notifications_total", (channel, result), counts[result]
        yield "lbctl_outbox_oldest_seconds", (), alerts.oldest(now) / 1_000

    def _histograms(self) -> Iterator[Metric]:
        counted = self._counted
        found: dict[str, Histograms] = {
            "lbctl_release_duration_seconds": counted.release_s,
            "lbctl_rollback_latency_seconds": {(): counted.rollback_s},
            "lbctl_pool_request_duration_seconds": self._requests.times(),
            "lbctl_probe_duration_seconds": {(): counted.probe_s},
            "lbctl_backend_write_duration_seconds": {(name,): one for name, one in counted.write_s.items()},
            "lbctl_loop_lag_seconds": {(): counted.lag_s},
        }
        yield from (_histogram(metric, found[metric.name]) for metric in METRICS if metric.name in found)


def _written(found: Found, histograms: Mapping[str, Metric]) -> bytes:
    """Return the text of every family that has a sample, in the order of the catalogue."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(found, histograms))
    return generate_latest(registry)


@dataclass(frozen=True, eq=False)
class _Families:
    """What `generate_latest` asks."""

    found: Found
    histograms: Mapping[str, Metric]

    def collect(self) -> Iterator[Metric]:
        for metric in METRICS:
            if metric.name in self.histograms:
                yield self.histograms[metric.name]
            elif metric.name in self.found:
                yield _plain(metric, self.found[metric.name])


def _plain(metric: catalogue.Metric, samples: list[tuple[tuple[str, ...], float]]) -> Metric:
    form = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
    family = form(metric.name, metric.doc, labels=metric.labels)
    for labels, value in samples:
        family.add_metric(labels, value)
    return family


def _histogram(metric: catalogue.Metric, histograms: Histograms) -> Metric:
    family = HistogramMetricFamily(metric.name, metric.doc, labels=metric.labels)
    for labels, one in histograms.items():
        family.add_metric(labels, one.cumulated(), one.total)
    return family

"""What is learned of a service while nothing is released: how bursty, how busy, how good and how fast active is. Pure.

Everything fades, so that last month's traffic does not judge tonight's release, and everything is a handful of sums, so
that it can be kept over a restart.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lbctl.core.judge.codec import read, written
from lbctl.core.judge.latency import Speed, slow_counts
from lbctl.core.judge.terms import NO_COUNTS, SLOW, Counts, Stream, Terms
from lbctl.model import sketch

BUCKET_S = 10.0
"""Errors are counted in spans of this length to see how bursty they are."""
UNKNOWN_DISPERSION = 2.0
"""Assumed until enough was seen."""
KNOWN_S = 600.0
KNOWN_COUNT = 1_000
"""Active must have been seen for so long, with so many requests, before anything learned is used."""
SURE_S = 4 * 3_600.0
"""Only after so long may the learned dispersion be below the assumed one: 20 min were measured to be too short."""
_DISPERSION_MAX = 100.0
_OUTAGE_RATIO = 0.2
_OUTAGE_COUNT = 100
"""A span with so many requests, of which more than this part is bad, is an outage."""
_BURSTS_HALF_LIFE_S = 8 * 3_600.0
_BASELINE_HALF_LIFE_S = 3_600.0
_TRAFFIC_HALF_LIFE_S = 300.0


@dataclass(frozen=True, slots=True)
class Bursts:
    """How far spans of 10 s differ from the span before: squared differences, and what independent requests would give.

    Neighbours are compared, not each span with the mean of hours, because a ratio that drifts over a day, a limit of
    slowness that moves, or an outage of some minutes is no burst. An outage counts at its two edges only, and no pair
    says more than the largest dispersion.
    """

    residual: float = 0.0
    variance: float = 0.0
    last: Counts = NO_COUNTS
    open: Counts = NO_COUNTS
    open_s: float = 0.0

    def after(self, counts: Counts, span_s: float) -> "Bursts":
        """Return it with one tick added; a full span is closed."""
        now, now_s = self.open + counts, self.open_s + span_s
        if now_s < BUCKET_S:
            return replace(self, open=now, open_s=now_s)
        now = Counts(now.total, min(now.bad, now.total))
        if now.total >= _OUTAGE_COUNT and now.ratio > _OUTAGE_RATIO:
            # An outage is no burst: neither it nor its edges say how errors usually come.
            return replace(self, last=NO_COUNTS, open=NO_COUNTS, open_s=0.0)
        kept = 0.5 ** (now_s / _BURSTS_HALF_LIFE_S)
        residual, variance = _differ(self.last, now)
        return Bursts(self.residual * kept + residual, self.variance * kept + variance, now)

    @property
    def dispersion(self) -> float:
        """Return the dispersion, shrunk towards 3 while little is known, and taken half as large again for safety.

        statistics: (sum of squared residuals + 30) / (sum of variances + 10), then 1 + 1.5 (phi - 1), at most 100.
        """
        shrunk = (self.residual + 30.0) / (self.variance + 10.0)
        return min(max(1.0, 1.0 + 1.5 * (shrunk - 1.0)), _DISPERSION_MAX)


def _differ(before: Counts, now: Counts) -> tuple[float, float]:
    """Return the squared difference of the bad ones of two spans, and its mean if requests are independent."""
    if not (before.total and now.total):
        return 0.0, 0.0
    ratio = (before.bad + now.bad) / (before.total + now.total)
    variance = now.total * ratio * (1.0 - ratio) * (1.0 + now.total / before.total)
    difference = now.bad - now.total * before.bad / before.total
    return min(difference * difference, _DISPERSION_MAX * variance), variance


@dataclass(frozen=True, slots=True)
class Fading:
    """Counts and the time they come from, older ones fading."""

    total: float = 0.0
    bad: float = 0.0
    span_s: float = 0.0

    def after(self, counts: Counts, span_s: float, half_life_s: float) -> "Fading":
        """Return it with one tick added."""
        kept = 0.5 ** (span_s / half_life_s)
        bad = min(counts.bad, counts.total)
        return Fading(self.total * kept + counts.total, self.bad * kept + bad, self.span_s * kept + span_s)


@dataclass(frozen=True, slots=True)
class Learned:
    """What is known of a service's active pool."""

    known_s: float = 0.0
    """How long it was watched in all, without fading."""
    error: Bursts = field(default_factory=Bursts)
    slow: Mapping[Stream, Bursts] = field(default_factory=dict)
    baseline: Fading = field(default_factory=Fading)
    """Errors of about the last hour."""
    traffic: Fading = field(default_factory=Fading)
    """Requests of about the last five minutes."""
    speed: Speed = field(default_factory=Speed)

    @property
    def enough(self) -> bool:
        """Whether enough is known for the dispersion and the baseline to be used."""
        return self.known_s >= KNOWN_S and self.baseline.total >= KNOWN_COUNT

    @property
    def rate(self) -> float:
        """Requests per second, lately; 0 if nothing is known."""
        return self.traffic.total / self.traffic.span_s if self.traffic.span_s > 0 else 0.0

    @property
    def recent(self) -> Counts:
        """What active did lately, as counts."""
        return Counts(round(self.traffic.total), round(self.traffic.bad))

    @property
    def timed(self) -> bool:
        """Whether times of requests are known."""
        return bool(self.speed.limits_ms())

    def after(self, counts: Counts, span_s: float, times: Mapping[int, int] | None = None) -> "Learned":
        """Return it with one tick of active at rest; `times`: how long its requests took, where that is known."""
        return replace(
            self,
            known_s=self.known_s + span_s,
            error=self.error.after(counts, span_s),
            baseline=self.baseline.after(counts, span_s, _BASELINE_HALF_LIFE_S),
            traffic=self.traffic.after(counts, span_s, _TRAFFIC_HALF_LIFE_S),
            speed=self.speed if times is None else self.speed.after(times, span_s),
            slow=self.slow if times is None else {**self.slow, **self._slow(times, span_s)},
        )

    def faster(self, times: Mapping[int, int], span_s: float) -> "Learned":
        """Return it with active's times of one tick of a release that moves, and nothing else."""
        return replace(self, speed=self.speed.after(times, span_s))

    def _slow(self, times: Mapping[int, int], span_s: float) -> Mapping[Stream, Bursts]:
        limits = self.speed.limits_ms()
        return {
            stream: self.slow.get(stream, Bursts()).after(slow_counts(times, limit), span_s)
            for stream, limit in limits.items()
        }

    def dispersion(self, stream: Stream = Stream.ERROR) -> float:
        """Return how bursty a stream of this service is; 2 until enough is known."""
        if not self.enough:
            return UNKNOWN_DISPERSION
        bursts = self.error if stream is Stream.ERROR else self.slow.get(stream, Bursts())
        learned = bursts.dispersion
        return learned if self.known_s >= SURE_S else max(learned, UNKNOWN_DISPERSION)

    def terms(self, dispersion: float | None) -> Terms:
        """Return what a release that begins now is judged by; `dispersion` given by people replaces the learned one."""
        baseline = Counts(round(self.baseline.total), round(self.baseline.bad)) if self.enough else NO_COUNTS
        return Terms(
            dispersion=self.dispersion() if dispersion is None else dispersion,
            slow_dispersion={stream: self.dispersion(stream) for stream in SLOW},
            latency=self.timed,
            baseline=baseline,
        )

    def to_json(self) -> dict[str, object]:
        """Return plain values, to be read back by `from_json`."""
        return written(self)

    @staticmethod
    def from_json(document: object) -> "Learned":
        """Return what `to_json` wrote. Raises `ValueError` naming the place if it is anything else."""
        found = read(Learned, document, "learned")
        if any(bucket > sketch.LAST_BUCKET for bucket in found.speed.buckets):
            raise ValueError(f"learned.speed.buckets: there is none above {sketch.LAST_BUCKET}")
        return found


NOTHING = Learned()

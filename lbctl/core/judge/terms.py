"""The words of the judge: what it is told, what it is set to, what it says. No arithmetic of evidence here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum

# A person's `promote` overrides time, missing evidence and a fault that is not the candidate's own;
# never a verdict against the candidate, its health, or missing sight.
_OVERRIDABLE = frozenset({"ok", "not_enough_evidence", "shared_fault", "active_fault", "active_worse"})


@dataclass(frozen=True, slots=True)
class Settings:
    """What the judge promises and tolerates. Ratios are fractions of 1, times are seconds; all validated before."""

    false_rollback: float = 0.001
    """Highest chance that one release is rolled back though the candidate is within the margin, at any look."""
    margin_abs: float = 0.001
    """Tolerated excess of the candidate's bad ratio, absolute: 1 - SLO."""
    margin_rel: float = 1.25
    """Tolerated candidate ratio = margin_abs + margin_rel x active's ratio."""
    active_limit: float = 0.01
    """Active's own bad ratio above this is a shared or an active-only fault, which never moves traffic."""
    dispersion: float = 2.0
    """How much more errors come in bursts than independent ones would (1 = not at all); evidence is divided by it.
    Only for the first `Terms`: a release that has begun keeps its own."""
    horizon_s: float = 1800.0
    """Planned length of the release; a longer one costs some speed, never the promise."""
    stale_hold_s: float = 3.0
    """Hold when counters could not be read for this long."""
    blind_alert_s: float = 60.0
    """Page when counters could not be read for this long."""
    blind_limit_s: float | None = 600.0
    """Roll back when counters could not be read for this long and active is probed healthy; None: never."""
    evidence_min: int = 5
    """Candidate requests that must be judged in a step before it may advance."""
    retreat_above_bp: int = 5_000
    """Above this share a candidate that is worse than active used to be asks for a retreat; 10000: never."""
    latency_margin_rel: float = 1.25
    """Tolerated slow ratio = what is slow by definition + this x active's ratio."""

    @property
    def candidate_limit(self) -> float:
        """The candidate's own limit: what is tolerated when active is exactly at `active_limit`.

        Above it the candidate is worse than tolerated unless active is over its limit too.
        """
        return min(self.margin_abs + self.margin_rel * self.active_limit, 0.9)


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests of one colour in one span of time: all of them, and the bad ones.

    Raises `ValueError` for a negative number: a counter that ran backwards was reset, which the caller must
    report as "not read" (None in `Sample`). `bad` may exceed `total` in one tick, as load balancers count a
    request when it comes and its failure when it ends; the judge then takes `bad` as the total.
    """

    total: int
    bad: int

    def __post_init__(self) -> None:
        if self.total < 0 or self.bad < 0:
            raise ValueError(f"negative count {self.bad}/{self.total}: report a reset counter as not read (None)")

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.total + other.total, self.bad + other.bad)

    @property
    def ratio(self) -> float:
        """Bad fraction, 0 when there was no request."""
        return self.bad / self.total if self.total else 0.0


NO_COUNTS = Counts(0, 0)


@dataclass(frozen=True, slots=True)
class Window:
    """What both colours did in the same span of time."""

    candidate: Counts = NO_COUNTS
    active: Counts = NO_COUNTS
    span_s: float = 0.0

    def __add__(self, other: "Window") -> "Window":
        return Window(self.candidate + other.candidate, self.active + other.active, self.span_s + other.span_s)

    @property
    def turned(self) -> "Window":
        """The same with each colour in the other's place."""
        return Window(self.active, self.candidate, self.span_s)


EMPTY = Window()


class Stream(StrEnum):
    """What is counted as bad: an error; or an answer slower than active's own p50, p95, p99 allow."""

    ERROR = "error"
    SLOW50 = "slow50"
    SLOW95 = "slow95"
    SLOW99 = "slow99"


SLOW = (Stream.SLOW50, Stream.SLOW95, Stream.SLOW99)
WEIGHTS = {Stream.ERROR: 0.7, Stream.SLOW50: 0.1, Stream.SLOW95: 0.1, Stream.SLOW99: 0.1}
"""How the capital is split over the streams; errors have all of it where latency is not judged."""
SLOW_MARGINS = {Stream.SLOW50: 0.05, Stream.SLOW95: 0.025, Stream.SLOW99: 0.005}
"""Tolerated excess of the candidate's slow ratio, absolute: a tenth of a half, half of a twentieth, of a hundredth."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One stream in one tick, both colours. `limit_ms`: the time above which a request counts as slow."""

    candidate: Counts
    active: Counts
    limit_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Terms:
    """What was known when the release began. It stays fixed: a bet must not change by what it bets on."""

    dispersion: float = 2.0
    """Of the error stream."""
    slow_dispersion: Mapping[Stream, float] = field(default_factory=dict)
    """Of the latency streams; 2 where nothing is said."""
    latency: bool = False
    """Whether the times of requests are known, so that the latency streams have their part of the capital."""
    baseline: Counts = NO_COUNTS
    """What active did in the hour before; without it a candidate is only compared with active, and never retreats."""

    def dispersion_of(self, stream: Stream) -> float:
        """Return how bursty a stream is."""
        return self.dispersion if stream is Stream.ERROR else self.slow_dispersion.get(stream, 2.0)


@dataclass(frozen=True, slots=True)
class Sample:
    """What was seen in one tick of `dt_s` seconds. Counts are differences to the tick before."""

    dt_s: float
    share_bp: int
    """The candidate's share in this tick, 0..10000."""
    candidate: Counts | None
    """None: the counters could not be read in this tick, or were reset."""
    active: Counts | None
    late: Pair | None = None
    """The same counts with requests that wait for an answer beyond the slow limit as bad ones; None: as above."""
    slow: Mapping[Stream, Pair] = field(default_factory=dict)
    """The latency streams; a stream that is missing was not judged in this tick."""
    servers: Mapping[str, Counts] = field(default_factory=dict)
    """The error stream of each server of the candidate, where known."""
    retreated: bool = False
    """A retreat gave active this share of the traffic. Whether it may have it is then asked as well."""
    candidate_down: bool = False
    """Every server of the candidate is down, by the prober or by the load balancer."""
    active_down: bool = False
    active_probed_healthy: bool | None = None
    """What the prober says; None: it does not know."""
    panic: bool = False
    """Most of both pools look dead, or many servers flipped at once: suspect the checker, not the servers."""


class Word(Enum):
    """What the judge asks for. `RETREAT`: go down to a share at which active has enough traffic to compare with."""

    ADVANCE = "advance"
    HOLD = "hold"
    RETREAT = "retreat"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class Seen:
    """One stream as a verdict shows it: its own odds, and the counts since its suspected onset or in this step."""

    stream: Stream
    odds: float
    candidate: Counts
    active: Counts
    span_s: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the judge says about one tick, with its numbers.

    `code` is stable for machines: ok, not_enough_evidence, suspicious, errors, latency, errors_uncompared, baseline,
    server_fault, shared_fault, active_fault, active_worse, candidate_dead, both_dead, panic, counters_stale, blind.
    `reason` is a sentence for people.
    `candidate`, `active` and `since_s` count from the suspected onset where a fault is named, else from the
    start of the step. `odds` against the candidate reach `limit` at a rollback.
    """

    word: Word
    code: str
    reason: str
    odds: float
    limit: float
    candidate: Counts
    active: Counts
    evidence_count: int
    since_s: float
    alert: bool
    """A person should be paged although nothing moves. A rollback is announced by itself and is False here."""
    streams: tuple[Seen, ...] = ()
    """Every stream that is judged, errors first."""
    blamed: str = ""
    """The service at fault, where several were judged."""

    @property
    def overridable_by_promote(self) -> bool:
        """Whether a person's `promote` may go on in spite of this verdict."""
        return self.code in _OVERRIDABLE

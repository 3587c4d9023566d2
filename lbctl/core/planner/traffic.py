"""What the planner knows of today's traffic, and what it must find in it."""

from dataclasses import dataclass
from enum import StrEnum

from lbctl.core.judge.bets import Border
from lbctl.core.judge.learned import UNKNOWN_DISPERSION, Learned
from lbctl.core.judge.streams import Recent
from lbctl.model.topology import JudgeSettings
from lbctl.model.units import BP_FULL, SECOND, seconds

RATE_KNOWN_S = 60.0
"""Active must have been watched for so long before its rate is believed."""
_RATIO_MIN = 1e-6


class Source(StrEnum):
    """Where a dispersion comes from."""

    GIVEN = "given"
    LEARNED = "learned"
    ASSUMED = "assumed until it is learned"


@dataclass(frozen=True, slots=True)
class Traffic:
    """One service today: requests per second to both pools, and active's bad ratio as the judge guesses it.

    `known_s` is how long active has been watched, `baseline` whether that is enough to compare a candidate with what
    active used to do, `latency` whether the data plane tells the times of requests.
    """

    rps: float
    active_bad_ratio: float
    dispersion: float = UNKNOWN_DISPERSION
    dispersion_from: Source = Source.ASSUMED
    known_s: float = 0.0
    baseline: bool = False
    latency: bool = False

    def candidate_rps(self, share_bp: int) -> float:
        """Return the requests per second that a share brings to the candidate."""
        return self.rps * share_bp / BP_FULL


def traffic(learned: Learned, configured: JudgeSettings) -> Traffic | str:
    """Return today's traffic by what was learned of active at rest, or why it is not known."""
    if learned.known_s < RATE_KNOWN_S:
        watched, needed = (seconds(round(span_s * SECOND)) for span_s in (learned.known_s, RATE_KNOWN_S))
        return f"active was watched for {watched} while nothing was released; {needed} are needed"
    terms = learned.terms(configured.dispersion)
    recent = Recent(learned.baseline.total, learned.baseline.bad)
    if configured.dispersion is not None:
        source = Source.GIVEN
    else:
        source = Source.LEARNED if learned.enough else Source.ASSUMED
    return Traffic(
        rps=learned.rate,
        active_bad_ratio=recent.ratio(1 - configured.slo_ratio),
        dispersion=terms.dispersion,
        dispersion_from=source,
        known_s=learned.known_s,
        baseline=learned.enough,
        latency=terms.latency,
    )


@dataclass(frozen=True, slots=True)
class Aim:
    """What a plan must see, and by what rule: the part of the judge's settings that the planner needs."""

    target_rate: float
    false_rollback: float
    margin_abs: float
    margin_rel: float

    @staticmethod
    def of(configured: JudgeSettings) -> "Aim":
        """Return the aim that a config sets."""
        return Aim(
            target_rate=configured.target_rate,
            false_rollback=configured.false_rollback,
            margin_abs=1 - configured.slo_ratio,
            margin_rel=configured.margin_rel,
        )

    def border(self, traffic: Traffic) -> Border:
        """Return what is tolerated at active's ratio of today."""
        ratio = min(max(traffic.active_bad_ratio, _RATIO_MIN), 1.0 - _RATIO_MIN)
        return Border(self.margin_abs, self.margin_rel, ratio)

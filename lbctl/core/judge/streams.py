"""What is kept per stream of evidence: candidate against active, and one colour against a fixed limit."""

from dataclasses import dataclass, replace

from lbctl.core.judge import bets
from lbctl.core.judge.capital import NEW, Capital, limit_log, log_odds, settled
from lbctl.core.judge.terms import EMPTY, Counts, Settings, Window

FAULT_HOLD_S = 30.0
"""A colour that was found over its limit counts as faulty for this long after the last proof."""
_HALF_LIFE_S = 300.0
# Until active has shown its own ratio it is guessed to use up the margin, with the weight of this many requests.
_PRIOR_COUNT = 50.0


@dataclass(frozen=True, slots=True)
class Recent:
    """Active's recent requests, older ones fading with a half-life of 300 s. Only a guess: never evidence."""

    total: float = 0.0
    bad: float = 0.0

    def ratio(self, margin_abs: float) -> float:
        """Return the guessed bad ratio, strictly between 0 and 1."""
        prior = max(margin_abs, 1e-4) * _PRIOR_COUNT
        return min(max((self.bad + prior) / (self.total + _PRIOR_COUNT), 1e-6), 1.0 - 1e-6)

    def after(self, counts: Counts, dt_s: float) -> "Recent":
        """Return it with `counts` of a span of `dt_s` seconds added."""
        kept = 0.5 ** (dt_s / _HALF_LIFE_S)
        return Recent(self.total * kept + counts.total, self.bad * kept + counts.bad)


UNKNOWN = Recent()


@dataclass(frozen=True, slots=True)
class Comparison:
    """Candidate against active in the same moments. Drift, load and outages of both prove nothing here."""

    capital: Capital = NEW
    pending: Window = EMPTY
    """Counts that wait until both colours have a request; a bet never changes inside such a block."""
    recent: Recent = UNKNOWN


FRESH = Comparison()


@dataclass(frozen=True, slots=True)
class Bar:
    """What a comparison tolerates, p_candidate <= absolute + relative x p_active, and how bursty its stream is."""

    absolute: float
    relative: float
    dispersion: float


def compared(comparison: Comparison, tick: Window, bar: Bar, settings: Settings) -> Comparison:
    """Take in one tick; the block is judged as soon as it holds a request of either colour."""
    block = comparison.pending + tick
    if not (block.candidate.total and block.active.total):
        return replace(comparison, pending=block)
    border = bets.Border(bar.absolute, bar.relative, comparison.recent.ratio(bar.absolute))
    evidence = bets.compared(block.candidate, block.active, border)
    return Comparison(
        capital=settled(comparison.capital, evidence, block, settings, bar.dispersion),
        pending=EMPTY,
        recent=comparison.recent.after(block.active, block.span_s),
    )


@dataclass(frozen=True, slots=True)
class Watch:
    """One colour against a fixed limit. It can hold a release; it never moves traffic by itself."""

    capital: Capital = NEW
    quiet_s: float = FAULT_HOLD_S
    """Time since the limit was last proved to be exceeded; it stops at 30 s."""
    episode: Window = EMPTY
    """Counts of both colours since the onset of the present fault, empty without one."""

    @property
    def faulty(self) -> bool:
        """Whether the limit was proved to be exceeded within the last 30 s."""
        return self.quiet_s < FAULT_HOLD_S


CALM = Watch()


def watched(watch: Watch, own: Counts, tick: Window, limit: float, settings: Settings, dispersion: float) -> Watch:
    """Take in one tick of the watched colour (`own`, one of the two in `tick`); a proof starts a new account."""
    capital = watch.capital
    if own.total:
        capital = settled(capital, bets.alone(own, limit), tick, settings, dispersion)
    if own.total and log_odds(capital) >= limit_log(settings):
        episode = watch.episode + tick if watch.faulty else capital.window
        return Watch(NEW, 0.0, episode)
    quiet_s = min(watch.quiet_s + tick.span_s, FAULT_HOLD_S)
    return Watch(capital, quiet_s, watch.episode + tick if quiet_s < FAULT_HOLD_S else EMPTY)

"""The capital: how much the bets have won so far, and since when they have been winning.

A part is staked at the start, a part at each step of the share, and a little in every tick, so that a fault
that comes late finds fresh stakes and is not buried under hours of good behaviour. Several streams of evidence
would each hold one capital; their weighted mean keeps the same promise.
"""

from dataclasses import dataclass, replace
from math import exp, log, log1p

from lbctl.core.judge.bets import EXPERTS
from lbctl.core.judge.terms import EMPTY, Settings, Window

_START_PART = 0.5
STEP_PART = 0.1
# No single tick decides: its evidence is cut at this part of what a rollback needs.
_TICK_PART = 0.9
# A tick shorter than this stakes nothing, and no gap, however long, stakes all that is left.
_INSTANT_S = 1e-6
_TIME_PART_MAX = 0.9


@dataclass(frozen=True, slots=True)
class Capital:
    """Reserve and stakes as natural logarithms (they start with a sum of 1), and the suspected onset."""

    log_reserve: float = log(1.0 - _START_PART)
    log_stakes: tuple[float, ...] = (log(_START_PART / EXPERTS),) * EXPERTS
    staked_s: float = 0.0
    """Time with traffic so far; it sets how much the next tick stakes."""
    rise: float = 0.0
    """How far the stakes have grown since they last stopped falling; 0 means no suspicion."""
    window: Window = EMPTY
    """Counts since the suspected onset."""


NEW = Capital()


def limit_log(settings: Settings) -> float:
    """Return the logarithm of the odds at which the capital is decisive."""
    return -log(settings.false_rollback)


def log_odds(capital: Capital) -> float:
    """Return the logarithm of all the capital: the odds against "nothing is wrong"."""
    return _log_sum((capital.log_reserve, *capital.log_stakes))


def staked(capital: Capital, part: float) -> Capital:
    """Move `part` (0 < part < 1) of the reserve into the stakes, equally."""
    fresh = capital.log_reserve + log(part / EXPERTS)
    stakes = tuple([_log_sum((stake, fresh)) for stake in capital.log_stakes])
    return replace(capital, log_reserve=capital.log_reserve + log1p(-part), log_stakes=stakes)


def settled(
    capital: Capital, evidence: tuple[float, ...], block: Window, settings: Settings, dispersion: float
) -> Capital:
    """Stake for the block's time, then pay off what it proved (log pay-off per expert).

    The reserve falls as H / (H + t): close to an exponential within the planned length, but a release that
    waits for days can still convict.
    """
    ready = _staked_for(capital, block.span_s, settings)
    most = _TICK_PART * limit_log(settings)
    pairs = zip(ready.log_stakes, evidence, strict=True)
    stakes = tuple([stake + min(gain / dispersion, most) for stake, gain in pairs])
    rise = max(0.0, capital.rise + _log_sum(stakes) - _log_sum(ready.log_stakes))
    window = capital.window + block if rise > 0.0 else EMPTY
    return Capital(ready.log_reserve, stakes, ready.staked_s, rise, window)


def _staked_for(capital: Capital, dt_s: float, settings: Settings) -> Capital:
    if dt_s < _INSTANT_S:
        return capital
    staked_s = capital.staked_s + dt_s
    part = min(dt_s / (settings.horizon_s + staked_s), _TIME_PART_MAX)
    return replace(staked(capital, part), staked_s=staked_s)


def _log_sum(logs: tuple[float, ...]) -> float:
    top = max(logs)
    return top + log(sum([exp(value - top) for value in logs]))

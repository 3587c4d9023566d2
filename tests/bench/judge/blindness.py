"""Counters that cannot be read, told to the shipped judge: it holds, it goes back, and it never goes on."""

from dataclasses import dataclass

from lbctl.core.judge import Account, Counts, Sample, Settings, Word, judge, new_step

_TICK_S = 0.2


@dataclass(frozen=True)
class Blind:
    """Seconds since the counters were last read."""

    hold_s: float
    rollback_s: float
    advanced_after_s: float
    """The last tick, from the loss, in which it would have gone on."""


def lose_sight(settings: Settings, *, probed: bool | None) -> Blind:
    """Lose the counters of a quiet release for 20 min."""
    account = new_step(Account.fresh(settings), settings, share_bp=1000)
    for _ in range(50):
        account, _ = judge(account, Sample(_TICK_S, 1000, Counts(20, 0), Counts(180, 0)), settings)
    hold_s = rollback_s = float("inf")
    advanced_s = 0.0
    for tick in range(1, round(1200 / _TICK_S) + 1):
        sample = Sample(_TICK_S, 1000, None, None, active_probed_healthy=probed)
        account, verdict = judge(account, sample, settings)
        if verdict.word is Word.ADVANCE:
            advanced_s = tick * _TICK_S
        if verdict.word is Word.HOLD:
            hold_s = min(hold_s, tick * _TICK_S)
        if verdict.word is Word.ROLLBACK:
            rollback_s = min(rollback_s, tick * _TICK_S)
    return Blind(hold_s, rollback_s, advanced_s)

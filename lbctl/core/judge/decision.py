"""The decision: a table of rules over the account and what was seen now. The first that speaks wins."""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp

from lbctl.core.judge.account import Account, learned
from lbctl.core.judge.capital import limit_log, log_odds
from lbctl.core.judge.streams import FAULT_HOLD_S
from lbctl.core.judge.terms import Sample, Settings, Verdict, Window, Word
from lbctl.core.judge.wording import (
    both_text,
    counts_text,
    odds_text,
    ratio_text,
    share_text,
    span_text,
    tolerated_text,
)

_SUSPICIOUS_ODDS = 20.0
# Sums of tick lengths are not exact: 30 ticks of 0.1 s are three seconds.
_ROUNDING_S = 1e-6
_ODDS_LOG_MAX = 700.0
# More candidate requests than this were due and none came: chance is no explanation (less than one in 1,000).
_DUE_MAX = 7.0


@dataclass(frozen=True, slots=True)
class _Case:
    """One tick as the rules see it."""

    account: Account
    sample: Sample
    settings: Settings
    odds: float
    limit: float

    @property
    def blind_s(self) -> float:
        return self.account.blind_s + _ROUNDING_S

    def verdict(
        self, word: Word, code: str, reason: str, *, window: Window | None = None, alert: bool = False
    ) -> Verdict:
        shown = self.account.step if window is None else window
        return Verdict(
            word=word,
            code=code,
            reason=reason,
            odds=self.odds,
            limit=self.limit,
            candidate=shown.candidate,
            active=shown.active,
            evidence_count=self.account.evidence_count,
            since_s=shown.span_s,
            alert=alert,
        )


def judge(account: Account, sample: Sample, settings: Settings) -> tuple[Account, Verdict]:
    """Return the account after this tick and what it asks for.

    Pure, and at most one false `ROLLBACK` for errors in 1 / `false_rollback` releases, however often it is
    asked. The caller latches a rollback; this function does not remember that it asked for one.
    """
    after = learned(account, sample, settings)
    odds = exp(min(log_odds(after.errors.capital), _ODDS_LOG_MAX))
    case = _Case(after, sample, settings, odds, 1.0 / settings.false_rollback)
    said = (rule(case) for rule in _RULES)
    return after, next(verdict for verdict in said if verdict is not None)


def _candidate_dead(case: _Case) -> Verdict | None:
    if not case.sample.candidate_down or case.sample.active_down or case.sample.panic:
        return None
    reason = f"every candidate server is down while active lives; {both_text(case.account.step)} in this step"
    return case.verdict(Word.ROLLBACK, "candidate_dead", reason)


def _both_dead(case: _Case) -> Verdict | None:
    if not (case.sample.candidate_down and case.sample.active_down):
        return None
    reason = (
        "every server of candidate and active is down: a shared cause or a broken health check, so traffic stays "
        "where it is; look at what both depend on, then at the health check"
    )
    return case.verdict(Word.HOLD, "both_dead", reason, alert=True)


def _errors(case: _Case) -> Verdict | None:
    # Compared as logarithms: the exponential of a logarithm may fall just short of the limit.
    if log_odds(case.account.errors.capital) < limit_log(case.settings):
        return None
    window = case.account.errors.capital.window
    return case.verdict(Word.ROLLBACK, "errors", f"errors: {_evidence_text(case, window)}", window=window)


def _blind(case: _Case) -> Verdict | None:
    if case.blind_s < case.settings.stale_hold_s:
        return None
    text = f"counters could not be read for {span_text(case.account.blind_s)}"
    limit_s = case.settings.blind_limit_s
    if limit_s is not None and case.blind_s >= limit_s and case.sample.active_probed_healthy is True:
        reason = f"{text} (limit {span_text(limit_s)}) and active is probed healthy: going back unseen"
        return case.verdict(Word.ROLLBACK, "blind", reason)
    if case.blind_s < case.settings.blind_alert_s:
        reason = f"{text}: the share stays until they answer; check the load balancer's statistics socket"
        return case.verdict(Word.HOLD, "counters_stale", reason)
    reason = f"{text}: check the load balancer's statistics socket; {_blind_end_text(case, limit_s)}"
    return case.verdict(Word.HOLD, "blind", reason, alert=True)


def _blind_end_text(case: _Case, limit_s: float | None) -> str:
    if limit_s is None:
        return "the share stays until they answer (blind_limit is never)"
    if case.blind_s >= limit_s:
        return f"past {span_text(limit_s)}, but active is not probed healthy, so the share stays"
    return f"after {span_text(limit_s)} traffic goes back if active is probed healthy"


def _panic(case: _Case) -> Verdict | None:
    if not case.sample.panic:
        return None
    reason = (
        "most servers of both pools look dead or many flipped at once: suspecting the health check, not the "
        "servers, so the share stays; check the prober's host and network"
    )
    return case.verdict(Word.HOLD, "panic", reason, alert=True)


def _active_down(case: _Case) -> Verdict | None:
    if not case.sample.active_down:
        return None
    reason = (
        f"every active server is down while the candidate lives at {share_text(case.sample.share_bp)}: traffic "
        "is not moved by itself; repair active, or `lbctl promote` to go on with the candidate"
    )
    return case.verdict(Word.HOLD, "active_fault", reason, alert=True)


def _active_faulty(case: _Case) -> Verdict | None:
    if not case.account.active.faulty:
        return None
    episode = case.account.active.episode
    ill = f"active {counts_text(episode.active)} is over its own limit {ratio_text(case.settings.active_limit)}"
    seen = f"{ill} since {span_text(episode.span_s)}, candidate {counts_text(episode.candidate)}"
    if episode.candidate.ratio > case.settings.candidate_limit:
        code, reason = "shared_fault", f"shared fault: {seen}: not the candidate's alone, so traffic stays"
    else:
        code, reason = "active_fault", f"active fault: {seen}: `lbctl promote` goes on if you trust the candidate"
    reason = f"{reason}; lifts {FAULT_HOLD_S:.0f} s after the last proof"
    return case.verdict(Word.HOLD, code, reason, window=episode, alert=True)


def _candidate_faulty(case: _Case) -> Verdict | None:
    if not case.account.candidate.faulty:
        return None
    episode = case.account.candidate.episode
    limit_text = ratio_text(case.settings.candidate_limit)
    seen = f"candidate {counts_text(episode.candidate)} is over {limit_text} since {span_text(episode.span_s)}"
    if episode.active.total < case.settings.evidence_min:
        reason = (
            f"{seen} while active had {counts_text(episode.active)} to compare with: not provable as the "
            "candidate's own fault, so nothing moves by itself; `lbctl rollback` if it is"
        )
        return case.verdict(Word.HOLD, "errors_uncompared", reason, window=episode, alert=True)
    reason = f"suspicious: {seen}, active {counts_text(episode.active)}, {odds_text(case.odds, case.limit)}"
    return case.verdict(Word.HOLD, "suspicious", reason, window=episode)


def _suspicious(case: _Case) -> Verdict | None:
    if case.odds < _SUSPICIOUS_ODDS:
        return None
    window = case.account.errors.capital.window
    calm = f"the next step waits until the odds fall below {_SUSPICIOUS_ODDS:.0f}:1"
    reason = f"suspicious: {_evidence_text(case, window)}; {calm}"
    return case.verdict(Word.HOLD, "suspicious", reason, window=window)


def _not_enough(case: _Case) -> Verdict | None:
    count, needed = case.account.evidence_count, case.settings.evidence_min
    if count >= needed:
        return None
    reason = f"the candidate got {count} of the {needed} requests this step needs at {_step_share(case)}"
    if case.account.evidence_waiting:
        reason += f"; {case.account.evidence_waiting} more wait for a request of active to be compared with"
    due = _due(case)
    if not case.account.step.candidate.total and due > _DUE_MAX:
        reason += f"; about {due:.0f} were due, so the share may not be effective: check the load balancer"
    return case.verdict(Word.HOLD, "not_enough_evidence", reason)


def _ok(case: _Case) -> Verdict:
    step = case.account.step
    margin = tolerated_text(step, case.settings)
    reason = f"{both_text(step)} in this step, {margin}, {odds_text(case.odds, case.limit)}"
    return case.verdict(Word.ADVANCE, "ok", reason)


def _evidence_text(case: _Case, window: Window) -> str:
    margin = tolerated_text(window, case.settings)
    odds = odds_text(case.odds, case.limit)
    return f"{both_text(window)}, {margin}, {odds}, since {span_text(window.span_s)}"


def _step_share(case: _Case) -> str:
    return share_text(case.account.step_share_bp)


def _due(case: _Case) -> float:
    share_bp = min(case.sample.share_bp, 9_999)
    return case.account.step.active.total * share_bp / (10_000 - share_bp)


_RULES: tuple[Callable[[_Case], Verdict | None], ...] = (
    _candidate_dead,
    _both_dead,
    _errors,
    _blind,
    _panic,
    _active_down,
    _active_faulty,
    _candidate_faulty,
    _suspicious,
    _not_enough,
    _ok,
)

"""The decision: a table of rules over the account and what was seen now. The first that speaks wins."""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, inf, log

from lbctl.core.judge.account import Account, learned
from lbctl.core.judge.capital import Capital, limit_log, log_odds
from lbctl.core.judge.servers import worst
from lbctl.core.judge.streams import FAULT_HOLD_S
from lbctl.core.judge.terms import Pair, Sample, Seen, Settings, Stream, Verdict, Window, Word
from lbctl.core.judge.wording import (
    both_text,
    counts_text,
    ms_text,
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
# One bad request of the few that active gets at a large share is chance, and must not stop a retreat.
_SHARED_MIN = 2
_SHARED_FACTOR = 4.0
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
            streams=tuple(_seen(self.account, stream, one.capital) for stream, _, one in self.account.streams()),
        )


def _seen(account: Account, stream: Stream, capital: Capital) -> Seen:
    suspected = capital.window.candidate.total > 0
    # The step is counted for errors only; the other streams are shown since their onset, if they have one.
    shown = capital.window if suspected or stream is not Stream.ERROR else account.step
    odds = exp(min(log_odds(capital), _ODDS_LOG_MAX))
    return Seen(stream, odds, shown.candidate, shown.active, shown.span_s)


def judge(account: Account, sample: Sample, settings: Settings) -> tuple[Account, Verdict]:
    """Return the account after this tick and what it asks for.

    Pure, and at most one false `ROLLBACK` for errors in 1 / `false_rollback` releases, however often it is
    asked. The caller latches a rollback; this function does not remember that it asked for one.
    """
    after = learned(account, sample, settings)
    odds = exp(min(after.log_odds(), _ODDS_LOG_MAX))
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


def _proved(case: _Case) -> Verdict | None:
    # Compared as logarithms: the exponential of a logarithm may fall just short of the limit.
    if case.account.log_odds() < limit_log(case.settings):
        return None
    stream, window = _leading(case)
    text = _stream_text(case, stream)
    if stream is Stream.ERROR:
        return case.verdict(Word.ROLLBACK, "errors", f"errors: {text}", window=window)
    return case.verdict(Word.ROLLBACK, "latency", f"latency: {text}", window=window)


def _leading(case: _Case) -> tuple[Stream, Window]:
    """Return the stream that holds most of the capital, and its counts since the suspected onset."""
    stream, _, comparison = max(case.account.streams(), key=lambda one: log(one[1]) + log_odds(one[2].capital))
    return stream, comparison.capital.window


def _stream_text(case: _Case, stream: Stream) -> str:
    window = case.account.errors.capital.window
    if stream is Stream.ERROR:
        return f"{_evidence_text(case, window)}{_worst_text(case)}{_late_text(case)}"
    window = case.account.comparison(stream).capital.window
    pair = case.sample.slow.get(stream)
    return f"{both_text(window)} slower than {_slow_text(stream, pair)}, {_odds_since(case, window)}"


def _slow_text(stream: Stream, pair: Pair | None) -> str:
    quantile = f"active's p{stream.value.removeprefix('slow')}"
    if pair is None or not pair.limit_ms:
        return f"{quantile} allows"
    return f"{ms_text(pair.limit_ms)} ({quantile} and the margin)"


def _worst_text(case: _Case) -> str:
    found = worst(case.account.servers)
    return "" if found is None else f"; {found[0]} alone sent {found[1].bad} of the {found[2]} bad ones in this step"


def _late_text(case: _Case) -> str:
    late = case.account.late_count
    return f"; {late} of them still without an answer when they were counted" if late else ""


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


def _active_worse(case: _Case) -> Verdict | None:
    """The retreat asked whose fault it is, and the answer is: active is worse than the candidate is allowed to be."""
    capital = case.account.turned.capital
    if not case.sample.retreated or log_odds(capital) < limit_log(case.settings):
        return None
    window = capital.window.turned
    odds = odds_text(exp(min(log_odds(capital), _ODDS_LOG_MAX)), case.limit)
    reason = (
        f"active is the worse one since the retreat: {counts_text(window.active)} against candidate "
        f"{counts_text(window.candidate)}, {odds}, since {span_text(window.span_s)}"
    )
    return case.verdict(Word.HOLD, "active_worse", reason, window=window, alert=True)


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
    reason = f"{reason}; it ends by itself {FAULT_HOLD_S:.0f} s after the last sign of it"
    return case.verdict(Word.HOLD, code, reason, window=episode, alert=True)


def _candidate_faulty(case: _Case) -> Verdict | None:
    if not case.account.candidate.faulty or case.account.has_baseline:
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
    reason = f"suspicious: {seen}, active {counts_text(episode.active)}, {_odds_named(case)}"
    return case.verdict(Word.HOLD, "suspicious", reason, window=episode)


def _worse_than_before(case: _Case) -> Verdict | None:
    """The candidate against what active used to do: a reason to get more of active to compare with, or to wait. Where
    that is not known, the rule before has spoken."""
    if not case.account.candidate.faulty:
        return None
    episode, limit = case.account.candidate.episode, case.account.candidate_limit(case.settings)
    known = counts_text(case.account.terms.baseline)
    seen = (
        f"candidate {counts_text(episode.candidate)} since {span_text(episode.span_s)} is over {ratio_text(limit)}, "
        f"what is tolerated of active's {known} before the release"
    )
    if episode.active.bad >= _SHARED_MIN and episode.active.ratio > _SHARED_FACTOR * limit:
        reason = f"shared fault: {seen}; active {counts_text(episode.active)} is over it too, so traffic stays"
        return case.verdict(Word.HOLD, "shared_fault", reason, window=episode, alert=True)
    if case.sample.share_bp > case.settings.retreat_above_bp:
        reason = f"{seen}; active had only {counts_text(episode.active)} to compare with, so it gets more"
        return case.verdict(Word.RETREAT, "baseline", reason, window=episode)
    reason = f"{seen}; active {counts_text(episode.active)} now, {_odds_named(case)}"
    reason = f"{reason}; it ends by itself {FAULT_HOLD_S:.0f} s after the last sign of it"
    return case.verdict(Word.HOLD, "baseline", reason, window=episode)


def _server_faulty(case: _Case) -> Verdict | None:
    ill = {name: watch for name, watch in case.account.servers.items() if watch.faulty}
    if not ill:
        return None
    seen = ", ".join(f"{name} {counts_text(watch.episode.candidate)}" for name, watch in sorted(ill.items())[:3])
    first = next(iter(ill.values())).episode
    reason = (
        f"single bad server of the candidate: {seen} against active {counts_text(first.active)}, while the pool as a "
        "whole is within what is tolerated; repair it or take it out; "
        f"it ends by itself {FAULT_HOLD_S:.0f} s after the last sign of it"
    )
    return case.verdict(Word.HOLD, "server_fault", reason, window=first, alert=True)


def _suspicious(case: _Case) -> Verdict | None:
    if case.odds < _SUSPICIOUS_ODDS:
        return None
    stream, window = _leading(case)
    calm = f"the next step waits until the odds fall below {_SUSPICIOUS_ODDS:.0f}:1"
    what = "errors" if stream is Stream.ERROR else "latency"
    reason = f"suspicious {what}: {_stream_text(case, stream)}; {calm}"
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
        many = "all that active got" if due == inf else f"about {due:.0f}"
        reason += (
            f"; {many} would be due if no request of active were one of a session: sessions stay where they "
            "are, and `lbctl status` shows what new requests got"
        )
    return case.verdict(Word.HOLD, "not_enough_evidence", reason)


def _ok(case: _Case) -> Verdict:
    step = case.account.step
    margin = tolerated_text(step, case.settings)
    reason = f"{both_text(step)} in this step, {margin}, {_odds_named(case)}"
    return case.verdict(Word.ADVANCE, "ok", reason)


def _evidence_text(case: _Case, window: Window) -> str:
    return f"{both_text(window)}, {tolerated_text(window, case.settings)}, {_odds_since(case, window)}"


def _odds_since(case: _Case, window: Window) -> str:
    return f"{odds_text(case.odds, case.limit)}, since {span_text(window.span_s)}"


def _odds_named(case: _Case) -> str:
    """The odds beside counts of errors, with the stream that most of them come from where that is another one."""
    text = odds_text(case.odds, case.limit)
    stream, window = _leading(case)
    if stream is Stream.ERROR:
        return text
    counts = f": {both_text(window)} slow since {span_text(window.span_s)}" if window.candidate.total else ""
    return f"{text}, most of them from latency {stream.value}{counts}"


def _step_share(case: _Case) -> str:
    return share_text(case.account.step_share_bp)


def _due(case: _Case) -> float:
    share_bp, total = case.sample.share_bp, case.account.step.active.total
    if share_bp >= 10_000:
        return inf if total else 0.0
    return total * share_bp / (10_000 - share_bp)


_RULES: tuple[Callable[[_Case], Verdict | None], ...] = (
    _candidate_dead,
    _both_dead,
    _proved,
    _blind,
    _panic,
    _active_worse,
    _active_down,
    _active_faulty,
    _candidate_faulty,
    _worse_than_before,
    _server_faulty,
    _suspicious,
    _not_enough,
    _ok,
)

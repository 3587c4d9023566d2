"""The account of one release: everything the judge remembers, and how one tick changes it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import exp, log

from lbctl.core.judge.capital import STEP_PART, log_odds, staked
from lbctl.core.judge.codec import read, written
from lbctl.core.judge.servers import ServerWatch, new_steps, watched_servers
from lbctl.core.judge.streams import CALM, FRESH, UNKNOWN, Bar, Comparison, Watch, compared, watched
from lbctl.core.judge.terms import (
    EMPTY,
    NO_COUNTS,
    SLOW,
    SLOW_MARGINS,
    WEIGHTS,
    Counts,
    Sample,
    Settings,
    Stream,
    Terms,
    Window,
)

DISPERSION_MAX = 1_000.0
"""The largest that may be configured."""
BASELINE_MIN = 1_000
"""Requests of active that must be known before the candidate is compared with what active used to do."""


@dataclass(frozen=True, slots=True)
class Account:
    """Evidence for a rollback adds up over the whole release; the step's counts start anew with each step."""

    errors: Comparison
    terms: Terms = field(default_factory=Terms)
    slow: Mapping[Stream, Comparison] = field(default_factory=lambda: dict.fromkeys(SLOW, FRESH))
    turned: Comparison = FRESH
    """Active against the candidate, since a retreat: the same bet with each colour in the other's place."""
    active: Watch = CALM
    candidate: Watch = CALM
    servers: Mapping[str, ServerWatch] = field(default_factory=dict)
    blind_s: float = 0.0
    """How long the counters could not be read, up to now; 0 when they answered in the last tick."""
    step_share_bp: int = 0
    step: Window = EMPTY
    """Counts since the step began."""
    evidence_count: int = 0
    """Candidate requests judged in this step."""
    evidence_waiting: int = 0
    """Candidate requests of this step that wait for a request of active to be compared with."""
    late_count: int = 0
    """Candidate requests of this step that counted as bad while they had no answer yet."""

    @staticmethod
    def fresh(settings: Settings, *, terms: Terms | None = None, active: Counts = NO_COUNTS) -> "Account":
        """Return the account of a release that begins.

        `terms`: what was learned of active before. `active`: what it did in the last minutes, if known; that only
        makes the first guesses better and is not evidence.
        """
        terms = Terms(dispersion=settings.dispersion) if terms is None else terms
        return Account(errors=Comparison(recent=UNKNOWN.after(active, 0.0)), terms=terms)

    @property
    def has_baseline(self) -> bool:
        """Whether enough of active is known from before the release."""
        return self.terms.baseline.total >= BASELINE_MIN

    def candidate_limit(self, settings: Settings) -> float:
        """Return the candidate's own limit: what is tolerated at the ratio that active had before the release.

        Without a baseline, and at most, it is what is tolerated when active is just at its limit: an outage in the hour
        before must not make every fault look usual.
        """
        if not self.has_baseline:
            return settings.candidate_limit
        known = self.terms.baseline
        # Three more of each: a baseline without errors does not promise that there are none.
        usual = settings.margin_abs + settings.margin_rel * (known.bad + 3) / (known.total + 3)
        return min(usual, settings.candidate_limit)

    def streams(self) -> Iterator[tuple[Stream, float, Comparison]]:
        """Yield every stream that has a part of the capital, with its part."""
        if not self.terms.latency:
            yield Stream.ERROR, 1.0, self.errors
            return
        for stream, weight in WEIGHTS.items():
            yield stream, weight, self.comparison(stream)

    def comparison(self, stream: Stream) -> Comparison:
        """Return what is kept of one stream."""
        return self.errors if stream is Stream.ERROR else self.slow.get(stream, FRESH)

    def log_odds(self) -> float:
        """Return the logarithm of all the capital: the odds against "the candidate is not worse than tolerated"."""
        logs = [log(weight) + log_odds(comparison.capital) for _, weight, comparison in self.streams()]
        top = max(logs)
        return top + log(sum(exp(value - top) for value in logs))

    def to_json(self) -> dict[str, object]:
        """Return plain dicts, lists and finite numbers, to be read back by `from_json`."""
        return written(self)

    @staticmethod
    def from_json(document: object) -> "Account":
        """Return the account that `to_json` wrote.

        Raises `ValueError` naming the place if it is anything else. The caller then goes on with a fresh
        account and says so: the budget of false rollbacks is spent twice, nothing else is lost.
        """
        found = read(Account, document, "account")
        if not all(1.0 <= found.terms.dispersion_of(stream) <= DISPERSION_MAX for stream in Stream):
            raise ValueError(f"account.terms: a dispersion lies within 1..{DISPERSION_MAX:g}")
        if any(comparison.capital.log_reserve > 0.0 for _, _, comparison in found.streams()):
            raise ValueError("account: a reserve is never more than what the release began with")
        return found


def new_step(account: Account, settings: Settings, *, share_bp: int) -> Account:
    """Return the account for a step that begins with `share_bp`: fresh stakes, and a new count of evidence.

    Call it once per change of the recorded target share. What was proved so far stays.
    """
    del settings  # Part of the signature: what a step stakes may become a setting.
    restaked = {
        stream: replace(comparison, capital=staked(comparison.capital, STEP_PART))
        for stream, _, comparison in account.streams()
    }
    errors = restaked.pop(Stream.ERROR)
    return replace(
        account,
        errors=errors,
        slow={**account.slow, **restaked},
        turned=FRESH,
        servers=new_steps(account.servers),
        step_share_bp=share_bp,
        step=EMPTY,
        evidence_count=0,
        evidence_waiting=0,
        late_count=0,
    )


def learned(account: Account, sample: Sample, settings: Settings) -> Account:
    """Return the account after one tick. A colour that was not read in this tick adds nothing."""
    tick = Window(_sane(sample.candidate), _sane(sample.active), max(sample.dt_s, 0.0))
    seen = sample.candidate is not None and sample.active is not None
    terms = account.terms
    late = _with_late(tick, sample) if seen else tick
    bar = Bar(settings.margin_abs, settings.margin_rel, terms.dispersion)
    errors = compared(account.errors, late, bar, settings) if seen else account.errors
    fresh_count = tick.candidate.total if seen else 0
    waiting = account.evidence_waiting + fresh_count
    # At 100 % active may never get a request again: then the candidate's own watch has judged them.
    judged = not errors.pending.candidate.total or sample.share_bp >= 10_000
    limit = account.candidate_limit(settings)
    seen_servers = sample.servers if seen else {}
    return replace(
        account,
        errors=errors,
        slow=_slow(account, sample, tick.span_s, settings),
        turned=compared(account.turned, late.turned, bar, settings) if seen and sample.retreated else account.turned,
        active=watched(account.active, late.active, late, settings.active_limit, settings, terms.dispersion),
        candidate=watched(account.candidate, late.candidate, late, limit, settings, terms.dispersion),
        servers=watched_servers(account.servers, seen_servers, tick.active, tick.span_s, bar, settings),
        blind_s=0.0 if seen else account.blind_s + tick.span_s,
        step=account.step + tick,
        evidence_count=account.evidence_count + (waiting if judged else 0),
        evidence_waiting=0 if judged else waiting,
        late_count=account.late_count + _late_only(tick, sample),
    )


def _slow(account: Account, sample: Sample, span_s: float, settings: Settings) -> Mapping[Stream, Comparison]:
    if not account.terms.latency or not sample.slow:
        return account.slow
    return {
        stream: compared(
            account.comparison(stream),
            Window(pair.candidate, pair.active, span_s),
            Bar(SLOW_MARGINS[stream], settings.latency_margin_rel, account.terms.dispersion_of(stream)),
            settings,
        )
        if (pair := sample.slow.get(stream)) is not None
        else account.comparison(stream)
        for stream in SLOW
    }


def _with_late(tick: Window, sample: Sample) -> Window:
    if sample.late is None:
        return tick
    return Window(_sane(sample.late.candidate), _sane(sample.late.active), tick.span_s)


def _late_only(tick: Window, sample: Sample) -> int:
    return 0 if sample.late is None else max(0, sample.late.candidate.bad - tick.candidate.bad)


def _sane(counts: Counts | None) -> Counts:
    if counts is None:
        return NO_COUNTS
    return counts if counts.bad <= counts.total else Counts(counts.bad, counts.bad)

"""The account of one release: everything the judge remembers, and how one tick changes it."""

from dataclasses import dataclass, replace

from lbctl.core.judge.capital import STEP_PART, staked
from lbctl.core.judge.codec import read, written
from lbctl.core.judge.streams import CALM, UNKNOWN, Comparison, Watch, compared, watched
from lbctl.core.judge.terms import EMPTY, NO_COUNTS, Counts, Sample, Settings, Window


@dataclass(frozen=True, slots=True)
class Account:
    """Evidence for a rollback adds up over the whole release; the step's counts start anew with each step."""

    errors: Comparison
    active: Watch = CALM
    candidate: Watch = CALM
    blind_s: float = 0.0
    """How long the counters could not be read, up to now; 0 when they answered in the last tick."""
    step_share_bp: int = 0
    step: Window = EMPTY
    """Counts since the step began."""
    evidence_count: int = 0
    """Candidate requests judged in this step."""
    evidence_waiting: int = 0
    """Candidate requests of this step that wait for a request of active to be compared with."""

    @staticmethod
    def fresh(settings: Settings, *, active: Counts = NO_COUNTS) -> "Account":
        """Return the account of a release that begins.

        `active`: what active did in the last minutes before, if known. It only makes the first guesses
        better; it is not evidence.
        """
        del settings  # Part of the signature: further streams are opened by what is set.
        return Account(errors=Comparison(recent=UNKNOWN.after(active, 0.0)))

    def to_json(self) -> dict[str, object]:
        """Return plain dicts, lists and finite numbers, to be read back by `from_json`."""
        return written(self)

    @staticmethod
    def from_json(document: object) -> "Account":
        """Return the account that `to_json` wrote.

        Raises `ValueError` naming the place if it is anything else. The caller then goes on with a fresh
        account and says so: the budget of false rollbacks is spent twice, nothing else is lost.
        """
        return read(Account, document, "account")


def new_step(account: Account, settings: Settings, *, share_bp: int) -> Account:
    """Return the account for a step that begins with `share_bp`: fresh stakes, and a new count of evidence.

    Call it once per change of the recorded target share. What was proved so far stays.
    """
    del settings  # As in `fresh`.
    errors = replace(account.errors, capital=staked(account.errors.capital, STEP_PART))
    return replace(
        account,
        errors=errors,
        step_share_bp=share_bp,
        step=EMPTY,
        evidence_count=0,
        evidence_waiting=0,
    )


def learned(account: Account, sample: Sample, settings: Settings) -> Account:
    """Return the account after one tick. A colour that was not read in this tick adds nothing."""
    tick = Window(_sane(sample.candidate), _sane(sample.active), max(sample.dt_s, 0.0))
    seen = sample.candidate is not None and sample.active is not None
    errors = compared(account.errors, tick, settings) if seen else account.errors
    fresh_count = tick.candidate.total if seen else 0
    waiting = account.evidence_waiting + fresh_count
    # At 100 % active may never get a request again: then the candidate's own watch has judged them.
    judged = not errors.pending.candidate.total or sample.share_bp >= 10_000
    return replace(
        account,
        errors=errors,
        active=watched(account.active, tick.active, tick, settings.active_limit, settings),
        candidate=watched(account.candidate, tick.candidate, tick, settings.candidate_limit, settings),
        blind_s=0.0 if seen else account.blind_s + tick.span_s,
        step=account.step + tick,
        evidence_count=account.evidence_count + (waiting if judged else 0),
        evidence_waiting=0 if judged else waiting,
    )


def _sane(counts: Counts | None) -> Counts:
    if counts is None:
        return NO_COUNTS
    return counts if counts.bad <= counts.total else Counts(counts.bad, counts.bad)

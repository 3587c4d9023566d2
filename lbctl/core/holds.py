"""Why a release does not go forward now. Computed at every tick, never stored. Pure.

One table of questions; each answers with a sentence or nothing. Holds stop only the advance: never the way back, and
never the completion of a raise that is already recorded (that asks `may_raise`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lbctl.core import judge
from lbctl.core.attestation import unattested
from lbctl.core.matching import miscalled, unpinned, unproved_pin, unwatched_pin
from lbctl.core.measured import contradiction
from lbctl.core.oldworkers import unseen_workers
from lbctl.core.patience import outlasted
from lbctl.model.reading import InstanceReading, Token, Unreadable
from lbctl.model.record import Phase
from lbctl.model.units import Span, percent, seconds, since

if TYPE_CHECKING:
    from lbctl.core.situation import Situation

UNKNOWN_CALLER = "unknown_caller"
STALE = Span(3_000)
"""A reading older than this is no ground to go forward on."""
BY_ITS_ANSWER = "nothing of you: its next answer ends it; if it stays, is that load balancer running?"
BY_A_WRITE = "nothing of you: the next answered write ends it; if it stays, look at that load balancer"


@dataclass(frozen=True, slots=True)
class Hold:
    """One reason to wait. `overridable`: a person's `promote` may go over it. `pages`: a person is needed at once."""

    code: str
    reason: str
    needs: str
    overridable: bool = False
    pages: bool = False


def holds(now: "Situation") -> tuple[Hold, ...]:
    """Return every reason to wait, the most important first."""
    return tuple(hold for question in QUESTIONS.get(now.release.phase, ()) if (hold := question(now)) is not None)


def may_raise(now: "Situation") -> bool:
    """Whether a raise that is recorded may be carried out: forward needs everything."""
    return not any(question(now) for question in RAISE_NEEDS)


def _maintenance(now: "Situation") -> Hold | None:
    if now.record.maintenance:
        return Hold("maintenance", "maintenance is on: nothing is written", "lbctl maintenance off")
    name = next((one for one in now.services if now.record.in_maintenance(one)), None)
    if name is None:
        return None
    whose = f" for {name}" if now.release.followers else ""
    return Hold("maintenance", f"maintenance is on{whose}: nothing is written", f"lbctl maintenance off {name}")


def _paused(now: "Situation") -> Hold | None:
    if now.release.paused_by is None:
        return None
    return Hold("paused", f"paused by {now.release.paused_by}", f"lbctl resume {now.release.id}")


def _latched(now: "Situation") -> Hold | None:
    if not now.release.latched:
        return None
    return Hold("latched", "; ".join(now.release.latched.values()), f"lbctl resume {now.release.id}", pages=True)


def _frozen(now: "Situation") -> Hold | None:
    if not now.frozen:
        return None
    end = outlasted(now) or "the end of the window"
    return Hold("frozen", now.frozen, f"{end}; lbctl rollback {now.release.id} works all the time")


def _token(now: "Situation") -> Hold | None:
    match now.token:
        case Token.GO:
            return None
        case Token.HOLD:
            why = "a lowering is not yet safe in the journal"
            return Hold("token", why, f"the journal; else lbctl resume {now.release.id}")
        case Token.BACK:
            return Hold("token", "the way back was taken", "nothing: it goes back")
        case _ if now.token_trouble:
            why = f"the go-token cannot be read: {now.token_trouble}"
            return Hold("token", why, f"that repaired; else lbctl rollback {now.release.id}", pages=True)
        case _:
            why = "no go-token (the runtime directory was emptied, as by a reboot): a rollback may be forgotten"
            return Hold("token", why, f"lbctl rollback {now.release.id} or lbctl resume {now.release.id}", pages=True)


def _journal(now: "Situation") -> Hold | None:
    if not now.journal_error:
        return None
    return Hold(
        "journal", f"the journal cannot be written: {now.journal_error}", "free space, then it goes on by itself"
    )


def _durable(now: "Situation") -> Hold | None:
    return None if now.durable else Hold("recording", "the decision is being written", "the journal")


def _instances(now: "Situation") -> Hold | None:
    for name, reading in now.readings.items():
        if reading is None:
            return Hold("instance", f"{name} was not read yet", BY_ITS_ANSWER)
        if isinstance(reading, Unreadable):
            needs = "a load balancer that answers: is it running, and may lbctl use its socket?"
            return Hold("instance", f"{name} cannot be read: {reading.reason}", needs)
        age = since(reading.taken_at, now.at)
        if age > STALE:
            return Hold("instance", f"the last answer of {name} is {seconds(age)} old", BY_ITS_ANSWER)
    return None


def _unresolved(now: "Situation") -> Hold | None:
    for name, why in now.unresolved.items():
        return Hold("unresolved", f"{name}: {why}", BY_A_WRITE)
    return None


def _fresh(now: "Situation") -> Hold | None:
    for name, reading in now.readings.items():
        if isinstance(reading, InstanceReading) and reading.taken_at <= now.durable_at:
            return Hold(
                "reading", f"{name} was not read since the decision", "nothing of you: the next reading ends it"
            )
    return None


def _old_workers(now: "Situation") -> Hold | None:
    for name, reading in now.readings.items():
        if isinstance(reading, InstanceReading):
            for warning in unseen_workers(now.record, name, reading):
                return Hold("old_workers", f"{name}: {warning}", "the end of the old ones")
    return None


def _obstacle(now: "Situation") -> Hold | None:
    for name, reading in now.readings.items():
        seen = reading.services if isinstance(reading, InstanceReading) else {}
        for one in now.services:
            for obstacle in seen[one].obstacles if one in seen and name in now.instances[one] else ():
                return Hold("obstacle", f"{name}: {obstacle}", "the load balancer's config repaired", pages=True)
    return None


def _share(now: "Situation") -> Hold | None:
    """A load balancer that reads back one share and gives another."""
    if now.progress is None:
        return None
    why = contradiction(now.progress.measured, now.attendance, now.release.to, now.release.share_bp)
    return Hold("share", why, "a load balancer that gives what it reads back") if why else None


def _attestation(now: "Situation") -> Hold | None:
    why = unattested(now)
    return Hold("attestation", why, "every candidate server on the release's version") if why else None


def _checker(now: "Situation") -> Hold | None:
    why = now.checker_suspect
    return (
        None if not why else Hold("checker", f"the health checker is suspect: {why}", "believable checks", pages=True)
    )


def _candidate(now: "Situation") -> Hold | None:
    if now.candidate.well:
        return None
    return Hold("candidate", f"candidate not healthy: {now.candidate.trouble()}", "every candidate server healthy")


def _capacity(now: "Situation") -> Hold | None:
    wanted = now.release.plan.capacity
    for name, pair in now.pairs.items():
        have = pair.candidate.up_count
        needed = pair.active.up_count if wanted is None else wanted
        if have < needed:
            whose = f" of {name}" if now.release.followers else ""
            why = f"candidate{whose} has {have} healthy servers, {needed} are needed"
            return Hold("capacity", why, "more servers, or `capacity:`")
    return None


def _approval(now: "Situation") -> Hold | None:
    release, plan = now.release, now.release.plan.approvals
    if not release.unapproved_count:
        return None
    why = f"{len(release.approvals)} of {plan.count} approvals of group {plan.group} are given"
    return Hold("approval", why, f"lbctl release approve {release.id}")


def _way_home(now: "Situation") -> Hold | None:
    if now.way_open:
        return None
    return Hold(
        "way_home", f"active is not fit to take traffic: {now.active.trouble()}", "a healthy active pool", pages=True
    )


def _pins(now: "Situation") -> Hold | None:
    why = unproved_pin(now)
    return Hold("pins", why, "the load balancers") if why else None


def _watching(now: "Situation") -> Hold | None:
    why = unwatched_pin(now)
    return Hold("watching", why, "nothing of you: it ends by itself") if why else None


def _wrong_cell(now: "Situation") -> Hold | None:
    wrong = miscalled(now)
    if not wrong:
        return None
    needs = (
        f"a load balancer that does what it reads back, then lbctl release cancel {now.release.id} and a new release"
    )
    return Hold("wrong_cell", wrong, needs, pages=True)


def _unknown_caller(now: "Situation") -> Hold | None:
    """Before first traffic, and at every step: no pin holds such a caller, and at the end it would meet the new version
    of a follower, whatever it speaks. Until then it meets the old one, so nobody goes back for it."""
    found = unpinned(now)
    return None if found is None else Hold(UNKNOWN_CALLER, *found, pages=True)


_REPAIRED = {
    "shared_fault": "the common cause repaired",
    "active_fault": "active repaired",
    "active_worse": "active repaired",
    "server_fault": "that server repaired or taken out",
    "errors_uncompared": "your word, whether it is the candidate: then `lbctl rollback`",
    "panic": "believable checks",
    "blind": "counters that can be read",
    "counters_stale": "counters that can be read",
    "both_dead": "what both pools depend on repaired, or their health check",
}
"""What a verdict that holds needs; any other ends when the counters are calm."""


def _verdict(now: "Situation") -> Hold | None:
    verdict = now.verdict
    if verdict is None or verdict.word is judge.Word.ADVANCE or verdict.code == "not_enough_evidence":
        return None
    return Hold(
        verdict.code,
        verdict.reason,
        _REPAIRED.get(verdict.code, "nothing of you: it ends when the counters are calm")
        + (f", or lbctl promote {now.release.id}" if verdict.overridable_by_promote else ""),
        overridable=verdict.overridable_by_promote,
        pages=verdict.alert,
    )


def waits(now: "Situation") -> tuple[Hold, ...]:
    """Return what an advance still lacks that is no trouble: time at this step, requests judged."""
    lacking: list[Hold] = []
    reached = now.reached_since
    hold_min = now.release.plan.bake if now.release.phase is Phase.BAKING else now.release.plan.hold_min
    if reached is None:
        lacking.append(_reaching(now))
    elif since(reached, now.at) < hold_min:
        left = seconds(hold_min - since(reached, now.at))
        lacking.append(Hold("time", f"held for another {left}", "time", overridable=True))
    # At share 0 (after a reload that lost everything) there is nothing to judge, as before the first step.
    if now.release.share_bp and (now.verdict is None or now.verdict.code == "not_enough_evidence"):
        why = now.verdict.reason if now.verdict is not None else "no request was judged yet"
        lacking.append(Hold("traffic", why, f"traffic, or lbctl promote {now.release.id}", overridable=True))
    lacking += filter(None, [_evidence(now)])
    return tuple(lacking)


def _reaching(now: "Situation") -> Hold:
    for name, why in now.refusals.items():
        return Hold(
            "reaching", f"{name} refuses the change, which is tried again: {why}", "a load balancer that takes it"
        )
    return Hold("reaching", "the share is not read back everywhere yet", "the load balancers")


def _evidence(now: "Situation") -> Hold | None:
    """A step that was planned with more requests than the judge's least number."""
    planned = now.release.plan.evidence_at(now.release.share_bp) if now.release.phase is Phase.SHIFTING else 0
    judged = 0 if now.progress is None else now.progress.account.evidence_count
    if judged >= planned or not now.release.share_bp:
        return None
    why = f"{judged} of the {planned} requests planned for {percent(now.release.share_bp)} are judged"
    return Hold("evidence", why, f"traffic, or lbctl promote {now.release.id}", overridable=True)


Question = Callable[["Situation"], Hold | None]

FORWARD: tuple[Question, ...] = (
    _maintenance,
    _paused,
    _latched,
    _frozen,
    _token,
    _journal,
    _instances,
    _unresolved,
    _obstacle,
    _old_workers,
    _share,
    _pins,
    _attestation,
    _checker,
    _candidate,
    _unknown_caller,
    _verdict,
)
"""What stops an advance, in the order in which people should hear it."""

PROOFS = (*FORWARD[:-1], _capacity, _wrong_cell, _watching)
"""What must hold before first traffic: there is no verdict yet, but the candidate must be able to carry the load."""

QUESTIONS: dict[Phase, tuple[Question, ...]] = {
    Phase.PREFLIGHT: PROOFS,
    Phase.AWAITING_APPROVAL: (*PROOFS, _approval),
    Phase.SHIFTING: FORWARD,
    Phase.BAKING: FORWARD,
    Phase.DRAINING: (_maintenance, _paused, _token, _journal, _instances, _unresolved, _unknown_caller),
    Phase.RETIRING: (_maintenance, _paused, _journal, _instances, _unresolved),
    Phase.ROLLING_BACK: (_maintenance, _way_home, _instances, _unresolved, _journal),
}
"""What a release may wait for, by phase. On the way back nothing is asked that would delay it, this only says what is
still missing."""

RAISE_NEEDS: tuple[Question, ...] = (
    _maintenance,
    _token,
    _journal,
    _durable,
    _instances,
    _obstacle,
    _unresolved,
    _fresh,
    _candidate,
)
"""What the completion of a recorded raise needs. Pause and other holds do not stop it."""

"""Taking a change, and what the journal says of it. Pure.

A step forward is undone when it cannot be recorded. A lowering takes effect at once, is never undone, and is offered to
the journal again until it is written; until then nothing is raised.
"""

from dataclasses import replace

from lbctl.core.change import Change
from lbctl.core.invariants import check
from lbctl.core.state import Effect, Free, Note, Recorded, Reply, Save, State
from lbctl.model.entry import Entry, Kind, Severity
from lbctl.model.reading import Token
from lbctl.model.request import Answer
from lbctl.model.units import Instant, Span, after

RETRY = Span(1_000)
"""How often a journal that failed is tried again."""
UNTOLD_MAX = 200
"""Entries kept for a journal that does not work; the oldest go first."""


def take(state: State, change: Change, now: Instant) -> tuple[State, tuple[Effect, ...]]:
    """Adopt a change under the next revision. Marks come first: a rename needs neither space nor a journal."""
    rev = state.last_rev + 1
    record = replace(change.record, rev=rev, clock=now)
    check(state.record, record)
    held = {mark.release for mark in change.marks if mark.token is Token.HOLD}
    state = replace(
        state,
        record=record,
        last_rev=rev,
        changed_at=now,
        kept_rev=rev if change.lowering else state.kept_rev,
        writing_rev=rev,
        untold=(*state.untold, *change.entries)[-UNTOLD_MAX:],
        held_tokens=state.held_tokens | held,
    )
    return state, (*change.marks, Save(record, state.untold))


def recorded(state: State, event: Recorded) -> tuple[State, tuple[Effect, ...]]:
    """Fold in the end of a write."""
    if event.error:
        return _failed(state, event)
    if event.rev != state.record.rev:
        return replace(state, writing_rev=None if state.writing_rev == event.rev else state.writing_rev), ()
    told = tuple(Reply(answer) for answer in state.answers if answer.after_rev <= event.rev)
    freed = tuple(
        Free(release.id, release.nonce)
        for release in state.record.releases.values()
        if release.id in state.held_tokens and not release.phase.ended
    )
    recovered = _note(Kind.JOURNAL_RECOVERED, event.now, "the journal is written again") if state.journal_error else ()
    state = replace(
        state,
        durable=state.record,
        durable_at=event.now,
        writing_rev=None,
        journal_error="",
        untold=(),
        answers=tuple(answer for answer in state.answers if answer.after_rev > event.rev),
        held_tokens=frozenset(),
    )
    return state, (*freed, *told, *recovered)


def _failed(state: State, event: Recorded) -> tuple[State, tuple[Effect, ...]]:
    first = not state.journal_error
    text = f"the journal cannot be written, so nothing goes forward: {event.error}"
    noted = _note(Kind.JOURNAL_FAILED, event.now, text, Severity.PAGE) if first else ()
    state = replace(
        state,
        journal_error=event.error,
        writing_rev=None if state.writing_rev == event.rev else state.writing_rev,
        retry_at=after(event.now, RETRY),
    )
    if event.rev != state.record.rev:
        return state, noted
    if state.kept_rev > state.durable.rev:
        answered = tuple(Reply(answer) for answer in state.answers)
        return replace(state, answers=()), (*noted, *answered)
    refused = tuple(Reply(_not_recorded(answer, event.error)) for answer in state.answers)
    return replace(state, record=state.durable, untold=(), answers=()), (*noted, *refused)


def retried(state: State, now: Instant) -> tuple[State, tuple[Effect, ...]]:
    """Offer the record to a journal that failed, at a steady pace: this is also how its recovery is found out."""
    if not state.journal_error or state.writing_rev is not None or now < state.retry_at:
        return state, ()
    state = replace(state, writing_rev=state.record.rev, retry_at=after(now, RETRY))
    return state, (Save(state.record, state.untold),)


def _not_recorded(answer: Answer, error: str) -> Answer:
    body = {
        "code": "journal",
        "what": "nothing was changed: the decision could not be recorded",
        "why": error,
        "then": "free space or repair the state directory, then ask again",
        "exit_code": 5,
    }
    return Answer(answer.request_id, accepted=False, body=body)


def _note(kind: Kind, at: Instant, text: str, severity: Severity = Severity.INFO) -> tuple[Note, ...]:
    return (Note((Entry(kind=kind, at=at, text=text, severity=severity),)),)

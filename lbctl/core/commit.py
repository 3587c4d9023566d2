"""Taking a change, and what the journal says of it. Pure.

A step forward is undone when it cannot be recorded. A lowering takes effect at once, is never undone, and is offered to
the journal again until it is written; until then nothing is raised.
"""

from dataclasses import replace

from lbctl.core.change import Change
from lbctl.core.invariants import check
from lbctl.core.state import Effect, Free, Note, Offered, Recorded, Reply, Save, State
from lbctl.core.told import with_numbers
from lbctl.model.entry import Entry, Kind, Severity
from lbctl.model.reading import Token
from lbctl.model.record import Phase
from lbctl.model.request import Answer
from lbctl.model.units import Instant, Span, after, seconds, since

RETRY = Span(1_000)
"""How often a journal that failed is tried again."""
PATIENCE = Span(50)
"""So long a way back waits for a journal that says nothing before whoever asked is told: its token is marked, and users
are on their way."""
SILENT = f"its disk has not answered within {seconds(PATIENCE)}"
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
        untold=(*state.untold, *with_numbers(state, change.entries)),
        held_tokens=state.held_tokens | held,
        overtaken=False,
    )
    state, save = _offer(state)
    return state, (*change.marks, save)


def _offer(state: State) -> tuple[State, Save]:
    """Hand the newest record and all that was not told yet to the journal."""
    given = Offered(state.record, state.untold)
    save = Save(given.record, given.entries, kept=state.kept_rev > state.durable.rev)
    return replace(state, offered=(*state.offered, given), untold=()), save


def recorded(state: State, event: Recorded) -> tuple[State, tuple[Effect, ...]]:
    """Fold in the end of a write. Writes end in the order in which they were offered."""
    ended = next((one for one in state.offered if one.record.rev == event.rev), None)
    if ended is None:
        return state, ()
    state = replace(state, offered=tuple(one for one in state.offered if one is not ended))
    return _failed(state, ended, event) if event.error else _durable(state, ended, event.now)


def _durable(state: State, ended: Offered, now: Instant) -> tuple[State, tuple[Effect, ...]]:
    rev = ended.record.rev
    effects: list[Effect] = [Reply(answer) for answer in state.answers if answer.after_rev <= rev]
    answers = tuple(answer for answer in state.answers if answer.after_rev > rev)
    state = replace(state, durable=ended.record, durable_at=now, answers=answers)
    if rev > state.record.rev:
        # It was given up for lost and is written after all, and nothing else was decided since: it stands.
        void = Kind.CERTIFICATE_VOID
        untold = tuple(entry for entry in state.untold if entry.kind is not void)
        state = replace(state, record=ended.record, untold=untold)
    if rev != state.record.rev:
        return state, tuple(effects)
    freed = [
        Free(release.id, release.nonce)
        for release in state.record.releases.values()
        if release.id in state.held_tokens and not release.phase.ended
    ]
    late = [Note(state.untold)] if state.untold else []
    recovered = _note(Kind.JOURNAL_RECOVERED, now, "the journal is written again") if state.journal_error else ()
    state = replace(state, journal_error="", untold=(), held_tokens=frozenset())
    return state, (*freed, *effects, *late, *recovered)


def failed(state: State, error: str, now: Instant) -> tuple[State, tuple[Effect, ...]]:
    """Treat the newest decision as one that could not be written, whatever becomes of it at the journal."""
    return _failed(state, Offered(state.record, ()), Recorded(now, state.record.rev, error))


def _failed(state: State, ended: Offered, event: Recorded) -> tuple[State, tuple[Effect, ...]]:
    text = f"the journal cannot be written, so nothing goes forward: {event.error}"
    noted = () if state.journal_error else _note(Kind.JOURNAL_FAILED, event.now, text, Severity.PAGE)
    state = replace(state, journal_error=event.error, retry_at=after(event.now, RETRY))
    told = tuple(answer for answer in state.answers if tellable(state, answer))
    answers = tuple(answer for answer in state.answers if answer not in told)
    stands = ended.record.rev != state.record.rev or state.kept_rev > state.durable.rev
    if stands:
        untold = (*ended.entries, *state.untold)[-UNTOLD_MAX:]
        return replace(state, untold=untold, answers=answers), (*noted, *map(Reply, told))
    told = (*told, *(_not_recorded(answer, event.error) for answer in answers))
    return replace(state, record=state.durable, untold=(), answers=()), (*noted, *map(Reply, told))


def tellable(state: State, answer: Answer) -> bool:
    """Whether an answer may be told now: its decision is durable, or it is a way back, which waits for no journal."""
    if answer.after_rev <= state.durable.rev:
        return True
    return bool(state.journal_error) and _is_way_back(answer)


def _is_way_back(answer: Answer) -> bool:
    return answer.body.get("phase") == Phase.ROLLING_BACK.value


def told_in_time(state: State, now: Instant) -> tuple[State, tuple[Effect, ...]]:
    """Tell of ways back, and of cancellations, whose journal is silent or known not to work: nobody waits for that."""
    late = [one for one in state.answers if state.journal_error or _waited(one, now) >= PATIENCE]
    told = [one for one in late if one.goes_back]
    if not told:
        return state, ()
    answers = tuple(answer for answer in state.answers if answer not in told)
    said = (one if _is_way_back(one) else _not_recorded(one, state.journal_error or SILENT) for one in told)
    return replace(state, answers=answers), tuple(map(Reply, said))


def _waited(answer: Answer, now: Instant) -> Span:
    return Span(0) if answer.at is None else since(answer.at, now)


def retried(state: State, now: Instant) -> tuple[State, tuple[Effect, ...]]:
    """Offer the record to a journal that failed, at a steady pace: this is also how its recovery is found out."""
    if not state.journal_error or state.offered or now < state.retry_at:
        return state, ()
    state, save = _offer(replace(state, retry_at=after(now, RETRY)))
    return state, (save,)


def _not_recorded(answer: Answer, error: str) -> Answer:
    """Return what is true of a request whose decision was undone. A cancellation goes on by its token."""
    if answer.goes_back:
        note = f"cancelled as soon as the journal can be written; until then nothing goes forward: {error}"
        body = {**answer.body, "phase": Phase.PREFLIGHT.value, "did": "to be cancelled", "note": note}
        return Answer(answer.request_id, accepted=True, body=body)
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

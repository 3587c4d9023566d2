"""A reason that a person gives after the way back was taken: first the users, then the words. Pure."""

from dataclasses import replace

from lbctl.core.change import Change, entry
from lbctl.model.entry import Kind
from lbctl.model.record import Phase, Record, Release
from lbctl.model.request import Asked, Cancel, Rollback
from lbctl.model.units import Instant

WENT_BACK = frozenset({Phase.ROLLING_BACK, Phase.ROLLED_BACK, Phase.CANCELLED})
OUTCOME_MAX = 1_000
"""Characters of an outcome that more reasons are added to; beyond that they are in the journal alone."""


def said_later(record: Record, release: Release, request: Asked, at: Instant, *, journal_error: str) -> Change | None:
    """Return the change that keeps a reason for a way back that was taken before; None where there is nothing new.

    Without a journal it is left: the way back never waits for one.
    """
    is_reason = isinstance(request, Rollback | Cancel) and request.reason and request.reason not in release.outcome
    if not is_reason or release.phase not in WENT_BACK or journal_error:
        return None
    said = f"{request.actor}: {request.reason}"
    outcome = f"{release.outcome}; {said}" if len(release.outcome) < OUTCOME_MAX else release.outcome
    known = replace(release, outcome=outcome)
    told = entry(Kind.REASON_GIVEN, known, at, f"why it went back: {said}", actor=request.actor, reason=request.reason)
    return Change(record=record.with_release(known), entries=(told,))

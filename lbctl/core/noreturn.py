"""The point of no return: the moment in which the first certificate of a release is being written. Pure.

Until the journal has said how that write ended, nobody knows whether the old pool may be stopped: a way back that is
asked for meanwhile waits. Written: it comes too late. Failed: it goes back. A journal that does not answer within a
second counts as failed, and the certificate is withdrawn: a later decision overtakes it.
"""

from dataclasses import replace

from lbctl.core.change import Change, entry
from lbctl.core.commit import failed, take
from lbctl.core.state import Effect, State
from lbctl.model.entry import Entry, Kind, Severity
from lbctl.model.names import UnitName
from lbctl.model.record import Phase, Record, Release
from lbctl.model.request import Cancel, Request, Rollback, Undo
from lbctl.model.units import SECOND, Instant, Span, since

WINDOW = Span(SECOND)
"""How long a way back waits for the journal."""
LATE = "the certificate was not written within a second"


def in_window(state: State) -> frozenset[UnitName]:
    """Return the units whose first certificate is handed to the journal and not known to be written."""
    return frozenset(
        unit
        for unit, release in state.record.releases.items()
        if release.phase is Phase.RETIRING and _durable_phase(state, unit) is Phase.DRAINING
    )


def _durable_phase(state: State, unit: UnitName) -> Phase | None:
    known, now = state.durable.releases.get(unit), state.record.releases[unit]
    return known.phase if known is not None and known.id == now.id else None


def waits_for_the_journal(state: State, request: Request) -> bool:
    """Whether this is a way back of a release whose first certificate is being written."""
    match request:
        case Rollback() | Cancel():
            return any(state.record.releases[unit].id == request.release for unit in in_window(state))
        case Undo():
            return request.unit in in_window(state)
        case _:
            return False


def withdrawn(state: State, now: Instant) -> tuple[State, tuple[Effect, ...]]:
    """Take a first certificate back that the journal has failed to write, or did not write in time."""
    units = [
        unit
        for unit in in_window(state)
        if state.journal_error or since(state.record.releases[unit].phase_since, now) >= WINDOW
    ]
    if not units:
        return state, ()
    effects: tuple[Effect, ...] = ()
    told = tuple(_told(state.record.releases[unit], now) for unit in units)
    if not state.journal_error:
        state, effects = failed(state, LATE, now)
    state = replace(state, untold=(*state.untold, *told))
    kept = [unit for unit in units if unit in in_window(state)]
    if kept:
        # Another release's way back was decided on top of it, and is never taken back: that stands without it.
        record = _without(state.record, state.durable, kept)
        state, more = take(replace(state, record=record), Change(record=record, lowering=True), now)
        effects = (*effects, *more)
    return state, effects


def _told(release: Release, now: Instant) -> Entry:
    """What goes into the journal with the next decision: the certificate itself may have got there."""
    text = f"the first certificate of release {release.id} was not written, and is void: {release.origin} stays"
    return entry(Kind.CERTIFICATE_VOID, release, now, text, severity=Severity.WARNING)


def _without(record: Record, durable: Record, units: list[UnitName]) -> Record:
    """Return the record in which these releases are as the journal last knew them."""
    for unit in units:
        release = durable.releases[unit]
        record = record.with_release(release)
        for name in release.members:
            record = record.with_service(name, durable.services[name])
    return record

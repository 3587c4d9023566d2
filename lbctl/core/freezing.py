"""Freeze windows that people make: kept with the record, beside those of the config. Pure.

When a window is over is a matter of the wall clock, which the core has not: it comes in as a fact, as those of the
config do.
"""

from dataclasses import replace

from lbctl.core.change import Change
from lbctl.core.reply import Facts
from lbctl.core.state import State
from lbctl.model.entry import Entry, Kind
from lbctl.model.errors import Refused
from lbctl.model.record import Frozen, Record
from lbctl.model.request import Asked, Freeze, Unfreeze
from lbctl.model.units import Instant

FREEZES_MAX = 50


def frozen_by(state: State, request: Freeze | Unfreeze, now: Instant) -> tuple[Change | None, Facts]:
    """Return what a person's request makes of the windows.

    Raises:
        Refused: there are too many.
    """
    return _freeze(state, request, now) if isinstance(request, Freeze) else _unfreeze(state, request, now)


def _freeze(state: State, request: Freeze, now: Instant) -> tuple[Change | None, Facts]:
    """Make a window, or change the one of that name. Windows that are over make room."""
    wanted = Frozen(
        target=request.target,
        until=request.until,
        zone=request.zone,
        reason=request.reason,
        by=request.actor,
        since=request.wall,
    )
    there = state.record.freezes.get(request.name)
    if there is not None and replace(there, by=wanted.by, since=wanted.since) == wanted:
        return None, {"freeze": request.name}
    kept = {name: one for name, one in state.record.freezes.items() if name not in request.over}
    if len(kept | {request.name: wanted}) > FREEZES_MAX:
        what = f"there are {FREEZES_MAX} freeze windows already"
        raise Refused("too_many_freezes", what, then="lbctl freeze list, then lbctl freeze remove NAME")
    record = replace(state.record, freezes=kept | {request.name: wanted})
    end = f"until {request.until} {request.zone}" if request.until else "until it is removed"
    text = f"freeze {request.name} of {request.target or 'every service'} {end}"
    return _changed(record, request, now, text), {"freeze": request.name}


def _unfreeze(state: State, request: Unfreeze, now: Instant) -> tuple[Change | None, Facts]:
    """Remove a window. One that is not there is removed already."""
    if request.name not in state.record.freezes:
        return None, {"freeze": request.name}
    left = {name: one for name, one in state.record.freezes.items() if name != request.name}
    change = _changed(replace(state.record, freezes=left), request, now, f"freeze {request.name} removed")
    return change, {"freeze": request.name}


def _changed(record: Record, request: Asked, now: Instant, text: str) -> Change:
    because = f": {request.reason}" if request.reason else ""
    told = Entry(
        kind=Kind.FREEZE_CHANGED, at=now, text=text + because, actor=request.actor, data={"reason": request.reason}
    )
    return Change(record=record, entries=(told,))

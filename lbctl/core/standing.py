"""What becomes of claims and of versions on the board as time passes: granted, told of, ended. Pure.

Nothing stands for ever: a claim without a version that is ready ends, and so does a version that never found its set.
"""

from collections.abc import Iterator
from dataclasses import replace

from lbctl.core.change import Change
from lbctl.core.claims import grant, holder, unclaimed
from lbctl.core.ready import waiting
from lbctl.core.state import State
from lbctl.model.entry import Entry, Kind, Severity
from lbctl.model.names import ServiceName
from lbctl.model.record import Claimed, Ready
from lbctl.model.topology import Unit
from lbctl.model.units import DAY, Instant, seconds, since


def standing(state: State, now: Instant) -> Iterator[Change | None]:
    """Yield what is due now; a service that left the config waits for its return."""
    for name in state.topology.services:
        unit, held, ready = state.topology.unit_of(name), state.record.claims.get(name), state.record.board.get(name)
        if held is not None:
            yield grant(state, name, now)
        if held is not None and ready is None:
            yield _claim_over(state, name, held, unit, now)
        if ready is not None:
            yield _board_over(state, name, ready, unit, now) or _another_day(state, name, ready, unit, now)


def _claim_over(state: State, name: ServiceName, held: Claimed, unit: Unit, now: Instant) -> Change | None:
    limit = unit.deadlines.claim
    if since(held.since, now) < limit:
        return None
    text = (
        f"{held.colour} of {name} was claimed by {holder(held)}, and nothing was ready within {seconds(limit)}: "
        f"the claim has ended; then lbctl claim {name}"
    )
    told = Entry(kind=Kind.CLAIM_ENDED, at=now, text=text, severity=Severity.WARNING, service=name)
    return Change(record=unclaimed(state.record, name), entries=(told,))


def _board_over(state: State, name: ServiceName, ready: Ready, unit: Unit, now: Instant) -> Change | None:
    limit = unit.deadlines.board
    if since(ready.at, now) < limit or state.record.running(name) is not None:
        return None
    board = {one: other for one, other in state.record.board.items() if one != name}
    claims = {one: claim for one, claim in state.record.claims.items() if one != name}
    why = waiting(state, unit).get(name, "")
    text = f"{name} {ready.version} was ready for {seconds(limit)} and could not go: {why}; then lbctl claim {name}"
    data = {"version": ready.version, "build": ready.build}
    told = Entry(kind=Kind.VERSION_WITHDRAWN, at=now, text=text, severity=Severity.WARNING, service=name, data={**data})
    return Change(record=replace(state.record, board=board, claims=claims), entries=(told,))


def _another_day(state: State, name: ServiceName, ready: Ready, unit: Unit, now: Instant) -> Change | None:
    days = since(ready.at, now) // DAY
    if days <= ready.told_days:
        return None
    board = {**state.record.board, name: replace(ready, told_days=days)}
    left = seconds(max(0, unit.deadlines.board - since(ready.at, now)))
    why = waiting(state, unit).get(name, "")
    text = f"{name} {ready.version} has been ready for {seconds(since(ready.at, now))}: {why}; it leaves in {left}"
    data = {"version": ready.version, "build": ready.build}
    told = Entry(kind=Kind.VERSION_WAITS, at=now, text=text, severity=Severity.WARNING, service=name, data={**data})
    return Change(record=replace(state.record, board=board), entries=(told,))

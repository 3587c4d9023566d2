"""What `lbctl status` shows of a unit: its release, what its callers are pinned to, the board and the claims. Pure."""

from typing import Any

from lbctl.core.attestation import contradicted
from lbctl.core.claims import claim_granted, lacking
from lbctl.core.matrix import Tally
from lbctl.core.ready import waiting
from lbctl.core.state import State
from lbctl.core.targets import target
from lbctl.daemon.ending import result_of
from lbctl.model.names import ServiceName
from lbctl.model.reading import InstanceReading
from lbctl.model.record import Release
from lbctl.model.route import Caller, Cell, Pin, Route
from lbctl.model.topology import Unit
from lbctl.model.units import SECOND, Instant, since

Json = dict[str, Any]


def unit_view(state: State, unit: Unit, views: dict[str, Json], now: Instant) -> Json:
    """Return the status of a unit of several services; `views` are those of its services. The keys are part of the
    API."""
    release = latest(state, unit)
    runs = release is not None and not release.phase.ended
    view = None if release is None else views.get(release.service)
    return {
        "services": list(unit.services),
        "carrier": release.service if release is not None and runs else None,
        "members": list(release.members) if release is not None and runs else [],
        "phase": None if release is None else release.phase.value,
        "release": None if release is None else release.id,
        "result": result_of(release, state.record),
        "share_bp": 0 if release is None else release.share_bp,
        "held": view["held"] if view is not None and runs else None,
        "step": view["step"] if view is not None and runs else None,
        "next": view["next"] if view is not None and runs else "",
        "observed_share_bp": None if view is None else view["observed_share_bp"],
        "board": board(state, unit, now),
        "claims": {name: found for name in unit.services if (found := claim(state, name, now)) is not None},
        "pins": pins(state, unit),
        "matrix": matrix(state, unit, now),
    }


def latest(state: State, unit: Unit) -> Release | None:
    """Return the release of the unit that runs, else the last one that ended."""
    found = [release for name in unit.services if (release := state.record.latest(name)) is not None]
    return max(found, key=lambda one: (not one.phase.ended, int(one.id)), default=None)


def board(state: State, unit: Unit, now: Instant) -> Json:
    """Return every version that is ready and waits, by service, and what it waits for."""
    reasons = waiting(state, unit)
    found = {name: state.record.board[name] for name in unit.services if name in state.record.board}
    return {
        name: {
            "version": ready.version,
            "build": ready.build,
            "by": ready.by,
            "since_ms": since(ready.at, now),
            "waits": reasons.get(name, ""),
            "doubt": doubt(state, name),
            "provides": {one: list(numbers) for one, numbers in ready.contract.provides.items()},
            "requires": dict(ready.contract.requires),
        }
        for name, ready in found.items()
    }


def doubt(state: State, name: ServiceName) -> str:
    """Return what the servers say against the version that is on the board for them; empty if nothing."""
    adopted = state.record.services.get(name)
    if adopted is None:
        return ""
    heard = {server: said for (of, server), said in state.observed.attested.items() if of == name}
    ready = state.record.board[name]
    return contradicted(state.topology.services[name], adopted.active.other, ready.version, heard)


def claim(state: State, name: ServiceName, now: Instant) -> Json | None:
    """Return who holds a pool of a service to deploy to it; None if nobody does."""
    found = state.record.claims.get(name)
    if found is None:
        return None
    granted = claim_granted(state, name)
    waits = "" if granted else lacking(state, name, found) or "the record of it"
    age = since(found.since, now)
    left = max(0, state.topology.unit_of(name).deadlines.claim - age)
    view = {"colour": found.colour.value, "by": found.by, "build": found.build, "since_ms": age, "left_ms": left}
    return {**view, "granted": granted, "waits": waits}


def pins(state: State, unit: Unit) -> Json:
    """Return where each consumer pool's calls go and should go: `accounts<storefront-blue` is storefront's blue pool
    calling accounts. `observed` null: it was not read; several words: instances or old workers differ."""
    found: Json = {}
    for provider in unit.services:
        want = target(state.topology, state.record, provider)
        runtime, boot = _routes(state, provider)
        for caller in state.topology.callers_of(provider):
            found[f"{provider}<{caller}"] = {
                "want": None if want is None else _pin(want, caller),
                "observed": _words(runtime, caller),
                "boot": _words(boot, caller),
            }
    return found


def matrix(state: State, unit: Unit, now: Instant) -> Json:
    """Return who called whom since lbctl first watched, by provider. `right` null: a caller who is nobody's pool."""
    return {
        name: [_cell(state.matrix.get(name, Tally()), cell, now) for cell in _cells(state.matrix.get(name, Tally()))]
        for name in unit.services
        if state.topology.services[name].consumers
    }


def _cells(tally: Tally) -> list[Cell]:
    return sorted(tally.totals, key=str)


def _cell(tally: Tally, cell: Cell, now: Instant) -> Json:
    wrong = sum(count for one, count in tally.wrong.items() if (one.caller, one.colour) == (cell.caller, cell.colour))
    return {
        "caller": None if cell.caller is None else str(cell.caller),
        "colour": cell.colour.value,
        "requests": tally.totals[cell],
        "in_release": 0 if tally.release is None else tally.in_release.get(cell, 0),
        "wrong": wrong,
        "last_s": since(tally.last[cell], now) / SECOND,
        "right": None if cell.caller is None else not wrong,
    }


def _routes(state: State, name: ServiceName) -> tuple[list[Route], list[Route]]:
    runtime: list[Route] = []
    boot: list[Route] = []
    for instance in state.topology.instances_of(name):
        reading = state.observed.instances.get(instance)
        seen = reading.services.get(name) if isinstance(reading, InstanceReading) else None
        if seen is not None:
            runtime += seen.runtime.values()
            boot += [] if seen.boot is None else [seen.boot]
    return runtime, boot


def _pin(route: Route, caller: Caller) -> str:
    return dict(route.pins).get(caller, Pin.SPLIT).value


def _words(routes: list[Route], caller: Caller) -> str | None:
    return " ".join(sorted({_pin(route, caller) for route in routes})) or None

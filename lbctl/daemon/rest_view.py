"""What `lbctl why` says of services whose last release is through: what is left of it, and what people left. Pure."""

from collections.abc import Iterable, Iterator
from typing import Any

from lbctl.core.draining import waits_for_maintenance
from lbctl.core.emptiness import emptiness
from lbctl.core.state import State
from lbctl.daemon.retired_view import unproven, voided_view
from lbctl.daemon.session_view import kept_view
from lbctl.daemon.why_line import why_line
from lbctl.model.names import ServiceName
from lbctl.model.units import Instant, since

Json = dict[str, Any]


def rest_lines(state: State, names: Iterable[ServiceName], now: Instant) -> Iterator[Json]:
    """Yield what still stands of these services, whatever their release does."""
    for name in names:
        if name in state.record.services and name in state.topology.services:
            yield from _voided(state, name, now)
            yield from _drained(state, name, now)
            yield from [*_kept(state, name, now)] or _unproven(state, name, now)


def _unproven(state: State, name: ServiceName, now: Instant) -> Iterator[Json]:
    colour, release = state.record.services[name].active.other, state.record.latest(name)
    found = voided_view(state, name, colour, now)
    why = "" if found is not None and found["standing"] else unproven(state, name, colour, now)
    if why:
        what = f"{colour} of {name} is not proved unused: {why}"
        needs = f"nobody there, it is proved later by itself; to deploy there all the same: lbctl claim {name}"
        began = now if release is None else release.phase_since  # Of an adoption nobody keeps the time.
        yield why_line("unproven", what, since(began, now), needs)


def _kept(state: State, name: ServiceName, now: Instant) -> Iterator[Json]:
    found, release = kept_view(state, name, now), state.record.latest(name)
    if found is not None and release is not None:
        what = f"sessions of {found['colour']} of {name}: {found['text']}"
        needs = f"their end; lbctl claim {name} --take-over moves them all with their next request"
        yield why_line("sessions_kept", what, since(release.phase_since, now), needs)


def _drained(state: State, name: ServiceName, now: Instant) -> Iterator[Json]:
    for server, one in state.record.services[name].drained.items():
        if one.ends:
            continue
        told_nothing = waits_for_maintenance(state, name)
        what = f"{server} of {name} is drained by {one.by}: it keeps its sessions and gets no new ones"
        what = f"{server} of {name} is to be drained, says {one.by}: {told_nothing}" if told_nothing else what
        needs = f"lbctl undrain {name}/{one.colour}/{server}"
        yield why_line("drained", what, since(one.since, now), needs, then="it stays so")


def _voided(state: State, name: ServiceName, now: Instant) -> Iterator[Json]:
    colour = state.record.services[name].active.other
    found = voided_view(state, name, colour, now)
    if state.record.running(name) is None and found is not None and found["standing"]:
        why = emptiness(state, name, colour, now).waits or found["text"]
        what = f"{colour} of {name} may be in use: {why}"
        needs, then = "who still uses it to be found", "certified when nobody came for so long"
        yield why_line("in_use", what, found["since_ms"], needs, then=then)

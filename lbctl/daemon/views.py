"""What the control socket shows: plain JSON values from the state. Reads, never changes, never waits."""

from typing import Any

from lbctl.core.change import next_step
from lbctl.core.holds import Hold, waits
from lbctl.core.patience import patience
from lbctl.core.situation import Situation, situation
from lbctl.core.state import State
from lbctl.core.targets import exposed
from lbctl.daemon.ending import certified_since, result_of
from lbctl.daemon.named import attested
from lbctl.daemon.old_workers_view import old_workers
from lbctl.daemon.retired_view import (
    certificates,
    drain_limit,
    drain_lines,
    holders,
    next_of_draining,
    unproven,
    valid,
    voided_view,
)
from lbctl.daemon.server_views import all_readings, server_views, servers_up
from lbctl.daemon.session_view import leaving_lines, measured, sessions
from lbctl.daemon.timing_view import cold_words, doubts, request_times
from lbctl.daemon.unit_view import board, claim
from lbctl.daemon.why_line import why_line
from lbctl.model.names import Colour, InstanceName, ServiceName
from lbctl.model.reading import InstanceReading, Unreadable
from lbctl.model.record import Adopted, Phase, Release
from lbctl.model.topology import Service
from lbctl.model.units import BP_FULL, Instant, percent, seconds, since

Json = dict[str, Any]
PASSING = frozenset({"recording", "reading", "watching"})
"""Holds that end with the next readings."""
BY_ITSELF = frozenset({"time", "reaching", "pins"})
"""Holds that are a part of every release: no news to who waits, however long they stand."""


def service_view(state: State, service: Service, here: Situation | None, now: Instant) -> Json:
    """Return the status of one service, with what its running release looks at; the keys are part of the API."""
    name = service.name
    adopted = state.record.services.get(name)
    release = state.record.latest(name)
    member = None if release is None else release.members[name]
    hold = first_hold(here)
    running = here is not None
    return {
        "active": None if adopted is None else adopted.active.value,
        "candidate": member.to.value if member is not None and running else None,
        "share_bp": _share(release),
        "observed_share_bp": _observed_share(state, service, release),
        "phase": None if release is None else release.phase.value,
        "held": None if hold is None or here is None else _hold_view(here, hold),
        "release": None if release is None else release.id,
        "outcome": "" if release is None else release.outcome,
        "result": result_of(release, state.record),
        "from": None if member is None else member.origin.value,
        "to": None if member is None else member.to.value,
        "mode": _mode(state, adopted),
        "version": None if adopted is None else adopted.pool(adopted.active).version,
        "servers": server_views(state, service),
        "pools": {colour.value: _pool(state, service, adopted, colour, now) for colour in Colour},
        "instances": {i: _instance(state, name, i) for i in state.topology.instances_of(name)},
        "step": None if here is None else _step(here, name),
        "next": "" if here is None else next_words(here, hold),
        "verdict": None if here is None else _verdict(here, name),
        "claim": claim(state, name, now),
        "board": board(state, state.topology.unit_of(name), now).get(name),
        "sessions": sessions(state, name, now),
    }


def _mode(state: State, adopted: Adopted | None) -> str:
    if adopted is None:
        return "observe"
    return "maintenance" if adopted.maintenance or state.record.maintenance else "adopted"


def _share(release: Release | None) -> int:
    return 0 if release is None else release.share_bp


def _observed_share(state: State, service: Service, release: Release | None) -> int | None:
    """The candidate's share as read back, the highest over all workers and instances; None if nothing was read. Of a
    follower: that of its release, for it has no split of its own."""
    if release is not None:
        watched = release.to
        service = state.topology.services.get(release.service, service)
    elif service.name in state.record.services:
        watched = exposed(state.record, service.name)
    else:
        watched = Colour.GREEN
    shares = [
        route.share_bp(watched)
        for instance in state.topology.instances_of(service.name)
        if isinstance(reading := state.observed.instances.get(instance), InstanceReading)
        for route in reading.routes_of(service.name)
    ]
    return max(shares, default=None)


def first_hold(here: Situation | None) -> Hold | None:
    """The first reason to wait that is no mere passing of time."""
    if here is None or here.progress is None:
        return None
    return next((hold for hold in here.progress.holds if hold.code not in PASSING), None)


def _hold_view(here: Situation, hold: Hold) -> Json:
    began = here.progress.held_since.get(hold.code, here.at) if here.progress else here.at
    return {"reason": hold.reason, "code": hold.code, "needs": hold.needs, "since_ms": since(began, here.at)}


def _pool(state: State, service: Service, adopted: Adopted | None, colour: Colour, now: Instant) -> Json:
    readings = [one.services[service.name].pools[colour] for one in all_readings(state, service.name)]
    recorded = None if adopted is None else adopted.pool(colour)
    servers = _servers_up(state, service, colour)
    return {
        "state": None if recorded is None else recorded.state.value,
        "version": None if recorded is None else recorded.version,
        "keep_bp": None if recorded is None else recorded.keep_bp,
        "requests": sum(pool.requests for pool in readings) if readings else None,
        "errors": sum(pool.errors for pool in readings) if readings else None,
        "in_flight": sum(pool.in_flight for pool in readings) if readings else None,
        "holders": holders(state, service.name, colour),
        "certified": valid(state, service.name, colour, now) is not None,
        "voided": voided_view(state, service.name, colour, now),
        "unproven": unproven(state, service.name, colour, now),
        "attested": attested(state, service, colour),
        "up_count": servers,
        "drained_count": len(state.wells[service.name, colour].drained),
        "server_count": len(service.pool(colour).servers),
    }


def _servers_up(state: State, service: Service, colour: Colour) -> int:
    return sum(1 for _, up in servers_up(state, service, colour) if up)


def _instance(state: State, name: ServiceName, instance: InstanceName) -> Json:
    reading = state.observed.instances.get(instance)
    if not isinstance(reading, InstanceReading):
        reason = reading.reason if isinstance(reading, Unreadable) else "not read yet"
        return {
            "reachable": False,
            "reason": reason,
            "generation": None,
            "old_generations": 0,
            "routes": [],
            "boot": None,
            "request_times": None,
            "measured": None,
        }
    seen = reading.services.get(name)
    return {
        "reachable": True,
        "reason": "",
        "generation": reading.generation,
        "old_generations": len(reading.draining_generations),
        "old_workers": old_workers(state, name, instance, reading),
        "routes": [] if seen is None else sorted({str(route) for route in seen.runtime.values()}),
        "boot": None if seen is None or seen.boot is None else str(seen.boot),
        "warnings": [*reading.warnings, *doubts(state, instance, name)],
        "request_times": request_times(state, instance, name),
        "measured": measured(state, name, instance),
    }


def _step(here: Situation, name: ServiceName) -> Json | None:
    release = here.release
    if release.phase not in {Phase.SHIFTING, Phase.BAKING}:
        return None
    steps = release.plan.steps_bp
    began = here.progress.target_since if here.progress is not None else release.phase_since
    return {
        "index": sum(1 for step in steps if step <= release.share_bp),
        "count": len(steps),
        "share_bp": release.share_bp,
        "since_ms": since(began, here.at),
        "hold_min_ms": release.plan.hold_min,
        "judged": _judged(here, name),
        "planned": release.plan.evidence_at(release.share_bp),
    }


def _judged(here: Situation, name: ServiceName) -> int:
    if here.progress is None:
        return 0
    return here.progress.followers.get(name, here.progress.account).evidence_count


def _verdict(here: Situation, name: ServiceName) -> Json | None:
    """The judge's word on one service of a release; the gravest of all is what the release is held for."""
    of_several = here.release.followers and here.progress is not None
    verdict = here.progress.verdicts.get(name) if of_several and here.progress else here.verdict
    if verdict is None or not here.moving:
        return None
    return {
        "word": verdict.word.value,
        "code": verdict.code,
        "reason": "; ".join(filter(None, [verdict.reason, cold_words(here)])),
        "odds": verdict.odds,
        "limit": verdict.limit,
        "candidate": [verdict.candidate.total, verdict.candidate.bad],
        "active": [verdict.active.total, verdict.active.bad],
        "streams": {
            seen.stream.value: {
                "odds": seen.odds,
                "candidate": [seen.candidate.total, seen.candidate.bad],
                "active": [seen.active.total, seen.active.bad],
                "span_s": seen.span_s,
            }
            for seen in verdict.streams
        },
    }


def next_words(here: Situation, hold: Hold | None) -> str:
    """Say what happens next, and when."""
    release = here.release
    if hold is not None:
        return f"waits for {hold.needs}"
    match release.phase:
        case Phase.PREFLIGHT:
            return f"{percent(release.plan.steps_bp[0])} as soon as everything is proved"
        case Phase.AWAITING_APPROVAL:
            return f"{percent(release.plan.steps_bp[0])} as soon as it is approved"
        case Phase.SHIFTING if release.share_bp < BP_FULL:
            return f"{percent(next_step(release))} {_when(here)}"
        case Phase.SHIFTING | Phase.BAKING:
            return f"{release.to} becomes active {_when(here)}"
        case Phase.DRAINING | Phase.RETIRING:
            return next_of_draining(here)
        case Phase.ROLLING_BACK:
            return f"rolled back when every instance reads back {release.origin}"
        case _:
            return ""


def _when(here: Situation) -> str:
    lacking = waits(here)
    return "now" if not lacking else f"after: {lacking[0].reason}"


def release_view(state: State, release: Release, now: Instant) -> Json:
    """Return one release of the record for lists and `release show`."""
    here = situation(state, release.service, now)
    running = here is not None and here.release.id == release.id
    hold = first_hold(here) if running else None
    return {
        "id": release.id,
        "phase": release.phase.value,
        "service": release.service,
        "unit": release.unit,
        "members": [
            {
                "service": name,
                "from": member.origin.value,
                "to": member.to.value,
                "version": member.version,
                "build": member.build,
            }
            for name, member in release.members.items()
        ],
        "from": release.origin.value,
        "to": release.to.value,
        "version": release.version,
        "share_bp": release.share_bp,
        "peak_bp": release.peak_bp,
        "started_wall": release.started_wall,
        "outcome": release.outcome,
        "result": result_of(release, state.record),
        "reason": release.reason,
        "initiator": release.initiator,
        "approvals": {
            "count": release.plan.approvals.count,
            "group": release.plan.approvals.group,
            "given": [one.by for one in release.approvals],
        },
        "back_by": None if release.back_by is None else release.back_by.value,
        "baked": release.phase.swapped or release.phase is Phase.FINISHED,
        "certificates": certificates(state, release, now),
        "stopped": dict(release.stopped),
        "plan": plan_view(release),
        "held": None if hold is None or here is None else _hold_view(here, hold),
        "holds": [_hold_view(here, one) for one in here.progress.holds] if running and here and here.progress else [],
        "next": next_words(here, hold) if running and here is not None else "",
    }


def plan_view(release: Release) -> Json:
    """Return a release's fixed plan."""
    plan = release.plan
    return {
        "steps_bp": list(plan.steps_bp),
        "evidence": list(plan.evidence),
        "hold_min_ms": plan.hold_min,
        "hold_max_ms": plan.hold_max,
        "hold_then": plan.hold_then.value,
        "bake_ms": plan.bake,
        "retain_ms": plan.retain,
        "on_rollback_sessions": plan.sessions_back.value,
        "drift": plan.drift.value,
    }


def why_view(state: State, release: Release, now: Instant) -> Json:
    """Return why a release waits: what, since when, what it needs, its deadline, and what happens then."""
    here = situation(state, release.service, now)
    lines: list[Json] = []
    if here is not None and here.release.id == release.id:
        holds = here.progress.holds if here.progress is not None else ()
        lacking = waits(here) if here.moving else ()
        for hold in (*holds, *(wait for wait in lacking if wait.code not in {one.code for one in holds})):
            began = (
                here.progress.held_since.get(hold.code, release.phase_since) if here.progress else release.phase_since
            )
            lines.append(_held_line(here, hold, began))
        if (cold := cold_words(here)) and lines:
            lines.append(why_line("cold", cold, 0, "time", by_itself=True))
        lines += [{**line, **_deadline(here)} for line in drain_lines(here)]
        if not lines:
            lines.append(_doing_line(here))
    elif not release.phase.ended:
        gone = ", ".join(name for name in release.members if name not in state.topology.services)
        what = f"{gone} is not in the config: nothing is decided or written for this release"
        needs = "the service back in the config, then a reload"
        lines.append(why_line("not_configured", what, since(release.phase_since, now), needs, deadline="none"))
    else:
        since_then = "; certified since" if release.outcome and certified_since(release, state.record) else ""
        ended = f"ended: {release.phase.value.replace('_', ' ')}. {release.outcome}{since_then}".rstrip()
        lines.append(why_line("ended", ended, since(release.phase_since, now), "", by_itself=True))
    lines += leaving_lines(state, release, now)
    about = {"service": release.service, "unit": release.unit, "release": release.id, "phase": release.phase.value}
    return {**about, "lines": lines}


def _held_line(here: Situation, hold: Hold, began: Instant) -> Json:
    own = hold.code in BY_ITSELF
    return why_line(hold.code, hold.reason, since(began, here.at), hold.needs, by_itself=own, **_deadline(here))


def _doing_line(here: Situation) -> Json:
    began = since(here.release.phase_since, here.at)
    return why_line("doing", _doing(here), began, "nothing", by_itself=True, **_deadline(here))


def _doing(here: Situation) -> str:
    words = {
        Phase.PREFLIGHT: "proving that everything is ready",
        Phase.AWAITING_APPROVAL: "approved",
        Phase.SHIFTING: f"moving to {percent(here.release.share_bp)}",
        Phase.BAKING: "baking at 100 %",
        Phase.DRAINING: f"{here.release.origin} stays warm",
        Phase.RETIRING: "certifying old pools",
        Phase.ROLLING_BACK: "going back",
    }
    return words[here.release.phase]


def _deadline(here: Situation) -> Json:
    release, plan = here.release, here.release.plan
    limit = patience(here)
    if limit is not None:
        return {"deadline": f"in {seconds(max(0, limit[1]))}", "then": "cancelled"}
    match release.phase:
        case Phase.SHIFTING:
            began = here.progress.target_since if here.progress is not None else release.phase_since
            left = max(0, plan.hold_max - since(began, here.at))
            then = "a person is paged, it stays" if plan.hold_then.value == "ask" else "rolled back"
            return {"deadline": f"in {seconds(left)}", "then": then}
        case Phase.BAKING:
            then = f"{release.to} becomes active, unless it is held"
            return {"deadline": f"in {seconds(max(0, plan.bake - since(release.phase_since, here.at)))}", "then": then}
        case Phase.DRAINING | Phase.RETIRING:
            deadline, then = drain_limit(here)
            return {"deadline": deadline, "then": then}
        case _:
            return {"deadline": "none", "then": "it stays as it is"}

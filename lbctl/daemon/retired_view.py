"""What is shown of old pools that are to become unused: certificates, who is still there, what is waited for. Pure."""

from collections.abc import Iterator
from typing import Any

from lbctl.core.connected import watch_words
from lbctl.core.emptiness import all_lacking, emptiness, void_words
from lbctl.core.late import came_after
from lbctl.core.situation import Situation
from lbctl.core.state import State
from lbctl.core.witnesses import doubt
from lbctl.daemon.session_view import sessions
from lbctl.daemon.why_line import why_line
from lbctl.model.certificate import Certificate
from lbctl.model.errors import Refused
from lbctl.model.names import Colour, ServiceName
from lbctl.model.reading import InstanceReading
from lbctl.model.record import Phase, PoolState, Release
from lbctl.model.units import Instant, Span, seconds, since

Json = dict[str, Any]
HOLDERS_MAX = 20


def certificate_view(found: Certificate, now: Instant) -> Json:
    """Return a certificate for people and machines: who looked, what was counted, since when."""
    return {
        "confidence": found.confidence.value,
        "unseen": list(found.unseen),
        "unused_since_ms": since(found.since, now),
        "certified_since_ms": since(found.at, now),
        "counted": {i: dict(found.served.get(i, {})) or dict(lives) for i, lives in found.counted.items()},
        "census": found.census,
    }


def watch_view(state: State, name: ServiceName, colour: Colour, now: Instant) -> Json:
    """Return whether somebody looks out for callers past the load balancers, and whom nobody sees."""
    watched, text = watch_words(state, name, colour, now)
    return {"watched": watched, "text": text}


def voided_view(state: State, name: ServiceName, colour: Colour, now: Instant) -> Json | None:
    """Return the last certificate of a pool that somebody made void who came; None: there was none since it served."""
    adopted = state.record.services.get(name)
    found = None if adopted is None else adopted.pool(colour).voided
    if adopted is None or found is None or adopted.pool(colour).state not in {PoolState.DRAINING, PoolState.IDLE}:
        return None
    return {
        "since_ms": since(found.at, now),
        "by": found.by,
        "why": found.why,
        "times": found.times,
        "unused_ms": found.unused,
        "quiet_ms": found.quiet,
        "standing": adopted.pool(colour).certificate is None,
        "text": void_words(found, now),
    }


def unproven(state: State, name: ServiceName, colour: Colour, now: Instant) -> str:
    """Return why the old pool of a service at rest is not proved unused, or not any more; empty if it is, or is no such
    pool."""
    adopted = state.record.services.get(name)
    if adopted is None or state.record.running(name) is not None:
        return ""
    pool = adopted.pool(colour)
    if state.record.latest(name) is None and pool.state is not PoolState.DRAINING:
        return ""
    handed_out = pool.state is PoolState.IDLE and pool.handed_out
    if adopted.active is colour or handed_out or name in state.record.claims:
        return ""
    if pool.certificate is not None:
        return doubt(state, name, colour, pool.certificate, now)
    return emptiness(state, name, colour, now).waits


def valid(state: State, name: ServiceName, colour: Colour, now: Instant) -> Certificate | None:
    """Return the certificate of a pool that is on disk, that nothing newer has taken back, written or not, and that
    every load balancer can speak for now."""
    records = [state.durable, state.record]
    pools = [one.services[name].pool(colour) for one in records if name in one.services]
    found = [pool.certificate for pool in pools]
    if len(found) < len(records) or found[0] is None or found[0] != found[1]:
        return None
    stands = came_after(state, name, colour, pools[0]) is None and not doubt(state, name, colour, found[0], now)
    return found[0] if stands else None


def retired_view(state: State, release: Release, name: ServiceName, now: Instant, pool: Colour | None = None) -> Json:
    """Return whether the old pool of one service of a release is proved unused; else what keeps it in use. After a
    release that went back the old pool serves: who asks for the other one names it as `pool`.

    Raises:
        Refused: it is no service of that release, or its config does not know it any more.
    """
    member = release.members.get(name)
    if member is None or name not in state.topology.services:
        then = f"its services: {', '.join(release.members)}"
        raise Refused("bad_members", f"{name} is no service of release {release.id}", then=then, exit_code=2)
    colour = pool or member.origin
    gone = _gone(state, release, name, colour)
    found = None if gone else valid(state, name, colour, now)
    waits = gone or ("" if found else _waits(state, release, name, colour, now))
    return {
        "release": release.id,
        "service": name,
        "colour": colour.value,
        "version": state.record.services[name].pool(colour).version,
        "phase": release.phase.value,
        "certified": found is not None,
        "final": bool(gone),
        "waits": waits,
        "reasons": [waits, *_more(state, release, name, colour, now, waits)] if waits else [],
        "sessions": None if found or gone else _sessions_left(state, name, colour, now),
        "voided": voided_view(state, name, colour, now),
        "certificate": None if found is None else certificate_view(found, now),
        "past": None if found is None else watch_view(state, name, colour, now),
        "holders": [] if found or gone else holders(state, name, colour),
        "connections": [],
    }


def _gone(state: State, release: Release, name: ServiceName, colour: Colour) -> str:
    """Return why a pool that this release left is none any more, for good; empty if it may be certified, or is."""
    latest = state.record.latest(name)
    if latest is None or latest.id != release.id:
        return f"a later release of {name} has taken that pool: its certificate is void"
    if serves := _serves(release, name, colour):
        return serves
    held = state.record.claims.get(name)
    if held is not None and held.colour is colour:
        return f"{held.colour} of {name} is claimed by {held.by}: its certificate is void"
    if state.record.services[name].pool(colour).handed_out:
        return f"{colour} of {name} was claimed since it served: another build may run there"
    return ""


def _serves(release: Release, name: ServiceName, colour: Colour) -> str:
    """Return that a pool takes traffic by the end of a release, or goes there; empty if it is the one that is left."""
    member, back = release.members[name], release.phase in {Phase.ROLLED_BACK, Phase.CANCELLED, Phase.ROLLING_BACK}
    if colour is member.origin:
        other = f"of {member.to}, which it left: lbctl retired {name} --pool {member.to}"
        return f"release {release.id} went back: {colour} serves; {other}" if back else ""
    if not release.phase.ended:
        return f"release {release.id} is in {release.phase.value.replace('_', ' ')}: {colour} is its new pool"
    return "" if back else f"{colour} serves"


def _waits(state: State, release: Release, name: ServiceName, colour: Colour, now: Instant) -> str:
    if not release.phase.swapped and not release.phase.ended:
        return f"release {release.id} is in {release.phase.value.replace('_', ' ')}: {colour} serves"
    if came := came_after(state, name, colour, state.record.services[name].pool(colour)):
        return f"its certificate is void: {came.by} came: {came.why}"
    known = state.record.services[name].pool(colour).certificate
    if known is not None and (why := doubt(state, name, colour, known, now)):
        return f"its certificate cannot be relied on now: {why}"
    left = release.plan.retain - since(release.phase_since, now)
    proof = emptiness(state, name, colour, now).waits
    if release.phase is Phase.DRAINING and left > 0:
        return f"{colour} of {name} stays warm for another {seconds(left)}" + (f"; {proof}" if proof else "")
    progress = state.progress.get(release.id)
    holds = () if progress is None or release.phase.ended else progress.holds
    return proof or next((hold.reason for hold in holds), "the record of it")


def _more(state: State, release: Release, name: ServiceName, colour: Colour, now: Instant, waits: str) -> Iterator[str]:
    """Yield what else speaks against the proof, beside what it waits for."""
    served = release.phase.swapped or release.phase.ended
    proved = state.record.services[name].pool(colour).certificate is not None
    if served and not proved and not _gone(state, release, name, colour):
        yield from (why for why in all_lacking(state, name, colour, now) if why not in waits)


def _sessions_left(state: State, name: ServiceName, colour: Colour, now: Instant) -> Json | None:
    """Return about how many sessions a pool has left and what becomes of them; None: it honours none."""
    if not state.record.services[name].pool(colour).keep_bp:
        return None
    one = sessions(state, name, now)[colour.value]
    left, leaving = one["count"], one["leaving"]
    if leaving is not None:
        left, text = leaving["left"], leaving["text"]
    else:
        counted = "sessions not counted" if left is None else f"about {left} sessions came within the last minute"
        text = one["kept"] or counted
    return {"left": left, "text": text}


def holders(state: State, name: ServiceName, colour: Colour) -> list[Json]:
    """Return who is in flight for long on a pool, the oldest first."""
    readings = ((i, state.observed.instances.get(i)) for i in state.topology.instances_of(name))
    found = [
        (instance, one)
        for instance, reading in readings
        if isinstance(reading, InstanceReading) and name in reading.services
        for one in reading.services[name].pools[colour].holders
    ]
    oldest = sorted(found, key=lambda pair: -pair[1].age)[:HOLDERS_MAX]
    return [
        {
            "client": one.client,
            "server": one.server,
            "age_ms": one.age,
            "at_least": one.least,
            "instance": instance,
            "generation": one.generation,
        }
        for instance, one in oldest
    ]


def certificates(state: State, release: Release, now: Instant) -> Json:
    """Return the certificates of the old pools of a release, by service; null: there is none."""
    found: Json = {}
    for name, member in release.members.items():
        gone = name not in state.topology.services or _gone(state, release, name, member.origin)
        known = None if gone else member.origin
        one = None if known is None else valid(state, name, known, now)
        found[name] = None if one is None else {"colour": member.origin.value, **certificate_view(one, now)}
    return found


def drain_lines(here: Situation) -> list[Json]:
    """Return what the certificates of a release wait for, service by service."""
    lines = []
    for name, proof in here.empties.items():
        if proof.waits and here.record.services[name].pool(here.release.members[name].origin).certificate is None:
            what = f"{here.release.members[name].origin} of {name} is not proved unused: {proof.waits}"
            lines.append(why_line("unproven", what, since(here.release.phase_since, here.at), "nobody there"))
    return lines


def drain_left(here: Situation) -> Span:
    """Return how long a release that drains or retires may still last; 0: its limit is over."""
    release = here.release
    limits = [here.services[name].drain.limit for name in release.members]
    limit = max(limits) if release.phase is Phase.RETIRING else max(release.plan.retain, here.service.drain.limit)
    return Span(max(0, limit - since(release.phase_since, here.at)))


def drain_limit(here: Situation) -> tuple[str, str]:
    """Return when a release that drains or retires ends, and what happens then."""
    return f"in {seconds(drain_left(here))}", "finished, unproven: what is not certified is kept as draining"


def next_of_draining(here: Situation) -> str:
    """Say what a release that drains or retires does next."""
    release = here.release
    left = release.plan.retain - since(release.phase_since, here.at)
    if release.phase is Phase.DRAINING and left > 0:
        return f"kept warm for another {seconds(left)}, then certified when nobody is there"
    waits = next((one.waits for one in here.empties.values() if one.waits), "")
    return f"certified when nobody is there: {waits}" if waits else "the next certificate"

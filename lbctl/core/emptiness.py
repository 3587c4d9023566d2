"""Whether a pool is proved unused: by whom it is still used, since when nobody does, and what cannot be seen. Pure.

One table of questions for the proof of a retired pool and, in part, for a pool that is claimed: what reaches it, what
is in flight there, who may still call it. Each answers with a sentence or nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from lbctl.core.calm import EVER
from lbctl.core.connected import census_words, connected, not_yet_counted, uncounted
from lbctl.core.lastseen import over_after
from lbctl.core.oldworkers import kept_by, unseen_workers
from lbctl.core.readback import read_since
from lbctl.core.reconcile import routed
from lbctl.core.state import Calm, State
from lbctl.core.stopped import still_called
from lbctl.core.targets import target
from lbctl.model.certificate import Certificate
from lbctl.model.names import Colour, InstanceName, ServiceName
from lbctl.model.reading import Holder, InstanceReading
from lbctl.model.sharedservers import about, shared_servers
from lbctl.model.units import Instant, Span, after, seconds, since
from lbctl.model.voided import Voided

PARTIAL = ("NO_MASTER_SOCKET",)
"""Warnings of a load balancer that say what it cannot see, and do not say that anything is there."""
LONG_AFTER = Span(1_000)
"""Who is in flight for less is no news: it ends by itself."""


@dataclass(frozen=True, slots=True)
class Emptiness:
    """How far the proof of one pool is: what it waits for, or its certificate. `silent`: no request came for so long
    that its sessions are over, and none is in flight, by every load balancer; they may still be honoured."""

    waits: str
    silent: bool
    certificate: Certificate | None
    over_after: Span = Span(0)
    """Without a request for so long, its sessions are over."""


def emptiness(state: State, name: ServiceName, colour: Colour, now: Instant) -> Emptiness:
    """Return how far the proof is that nobody uses this pool."""
    calm = state.calms.get((name, colour))
    idle_since = None if calm is None else calm.idle_since
    long = over_after(state, name, colour, now)
    silent = idle_since is not None and _looked_since(state, name, after(idle_since, long))
    waits = _lacking(state, name, colour, now)
    return Emptiness(waits, silent, None if waits else _certificate(state, name, colour, now), long)


def all_lacking(state: State, name: ServiceName, colour: Colour, now: Instant) -> list[str]:
    """Return everything that speaks against the proof now, the first of which is what it waits for."""
    used = [*_using(state, name, colour, now), _not_yet_quiet(state, name, colour, now)]
    # Whom the kernel sees is asked last: of no pool that is in use anyway.
    return [why for why in used if why] or [why for why in (not_yet_counted(state, name, colour, now),) if why]


def _lacking(state: State, name: ServiceName, colour: Colour, now: Instant) -> str:
    used = next(_using(state, name, colour, now), "")
    return used or _not_yet_quiet(state, name, colour, now) or not_yet_counted(state, name, colour, now)


def _using(state: State, name: ServiceName, colour: Colour, now: Instant) -> Iterator[str]:
    ways = (
        still_called(state, name, colour, now),
        in_use(state, name, colour, {}),
        unsteered(state, name),
        connected(state, name, colour),
    )
    return (why for way in ways for why in way)


def in_use(state: State, name: ServiceName, colour: Colour, at: dict[InstanceName, Instant]) -> Iterator[str]:
    """Yield what reaches a pool that nothing should reach, by readings taken after `at`: as it is read back on every
    generation and for the next start, and what is in flight on all of them together."""
    want = target(state.topology, state.record, name)
    for instance in state.topology.instances_of(name):
        reading = read_since(state, instance, name, at.get(instance, EVER))
        if reading is None:
            yield f"the next reading of {instance} is awaited"
            continue
        pool = reading.services[name].pools[colour]
        if pool.bound:
            yield f"{instance}: entries of stick tables bind {pool.bound} users to {colour} of {name}"
        elif want is None or not routed(reading, name, want):
            yield f"{instance} does not read back yet that nothing reaches {colour} of {name}"
        elif pool.untold:
            yield f"{pool.untold[0]} of {instance} does not tell who uses {colour} of {name}"
        elif pool.in_flight:
            yield _in_flight(reading, name, colour, instance, pool.in_flight)
        elif pool.uncounted:
            yield f"{instance}: nobody knows whom stick tables bind to {colour} of {name} ({pool.uncounted})"


def _in_flight(reading: InstanceReading, name: ServiceName, colour: Colour, instance: InstanceName, count: int) -> str:
    text = f"{count} requests or connections are in flight at {colour} of {name} on {instance}"
    long = [one for one in reading.services[name].pools[colour].holders if one.age >= LONG_AFTER]
    shorter = count - len(long)
    rest = f", and {shorter} for less than {seconds(LONG_AFTER)} or not named" if shorter > 0 else ""
    more = f", and {len(long) - 3} more like these" if len(long) > 3 else ""
    return f"{text}: {', '.join(map(holder_words, long[:3]))}{more}{rest}" if long else text


def holder_words(one: Holder) -> str:
    """Return who is in flight and for how long."""
    client = one.client or "a client that the load balancer does not name"
    return f"{client} at {one.server} for {'at least ' * one.least}{seconds(one.age)}"


def unsteered(state: State, name: ServiceName) -> Iterator[str]:
    """Yield old generations that lbctl cannot steer, or cannot see: they may still send there what they like."""
    for instance in state.topology.instances_of(name):
        reading = state.observed.instances.get(instance)
        if not isinstance(reading, InstanceReading) or name not in reading.services:
            continue
        for life in reading.draining_generations:
            if life not in reading.services[name].runtime:
                text = f"{life} of {instance} routes {name} as its old config says until it ends"
                who = [f"{holder_words(one)} ({service})" for service, one in kept_by(reading, life)]
                yield f"{text}; it is kept by {', '.join(who[:3])}" if who else text
        yield from (f"{instance}: {text}" for text in unseen_workers(state.record, instance, reading))


def _not_yet_quiet(state: State, name: ServiceName, colour: Colour, now: Instant) -> str:
    adopted = state.record.services[name]
    calm = state.calms.get((name, colour))
    if adopted.pool(colour).keep_bp or calm is None or calm.closed_since is None:
        long = over_after(state, name, colour, now)
        until = f"; they stay until nobody came for {seconds(long)}"
        stay = until if long > state.topology.services[name].drain.quiet and adopted.pool(colour).keep_bp else ""
        return f"sessions on {colour} of {name} are honoured{_since_words(calm, now)}{stay}"
    quiet_since, voided = calm.quiet_since, adopted.pool(colour).voided
    quiet = state.topology.services[name].drain.quiet if voided is None else voided.quiet
    if quiet_since is None or not _looked_since(state, name, after(quiet_since, quiet)):
        left = seconds(max(0, quiet if quiet_since is None else quiet - since(quiet_since, now)))
        text = f"no request may come to {colour} of {name} for another {left}{_since_words(calm, now)}"
        if quiet_since is not None and calm.idle_since != quiet_since == calm.alone_since:
            text = f"nobody may connect to {colour} of {name} past its load balancers for another {left}"
        return text if voided is None else f"{text}; {void_words(voided, now)}"
    return ""


def void_words(voided: Voided, now: Instant) -> str:
    """Return what became of an earlier certificate, for people."""
    often = "" if voided.times == 1 else f", number {voided.times} in a row"
    text = f"its certificate was made void {seconds(since(voided.at, now))} ago by {voided.by}{often} ({voided.why})"
    return f"{text} after {seconds(voided.unused)} without one: the next needs {seconds(voided.quiet)}"


def _since_words(calm: Calm | None, now: Instant) -> str:
    if calm is None:
        return ""
    if calm.idle_since is None:
        return "; somebody came just now"
    # Not when the last one came: after a start of lbctl nobody knows that.
    return f"; nobody came for {seconds(since(calm.idle_since, now))}"


def _looked_since(state: State, name: ServiceName, at: Instant) -> bool:
    """Whether every instance was read at or after this instant."""
    readings = [state.observed.instances.get(instance) for instance in state.topology.instances_of(name)]
    return all(isinstance(one, InstanceReading) and one.taken_at >= at for one in readings)


def _certificate(state: State, name: ServiceName, colour: Colour, now: Instant) -> Certificate:
    """Return who looked, what was counted, since when."""
    readings = {i: state.observed.instances[i] for i in state.topology.instances_of(name)}
    handed_out = state.record.services[name].pool(colour).handed_out
    release = None if handed_out else state.record.latest(name)
    seen = {i: one for i, one in readings.items() if isinstance(one, InstanceReading)}
    partial = (*PARTIAL, about(name, colour))
    unseen = [f"{i}: {text}" for i, one in seen.items() for text in one.warnings if text.startswith(partial)]
    unseen += [text for text in shared_servers(state.topology, name) if text.startswith(partial)]
    unseen += uncounted(state, name, colour)
    return Certificate(
        at=now,
        since=state.calms[name, colour].quiet_since or now,
        release=None if release is None else release.id,
        counted={i: dict(one.services[name].pools[colour].arrived) for i, one in seen.items()},
        served={i: dict(pool.served) for i, one in seen.items() if (pool := one.services[name].pools[colour]).served},
        rows={i: dict(pool.rows) for i, one in seen.items() if (pool := one.services[name].pools[colour]).rows},
        unseen=tuple(unseen),
        census=census_words(state, name, colour),
    )

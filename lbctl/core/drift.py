"""What the load balancers say that the record did not order, while a release moves. Pure.

Higher than the target: `reconcile` lowers it at once, nothing is decided here. Lower in a new generation (a reload or
restart): the target is re-based on a step at or below what is there. Lower in the same generation than was once read
back: a person's hand. Between the last share read back and the target: our own unfinished raise.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from lbctl.core.change import Change, entry, lowered, step_at_or_below
from lbctl.core.oldworkers import with_lives
from lbctl.core.situation import Situation
from lbctl.model.entry import Entry, Kind, Severity
from lbctl.model.names import Generation, InstanceName
from lbctl.model.reading import InstanceReading
from lbctl.model.record import Record, Release
from lbctl.model.topology import DriftPolicy
from lbctl.model.units import Instant, percent


def rebased(now: Situation) -> Change | None:
    """A reload or restart brought back an older share: take it as a step, drop the evidence, climb again."""
    if not now.moving:
        return None
    lost = [(n, g, s) for n, g, s in _newest(now) if _is_new(now.release, n, g) and s < now.release.share_bp]
    if not lost:
        return None
    lowest = min(share_bp for _, _, share_bp in lost)
    target_bp = step_at_or_below(now.release, lowest)
    names = ", ".join(name for name, _, _ in lost)
    text = (
        f"{names} was reloaded or restarted and routes {percent(lowest)} instead of {percent(now.release.share_bp)}: "
        f"going on from {percent(target_bp)}"
    )
    return _lowered(now, target_bp, text, generations={name: generation for name, generation, _ in lost})


def handmade(now: Situation) -> Change | None:
    """Somebody lowered the share by hand: respect it, hold, and tell; or, by policy, climb back (reconcile does)."""
    if not now.moving or now.release.plan.drift is DriftPolicy.REASSERT:
        return None
    lower = [(n, s) for n, g, s in _newest(now) if not _is_new(now.release, n, g) and s < now.release.reached_bp]
    if not lower or now.unresolved or now.under_way:
        # What an own operation is just changing in several steps is nobody's hand.
        return None
    name, lowest = min(lower, key=lambda pair: pair[1])
    text = f"{name} was changed by hand from {percent(now.release.share_bp)} to {percent(lowest)}"
    return _lowered(now, lowest, text, latch=("drift", f"{text}; it stays so until `lbctl resume {now.release.id}`"))


def moved_generations(now: Situation) -> Change | None:
    """A reload or restart that kept the recorded share (or in a phase where it is corrected): note the new life."""
    seen = {n: g for n, g, _ in _newest(now) if _is_new(now.release, n, g)}
    if not seen:
        return None
    names = [name for name in seen if name in now.release.generations]
    text = f"{', '.join(names)} was reloaded or restarted; it routes as recorded or is being corrected"
    told = (reloaded(now.release, now.at, text),) if names else ()
    return Change(record=_met(now, seen), entries=told)


def _met(now: Situation, seen: Mapping[InstanceName, Generation]) -> Record:
    """Return the record in which this release has looked at these generations, and no other release has."""
    met = replace(now.release, generations={**now.release.generations, **seen})
    readings = {name: one for name in seen if isinstance(one := now.readings[name], InstanceReading)}
    return with_lives(now.record.with_release(met), readings)


def reloaded(release: Release, at: Instant, text: str) -> Entry:
    """Return the entry about a reload."""
    return entry(Kind.INSTANCE_RELOADED, release, at, text, severity=Severity.WARNING)


def _newest(now: Situation) -> Iterator[tuple[InstanceName, Generation, int]]:
    """The newest generation of every instance that was read, and the candidate's share there."""
    for name, reading in now.readings.items():
        if not isinstance(reading, InstanceReading) or now.service.name not in reading.services:
            continue
        route = reading.services[now.service.name].runtime.get(reading.generation)
        if route is not None:
            yield name, reading.generation, route.share_bp(now.release.to)


def _is_new(release: Release, name: InstanceName, generation: Generation) -> bool:
    return release.generations.get(name) != generation


def _lowered(
    now: Situation,
    share_bp: int,
    text: str,
    latch: tuple[str, str] | None = None,
    generations: Mapping[InstanceName, Generation] | None = None,
) -> Change:
    """Return a lowering by drift."""
    record = _met(now, generations or {})
    severity = Severity.WARNING if latch is None else Severity.PAGE
    stop = f"lbctl rollback {now.release.id}"
    told = entry(Kind.DRIFT_FOUND, replace(now.release, share_bp=share_bp), now.at, text, severity=severity, stop=stop)
    return lowered(
        record, record.releases[now.release.unit_name], share_bp, now.at, told, None if latch is None else dict([latch])
    )

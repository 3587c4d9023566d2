"""Who called whom: what load balancers count by consumer pool and answering pool, reading by reading. Pure.

Counts grow within one life of a load balancer process. A life that is met for the first time, or whose counts fell,
is only a new beginning.

A call is *wrong* if the caller's pin sends it elsewhere. That is said of a pin only that was wanted and read back
everywhere for a whole interval between two readings before the one in which the call came: what was on its way while
a pin changed counts for neither.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lbctl.model.names import Colour, Generation, InstanceName, ReleaseId, ServiceName
from lbctl.model.reading import InstanceReading, Unreadable
from lbctl.model.route import Caller, Cell, Pin, Route
from lbctl.model.units import MINUTE, SECOND, Instant, Span, since

Readings = Mapping[InstanceName, InstanceReading | Unreadable | None]
Counts = Mapping[Cell, int]
UNKNOWN_FOR = Span(10 * MINUTE)
"""A caller that belongs to no pool is remembered for as long after its last call."""
MARK_EVERY = Span(10 * SECOND)
WATCHED_MIN = Span(2 * SECOND)
"""For so long at least the calls of a pool are watched once its pin is proved: servers that nobody uses call in the
background every second or so, and a wrong one must be met before any user is."""


@dataclass(frozen=True, slots=True)
class Look:
    """One instance at its last reading. `taken_at`: when the last three were taken, the newest last. `met`: when its
    present life was first read; what was called before that is in no count."""

    taken_at: tuple[Instant, ...]
    counts: Mapping[Generation, Counts]
    met: Instant = Instant(0)


@dataclass(frozen=True, slots=True)
class Proved:
    """A pin that is wanted and read back on every worker of every instance, and when that was first read."""

    pin: Pin
    since: Instant


@dataclass(frozen=True, slots=True, order=True)
class Miscall:
    """Calls through one load balancer to a pool that the caller's pin does not send it to."""

    instance: InstanceName
    caller: Caller
    colour: Colour
    pin: Pin


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """All calls of one provider: since lbctl first watched, and in the last release that its pins are about."""

    looks: Mapping[InstanceName, Look] = field(default_factory=dict)
    pins: Mapping[Caller, Proved | None] = field(default_factory=dict)
    """Of every caller that is pinned or refused; None: not read back everywhere."""
    unwritten: tuple[Caller, ...] = ()
    """Those whose pin is not everywhere what a reload or a restart would bring back."""
    totals: Counts = field(default_factory=dict)
    last: Mapping[Cell, Instant] = field(default_factory=dict)
    release: ReleaseId | None = None
    in_release: Counts = field(default_factory=dict)
    wrong: Mapping[Miscall, int] = field(default_factory=dict)
    """Since that release began."""
    unknown: tuple[tuple[Instant, int], ...] = ()
    """Calls of callers that belong to no pool, at marks within the last minutes."""


def fold(
    tally: Tally, readings: Readings, service: ServiceName, want: Route | None, release: ReleaseId | None, now: Instant
) -> Tally:
    """Return the tally after this tick. `want` is the provider's route, `release` the running one, if any."""
    if release is not None and release != tally.release:
        tally = replace(tally, release=release, in_release={}, wrong={})
    looks = {name: look for name, look in tally.looks.items() if name in readings}
    tally = replace(tally, looks=looks, pins=_proved(tally.pins, readings, service, want))
    tally = replace(tally, unwritten=_unwritten(readings, service, want))
    for name, reading in readings.items():
        before = tally.looks.get(name)
        if isinstance(reading, InstanceReading) and service in reading.services and _is_new(before, reading):
            counts = reading.services[service].matrix
            grown = Counter[Cell]() if before is None else _grown(before.counts, counts)
            tally = _added(tally, name, grown, now, running=release is not None)
            taken_at = (*(() if before is None else before.taken_at), reading.taken_at)[-3:]
            known = before is not None and counts.keys() <= before.counts.keys()
            met = before.met if before is not None and known else reading.taken_at
            tally = replace(tally, looks={**tally.looks, name: Look(taken_at, counts, met)})
    return tally


def _is_new(before: Look | None, reading: InstanceReading) -> bool:
    return before is None or reading.taken_at > before.taken_at[-1]


def _proved(
    before: Mapping[Caller, Proved | None], readings: Readings, service: ServiceName, want: Route | None
) -> Mapping[Caller, Proved | None]:
    """Return since when each pin is read back; one that is somewhere else, or cannot be read, begins anew."""
    found: dict[Caller, Proved | None] = {}
    for caller, pin in _firm(want).items():
        known = before.get(caller)
        if not all(_reads_back(reading, service, caller, pin) for reading in readings.values()):
            found[caller] = None
        elif known is not None and known.pin is pin:
            found[caller] = known
        else:
            taken = [one.taken_at for one in readings.values() if isinstance(one, InstanceReading)]
            found[caller] = Proved(pin, max(taken)) if taken else None
    return found


def _unwritten(readings: Readings, service: ServiceName, want: Route | None) -> tuple[Caller, ...]:
    """Return whose pin is not what every instance would do after a reload or a restart without lbctl."""
    firm = _firm(want).items()
    return tuple(who for who, pin in firm if not all(_boots(one, service, who, pin) for one in readings.values()))


def _firm(want: Route | None) -> dict[Caller, Pin]:
    return {} if want is None else {caller: pin for caller, pin in want.pins if pin is not Pin.SPLIT}


def _reads_back(reading: InstanceReading | Unreadable | None, service: ServiceName, caller: Caller, pin: Pin) -> bool:
    routes = reading.routes_of(service) if isinstance(reading, InstanceReading) else ()
    return bool(routes) and all(dict(one.pins).get(caller) is pin for one in routes)


def _boots(reading: InstanceReading | Unreadable | None, service: ServiceName, caller: Caller, pin: Pin) -> bool:
    seen = reading.services.get(service) if isinstance(reading, InstanceReading) else None
    return seen is not None and seen.boot is not None and dict(seen.boot.pins).get(caller) is pin


def _grown(before: Mapping[Generation, Counts], after: Mapping[Generation, Counts]) -> Counter[Cell]:
    grown = Counter[Cell]()
    for life, counts in after.items():
        known = before.get(life)
        if known is not None and all(counts.get(cell, 0) >= count for cell, count in known.items()):
            grown.update({cell: count - known.get(cell, 0) for cell, count in counts.items()})
    return +grown


def _added(tally: Tally, name: InstanceName, grown: Counter[Cell], now: Instant, *, running: bool) -> Tally:
    if not grown:
        return tally
    unknown = sum(count for cell, count in grown.items() if cell.caller is None)
    return replace(
        tally,
        totals=Counter(tally.totals) + grown,
        in_release=Counter(tally.in_release) + grown if running else tally.in_release,
        last={**tally.last, **dict.fromkeys(grown, now)},
        wrong=Counter(tally.wrong) + _wrong(tally, name, grown),
        unknown=_marked(tally.unknown, unknown, now) if unknown else tally.unknown,
    )


def _wrong(tally: Tally, name: InstanceName, grown: Counter[Cell]) -> Counter[Miscall]:
    """Return the calls that came since the last reading against a pin that was proved at the one before it."""
    looks = tally.looks[name].taken_at
    found = Counter[Miscall]()
    for cell, count in grown.items():
        proved = None if cell.caller is None else tally.pins.get(cell.caller)
        if cell.caller is None or proved is None or len(looks) < 2 or looks[-2] < proved.since:
            continue
        if proved.pin.value != cell.colour.value:
            found[Miscall(name, cell.caller, cell.colour, proved.pin)] += count
    return found


def _marked(known: tuple[tuple[Instant, int], ...], count: int, now: Instant) -> tuple[tuple[Instant, int], ...]:
    kept = recent(known, now)
    if kept and since(kept[-1][0], now) < MARK_EVERY:
        return (*kept[:-1], (kept[-1][0], kept[-1][1] + count))
    return (*kept, (now, count))


def unproved(tally: Tally) -> Caller | None:
    """Return a caller whose pin is not read back everywhere, now or as boot value; None if there is none."""
    return next((caller for caller, proved in tally.pins.items() if proved is None), next(iter(tally.unwritten), None))


def unwatched(tally: Tally) -> Caller | None:
    """Return a caller whose calls were not watched on every instance since its pin was proved; None if all were."""
    looks = tally.looks.values()
    pins = ((caller, proved) for caller, proved in tally.pins.items() if proved is not None)
    return next((caller for caller, proved in pins if not all(_is_watched(look, proved) for look in looks)), None)


def _is_watched(look: Look, proved: Proved) -> bool:
    first, last, began = look.taken_at[0], look.taken_at[-1], max(proved.since, look.met)
    return len(look.taken_at) == 3 and first >= began and since(began, last) >= WATCHED_MIN


def recent(unknown: tuple[tuple[Instant, int], ...], now: Instant) -> tuple[tuple[Instant, int], ...]:
    """Return the marks of nobody's calls that are not forgotten."""
    return tuple(mark for mark in unknown if since(mark[0], now) < UNKNOWN_FOR)


def unknown_calls(tally: Tally, now: Instant) -> int:
    """Return how many calls of the last minutes came from nobody's pool."""
    return sum(count for _, count in recent(tally.unknown, now))

"""From readings of load balancers to what each pool did since the last reading. Pure.

Counters grow within one life of a load balancer process. After a reload or restart they begin anew: the first reading
is then only a new beginning, "no data", never a negative count.

A request that waits too long is seen before it ends: whatever had been handed to the servers `slow_limit` ago and is
more than all they have answered until now must still be waiting. That is a lower bound from two counters; it needs no
list of requests, and long answers and WebSockets (answered, but not ended) do not count.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from lbctl.core.judge import Counts
from lbctl.model import sketch
from lbctl.model.names import Colour, Generation, InstanceName, ServerName, ServiceName
from lbctl.model.reading import InstanceReading, PoolReading, ServerReading, Timing, Unreadable
from lbctl.model.sketch import Buckets
from lbctl.model.units import Instant, Span, since

Readings = Mapping[InstanceName, InstanceReading | Unreadable | None]
MARK_EVERY = Span(100)
"""How closely it is remembered how many requests had been handed out when."""
NOTHING = Counts(0, 0)


@dataclass(frozen=True, slots=True)
class Ledger:
    """One pool on one instance at its last reading."""

    generation: Generation
    taken_at: Instant
    requests: int
    errors: int
    retries: int
    servers: Mapping[ServerName, ServerReading]
    started: tuple[tuple[Instant, int], ...] = ()
    """How many requests had been handed out, at marks within the slow limit, and the newest mark before it."""
    late_free: int = 0
    """Waiting requests that were there before this ledger began: they say nothing."""
    total_peak: int = 0
    bad_peak: int = 0
    """Highest sums of ended and late requests so far: one that was late and then fails counts once."""


@dataclass(frozen=True, slots=True)
class PoolCounts:
    """What one pool did. `late` is `counts` with requests that wait too long as bad ones."""

    counts: Counts
    late: Counts
    servers: Mapping[ServerName, Counts] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Counted:
    """What both pools did in `span_s` seconds; None: no instance could say. `times` as far as they are known."""

    span_s: float
    pools: Mapping[Colour, PoolCounts | None]
    times: Mapping[Colour, Buckets] | None = None


@dataclass(frozen=True, slots=True)
class Books:
    """The ledgers of one service, and the last times of requests."""

    ledgers: Mapping[tuple[InstanceName, Colour], Ledger] = field(default_factory=dict)
    timing: Mapping[InstanceName, Timing] = field(default_factory=dict)
    counted_at: Instant | None = None


def count(
    books: Books,
    readings: Readings,
    timing: Mapping[InstanceName, Timing],
    service: ServiceName,
    slow_limit: Span,
    now: Instant,
) -> tuple[Books, Counted | None]:
    """Return the books after this tick and what they say. Nothing is said in a tick that brought no new reading,
    unless none can be read at all: that is a fact of its own."""
    fresh = {
        name: reading
        for name, reading in readings.items()
        if isinstance(reading, InstanceReading) and service in reading.services and _is_new(books, name, reading)
    }
    readable = any(isinstance(reading, InstanceReading) for reading in readings.values())
    if not fresh and readable:
        return books, None
    ledgers = dict(books.ledgers)
    found: dict[Colour, list[PoolCounts]] = {colour: [] for colour in Colour}
    for name, reading in fresh.items():
        for colour, pool in reading.services[service].pools.items():
            ledgers[name, colour], seen = _entered(ledgers.get((name, colour)), reading, pool, slow_limit)
            if seen is not None:
                found[colour].append(seen)
    span = since(now if books.counted_at is None else books.counted_at, now)
    pools = {colour: _summed(seen) for colour, seen in found.items()}
    counted = Counted(max(0.001, span / 1_000), pools, _times(books.timing, timing))
    return Books(ledgers, {**books.timing, **timing}, now), counted


def _is_new(books: Books, name: InstanceName, reading: InstanceReading) -> bool:
    known = [ledger for colour in Colour if (ledger := books.ledgers.get((name, colour))) is not None]
    return all(reading.taken_at > ledger.taken_at for ledger in known)


def _entered(
    before: Ledger | None, reading: InstanceReading, pool: PoolReading, slow_limit: Span
) -> tuple[Ledger, PoolCounts | None]:
    """Return the ledger after a reading, and what happened since the one before; None if it begins anew."""
    if before is None or before.generation != reading.generation or _ran_backwards(before, pool):
        first = ((reading.taken_at, pool.started),)
        return _ledger(reading, pool, first, max(0, pool.started - pool.answered), pool.requests, pool.errors), None
    marks = _marks(before.started, reading.taken_at, pool.started, slow_limit)
    late = _late(marks, reading.taken_at, pool, slow_limit, before.late_free)
    retries = pool.retries - before.retries
    total_peak = max(before.total_peak, pool.requests + late)
    bad_peak = max(before.bad_peak, pool.errors + late)
    counts = Counts(pool.requests - before.requests + retries, pool.errors - before.errors + retries)
    seen = PoolCounts(
        counts=counts,
        late=Counts(total_peak - before.total_peak + retries, bad_peak - before.bad_peak + retries),
        servers=_servers(before.servers, pool),
    )
    # Only a request that still waits may have been counted ahead: one that ended well must not hide a later error.
    ahead_most = max(0, pool.started - pool.answered)
    bad_peak = min(bad_peak, pool.errors + ahead_most)
    return _ledger(reading, pool, marks, before.late_free, total_peak, bad_peak), seen


def _ledger(
    reading: InstanceReading,
    pool: PoolReading,
    marks: tuple[tuple[Instant, int], ...],
    late_free: int,
    total_peak: int,
    bad_peak: int,
) -> Ledger:
    generation, at = reading.generation, reading.taken_at
    return Ledger(
        generation, at, pool.requests, pool.errors, pool.retries, pool.servers, marks, late_free, total_peak, bad_peak
    )


def _ran_backwards(before: Ledger, pool: PoolReading) -> bool:
    return pool.requests < before.requests or pool.errors < before.errors or pool.retries < before.retries


def _marks(
    known: tuple[tuple[Instant, int], ...], at: Instant, started: int, slow_limit: Span
) -> tuple[tuple[Instant, int], ...]:
    if known and since(known[-1][0], at) < MARK_EVERY:
        return known
    first = 0
    while first + 1 < len(known) and since(known[first + 1][0], at) >= slow_limit:
        first += 1
    return (*known[first:], (at, started))


def _late(
    marks: tuple[tuple[Instant, int], ...], at: Instant, pool: PoolReading, slow_limit: Span, late_free: int
) -> int:
    """Return how many requests have waited for `slow_limit` at least."""
    if not marks or since(marks[0][0], at) < slow_limit:
        return 0
    return max(0, marks[0][1] - pool.answered - late_free)


def _servers(before: Mapping[ServerName, ServerReading], pool: PoolReading) -> dict[ServerName, Counts]:
    found: dict[ServerName, Counts] = {}
    for name, one in pool.servers.items():
        known = before.get(name)
        if known is one:
            # Thousands of servers stand by for every one that works, and drivers hand on what has not changed.
            found[name] = NOTHING
        elif known is not None and one.requests >= known.requests and one.errors >= known.errors:
            found[name] = Counts(one.requests - known.requests, one.errors - known.errors)
    return found


def _summed(seen: list[PoolCounts]) -> PoolCounts | None:
    if not seen:
        return None
    if len(seen) == 1:
        return seen[0]
    servers: dict[ServerName, Counts] = {}
    for one in seen:
        for name, counts in one.servers.items():
            servers[name] = servers.get(name, Counts(0, 0)) + counts
    total, late = Counts(0, 0), Counts(0, 0)
    for one in seen:
        total, late = total + one.counts, late + one.late
    return PoolCounts(total, late, servers)


def _times(
    before: Mapping[InstanceName, Timing], now: Mapping[InstanceName, Timing]
) -> Mapping[Colour, Buckets] | None:
    """Return how long the requests since the last tick took; None where nothing that is trusted says so."""
    fresh: dict[Colour, list[Buckets]] = {colour: [] for colour in Colour}
    known = False
    for name, timing in now.items():
        earlier = before.get(name)
        if earlier is None or earlier.source != timing.source or not timing.trusted:
            continue
        known = True
        for colour in Colour:
            grown = sketch.between(earlier.pools.get(colour, {}), timing.pools.get(colour, {}))
            fresh[colour].append(grown or {})
    return {colour: sketch.merged(*sketches) for colour, sketches in fresh.items()} if known else None

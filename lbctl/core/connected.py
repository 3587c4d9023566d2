"""What the kernel of lbctl's host says of the connections to a pool: a second witness beside its load balancers. Pure.

A program that calls the servers by themselves is seen by no load balancer; so is an old worker that nobody knows of.
It is looked for before a pool is certified, and as long as the certificate stands.
"""

from collections.abc import Iterable, Iterator

from lbctl.core.oldworkers import unseen_workers
from lbctl.core.state import State
from lbctl.core.stopped import refuses
from lbctl.model.census import Census, Connections, Program
from lbctl.model.names import Colour, ServiceName, pid_of
from lbctl.model.reading import InstanceReading, Unreadable
from lbctl.model.units import SECOND, Instant, Span, seconds, since

NAMES_MAX = 3
FRESH = Span(30 * SECOND)
"""It is counted every few seconds: an older count is one that was not taken again, and misses who came since."""
ELSEWHERE = "calls from other hosts straight to the servers are in the servers' own logs only"


def connected(state: State, name: ServiceName, colour: Colour) -> Iterator[str]:
    """Yield who of this host has a connection to a pool and is no load balancer of it: it calls around them."""
    if found := _callers(state, name, colour):
        how = "is connected to past its load balancers, as this host's kernel counts"
        yield f"{colour} of {name} {how}: {_named(found)}"


def is_alone(state: State, name: ServiceName, colour: Colour) -> bool:
    """Whether nobody of this host is known to be connected to a pool past its load balancers."""
    return not _callers(state, name, colour)


def called_past(state: State, name: ServiceName, colour: Colour) -> str:
    """Return who is connected to a certified pool; empty if nobody is, or nobody can tell yet.

    A reload makes new workers: whoever is no load balancer by readings from before the look may be one by the next.
    Old ones that nobody sees keep connections, too. And where every server refuses connections there is nobody to be
    connected to: somebody else has got that port.
    """
    pool, seen = state.record.services[name].pool(colour), state.observed.census.get((name, colour))
    if pool.certificate is None or seen is None or seen.strangers is None or seen.taken_at < pool.certificate.at:
        return ""
    readings = [state.observed.instances.get(one) for one in state.topology.instances_of(name)]
    looked_at = seen.strangers.looked_at
    if any(not isinstance(one, InstanceReading) or one.taken_at <= looked_at for one in readings):
        return ""
    if refuses(state, name, colour):
        return ""
    found = [one for one in _callers(state, name, colour) if not _may_be_an_old_worker(state, name, one)]
    return f"{_named(found)}, as this host's kernel counts" if found else ""


def _named(found: Iterable[Program]) -> str:
    return ", ".join(map(str, [*found][:NAMES_MAX]))


def _callers(state: State, name: ServiceName, colour: Colour) -> tuple[Program, ...]:
    seen = state.observed.census.get((name, colour))
    if seen is None or not _strangers(seen):
        return ()
    ours = balancers(state.observed.instances.get(one) for one in state.topology.instances_of(name))
    return tuple(one for one in _strangers(seen) if not _is_known(state, name, one) and ours.isdisjoint(one.pids))


def _may_be_an_old_worker(state: State, name: ServiceName, one: Program) -> bool:
    """Whether a program may be a worker from before a reload that nobody watched: it looks like one, and one may be
    there. An Envoy that was hot-restarted keeps the connections of its health checks for a quarter of an hour."""
    if state.topology.planes[state.topology.services[name].plane].driver.value not in one.process:
        return False
    readings = ((i, state.observed.instances.get(i)) for i in state.topology.instances_of(name))
    seen = ((i, reading) for i, reading in readings if isinstance(reading, InstanceReading))
    return any(text for i, reading in seen for text in unseen_workers(state.record, i, reading))


def balancers(readings: Iterable[InstanceReading | Unreadable | None]) -> frozenset[int]:
    """Return the processes of load balancers by the numbers that they know themselves by, old workers among them."""
    seen = (one for one in readings if isinstance(one, InstanceReading))
    lives = (life for one in seen for life in (one.generation, *one.draining_generations))
    return frozenset(pid for pid in map(pid_of, lives) if pid is not None)


def _strangers(seen: Census) -> tuple[Program, ...]:
    return () if seen.strangers is None else seen.strangers.programs


def _is_known(state: State, name: ServiceName, one: Program) -> bool:
    """Whether the config says that this program's connections are no use of a pool: by its user, if no more is known of
    it than that. Without rights lbctl may not look into other users' processes."""
    who = f"uid:{one.uid}" if one.pid is None else one.process
    return who in state.topology.services[name].drain.known


def not_yet_counted(state: State, name: ServiceName, colour: Colour, now: Instant) -> str:
    """Return that it must be counted again: what was counted before the pool became quiet says nothing, nor does what
    was counted long ago."""
    seen, calm = state.observed.census.get((name, colour)), state.calms.get((name, colour))
    if seen is None or calm is None or calm.quiet_since is None:
        return ""
    if seen.taken_at >= calm.quiet_since and since(seen.taken_at, now) <= FRESH:
        return ""
    return f"this host's connections to {colour} of {name} are to be counted again"


def uncounted(state: State, name: ServiceName, colour: Colour) -> Iterator[str]:
    """Yield what the kernel of this host could not be asked of the connections to a pool."""
    seen = state.observed.census.get((name, colour))
    if seen is None:
        yield "nobody counted this host's connections to its servers"
    elif _total(state, name, colour, seen) is None or seen.strangers is None:
        yield f"this host's connections could not be counted: {seen.cannot or 'its servers are new in the config'}"
    elif seen.strangers.cannot:
        yield f"whose this host's connections are could not be told: {seen.strangers.cannot}"
    elif seen.strangers.unnamed:
        what = f"{seen.strangers.unnamed} of this host's connections are taken for its load balancers'"
        yield f"{what}, whose processes nobody may look into"


def watch_words(state: State, name: ServiceName, colour: Colour, now: Instant) -> tuple[bool, str]:
    """Return whether somebody watches a certified pool for callers past its load balancers, and what is seen of them.
    Nobody ever sees those of other hosts."""
    seen, missing = state.observed.census.get((name, colour)), next(uncounted(state, name, colour), "")
    if seen is None or missing:
        return False, f"nobody watches who calls past its load balancers: {missing}; {ELSEWHERE}"
    when = seconds(since(seen.taken_at, now))
    return True, f"who calls past its load balancers from lbctl's host, last looked for {when} ago; {ELSEWHERE}"


def _total(state: State, name: ServiceName, colour: Colour, seen: Census) -> Connections | None:
    return seen.total(server.address for server in state.topology.services[name].pool(colour).servers)


def census_words(state: State, name: ServiceName, colour: Colour) -> str:
    """Return what the kernel of this host counts. Connections that load balancers keep for later are no use of it."""
    seen = state.observed.census.get((name, colour))
    total = None if seen is None else _total(state, name, colour, seen)
    if seen is None or total is None:
        return ""
    if not total.count:
        return "no connection of this host to its servers"
    text = f"{total.count} connections of this host to its servers, of load balancers, with nothing in flight"
    known = ", ".join(str(one) for one in _strangers(seen) if _is_known(state, name, one))
    return f"{text}; but {known}, which the config knows (`drain.known`)" if known else text

"""What the kernel of lbctl's host says of the connections to a pool: a second witness beside its load balancers. Pure.

A program that calls the servers by themselves is seen by no load balancer; so is an old worker that nobody knows of.
"""

from collections.abc import Iterator

from lbctl.core.state import State
from lbctl.model.census import Census, Connections, Program
from lbctl.model.names import Colour, ServiceName
from lbctl.model.units import SECOND, Instant, Span, since

NAMES_MAX = 3
FRESH = Span(30 * SECOND)
"""It is counted every few seconds: an older count is one that was not taken again, and misses who came since."""


def connected(state: State, name: ServiceName, colour: Colour) -> Iterator[str]:
    """Yield who of this host has a connection to a pool and is no load balancer of it: it calls around them."""
    seen = state.observed.census.get((name, colour))
    found = () if seen is None else [one for one in _strangers(seen) if not _is_known(state, name, one)]
    if found:
        who = ", ".join(map(str, found[:NAMES_MAX]))
        yield f"{colour} of {name} is connected to past its load balancers, as this host's kernel counts: {who}"


def _strangers(seen: Census) -> tuple[Program, ...]:
    return () if seen.strangers is None else seen.strangers.programs


def _is_known(state: State, name: ServiceName, one: Program) -> bool:
    """Whether the config says that this program's connections are no use of a pool."""
    return one.process in state.topology.services[name].drain.known


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

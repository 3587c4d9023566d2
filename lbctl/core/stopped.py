"""Who may still call a pool that is to become unused: consumer pools that are pinned to it. Pure.

A consumer pool that still serves somebody may call at any time. One that is certified serves nobody, but its servers
may call by themselves (a timer, a queue) until they are stopped, as long as their pin stands.
"""

from collections.abc import Iterator

from lbctl.core.state import State
from lbctl.model.names import Colour, ServerName, ServiceName
from lbctl.model.record import PoolState, Release
from lbctl.model.route import Caller, Cell
from lbctl.model.topology import Probe, Service
from lbctl.model.units import Instant, Span, seconds, since

NAMES_MAX = 3


def still_called(state: State, name: ServiceName, colour: Colour, now: Instant) -> Iterator[str]:
    """Yield the consumer pools that are pinned to this pool and may still call it: each must be certified, and
    stopped as long as its pin stands."""
    release = state.record.running(name)
    for who in _paired(state, name, colour):
        calls = _calls(state, name, who, colour, now)
        if state.record.services[who.service].pool(who.colour).state is PoolState.DRAINING:
            yield f"{who} is not certified, and may still call it{calls}"
        elif release is not None and who.service in release.members:
            running = not_stopped(state, release, who.service, who.colour, now)
            if running:
                yield f"{who} is not stopped{calls}: {running}"


def _paired(state: State, name: ServiceName, colour: Colour) -> Iterator[Caller]:
    """Yield the old pools of consumers that were released together with this pool."""
    for who in state.topology.callers_of(name):
        adopted = state.record.services.get(who.service)
        pool = None if adopted is None else adopted.pool(who.colour)
        if pool is not None and pool.paired.get(name) is colour and pool.state in {PoolState.DRAINING, PoolState.IDLE}:
            yield who


def _calls(state: State, name: ServiceName, who: Caller, colour: Colour, now: Instant) -> str:
    tally, cell = state.matrix.get(name), Cell(who, colour)
    if tally is None or cell not in tally.last:
        return ""
    return f" ({tally.totals[cell]} calls, the last {seconds(since(tally.last[cell], now))} ago)"


def not_stopped(state: State, release: Release, name: ServiceName, colour: Colour, now: Instant) -> str:
    """Return why a pool does not count as stopped; empty if every server has refused connections for `quiet`, or
    somebody said that it is stopped and no check contradicts."""
    if name in release.stopped:
        return _contradicted(state, name, colour, release.stopped[name])
    service, said = state.topology.services[name], f"lbctl release stopped {release.id} --service {name}"
    if not _is_asked(service):
        return f"lbctl does not check its servers at their own port; then {said}"
    servers, quiet = service.pool(colour).servers, service.drain.quiet
    alive = [one.name for one in servers if not _refuses(state, name, one.name, quiet, now)]
    if not alive:
        return ""
    names = ", ".join(alive[:NAMES_MAX]) + ", …" * (len(alive) > NAMES_MAX)
    what = f"{len(alive)} of {len(servers)} servers ({names}) have not refused connections for {seconds(quiet)}"
    return f"{what}; stop them, or {said}"


def refuses(state: State, name: ServiceName, colour: Colour) -> bool:
    """Whether every server of a pool refuses connections just now, as far as anybody asks."""
    service = state.topology.services[name]
    health = (state.observed.health.get((name, one.name)) for one in service.pool(colour).servers)
    return _is_asked(service) and all(one is not None and one.refused_since is not None for one in health)


def _contradicted(state: State, name: ServiceName, colour: Colour, by: str) -> str:
    """Return which servers pass their checks although somebody said that they are stopped; empty if none does."""
    service = state.topology.services[name]
    health = ((one.name, state.observed.health.get((name, one.name))) for one in service.pool(colour).servers)
    alive = [server for server, seen in health if seen is not None and seen.up] if _is_asked(service) else []
    names = ", ".join(alive[:NAMES_MAX]) + ", …" * (len(alive) > NAMES_MAX)
    return f"{by} said that it is stopped, but {len(alive)} servers ({names}) pass their checks" if alive else ""


def _is_asked(service: Service) -> bool:
    """Whether a refused check says that the server itself is not there."""
    health = service.health
    return health is not None and health.kind is not Probe.COMMAND and health.port is None


def _refuses(state: State, name: ServiceName, server: ServerName, quiet: Span, now: Instant) -> bool:
    health = state.observed.health.get((name, server))
    if health is None or health.refused_since is None or name in state.observed.checker_suspect:
        return False
    return since(health.refused_since, now) >= quiet

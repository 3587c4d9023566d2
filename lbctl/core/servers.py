"""Servers that went down, came up, or of which nothing is known any more: told in few words. Pure.

What prober and load balancers say together counts. All that changes within a few seconds is one entry, however many
servers that are. One that goes up and down again and again is told ever more rarely: each time it must have stood for
twice as long as the time before. Nobody is told that servers are up when lbctl starts: that is what people expect.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from lbctl.core.state import Seen, State
from lbctl.core.targets import target
from lbctl.core.wellness import Wellness
from lbctl.model.entry import Entry, Kind, Scalar, Severity
from lbctl.model.names import Colour, ServerName, ServiceName
from lbctl.model.reading import InstanceReading
from lbctl.model.topology import Service
from lbctl.model.units import HOUR, MINUTE, SECOND, Instant, Span, after, since

Key = tuple[ServiceName, ServerName]
Words = Mapping[Key, str]

LOOK_EVERY = Span(900)
QUIET = Span(3 * SECOND)
"""Changes are told when none was added for this long,"""
LONGEST = Span(30 * SECOND)
"""or when the first of them has waited this long."""
HARMLESS_FOR = Span(30 * SECOND)
"""What harms no user must stand this long: a server that is unknown (a start, a reload, a late checker), and one of a
pool that is claimed (somebody deploys to it)."""
PATIENCE = Span(2 * SECOND)
"""Doubled each time that a server was told lately."""
PATIENCE_MAX = Span(10 * MINUTE)
FORGOTTEN_AFTER = HOUR
SERVICES_MAX = 5
"""Changes of more services than this are one entry for all."""
NAMES_MAX = 5
UP, DOWN, UNKNOWN = WORDS = ("up", "down", "unknown")


def changed(state: State, now: Instant) -> tuple[State, list[Entry]]:
    """Return the state that remembers what is told of servers, and what is told now."""
    if since(state.servers_at, now) < LOOK_EVERY:
        return state, []
    seen: dict[Key, Seen] = {}
    due: dict[Key, Instant] = {}
    for service in state.topology.services.values():
        for colour in Colour:
            news = dict(_seen(state, service, colour, now))
            seen |= news
            due |= {key: at for key, at in _due(state, service, colour, news) if at <= now}
    entries: list[Entry] = []
    if due and (since(max(due.values()), now) >= QUIET or since(min(due.values()), now) >= LONGEST):
        entries = _entries(state, {key: seen[key].word for key in due}, now)
        seen |= {key: _told(seen[key], now) for key in due}
    return replace(state, servers=seen, servers_at=now), entries


def _seen(state: State, service: Service, colour: Colour, now: Instant) -> Iterator[tuple[Key, Seen]]:
    """Every server of a pool that is not up, or of which people were told something else lately."""
    pool, blind = state.wells[service.name, colour], _blind(state, service)
    if pool.well and not state.servers:
        return
    for server in service.pool(colour).servers:
        key = (service.name, server.name)
        word = _word(pool, server.name)
        before = state.servers.get(key)
        if before is None:
            if word == UP:
                continue
            before = Seen(since=now)
        if blind:
            # What a load balancer said is not over because none can be asked.
            word = before.word
        one = before if word == before.word else replace(before, word=word, since=now)
        # What is up and not told yet was told to be down, within the same time.
        if one.word != UP or (one.times and since(max(one.since, one.told_at), now) < FORGOTTEN_AFTER):
            yield key, one


def _due(state: State, service: Service, colour: Colour, seen: Mapping[Key, Seen]) -> Iterator[tuple[Key, Instant]]:
    """When a change of each may be told, of those that are not as people were told."""
    news = {key: one for key, one in seen.items() if one.word != one.told}
    deployed = _is_deployed_to(state, service.name, colour)
    for key, one in news.items():
        yield key, after(one.since, _patience(service, one, deployed=deployed))


def _word(pool: Wellness, server: ServerName) -> str:
    """A drained server is up: it serves the sessions it has; `status` says who drains it, as far as that is known."""
    if server in pool.drained:
        return UP
    return DOWN if server in pool.down else UNKNOWN if server in pool.unknown else UP


def _blind(state: State, service: Service) -> bool:
    """Whether nobody can say anything of its servers now: no prober, and no load balancer that can be read."""
    if service.health is not None:
        return False
    readings = (state.observed.instances.get(name) for name in state.topology.instances_of(service.name))
    return not any(isinstance(reading, InstanceReading) for reading in readings)


def _patience(service: Service, seen: Seen, *, deployed: bool) -> Span:
    """Return how long a server must stand as it is before that is told. `deployed`: somebody deploys to its pool."""
    patience = min(PATIENCE_MAX, PATIENCE << seen.times) if seen.times else 0
    if seen.word == UNKNOWN and service.health is not None:
        patience = max(patience, HARMLESS_FOR + service.health.rise * service.health.interval)
    elif seen.word == UNKNOWN or deployed:
        patience = max(patience, HARMLESS_FOR)
    return Span(patience)


def _is_deployed_to(state: State, name: ServiceName, colour: Colour) -> bool:
    claim = state.record.claims.get(name)
    return claim is not None and claim.colour is colour


def _serves(state: State, name: ServiceName, colour: Colour) -> bool:
    """Whether this pool is to have traffic; nobody knows that of a service that is only observed."""
    route = target(state.topology, state.record, name)
    return route is None or route.share_bp(colour) > 0


def _told(seen: Seen, now: Instant) -> Seen:
    lately = seen.times and since(seen.told_at, now) < FORGOTTEN_AFTER
    return replace(seen, told=seen.word, told_at=now, times=min(seen.times + 1, 10) if lately else 1)


# ---- words


def _entries(state: State, words: Words, now: Instant) -> list[Entry]:
    names = sorted({service for service, _ in words})
    if len(names) <= SERVICES_MAX:
        of = {name: {key: word for key, word in words.items() if key[0] == name} for name in names}
        return [_entry(state, name, of[name], now) for name in names]
    counts = _counts(words)
    parts = ", ".join(f"{counts[f'to_{word}']} {word}" for word in WORDS if counts[f"to_{word}"])
    text = f"servers of {len(names)} services changed: {parts}; of {_some(names)}"
    warns = any(_warns(state, name, words) for name in names)
    return [Entry(kind=Kind.SERVER_CHANGED, at=now, text=text, severity=_severity(warns), data=counts)]


def _entry(state: State, name: ServiceName, words: Words, now: Instant) -> Entry:
    pools = state.wells
    reasons = {server: why for colour in Colour for server, why in _reasons(pools[name, colour]).items()}
    parts = [
        f"{word}: {_some([_named(server, reasons) for (_, server), its in words.items() if its == word])}"
        for word in WORDS
        if word in words.values()
    ]
    up = " and ".join(f"{pools[name, c].up_count} of {pools[name, c].server_count} {c}" for c in Colour)
    return Entry(
        kind=Kind.SERVER_CHANGED,
        at=now,
        text=f"servers of {name} changed: {'; '.join(parts)}; now {up} servers are up",
        severity=_severity(_warns(state, name, words)),
        service=name,
        data=_counts(words) | {f"{colour}_up": pools[name, colour].up_count for colour in Colour},
    )


def _counts(words: Words) -> dict[str, Scalar]:
    return {f"to_{word}": [*words.values()].count(word) for word in WORDS}


def _reasons(pool: Wellness) -> Mapping[ServerName, str]:
    return {**{one: why for one, why in pool.down.items() if one not in pool.drained}, **pool.unknown}


def _named(server: ServerName, reasons: Mapping[ServerName, str]) -> str:
    return f"{server} ({reasons[server]})" if reasons.get(server) else server


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMES_MAX} more" if len(names) > NAMES_MAX else ""
    return ", ".join(names[:NAMES_MAX]) + more


def _severity(warns: bool) -> Severity:
    return Severity.WARNING if warns else Severity.INFO


def _warns(state: State, name: ServiceName, words: Words) -> bool:
    """A server that fails is a warning where its pool has traffic; an idle pool's servers come and go at a deploy."""
    return any(
        _serves(state, name, colour) and words.get((name, server), UP) != UP
        for colour in Colour
        for server in _reasons(state.wells[name, colour])
    )

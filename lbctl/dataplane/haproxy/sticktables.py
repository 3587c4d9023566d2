"""Stick tables whose entries bring users to the servers of one backend: read, sorted by pool, and cleared key by key.

An entry is in a bucket for as long as it lives, by its key, as a session with a cookie is: a pool's limit says which
ones it honours. Clearing one moves its user with the next request, once: the entry made then names the other pool.
"""

import re
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lbctl.dataplane.haproxy.client import Blocks
from lbctl.dataplane.haproxy.serverstate import States
from lbctl.model.names import Colour
from lbctl.model.route import Route
from lbctl.model.topology import HaproxyForm, Service
from lbctl.model.units import BP_FULL

SHOW = "show table"
HEAD = "# table: "
TABLES_MAX = 200
_ENTRY = re.compile(r"0x[0-9a-f]+: key=(.*) use=\d+ exp=(\d{1,18})(.*)")
"""The key is the user's own text, and may look like anything: what follows it is found from behind."""
_SERVER = re.compile(r" server_(id|key|name)=(\S+)")
NO_NAME = "-"
_SAYABLE = re.compile(r"[A-Za-z0-9._:@+/=~-]{1,200}")
"""Keys that mean nothing else on HAProxy's command line. The others go last, when their whole server is cleared."""
_BINARY = "type: binary"
"""HAProxy shows such keys otherwise than it takes them."""

Ask = Callable[..., Awaitable[Blocks]]


@dataclass(frozen=True, slots=True)
class Bound:
    """One entry that names a server: by its number in the backend, and by the name that counts where there is one.
    `sayable`: HAProxy can be told to clear just this one. `left_ms`: how long it lives if nobody comes."""

    table: str
    key: str
    number: str
    name: str
    sayable: bool = True
    left_ms: int = 0

    @property
    def bucket(self) -> int:
        """Which limit still honours it."""
        return zlib.crc32(self.key.encode()) % BP_FULL if self.sayable else 0


def entries_of(table: str, lines: Sequence[str]) -> Iterator[Bound]:
    """Yield the entries of a `show table` answer that name a server."""
    binary = bool(lines) and _BINARY in lines[0]
    for line in lines:
        found = _ENTRY.fullmatch(line)
        named = dict(_SERVER.findall(found[3])) if found is not None else {}
        if found is not None and named.get("id", "0") != "0":
            sayable = not binary and _SAYABLE.fullmatch(found[1]) is not None
            name = named.get("key") or named.get("name", "")
            yield Bound(table, found[1], named["id"], "" if name == NO_NAME else name, sayable, int(found[2]))


def names_servers(lines: Sequence[str]) -> bool:
    """Whether this answer is of a table whose entries name servers: others only count."""
    return bool(lines) and lines[0].startswith(HEAD)


def tables_of(lines: Sequence[str]) -> list[str]:
    """Return the names of all tables; each is its proxy's."""
    return [line[len(HEAD) :].split(",", 1)[0] for line in lines if line.startswith(HEAD)][:TABLES_MAX]


def bound_entries(table: str) -> str:
    """Return what to ask a table for."""
    return f"{SHOW} {table} data.server_id gt 0"


def strange_tables(services: Sequence[Service]) -> frozenset[str]:
    """Return the backends of services in form `map`: their tables bind inside one pool."""
    in_map = (one.haproxy for one in services if one.haproxy and one.haproxy.form is HaproxyForm.MAP)
    return frozenset(backend for binding in in_map for backend in binding.backends.values())


@dataclass(frozen=True, slots=True)
class Found:
    """The tables whose entries name servers, and those entries."""

    tables: frozenset[str] = frozenset()
    entries: tuple[Bound, ...] = ()


async def bound_anywhere(ask: Ask, strange: Collection[str]) -> Found:
    """Return whom any table may bind to servers of ours.

    Raises: as `ask`, which is called with commands and returns their answers.
    """
    (lines,) = await ask(SHOW)
    tables = [one for one in tables_of(lines) if one not in strange]
    answers = await ask(*map(bound_entries, tables)) if tables else []
    naming = {table: lines for table, lines in zip(tables, answers, strict=True) if names_servers(lines)}
    entries = tuple(one for table, lines in naming.items() for one in entries_of(table, lines))
    return Found(frozenset(naming), entries)


def of_pool(service: Service, colour: Colour, states: States, found: Sequence[Bound]) -> list[Bound]:
    """Return the entries that bring their users to this pool: by name, else by the number in its own backend."""
    servers, binding = service.pool(colour).servers, service.haproxy
    names = {one.name for one in servers} | {str(one.address) for one in servers}
    numbers = {states[one.name].number for one in servers if one.name in states}
    own = "" if binding is None else binding.backends[colour]
    return [one for one in found if (one.name in names if one.name else one.table == own and one.number in numbers)]


def clearing(service: Service, states: States, found: Sequence[Bound], route: Route) -> list[str]:
    """Return the commands that clear what a route does not honour: only of pools that get nothing new."""
    doomed = [
        one
        for colour in Colour
        if not route.share_bp(colour)
        for one in of_pool(service, colour, states, found)
        if one.bucket >= route.keep_bp(colour)
    ]
    return [*dict.fromkeys(_cleared(found, doomed))]


def _cleared(found: Sequence[Bound], doomed: Sequence[Bound]) -> Iterator[str]:
    """A server all of whose entries go is cleared at once, whatever their keys are."""
    there, going = (Counter((one.table, one.number) for one in some) for some in (found, doomed))
    for one in doomed:
        if there[one.table, one.number] == going[one.table, one.number]:
            yield f"clear table {one.table} data.server_id eq {one.number}"
        elif one.sayable:
            yield f"clear table {one.table} key {one.key}"


def lifted(route: Route, buckets: Mapping[Colour, Sequence[int]]) -> Route:
    """Return what a worker really honours: at least whom its tables still bring to a pool that gets nothing new."""
    for colour, seen in buckets.items():
        if seen and not route.share_bp(colour):
            route = route.with_keep(colour, max(route.keep_bp(colour), max(seen) + 1))
    return route

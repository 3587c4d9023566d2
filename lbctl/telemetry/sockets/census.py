"""The census: how many connections this host has to some servers, and, if somebody asks, who has each of them.

Both run in a thread, one after the other, and never raise: what the kernel does not tell is said in `cannot`. lbctl's
own connections (health checks, version checks) are left out: those of the processes that `own` names.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace

from lbctl.model.census import Census, Connections, OpenSocket, OpenSockets, Strangers
from lbctl.model.topology import Address
from lbctl.model.units import Instant
from lbctl.telemetry.sockets.answer import Counts, Row, Unusable
from lbctl.telemetry.sockets.owners import holders_of
from lbctl.telemetry.sockets.question import TcpState, destinations
from lbctl.telemetry.sockets.reader import listed
from lbctl.telemetry.sockets.rows import Own, own_inodes, place_of, rows_to
from lbctl.telemetry.sockets.strangers import strangers_to

SOCKETS_MAX = 1_000
"""So many connections are named one by one."""
_OPENING = frozenset({TcpState.SYN_SENT, TcpState.SYN_RECEIVED})


class SocketCensus:
    """Counts and names connections. `own`, called in a thread, are the processes whose connections are lbctl's."""

    def __init__(self, now: Callable[[], Instant], own: Own = lambda: (os.getpid(),)) -> None:
        self._now = now
        self._own = own
        self._one_at_a_time = asyncio.Lock()

    async def census(self, servers: Collection[Address]) -> Census:
        """Count the connections from this host to each of these servers. Never raises, never delays the event loop."""
        async with self._one_at_a_time:
            taken_at = self._now()
            try:
                counted = await asyncio.to_thread(_counted, frozenset(servers), self._own)
            except Unusable as error:
                return Census(taken_at=taken_at, cannot=str(error))
        return Census(taken_at=taken_at, servers=counted)

    async def sockets(self, servers: Collection[Address]) -> OpenSockets:
        """Name the connections to these servers and who has them. Slower than `census`: for people, on demand."""
        async with self._one_at_a_time:
            taken_at = self._now()
            try:
                found = await asyncio.to_thread(_named, frozenset(servers), self._own)
            except Unusable as error:
                return OpenSockets(taken_at=taken_at, cannot=str(error))
        named, left_out = tuple(found[:SOCKETS_MAX]), max(0, len(found) - SOCKETS_MAX)
        return OpenSockets(taken_at=taken_at, sockets=named, left_out=left_out)

    async def strangers(self, servers: Collection[Address], balancers: Collection[int]) -> Strangers:
        """Say who else than these processes has established connections to these servers."""
        async with self._one_at_a_time:
            try:
                found = await asyncio.to_thread(strangers_to, frozenset(servers), balancers, self._own)
            except Unusable as error:
                found = Strangers(cannot=str(error))
        return replace(found, looked_at=self._now())


def _counted(servers: frozenset[Address], own: Own) -> dict[Address, Connections]:
    """A check that begins or ends during the census is ours too: our sockets are looked up before and after it."""
    if not servers:
        return {}
    before = own_inodes(own)
    counts = listed(destinations(servers), lambda sequence: Counts(sequence, before))
    if counts.found and (fresh := own_inodes(own) - before):
        counts = listed(destinations(servers), lambda sequence: Counts(sequence, before | fresh))
    by_place: dict[tuple[bytes, bytes], Connections] = {}
    for (state, port, host), count in counts.found.items():
        by_place[port, host] = by_place.get((port, host), Connections()).plus(_connections(state, count))
    return {server: by_place.get(place_of(server), Connections()) for server in servers}


def _named(servers: frozenset[Address], own: Own) -> list[OpenSocket]:
    ours = own_inodes(own)
    rows = sorted((one for one in rows_to(servers) if one.inode not in ours), key=lambda one: str(one.local))
    owners = holders_of({one.inode for one in rows[:SOCKETS_MAX]})
    return list(_sockets(rows, owners))


def _sockets(rows: list[Row], owners: Mapping[int, tuple[int, str]]) -> Iterator[OpenSocket]:
    for one in rows:
        pid, process = owners.get(one.inode, (None, ""))
        yield OpenSocket(
            local=one.local,
            remote=one.remote,
            state=_word(one.state),
            uid=one.uid,
            inode=one.inode,
            unread_bytes=one.unread_bytes,
            unsent_bytes=one.unsent_bytes,
            cookie=int.from_bytes(one.socket_id[40:], sys.byteorder),
            pid=pid,
            process=process,
        )


def _connections(state: int, count: int) -> Connections:
    if state == TcpState.ESTABLISHED:
        return Connections(established=count)
    return Connections(opening=count) if state in _OPENING else Connections(closing=count)


def _word(state: int) -> str:
    try:
        return TcpState(state).name.lower().replace("_", " ")
    except ValueError:
        return f"state {state}"

"""Keeps the kernel's count of connections to old pools, and names who has them when somebody asks.

It is a second witness beside the load balancers: it sees every program of this host, also one that goes around them,
and an old worker that nobody knows of. It sees no other host. Idle connections that a load balancer keeps for later are
no use of a pool; whoever else has one uses it.

A pool that drains is counted every few seconds. One that was proved unused may stand so for weeks, and a site may have
hundreds of them: those are counted more seldom, some at a time, in turn.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from lbctl.core.calm import is_leaving
from lbctl.core.connected import balancers
from lbctl.daemon.ports import HostConnections, Now
from lbctl.model.census import Census, Strangers
from lbctl.model.names import Colour, InstanceName, ServiceName
from lbctl.model.reading import InstanceReading, Unreadable
from lbctl.model.record import Record
from lbctl.model.topology import Address, Topology
from lbctl.model.units import SECOND, Instant, Span, after, since

Json = dict[str, Any]
Key = tuple[ServiceName, Colour]
Readings = Mapping[InstanceName, InstanceReading | Unreadable]
AGAIN = Span(5 * SECOND)
"""How often it is counted; more often where a pool is to be quiet for less."""
AT_REST = Span(15 * SECOND)
"""The same of a pool that was proved unused."""
AT_REST_MAX = 8
"""So many of those at a time: whose connections they are costs a look into every process of the host."""
REST = 20
"""So many times as long as a look took, no certified pool is looked at again: a load balancer with 50,000 connections
has as many open files to be read, for every pool."""
SOONEST = Span(SECOND // 2)
SHOWN_MAX = 20


class Headcount:
    """The last census of every pool that is to become unused, or is proved to be. `census` takes no time: it is taken
    beside it."""

    def __init__(self, topology: Topology, sockets: HostConnections, now: Now) -> None:
        self._topology = topology
        self._sockets = sockets
        self._now = now
        self._known: dict[Key, Census] = {}
        self._named: dict[Key, tuple[Instant, list[Json]]] = {}
        self._taking: asyncio.Task[None] | None = None
        self._due_at = Instant(0)
        self._rest_due_at = Instant(0)

    def configure(self, topology: Topology) -> None:
        """Take a new config."""
        self._topology = topology
        self._named.clear()

    def census(self, record: Record, readings: Readings) -> Mapping[Key, Census]:
        """Return what is known of old pools, and see that it stays so. Call it in the event loop."""
        leaving, proved = ([key for key in found if key[0] in self._topology.services] for found in _old_pools(record))
        known = {*leaving, *proved}
        self._known = {key: one for key, one in self._known.items() if key in known}
        if self._taking is None and (
            wanted := {*self._draining(leaving), *self._proved(_readable(self._topology, proved, readings))}
        ):
            servers = {key: self._servers(*key) for key in sorted(wanted)}
            self._taking = asyncio.create_task(self._take(servers, dict(readings)), name="census")
        return self._known

    def _draining(self, leaving: Sequence[Key]) -> Sequence[Key]:
        """Return the draining pools once they are due: all of them, in one look."""
        if self._now() < self._due_at and all(key in self._known for key in leaving):
            return ()
        self._due_at = self._next(leaving, AGAIN)
        return leaving

    def _proved(self, proved: Sequence[Key]) -> Sequence[Key]:
        """Return some of the certified pools once they are due: those that were not looked at for longest."""
        if not proved or self._now() < self._rest_due_at:
            return ()
        seldom = sorted(proved, key=lambda key: self._known[key].taken_at if key in self._known else -1)[:AT_REST_MAX]
        self._rest_due_at = self._next(proved, AT_REST)
        return seldom

    def _next(self, pools: Sequence[Key], longest: Span) -> Instant:
        quiet = (self._topology.services[name].drain.quiet for name, _ in pools)
        return after(self._now(), Span(max(SOONEST, min([longest, *quiet]))))

    async def connections(self, service: ServiceName, colour: Colour) -> list[Json]:
        """Return who has connections to a pool, by program and server, the most first: as of a second ago at most."""
        if service not in self._topology.services:
            return []
        known = self._named.get((service, colour))
        if known is None or since(known[0], self._now()) >= SECOND:
            known = self._named[service, colour] = self._now(), await self._who(service, colour)
        return known[1]

    async def _who(self, service: ServiceName, colour: Colour) -> list[Json]:
        seen = await self._sockets.sockets(self._servers(service, colour))
        counts: dict[tuple[str, int | None, int, str], int] = {}
        for one in seen.sockets:
            key = (one.process, one.pid, one.uid, str(one.remote))
            counts[key] = counts.get(key, 0) + 1
        most = sorted(counts.items(), key=lambda pair: -pair[1])[:SHOWN_MAX]
        return [
            {"process": process, "pid": pid, "uid": uid, "server": server, "count": count}
            for (process, pid, uid, server), count in most
        ]

    async def close(self) -> None:
        """Wait for a census under way: it is bounded."""
        if self._taking is not None:
            with suppress(asyncio.CancelledError):
                await self._taking

    async def _take(self, wanted: Mapping[Key, tuple[Address, ...]], readings: Readings) -> None:
        began_at = self._now()
        try:
            seen = await self._sockets.census({one for servers in wanted.values() for one in servers})
            for key, servers in wanted.items():
                counted = {one: seen.servers[one] for one in servers if one in seen.servers}
                one = Census(taken_at=seen.taken_at, servers=counted, cannot=seen.cannot)
                self._known[key] = replace(one, strangers=await self._strangers(key[0], one, servers, readings))
        finally:
            # Where a look takes long, the next one does not follow at its heels.
            now, took = self._now(), since(began_at, self._now())
            self._due_at = max(self._due_at, after(now, SOONEST))
            self._rest_due_at = max(self._rest_due_at, after(now, Span(max(SOONEST, REST * took))))
            self._taking = None

    async def _strangers(
        self, name: ServiceName, seen: Census, servers: tuple[Address, ...], readings: Readings
    ) -> Strangers | None:
        """Look up whose the connections are, where there are any: that costs more than their count."""
        total = seen.total(servers)
        if total is None or not total.established:
            return None if total is None else Strangers()
        return await self._sockets.strangers(servers, self._balancers(name, readings))

    def _balancers(self, name: ServiceName, readings: Readings) -> frozenset[int]:
        """Return the processes of a service's load balancers, old workers that are seen among them."""
        return balancers(readings.get(instance) for instance in self._topology.instances_of(name))

    def _servers(self, service: ServiceName, colour: Colour) -> tuple[Address, ...]:
        return tuple(one.address for one in self._topology.services[service].pool(colour).servers)


def _readable(topology: Topology, pools: Sequence[Key], readings: Readings) -> list[Key]:
    """Return the pools whose load balancers can all be read: of one that just restarts nobody knows which processes are
    its, and one that is gone by the next reading would be taken for a caller."""
    silent = {instance for instance, one in readings.items() if isinstance(one, Unreadable)}
    return [key for key in pools if silent.isdisjoint(topology.instances_of(key[0]))]


def _old_pools(record: Record) -> tuple[list[Key], list[Key]]:
    """Return the pools that are to become unused, and those that are proved to be."""
    pools = [(name, colour) for name in record.services for colour in Colour]
    proved = [(name, colour) for name, colour in pools if record.services[name].pool(colour).certificate is not None]
    return [key for key in pools if is_leaving(record, *key)], proved

"""The desk: everything the control socket may ask of the daemon. Reads come from the state, changes go to the loop."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any

from lbctl.about import VERSION
from lbctl.config.load import Config
from lbctl.control.port import Asked
from lbctl.core.attestation import attests, contradicted
from lbctl.core.requests import admit
from lbctl.core.situation import situation, situations
from lbctl.daemon.board_why import board_lines, board_why, caller_lines
from lbctl.daemon.builds import fate
from lbctl.daemon.charts import charts
from lbctl.daemon.explain import explained
from lbctl.daemon.feed import Event, Feed, event_view
from lbctl.daemon.freezing import windows
from lbctl.daemon.loop import Loop
from lbctl.daemon.members import going, services_of, takes_part
from lbctl.daemon.named import Asking, named
from lbctl.daemon.pinning import unfit
from lbctl.daemon.ports import Now
from lbctl.daemon.rest_view import rest_lines
from lbctl.daemon.retired_view import retired_view
from lbctl.daemon.sight import Capable
from lbctl.daemon.timing_view import all_doubts
from lbctl.daemon.unit_plan import member_plan_view, unit_plan_view
from lbctl.daemon.unit_view import board, unit_view
from lbctl.daemon.unready import unready_now
from lbctl.daemon.views import Json, release_view, service_view, why_view
from lbctl.model.errors import Refused
from lbctl.model.names import Colour, ReleaseId, ServiceName, UnitName
from lbctl.model.record import Release
from lbctl.model.request import Answer, Request
from lbctl.model.topology import Plan, Service
from lbctl.notify.outbox import Outbox
from lbctl.store.journal import Journal

RECENT_EVENTS = 20
HISTORY_MAX = 1_000
"""Releases that are looked through for those of one service, unit or build."""


class Desk:
    """Implements `lbctl.control.port.Desk`."""

    def __init__(
        self,
        *,
        loop: Loop,
        journal: Journal,
        feed: Feed,
        outbox: Callable[[], Outbox],
        config: Callable[[], Config],
        config_text: Callable[[], str],
        config_refused: Callable[[], str] = str,
        reload: Callable[[Asked], Awaitable[str]],
        able: Capable,
        asking: Asking,
        connections: Callable[[ServiceName, Colour], Awaitable[list[Json]]],
        metrics: Callable[[], Awaitable[bytes]],
        now: Now,
    ) -> None:
        self._loop = loop
        self._journal = journal
        self._feed = feed
        self._outbox = outbox
        self._config = config
        self._config_text = config_text
        self._config_refused = config_refused
        self._reload = reload
        self._able = able
        self._asking = asking
        self._connections = connections
        self._metrics = metrics
        self._now = now
        self._started = now()
        self._last_id = 0

    async def submit(self, request: Request) -> Answer:
        """Decide a request; returns when it is decided and durable."""
        refused = unfit(self._loop.state.topology, self._able, request)
        if refused is not None:
            raise refused
        return await self._loop.submit(request)

    def tried(self, request: Request) -> Json:
        """Return the facts that `submit` would answer with now; nothing is changed."""
        state = self._loop.state
        refused = unfit(state.topology, self._able, request)
        if refused is not None:
            raise refused
        return dict(admit(state, request, self._now())[1])

    def next_request_id(self) -> int:
        """A number that no other request of this daemon has."""
        self._last_id += 1
        return self._last_id

    def services_of(self, name: str) -> tuple[str, ...]:
        """The services that a name means: one, or those of a unit."""
        return services_of(self._loop.state.topology, name)

    def unit_of(self, service: str) -> str:
        """The unit that a service is released with; its own name if it is in none."""
        return self._loop.state.topology.unit_of(self._service(service).name).name

    def status(self, name: str | None) -> Json:
        """What serves now, what moves, why it waits."""
        state, now = self._loop.state, self._now()
        topology = state.topology
        chosen = list(topology.services) if name is None else services_of(topology, name)
        units = [unit for unit in topology.units.values() if set(unit.services) & set(chosen)]
        needed = dict.fromkeys([*chosen, *(one for unit in units for one in unit.services)])
        running = situations(state, now)
        views: dict[str, Json] = {
            one: {
                **service_view(state, topology.services[one], running.get(one), now),
                "unready": unready_now(state, topology.services[one], self._able),
            }
            for one in needed
        }
        return {
            "services": {one: views[one] for one in chosen},
            "units": {unit.name: unit_view(state, unit, views, now) for unit in units},
            "daemon": {
                "version": VERSION,
                "pid": os.getpid(),
                "journal": state.journal_error or "ok",
                "alerts_pending": self._outbox().pending,
                "alerts_waited_ms": self._outbox().oldest(now),
                "config_refused": self._config_refused(),
            },
        }

    def charts(self, name: str | None) -> Json:
        """What charts are drawn from: error ratios with their bands, times of requests."""
        state = self._loop.state
        chosen = list(state.topology.services) if name is None else services_of(state.topology, name)
        return charts(state, [ServiceName(one) for one in chosen], self._now())

    def freezes(self, name: str | None, now: datetime) -> list[Json]:
        """Every freeze window, the config's first."""
        state = self._loop.state
        services = services_of(state.topology, name) if name is not None else tuple(state.topology.services)
        return windows(state.topology, state.record.freezes, now, services)

    def plan(self, name: str, to: str | None, plan: Plan, version: str, versions: dict[str, str]) -> Json:
        """What a release of a service or unit would do, and what would stop it."""
        state = self._loop.state
        colour = None if to is None else Colour(to)
        if UnitName(name) in state.topology.units:
            unit = state.topology.units[UnitName(name)]
            return unit_plan_view(state, unit, plan, going(state, name, version, versions), self._able, self._now())
        return member_plan_view(state, self._service(name), colour, plan, version, self._able, self._now())

    async def going(self, name: str, version: str, versions: dict[str, str]) -> dict[str, str]:
        """What goes if a person switches a service or unit now: versions by service, the carrier first."""
        state = self._loop.state
        found = await named(state, self._asking, going(state, name, version, versions))
        return {str(one): what for one, what in found.items()}

    async def doubt(self, service: str, colour: str | None, version: str) -> str:
        """What the servers of a pool say against a version, asked now; None: the pool that is deployed to."""
        known, adopted = self._service(service), self._loop.state.record.services.get(ServiceName(service))
        if adopted is None or not attests(known, version):
            return ""
        asked = adopted.active.other if colour is None else Colour(colour)
        return contradicted(known, asked, version, await self._asking.pool(known, asked))

    def releases(self, name: str | None) -> Json:
        """The releases the record knows; `history` has the older ones."""
        if name is not None:
            self.services_of(name)
        state = self._loop.state
        found = [one for one in state.record.releases.values() if name is None or takes_part(one, name)]
        found.sort(key=lambda release: int(release.id), reverse=True)
        return {"releases": [release_view(state, release, self._now()) for release in found]}

    async def release(self, target: str) -> Json:
        """One release, by number or by service (its running or last one), with its newest events."""
        release, ended = await self._find(target)
        view = {**release_view(self._loop.state, release, self._now()), "ended_wall": ended}
        events = await self._all_entries(release.id)
        view["events"] = [event_view(stored) for stored in events[-RECENT_EVENTS:]]
        return {"release": view}

    async def retired(self, target: str, service: str | None, pool: str | None = None) -> Json:
        """Whether the old pool of a service is proved unused since a release; else who still uses it."""
        release, _ = await self._find(target)
        if service is None and release.followers:
            then = f"name one of its services: {', '.join(release.members)}"
            raise Refused("bad_query", f"release {release.id} has several services", then=then, exit_code=2)
        colour = None if pool is None else Colour(pool)
        view = retired_view(self._loop.state, release, ServiceName(service or release.service), self._now(), colour)
        if not view["certified"] and not view["final"]:
            view["connections"] = await self._connections(ServiceName(view["service"]), Colour(view["colour"]))
        return view

    async def why(self, target: str) -> Json:
        """Why it waits: the release, and what stands on the board of a unit."""
        state, now = self._loop.state, self._now()
        names = [] if target.isdigit() else self.services_of(target)
        units = {(unit := state.topology.unit_of(ServiceName(one))).name: unit for one in names}
        boards = {one: ready for unit in units.values() for one, ready in board(state, unit, now).items()}
        standing = board_lines({one: ready for one, ready in boards.items() if one in names})
        standing += caller_lines(state, units.values(), now)
        standing += rest_lines(state, map(ServiceName, names), now)
        try:
            release, _ = await self._find(target)
        except Refused:
            if not standing:
                raise
            return board_why(target, standing)
        found = why_view(state, release, now)
        return {**found, "lines": [*found["lines"], *standing]}

    async def history(self, name: str | None, limit: int) -> Json:
        """Releases, newest first."""
        if name is not None:
            self.services_of(name)
        stored = await self._journal.releases(None, limit if name is None else HISTORY_MAX)
        current = {release.id: release for release in self._loop.state.record.releases.values()}
        views = []
        for one in stored:
            release = current.get(one.release.id, one.release)
            if name is None or takes_part(release, name):
                views.append({**release_view(self._loop.state, release, self._now()), "ended_wall": one.ended_wall})
        return {"releases": views[:limit]}

    async def build(self, build: str) -> Json:
        """What became of a build that is, or was, ready."""
        stored = await self._journal.releases(None, HISTORY_MAX)
        return await fate(self._loop.state, build, stored, self._journal.newest, self._journal.entries)

    async def explain(self, release: str) -> Json:
        """Every decision of a release with its numbers."""
        found, _ = await self._find(release)
        here = situation(self._loop.state, found.service, self._now())
        running = here if here is not None and here.release.id == found.id else None
        events = [event_view(one) for one in await self._all_entries(found.id)]
        return explained(found, running, events, [] if running is None else all_doubts(self._loop.state, running))

    async def events(self, after: int, limit: int, name: str | None) -> list[Event]:
        """Journal entries, ids rising; of a unit those of all its services."""
        unit = None if name is None else self._loop.state.topology.units.get(UnitName(name))
        names = [None if name is None else ServiceName(name)] if unit is None else list(unit.services)
        found = [stored for one in names for stored in await self._journal.entries(after, limit, service=one)]
        return [event_view(stored) for stored in sorted(found, key=lambda stored: stored.id)[:limit]]

    def follow(self) -> AbstractAsyncContextManager[AsyncIterator[Event | None]]:
        """Live events."""
        return self._feed.follow()

    def default_plan(self, name: str) -> Plan:
        """The plan the config gives a service or unit."""
        topology = self._loop.state.topology
        return topology.unit_of(services_of(topology, name)[0]).plan

    async def test_alert(self, name: str) -> Json:
        """Send a test through one alert channel."""
        try:
            sent, detail = await self._outbox().test(name)
        except KeyError:
            known = ", ".join(alert.name for alert in self._config().alerts) or "none"
            raise Refused(
                "no_such_alert", f"there is no alert {name}", why=f"known are: {known}", exit_code=7
            ) from None
        return {"alert": name, "result": "sent" if sent else "failed", "detail": detail}

    async def reload(self, asked: Asked) -> Json:
        """Take the config file anew. Who asked may go away: a reload that has begun comes to its end."""
        why = await asyncio.shield(asyncio.ensure_future(self._reload(asked)))
        config = self._config()
        if why:
            then = (
                "put it right and reload again; what cannot change while lbctl runs needs a restart, and moves nothing"
            )
            what = "the config file is refused, the one before it stays in force"
            raise Refused("config_refused", what, why=why, then=then, exit_code=4)
        return {"config": config.path, "services": list(config.topology.services)}

    def config_text(self) -> str:
        """The effective config, secrets masked."""
        return self._config_text()

    async def metrics(self) -> bytes:
        """Every metric, as Prometheus' text."""
        return await self._metrics()

    def version(self) -> dict[str, Any]:
        """Who is running."""
        return {
            "version": VERSION,
            "pid": os.getpid(),
            "config": self._config().path,
            "uptime_s": (self._now() - self._started) // 1000,
        }

    def _service(self, name: str) -> Service:
        topology = self._loop.state.topology
        services = services_of(topology, name)
        if services[0] != name:
            why, then = f"it has {', '.join(services)}", "name one of them"
            raise Refused("no_such_service", f"{name} is a unit, not a service", why=why, then=then, exit_code=7)
        return topology.services[services[0]]

    async def _find(self, target: str) -> tuple[Release, str | None]:
        """Return a release by number, or the running or last one of a service or unit; and when it ended."""
        known = self._loop.state.record.releases.values()
        by_number = target.isdigit()
        if not by_number:
            self.services_of(target)
            mine = [one for one in known if takes_part(one, target)]
            if mine:
                return max(mine, key=lambda one: (not one.phase.ended, int(one.id))), None
        for stored in await self._journal.releases(None, HISTORY_MAX):
            release = next((one for one in known if one.id == stored.release.id), stored.release)
            if release.id == target if by_number else takes_part(release, target):
                return release, stored.ended_wall
        if by_number:
            found = next((one for one in known if one.id == target), None)
            if found is not None:
                return found, None
            raise Refused("no_such_release", f"there is no release {target}", then="lbctl release list", exit_code=7)
        first = self.services_of(target)[0]
        then = f"lbctl switch {self.unit_of(first)}"
        if ServiceName(first) not in self._loop.state.record.services:
            then = f"lbctl adopt {first} --active blue|green --version V"
        raise Refused("no_such_release", f"{target} had no release yet", then=then, exit_code=7)

    async def _all_entries(self, release: ReleaseId) -> list[Any]:
        """A release's entries: at most 2,000, which is far more than one writes."""
        first = await self._journal.entries(0, 1_000, release=release)
        if len(first) < 1_000:
            return first
        return first + await self._journal.entries(first[-1].id, 1_000, release=release)

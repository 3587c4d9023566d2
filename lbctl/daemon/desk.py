"""The desk: everything the control socket may ask of the daemon. Reads come from the state, changes go to the loop."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from lbctl.about import VERSION
from lbctl.config.load import Config
from lbctl.core.situation import situation
from lbctl.daemon.explain import explained
from lbctl.daemon.feed import Event, Feed, event_view
from lbctl.daemon.loop import Loop
from lbctl.daemon.ports import Now
from lbctl.daemon.preview import plan_view
from lbctl.daemon.sight import Capable
from lbctl.daemon.views import Json, release_view, service_view, why_view
from lbctl.model.errors import Refused
from lbctl.model.names import Colour, ReleaseId, ServiceName
from lbctl.model.record import Release
from lbctl.model.request import Answer, Request
from lbctl.model.topology import Plan, Service
from lbctl.notify.outbox import Outbox
from lbctl.store.journal import Journal

RECENT_EVENTS = 20


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
        able: Capable,
        now: Now,
    ) -> None:
        self._loop = loop
        self._journal = journal
        self._feed = feed
        self._outbox = outbox
        self._config = config
        self._config_text = config_text
        self._able = able
        self._now = now
        self._started = now()
        self._last_id = 0

    async def submit(self, request: Request) -> Answer:
        """Decide a request; returns when it is decided and durable."""
        return await self._loop.submit(request)

    def next_request_id(self) -> int:
        """A number that no other request of this daemon has."""
        self._last_id += 1
        return self._last_id

    def status(self, service: str | None) -> Json:
        """What serves now, what moves, why it waits."""
        state = self._loop.state
        chosen = [self._service(service)] if service is not None else list(state.topology.services.values())
        return {
            "services": {one.name: service_view(state, one, self._now()) for one in chosen},
            "daemon": {
                "version": VERSION,
                "pid": os.getpid(),
                "journal": state.journal_error or "ok",
                "alerts_pending": self._outbox().pending,
            },
        }

    def plan(self, service: str, to: str | None, plan: Plan, version: str) -> Json:
        """What a release would do, and what would stop it."""
        colour = None if to is None else Colour(to)
        return plan_view(self._loop.state, self._service(service), colour, plan, version, self._able)

    def releases(self, service: str | None) -> Json:
        """The releases the record knows; `history` has the older ones."""
        if service is not None:
            self._service(service)
        state = self._loop.state
        found = [release for name, release in state.record.releases.items() if service in {None, name}]
        found.sort(key=lambda release: int(release.id), reverse=True)
        return {"releases": [release_view(state, release, self._now()) for release in found]}

    async def release(self, target: str) -> Json:
        """One release, by number or by service (its running or last one), with its newest events."""
        release, ended = await self._find(target)
        view = {**release_view(self._loop.state, release, self._now()), "ended_wall": ended}
        events = await self._all_entries(release.id)
        view["events"] = [event_view(stored) for stored in events[-RECENT_EVENTS:]]
        return {"release": view}

    async def why(self, target: str) -> Json:
        """Why it waits."""
        release, _ = await self._find(target)
        return why_view(self._loop.state, release, self._now())

    async def history(self, service: str | None, limit: int) -> Json:
        """Releases, newest first."""
        if service is not None:
            self._service(service)
        stored = await self._journal.releases(None if service is None else ServiceName(service), limit)
        current = {release.id: release for release in self._loop.state.record.releases.values()}
        views = []
        for one in stored:
            release = current.get(one.release.id, one.release)
            views.append({**release_view(self._loop.state, release, self._now()), "ended_wall": one.ended_wall})
        return {"releases": views}

    async def explain(self, release: str) -> Json:
        """Every decision of a release with its numbers."""
        found, _ = await self._find(release)
        here = situation(self._loop.state, found.service, self._now())
        running = here if here is not None and here.release.id == found.id else None
        return explained(found, running, [event_view(one) for one in await self._all_entries(found.id)])

    async def events(self, after: int, limit: int, service: str | None) -> list[Event]:
        """Journal entries, ids rising."""
        name = None if service is None else ServiceName(service)
        return [event_view(stored) for stored in await self._journal.entries(after, limit, service=name)]

    def follow(self) -> AbstractAsyncContextManager[AsyncIterator[Event | None]]:
        """Live events."""
        return self._feed.follow()

    def default_plan(self, service: str) -> Plan:
        """The plan the config gives a service."""
        return self._service(service).plan

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

    def config_text(self) -> str:
        """The effective config, secrets masked."""
        return self._config_text()

    def version(self) -> dict[str, Any]:
        """Who is running."""
        return {
            "version": VERSION,
            "pid": os.getpid(),
            "config": self._config().path,
            "uptime_s": (self._now() - self._started) // 1000,
        }

    def _service(self, name: str) -> Service:
        service = self._loop.state.topology.services.get(ServiceName(name))
        if service is None:
            known = ", ".join(sorted(self._loop.state.topology.services)) or "none"
            raise Refused("no_such_service", f"there is no service {name}", why=f"known are: {known}", exit_code=7)
        return service

    async def _find(self, target: str) -> tuple[Release, str | None]:
        current = self._loop.state.record.releases
        if target.isdigit():
            for stored in await self._journal.releases(None, 1_000):
                if stored.release.id == ReleaseId(target):
                    return current_or(current, stored.release), stored.ended_wall
            for release in current.values():
                if release.id == target:
                    return release, None
            raise Refused("no_such_release", f"there is no release {target}", then="lbctl release list", exit_code=7)
        release_of_service = self._loop.state.record.latest(self._service(target).name)
        if release_of_service is None:
            then = f"lbctl switch {target}"
            raise Refused("no_such_release", f"{target} had no release yet", then=then, exit_code=7)
        return release_of_service, None

    async def _all_entries(self, release: ReleaseId) -> list[Any]:
        """A release's entries: at most 2,000, which is far more than one writes."""
        first = await self._journal.entries(0, 1_000, release=release)
        if len(first) < 1_000:
            return first
        return first + await self._journal.entries(first[-1].id, 1_000, release=release)


def current_or(current: Any, stored: Release) -> Release:
    """The record's own version of a release is newer than the journal's row."""
    found = current.get(stored.service)
    return found if found is not None and found.id == stored.id else stored

"""What the control server asks of the daemon."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from lbctl.model.request import Answer, Request
from lbctl.model.topology import Plan

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asked for something that is no request of the core, and why; both empty for a signal."""

    actor: str = ""
    reason: str = ""


UNASKED = Asked()


class Desk(Protocol):
    """The daemon behind the socket. Every method may raise `Refused`, which becomes a problem document."""

    async def submit(self, request: Request) -> Answer:
        """Decide a request; returns when it is decided, and durable if it was accepted."""

    def tried(self, request: Request) -> Json:
        """Return the facts that `submit` would answer with now; nothing is changed."""

    def next_request_id(self) -> int:
        """A number no other request has."""

    def services_of(self, name: str) -> tuple[str, ...]:
        """The services that a name means: one, or those of a unit."""

    def unit_of(self, service: str) -> str:
        """The unit that a service is released with; its own name if it is in none."""

    def status(self, name: str | None) -> Json:
        """What serves now, of a service, a unit or all."""

    def charts(self, name: str | None) -> Json:
        """What charts are drawn from, of a service, a unit or all."""

    def freezes(self, name: str | None, now: datetime) -> list[Json]:
        """Every freeze window, of a service, a unit or all."""

    def plan(self, name: str, to: str | None, plan: Plan, version: str, versions: dict[str, str]) -> Json:
        """What a release of a service or unit would do."""

    async def going(self, name: str, version: str, versions: dict[str, str]) -> dict[str, str]:
        """What goes if a person switches a service or unit now: versions by service, the carrier first."""

    async def doubt(self, service: str, colour: str | None, version: str) -> str:
        """What the servers of a pool say against a version, asked now; None: the pool that is deployed to."""

    def releases(self, name: str | None) -> Json:
        """The releases the record knows."""

    async def release(self, target: str) -> Json:
        """One release, by number, service or unit."""

    async def retired(self, target: str, service: str | None, pool: str | None = None) -> Json:
        """Whether the old pool of a service is proved unused since a release."""

    async def why(self, target: str) -> Json:
        """Why it waits."""

    async def history(self, name: str | None, limit: int) -> Json:
        """Releases, newest first."""

    async def build(self, build: str) -> Json:
        """What became of a build that is, or was, ready."""

    async def explain(self, release: str) -> Json:
        """Every decision with its numbers."""

    async def events(self, after: int, limit: int, name: str | None) -> list[Json]:
        """Journal entries, ids rising."""

    def follow(self) -> AbstractAsyncContextManager[AsyncIterator[Json | None]]:
        """Live events; None: some were dropped, read anew."""

    def default_plan(self, name: str) -> Plan:
        """The plan the config gives a service or unit."""

    async def test_alert(self, name: str) -> Json:
        """Send a test through one channel."""

    async def reload(self, asked: Asked) -> Json:
        """Take the config file anew, whole or not at all."""

    def config_text(self) -> str:
        """The effective config, secrets masked."""

    async def metrics(self) -> bytes:
        """Every metric, as Prometheus' text."""

    def version(self) -> Json:
        """Who is running."""

"""What the control server asks of the daemon."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from lbctl.model.request import Answer, Request
from lbctl.model.topology import Plan

Json = dict[str, Any]


class Desk(Protocol):
    """The daemon behind the socket. Every method may raise `Refused`, which becomes a problem document."""

    async def submit(self, request: Request) -> Answer:
        """Decide a request; returns when it is decided, and durable if it was accepted."""

    def next_request_id(self) -> int:
        """A number no other request has."""

    def status(self, service: str | None) -> Json:
        """What serves now."""

    def plan(self, service: str, to: str | None, plan: Plan, version: str) -> Json:
        """What a release would do."""

    def releases(self, service: str | None) -> Json:
        """The releases the record knows."""

    async def release(self, target: str) -> Json:
        """One release, by number or service."""

    async def why(self, target: str) -> Json:
        """Why it waits."""

    async def history(self, service: str | None, limit: int) -> Json:
        """Releases, newest first."""

    async def explain(self, release: str) -> Json:
        """Every decision with its numbers."""

    async def events(self, after: int, limit: int, service: str | None) -> list[Json]:
        """Journal entries, ids rising."""

    def follow(self) -> AbstractAsyncContextManager[AsyncIterator[Json | None]]:
        """Live events; None: some were dropped, read anew."""

    def default_plan(self, service: str) -> Plan:
        """The plan the config gives a service."""

    async def test_alert(self, name: str) -> Json:
        """Send a test through one channel."""

    def config_text(self) -> str:
        """The effective config, secrets masked."""

    def version(self) -> Json:
        """Who is running."""

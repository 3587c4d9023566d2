"""Chat and paging services as their documentation describes them, on loopback: limits, errors, and bad days.

Each checks what it is sent as the real one does and keeps it. `plans` are answers for the next requests in turn,
whatever they ask: what the service does on a bad day.
"""

import asyncio
import datetime as dt
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Plan = Callable[[web.Request], Awaitable[web.StreamResponse]]


def answers(status: int, body: Any = "", **headers: str) -> Plan:
    """The next request gets this answer."""

    async def plan(_: web.Request) -> web.StreamResponse:
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(status=status, text=text, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return plan


async def cuts(request: web.Request) -> web.StreamResponse:
    """The connection is closed without an answer."""
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def hangs(request: web.Request) -> web.StreamResponse:
    """No answer within any patience."""
    await asyncio.sleep(30)
    return web.Response()


async def floods(request: web.Request) -> web.StreamResponse:
    """An answer that does not end where it should."""
    return web.Response(body=b"{" * (1 << 20))


@dataclass
class Service:
    """What every service has: where it is, what came, and the plans for bad days."""

    url: str = ""
    plans: list[Plan] = field(default_factory=list)
    seen: list[tuple[str, dict[str, str], str]] = field(default_factory=list)
    """Path, headers and body of every request."""
    at_s: list[float] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.text()
        self.seen.append((request.path, dict(request.headers), body))
        self.at_s.append(time.monotonic())
        if self.plans:
            return await self.plans.pop(0)(request)
        return self.well(request, body)

    def well(self, request: web.Request, body: str) -> web.StreamResponse:
        raise AssertionError("each service answers for itself")


@asynccontextmanager
async def running(service: Service) -> AsyncIterator[Service]:
    """The service, listening on loopback."""
    app = web.Application()
    app.router.add_route("*", "/{any:.*}", service.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    service.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield service
    finally:
        await runner.cleanup()


@dataclass
class SlackApi(Service):
    """Slack's Web API: chat.postMessage and chat.update, with the limits of messages and Block Kit."""

    token: str = "xoxb-1-c4nary"
    channels: dict[str, str] = field(default_factory=lambda: {"#deploys": "C0DEPLOYS1"})
    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By ts: what stands in the channel and in threads."""
    edits: int = 0
    edits_rest: int = 0
    """Where it is set, every edit gets 429 with so many seconds of Retry-After; messages are taken."""
    refused: int = 0

    def well(self, request: web.Request, body: str) -> web.StreamResponse:
        if self.edits_rest and request.path.endswith("chat.update"):
            self.refused += 1
            wait = {"Retry-After": str(self.edits_rest)}
            return web.json_response({"ok": False, "error": "ratelimited"}, status=429, headers=wait)
        return web.json_response(self._did(request, body))

    def _did(self, request: web.Request, body: str) -> dict[str, Any]:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return {"ok": False, "error": "invalid_auth"}
        if not request.headers.get("Content-Type", "").startswith("application/json"):
            return {"ok": False, "error": "invalid_form_data"}
        asked = json.loads(body)
        channel = self.channels.get(asked.get("channel"), asked.get("channel"))
        if channel not in self.channels.values():
            return {"ok": False, "error": "channel_not_found"}
        fault = self._fault(asked)
        if fault:
            return {"ok": False, "error": fault}
        return self._update(asked, channel) if request.path.endswith("chat.update") else self._post(asked, channel)

    def _fault(self, asked: dict[str, Any]) -> str:
        if not asked.get("text") and not asked.get("blocks"):
            return "no_text"
        if len(asked.get("text", "")) > 40_000:
            return "msg_too_long"
        limits = {"header": 150, "section": 3_000, "context": 3_000}
        for block in asked.get("blocks", []):
            texts = [block["text"]] if "text" in block else block["elements"]
            if any(not one["text"] or len(one["text"]) > limits[block["type"]] for one in texts):
                return "invalid_blocks"
        return "invalid_blocks" if len(asked.get("blocks", [])) > 50 else ""

    def _post(self, asked: dict[str, Any], channel: str) -> dict[str, Any]:
        if asked.get("thread_ts") and asked["thread_ts"] not in self.messages:
            return {"ok": False, "error": "thread_not_found"}
        ts = f"1790000000.{len(self.seen):06}"
        self.messages[ts] = asked
        return {"ok": True, "channel": channel, "ts": ts, "message": {"text": asked["text"]}}

    def _update(self, asked: dict[str, Any], channel: str) -> dict[str, Any]:
        if asked.get("channel") not in self.channels.values():
            return {"ok": False, "error": "channel_not_found"}
        if asked.get("ts") not in self.messages:
            return {"ok": False, "error": "message_not_found"}
        self.edits += 1
        self.messages[asked["ts"]] = {**self.messages[asked["ts"]], **asked}
        return {"ok": True, "channel": channel, "ts": asked["ts"], "text": asked["text"]}

    def roots(self) -> list[dict[str, Any]]:
        """What stands in the channel by itself."""
        return [one for one in self.messages.values() if "thread_ts" not in one]

    def replies(self) -> list[dict[str, Any]]:
        """What stands in threads."""
        return [one for one in self.messages.values() if "thread_ts" in one]


@dataclass
class ChatHook(Service):
    """An incoming webhook of Slack or Mattermost, with the shorter limit of the two."""

    secret: str = "T0/B0/c4nary"
    text_max: int = 4_000
    texts: list[str] = field(default_factory=list)

    def well(self, request: web.Request, body: str) -> web.StreamResponse:
        if request.path != f"/services/{self.secret}":
            return web.Response(status=404, text="no_service")
        try:
            text = json.loads(body)["text"]
        except (ValueError, KeyError):
            return web.Response(status=400, text="invalid_payload")
        if not text or len(text) > self.text_max:
            return web.Response(status=400, text="no_text")
        self.texts.append(text)
        return web.Response(text="ok")


@dataclass
class PagerDuty(Service):
    """PagerDuty's Events API v2: alert events by dedup_key, and change events."""

    key: str = "c4nary" + "0" * 26
    incidents: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Open ones, by dedup_key."""
    resolved: list[str] = field(default_factory=list)
    changes: list[dict[str, Any]] = field(default_factory=list)
    triggered: list[str] = field(default_factory=list)
    refuses_changes: bool = False
    """The endpoint of change events, with a quota of its own, answers 500."""

    def well(self, request: web.Request, body: str) -> web.StreamResponse:
        asked = json.loads(body)
        if self.refuses_changes and request.path == "/v2/change/enqueue":
            return web.Response(status=500)
        errors = list(self._errors(request.path, asked))
        if errors or len(body) > 512 << 10:
            invalid = {"status": "invalid event", "message": "Event object is invalid", "errors": errors}
            return web.json_response(invalid, status=400 if errors else 413)
        if request.path == "/v2/change/enqueue":
            self.changes.append(asked)
        elif asked["event_action"] == "trigger":
            self.triggered.append(asked["dedup_key"])
            self.incidents[asked["dedup_key"]] = asked
        elif self.incidents.pop(asked["dedup_key"], None) is not None:
            self.resolved.append(asked["dedup_key"])
        return web.json_response({"status": "success", "message": "Event processed"}, status=202)

    def _errors(self, path: str, asked: dict[str, Any]) -> Iterator[str]:
        if len(asked.get("routing_key", "")) != 32:
            yield f"'routing_key' is invalid: {asked.get('routing_key')}"
        if path == "/v2/enqueue" and asked.get("event_action") not in {"trigger", "acknowledge", "resolve"}:
            yield "'event_action' is missing or invalid"
        if len(asked.get("dedup_key", "")) > 255:
            yield "'dedup_key' is too long"
        if asked.get("event_action") == "resolve":
            return
        payload = asked.get("payload", {})
        if not 0 < len(payload.get("summary", "")) <= 1_024 or not payload.get("source"):
            yield "'payload.summary' or 'payload.source' is missing or too long"
        if path == "/v2/enqueue" and payload.get("severity") not in {"critical", "error", "warning", "info"}:
            yield "'payload.severity' is invalid"
        dt.datetime.fromisoformat(payload["timestamp"])


@dataclass
class Alertmanager(Service):
    """Alertmanager's API v2: POST /api/v2/alerts. Alerts are the same if their labels are; they end at `endsAt`."""

    password: str = ""
    alerts: dict[tuple[tuple[str, str], ...], dict[str, Any]] = field(default_factory=dict)
    posts: list[list[dict[str, Any]]] = field(default_factory=list)

    def well(self, request: web.Request, body: str) -> web.StreamResponse:
        if self.password and request.headers.get("Authorization") != f"Bearer {self.password}":
            return web.Response(status=401, text="Unauthorized")
        if request.path != "/am/api/v2/alerts":
            return web.Response(status=404, text="404 page not found")
        posted = json.loads(body)
        for one in posted:
            fault = self._fault(one)
            if fault:
                return web.json_response(fault, status=400)
        for one in posted:
            self.alerts[tuple(sorted(one["labels"].items()))] = one
        self.posts.append(posted)
        return web.Response(status=200)

    def _fault(self, alert: dict[str, Any]) -> str:
        for name, value in {**alert["labels"], **alert["annotations"]}.items():
            if not re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", name) or not isinstance(value, str) or not value:
                return f"invalid label set: invalid name or value {name!r}"
        if not alert["labels"].get("alertname"):
            return "at least one label pair required"
        start, end = (dt.datetime.fromisoformat(alert[key]) for key in ("startsAt", "endsAt"))
        return "start time must be before end time" if end < start else ""

    def firing(self) -> list[dict[str, Any]]:
        """What fires now."""
        now = dt.datetime.now(dt.UTC)
        return [one for one in self.alerts.values() if dt.datetime.fromisoformat(one["endsAt"]) > now]


@dataclass
class Workflow(Service):
    """A workflow of Teams: adaptive cards of at most 28 KB, by an address whose signature is the secret."""

    sig: str = "c4nary"
    cards: list[dict[str, Any]] = field(default_factory=list)

    def well(self, request: web.Request, body: str) -> web.StreamResponse:
        if request.query.get("sig") != self.sig:
            error = {"code": "DirectApiAuthorizationRequired", "message": "The request must be authenticated."}
            return web.json_response({"error": error}, status=401)
        if len(body) > 28 << 10:
            return web.json_response({"error": {"code": "RequestEntityTooLarge"}}, status=413)
        message = json.loads(body)
        attachment = message["attachments"][0]
        well = (message["type"], attachment["contentType"]) == ("message", "application/vnd.microsoft.card.adaptive")
        if not well or attachment["content"]["type"] != "AdaptiveCard":
            return web.json_response({"error": {"code": "TriggerInputSchemaMismatch"}}, status=400)
        self.cards.append(attachment["content"])
        return web.Response(status=202)


@dataclass
class JsonReceiver(Service):
    """What apprise's own `json://` posts to."""

    taken: list[dict[str, Any]] = field(default_factory=list)

    def well(self, request: web.Request, body: str) -> web.StreamResponse:
        self.taken.append(json.loads(body))
        return web.Response(text="taken")


def shown(message: dict[str, Any]) -> str:
    """All texts of a Slack message."""
    texts = [message["text"]]
    for block in message["blocks"]:
        texts += [one["text"] for one in ([block["text"]] if "text" in block else block["elements"])]
    return "\n".join(texts)

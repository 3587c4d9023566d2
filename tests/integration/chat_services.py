"""Chat and paging services as their documentation describes them, on loopback: limits, errors, and bad days.

Each checks what it is sent as the real one does and keeps it. `plans` are answers for the next requests in turn,
whatever they ask: what the service does on a bad day.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
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

    def well(self, request: web.Request, body: str) -> web.StreamResponse:
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


def shown(message: dict[str, Any]) -> str:
    """All texts of a Slack message."""
    texts = [message["text"]]
    for block in message["blocks"]:
        texts += [one["text"] for one in ([block["text"]] if "text" in block else block["elements"])]
    return "\n".join(texts)

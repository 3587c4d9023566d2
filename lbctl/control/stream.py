"""Live events over SSE: what was missed first, then what comes; a reader that is too slow is told to read anew."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from lbctl.control.call import Call
from lbctl.control.reads import of_a_service
from lbctl.model.errors import Refused

HEARTBEAT_S = 15.0
WRITE_TIMEOUT_S = 30.0
PAGE = 500
REPLAY_MAX = 20_000
"""Events sent again at most; whoever missed more reads the history."""
HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}


async def follow(call: Call) -> web.StreamResponse:
    """Send events until the peer goes. `Last-Event-ID` wins over `after`; without both only new events are sent.

    Raises:
        Refused: there is no such service.
    """
    service = await of_a_service(call)
    response = web.StreamResponse(headers=HEADERS)
    await response.prepare(call.request)
    async with call.desk.follow() as live:
        last = _start(call)
        if last is not None:
            last = await _replay(call, response, last, service)
        await _live(response, live, last or 0, _about(call, service))
    return response


def _about(call: Call, name: str | None) -> frozenset[str] | None:
    """Return the services whose events are asked for, None for all. One that left the config may still be told of."""
    if name is None:
        return None
    try:
        return frozenset(call.desk.services_of(name))
    except Refused:
        return frozenset({name})


def _start(call: Call) -> int | None:
    header = call.request.headers.get("Last-Event-ID", "")
    if header.isdecimal() and len(header) < 19:
        return int(header)
    return call.number("after", 0) if "after" in call.query else None


async def _replay(call: Call, response: web.StreamResponse, after: int, service: str | None) -> int:
    for _ in range(REPLAY_MAX // PAGE):
        page = await call.desk.events(after, PAGE, service)
        for event in page:
            await _send(response, event)
            after = int(event["id"])
        if len(page) < PAGE:
            return after
    await _write(response, b"event: resync\ndata: {}\n\n")
    return after


async def _live(
    response: web.StreamResponse,
    live: AsyncIterator[dict[str, Any] | None],
    last: int,
    services: frozenset[str] | None,
) -> None:
    waiting = asyncio.ensure_future(anext(live))
    try:
        while True:
            done, _ = await asyncio.wait({waiting}, timeout=HEARTBEAT_S)
            if not done:
                await _write(response, b": alive\n\n")
                continue
            try:
                event = waiting.result()
            except StopAsyncIteration:
                return
            waiting = asyncio.ensure_future(anext(live))
            if event is None:
                await _write(response, b"event: resync\ndata: {}\n\n")
            elif int(event["id"]) > last and (services is None or event["service"] in services):
                await _send(response, event)
    finally:
        waiting.cancel()


async def _send(response: web.StreamResponse, event: dict[str, Any]) -> None:
    data = json.dumps(event)
    await _write(response, f"id: {event['id']}\nevent: {event['kind']}\ndata: {data}\n\n".encode())


async def _write(response: web.StreamResponse, data: bytes) -> None:
    """A reader that takes nothing for half a minute is given up; what it missed it can ask for by its last id."""
    async with asyncio.timeout(WRITE_TIMEOUT_S):
        await response.write(data)

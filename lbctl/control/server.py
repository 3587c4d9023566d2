"""The control server: listener, door, HTTP library and routes put together."""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Collection, Sequence
from typing import Any

import structlog
from aiohttp import web

from lbctl.about import VERSION
from lbctl.config.settings import Access
from lbctl.control.connection import Connection
from lbctl.control.dispatch import Answerer, answerer, guarded, refuse_unless
from lbctl.control.door import Door, Limits
from lbctl.control.framing import BODY_MAX, HEAD_MAX
from lbctl.control.listener import Listener
from lbctl.control.openapi import document
from lbctl.control.peer import Peer, read_peer
from lbctl.control.port import Desk
from lbctl.control.rights import Role
from lbctl.control.routes import ROUTES, Route

log = structlog.get_logger("lbctl.control")
SHUTDOWN_S = 1.0


class OneLine(logging.Handler):
    """Turns what the HTTP library logs into one structured line without a traceback."""

    def emit(self, record: logging.LogRecord) -> None:
        """Tell it."""
        error = record.exc_info[1] if record.exc_info else None
        log.warning("request.malformed", said=record.getMessage()[:200], error=repr(error)[:200])


def _library_log() -> logging.Logger:
    logger = logging.getLogger("lbctl.control.http")
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    logger.handlers = [OneLine()]
    return logger


class ControlServer:
    """Serves `desk` on `listener` from `start` to `stop`.

    `access` is asked at every request, so that a reload of the config takes effect at once. Root and the process's own
    user may do everything. `routes` are those it answers; `put` adds what else an application of its kind has, and
    `within` stands around every answer. `who` tells who is at the other end.
    """

    def __init__(
        self,
        desk: Desk,
        listener: Listener,
        *,
        access: Callable[[], Access] = Access,
        limits: Limits | None = None,
        own_uid: int | None = None,
        routes: Collection[Route] = ROUTES,
        put: Callable[[web.Application], None] = lambda _: None,
        within: Sequence[Any] = (),
        who: Callable[[socket.socket], Peer] = read_peer,
    ) -> None:
        self._desk = desk
        self._listener = listener
        self._access = access
        self._limits = limits or Limits()
        self._own_uid = os.geteuid() if own_uid is None else own_uid
        self._routes, self._put, self._within, self._who = routes, put, within, who
        self._door = Door(self._limits, self._own_uid)
        self._connections: dict[Any, Connection] = {}
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None

    @property
    def connection_count(self) -> int:
        """How many connections there are now."""
        return len(self._door)

    async def start(self) -> None:
        """Begin to serve."""
        self._runner = web.AppRunner(
            self._app(),
            access_log=None,
            logger=_library_log(),
            handle_signals=False,
            handler_cancellation=True,
            keepalive_timeout=self._limits.idle_s * 2,
            max_line_size=HEAD_MAX,
            max_field_size=HEAD_MAX,
            shutdown_timeout=SHUTDOWN_S,
        )
        await self._runner.setup()
        inner = self._runner.server
        assert inner is not None
        loop = asyncio.get_running_loop()
        sock = self._listener.sock
        serve = loop.create_unix_server if sock.family == socket.AF_UNIX else loop.create_server
        self._server = await serve(
            lambda: Connection(inner, self._door, self._connections, self._who), sock=sock, backlog=128
        )

    async def stop(self) -> None:
        """Take no more connections, give running requests a second, remove the socket's file."""
        self._listener.remove()
        if self._server is not None:
            self._server.close()
        if self._runner is not None:
            await self._runner.cleanup()
        for connection in list(self._connections.values()):
            connection.evict()

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=BODY_MAX + 1, middlewares=[self._middleware(), *self._within])
        for route in self._routes:
            handler = answerer(route, self._desk, self._access, self._own_uid, self._peer)
            app.router.add_route(route.method, route.path, handler)
        app.router.add_route("GET", "/v1/openapi.json", self._openapi)
        self._put(app)
        return app

    def _middleware(self) -> Any:
        @web.middleware
        async def answer_whole(request: web.Request, handler: Answerer) -> web.StreamResponse:
            connection = self._connections[request.protocol]
            connection.streaming = request.query.get("follow") == "1"
            try:
                response = await guarded(request, handler, self._limits.answer_s)
                async with asyncio.timeout(self._limits.write_s):
                    await _written(request, response)
            except (TimeoutError, ConnectionError):
                connection.evict()
                return web.Response()
            connection.finished()
            return response

        return answer_whole

    async def _openapi(self, request: web.Request) -> web.Response:
        await refuse_unless(Role.OBSERVE, self._peer(request), self._access(), (), self._own_uid)
        return web.json_response(document(VERSION))

    def _peer(self, request: web.Request) -> Peer:
        return self._connections[request.protocol].peer


async def _written(request: web.Request, response: web.StreamResponse) -> None:
    """Write the whole answer here, so that the connection knows when the next request may be handed on."""
    await response.prepare(request)
    await response.write_eof()

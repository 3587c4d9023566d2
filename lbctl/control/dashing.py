"""The dashboard's own listener: the page, what it reads, and nothing that changes anything.

On a unix socket the kernel says who asks, and reading takes the role `observe` as everywhere. On a port of this host
nobody says it: whoever reaches the port reads. The page's files are held in memory: no path that is asked for ever
reaches the file system.
"""

import os
from collections.abc import Callable
from importlib.resources import files
from typing import Any

from aiohttp import web

from lbctl.config.settings import Access
from lbctl.control.dispatch import Answerer
from lbctl.control.door import Limits
from lbctl.control.hostname import is_this_host
from lbctl.control.listener import Listener, listen, listen_on_port
from lbctl.control.peer import Peer, read_peer
from lbctl.control.port import Desk
from lbctl.control.routes import ROUTES
from lbctl.control.server import ControlServer
from lbctl.model.errors import Refused
from lbctl.model.topology import Address

KEY = "daemon.dashboard"
READS = frozenset({"/v1/status", "/v1/charts", "/v1/releases", "/v1/freezes", "/v1/events", "/v1/version"})
MEDIA = {
    "html": "text/html",
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
    "LICENSE": "text/plain",
}
LIMITS = Limits(per_user=24)
"""A browser opens up to six connections, and each page keeps one for its events."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "lbctl",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def dashboard_server(desk: Desk, at: Address | str, access: Callable[[], Access]) -> ControlServer:
    """Return the server of the dashboard at `at`, listening.

    Raises:
        CannotListen: the port or the path is taken, or there is no right to it.
    """
    listener, who = _listener(at)
    return ControlServer(
        desk,
        listener,
        access=access,
        limits=LIMITS,
        routes=[route for route in ROUTES if route.method == "GET" and route.path in READS],
        put=_put,
        within=[near],
        who=who,
    )


def _listener(at: Address | str) -> tuple[Listener, Callable[[Any], Peer]]:
    if isinstance(at, str):
        return listen(at, key=KEY), read_peer
    anybody = Peer(0, os.geteuid(), frozenset())
    return listen_on_port(at, KEY), lambda _: anybody


@web.middleware
async def near(request: web.Request, handler: Answerer) -> web.StreamResponse:
    """Answer only who asks for this host."""
    if not is_this_host(request.headers.get("Host", "")):
        then = "open http://localhost:PORT, or let the proxy in front set that Host"
        raise Refused("foreign_host", "the dashboard is not served under this name", then=then, exit_code=6)
    return await handler(request)


def _put(app: web.Application) -> None:
    """Add the page's files, and what every answer carries."""
    for path, media, body in page():
        app.router.add_route("GET", path, _giver(media, body))
    app.on_response_prepare.append(_seal)


def page() -> list[tuple[str, str, bytes]]:
    """Return every file of the page: where it is, what it is, and itself."""
    found = []
    for one in sorted(files("lbctl.control").joinpath("dashboard").iterdir(), key=lambda one: one.name):
        path = "/" if one.name == "index.html" else f"/{one.name}"
        found.append((path, MEDIA[one.name.rpartition(".")[2]], one.read_bytes()))
    return found


def _giver(media: str, body: bytes) -> Answerer:
    async def give(request: web.Request) -> web.StreamResponse:
        del request
        return web.Response(body=body, content_type=media, charset="utf-8")

    return give


async def _seal(request: web.Request, response: web.StreamResponse) -> None:
    del request
    response.headers.update(HEADERS)
    response.headers.setdefault("Cache-Control", "no-cache")

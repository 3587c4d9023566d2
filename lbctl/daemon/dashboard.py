"""The dashboard of a running daemon, where the config asks for it."""

from collections.abc import Callable
from contextlib import AsyncExitStack

import structlog

from lbctl.config.settings import Access
from lbctl.control.dashing import dashboard_server
from lbctl.control.listener import CannotListen
from lbctl.control.port import Desk
from lbctl.model.topology import Address

log = structlog.get_logger("lbctl.daemon")


async def show(stack: AsyncExitStack, at: Address | str | None, desk: Desk, access: Callable[[], Access]) -> None:
    """Serve it until `stack` ends. A place that is taken is told: who steers traffic must start."""
    if at is None:
        return
    try:
        server = dashboard_server(desk, at, access)
    except CannotListen as error:
        log.error("dashboard.unserved", reason=str(error))
        return
    stack.push_async_callback(server.stop)
    await server.start()

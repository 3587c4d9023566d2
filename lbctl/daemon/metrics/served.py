"""The listener for Prometheus alone, brought up where the config asks for it."""

from collections.abc import Callable
from contextlib import AsyncExitStack

import structlog

from lbctl.control.listener import CannotListen
from lbctl.control.scraping import ScrapeServer
from lbctl.model.topology import Address

log = structlog.get_logger("lbctl.daemon")


async def serve(stack: AsyncExitStack, at: Address | str | None, text: Callable[[], bytes]) -> None:
    """Serve `text` until `stack` ends. A place that is taken is told: who steers traffic must start."""
    if at is None:
        return
    server = ScrapeServer(at, text)
    try:
        await server.start()
    except CannotListen as error:
        log.error("metrics.unserved", reason=str(error))
        return
    stack.push_async_callback(server.stop)

"""The metrics of a running daemon, and the listener for Prometheus alone where the config asks for it."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import structlog

from lbctl.control.listener import CannotListen
from lbctl.control.scraping import ScrapeServer
from lbctl.daemon.checks import Checks
from lbctl.daemon.loop import Loop
from lbctl.daemon.metrics.counted import Counted
from lbctl.daemon.metrics.exposition import Metrics
from lbctl.daemon.ports import Alerts, Now
from lbctl.model.topology import Address

log = structlog.get_logger("lbctl.daemon")


def metrics_of(loop: Loop, counted: Counted, alerts: Callable[[], Alerts], checks: Checks, now: Now) -> Metrics:
    """Return the metrics of a daemon; `alerts` may be others after a reload."""
    return Metrics(state=lambda: loop.state, counted=counted, alerts=alerts, silences=checks.silences, now=now)


async def serve(stack: AsyncExitStack, at: Address | str | None, text: Callable[[], Awaitable[bytes]]) -> None:
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

"""Giving a running Envoy a changed file of clusters, servers or listeners, and seeing that it takes it."""

import asyncio
import time
from collections.abc import Callable

from lbctl.dataplane.envoy import files
from lbctl.dataplane.envoy.admin import AdminClient
from lbctl.dataplane.envoy.counters import read_stats
from lbctl.model.digits import count
from lbctl.model.errors import Garbled

ASK_TIMEOUT_S = 1.0
_TAKE_TIMEOUT_S = 10.0
"""A changed cluster is taken when its first health checks are through."""
_POLL_S = 0.02


async def take(client: AdminClient, change: files.Change, said: Callable[[], str]) -> None:
    """Write `change` and wait until Envoy runs it.

    What it does not take is put back: a restart needs files that work, and the next attempt must see a change.

    Raises:
        Garbled: it does not take it; `said` gives Envoy's own words, or where they are.
        Unreachable: it does not answer.
        OSError: the file cannot be written.
    """
    before = files.content(change.path)
    _, refusals = await _taken(client, change)
    files.write_file(change.path, change.text)
    if await _is_taken(client, change, refusals):
        return
    if before is not None:
        files.write_file(change.path, before)
    raise Garbled(f"envoy does not take {change.path} and keeps what it had: {said()}")


async def _is_taken(client: AdminClient, change: files.Change, refusals: int) -> bool:
    until = time.monotonic() + _TAKE_TIMEOUT_S
    while time.monotonic() < until:
        taken, refused = await _taken(client, change)
        if taken or refused > refusals:
            return taken
        await asyncio.sleep(_POLL_S)
    return False


async def _taken(client: AdminClient, change: files.Change) -> tuple[bool, int]:
    """Whether Envoy runs it (or reads the file later, for a pool it does not know yet), and how often it refused."""
    scope = change.scope.replace(".", "%5C.")
    target = f"/stats?filter=^{scope}%5C.(version_text|update_rejected|update_failure)$"
    _, (body,) = await client.ask([target], ASK_TIMEOUT_S)
    stats = read_stats(body)
    refused = sum(count(value) for name, value in stats.items() if not name.endswith("text"))
    return change.version in stats.values() or not stats, refused

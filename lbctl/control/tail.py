"""The newest events, from a journal that only reads forward: the last id is found by doubling and halving."""

from collections.abc import Awaitable, Callable
from typing import Any

Read = Callable[[int, int], Awaitable[list[dict[str, Any]]]]
"""(after, limit) → events with ids above `after`, rising."""
WINDOW_MAX = 1_000


async def last_id(read: Read) -> int:
    """Return the id of the newest event, 0 if there is none, in about twice the binary logarithm of it reads."""
    low, reach = 0, 1
    while found := await read(low + reach - 1, 1):
        low, reach = int(found[0]["id"]), reach * 2
    high = low + reach
    while high - low > 1:
        middle = (low + high) // 2
        found = await read(middle - 1, 1)
        if found:
            low = int(found[0]["id"])
        else:
            high = middle
    return low


async def tail(read: Read, read_chosen: Read, count: int) -> list[dict[str, Any]]:
    """Return the newest `count` events of `read_chosen` that lie in the last thousand of all, rising."""
    newest = await last_id(read)
    return (await read_chosen(max(0, newest - WINDOW_MAX), WINDOW_MAX))[-count:]

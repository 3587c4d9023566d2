"""The lives of one Envoy: the one that a new connection reaches, and older ones that a hot restart left behind.

After a hot restart the old process serves its kept connections for `--parent-shutdown-time-s` (15 minutes, unless set
otherwise), and still takes routes from the files. Its admin socket is gone for new connections; the one that is open
already still leads to it. So an open connection is kept until its process ends, and whoever comes too late for that
knows at least for how long an older process may live.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lbctl.dataplane.envoy.admin import AdminClient, Peer
from lbctl.model.errors import Garbled

OLDER_MAX = 8
"""More hot restarts than that at once are somebody's accident: the oldest are then unseen."""
_SLACK_S = 5
"""Envoy tells its age in whole seconds, and counts down only from when it has started up."""


@dataclass(frozen=True, slots=True)
class Said:
    """What one process answered, all of it by itself."""

    peer: Peer
    bodies: list[bytes]


class Lives:
    """Asks every life of the Envoy at one admin socket."""

    def __init__(self, path: Path, then: str) -> None:
        """Touches nothing yet. `then` is what people do when nobody answers."""
        self._path, self._then = path, then
        self._newest = AdminClient(path, then)
        self._older: list[AdminClient] = []
        self._known: Peer | None = None
        self._unseen_until_s = 0.0
        self._deaf: list[Peer] = []
        """Older lives whose connection was lost, as far as they have not ended."""

    async def ask(self, targets: Sequence[str], timeout_s: float) -> tuple[Said, ...]:
        """GET every target from every life, the newest first. Raises as `AdminClient.ask`, for the newest."""
        if self._newest.is_superseded():
            self._older = [self._newest, *self._older[: OLDER_MAX - 1]]
            self._newest = AdminClient(self._path, self._then)
        (peer, bodies), older = await asyncio.gather(
            self._newest.ask(targets, timeout_s), self._ask_older(targets, timeout_s)
        )
        await self._meet(peer, timeout_s)
        return (Said(peer, bodies), *(said for said in older if said.peer != peer))

    def unseen_s(self) -> int:
        """For how many more seconds an older life may route that cannot be asked; 0: there is none."""
        self._deaf = [one for one in self._deaf if one.is_alive]
        return max(int(bool(self._deaf)), round(self._unseen_until_s - asyncio.get_running_loop().time()))

    async def close(self) -> None:
        """Let go of every connection."""
        for client in (self._newest, *self._older):
            await client.close()

    async def _ask_older(self, targets: Sequence[str], timeout_s: float) -> list[Said]:
        said = await asyncio.gather(*(self._ask_one(client, targets, timeout_s) for client in self._older))
        return [one for one in said if one is not None]

    async def _ask_one(self, client: AdminClient, targets: Sequence[str], timeout_s: float) -> Said | None:
        """One that has ended is forgotten; one that hangs as well, and then its end must be waited for unseen, like
        that of one whose connection was lost."""
        try:
            answer = await client.ask_again(targets, timeout_s)
        except (TimeoutError, Garbled):
            self._known = None
            answer = None
        if answer is None:
            self._older = [one for one in self._older if one is not client]
            self._deaf += [client.peer] if client.peer is not None else []
            await client.close()
            return None
        return Said(*answer)

    async def _meet(self, peer: Peer, timeout_s: float) -> None:
        """Of one that is met for the first time: does an older one live that no open connection leads to?"""
        if peer == self._known:
            return
        _, info = await self._newest.server_info(timeout_s)
        left_s = info.parent_left_s
        hidden = left_s and not self._older
        self._unseen_until_s = asyncio.get_running_loop().time() + left_s + _SLACK_S if hidden else 0.0
        self._known = peer

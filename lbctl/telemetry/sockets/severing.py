"""Ends a program's connections to some servers, and nobody else's. Implements `lbctl.dataplane.port.HostSockets`.

Whose a connection is, is told by the program's open files, and by nothing else: a user may run other programs beside
the load balancer. Reading them needs the program's user, and at least its capabilities.
"""

import asyncio
from collections.abc import Collection

from lbctl.model.census import Owner
from lbctl.model.topology import Address
from lbctl.telemetry.sockets.answer import Row, Unusable
from lbctl.telemetry.sockets.ending import end, why_not
from lbctl.telemetry.sockets.owners import inodes_of
from lbctl.telemetry.sockets.question import TcpState
from lbctl.telemetry.sockets.rows import rows_to

OPEN = frozenset({TcpState.SYN_SENT, TcpState.ESTABLISHED, TcpState.CLOSE_WAIT})
"""The others are ending by themselves."""


NO_OWNER = (
    "whose connections these are cannot be told: the files of the load balancer's process may not be read: run lbctld "
    "as its user, with at least its capabilities"
)


class Severing:
    """The connections of this host."""

    def __init__(self) -> None:
        self._may = False

    async def why_not(self, owner: Owner) -> str:
        """See `HostSockets.why_not`: the kernel is tried on a connection of our own, until that is ended."""
        if not self._may:
            if refused := await why_not():
                return refused
            self._may = True
        known = await asyncio.to_thread(inodes_of, owner.pids)
        return f"NO_OWNER: {NO_OWNER}" if known is None else ""

    async def end(self, servers: Collection[Address], owner: Owner, most: int) -> tuple[int, int]:
        """See `HostSockets.end`. Raises Unusable."""
        theirs = await asyncio.to_thread(_theirs, frozenset(servers), owner)
        ended = await end(theirs[:most])
        return ended, max(0, len(theirs) - most)


def _theirs(servers: frozenset[Address], owner: Owner) -> list[Row]:
    rows = [one for one in rows_to(servers) if one.state in OPEN and one.inode and one.uid == owner.uid]
    known = inodes_of(owner.pids)
    if known is None:
        raise Unusable("NO_OWNER", NO_OWNER)
    return [one for one in rows if one.inode in known]

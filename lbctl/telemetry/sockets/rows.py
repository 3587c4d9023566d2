"""Connections to some servers, one by one, and which of this host's sockets are lbctl's own. Blocks."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from lbctl.model.topology import Address
from lbctl.telemetry.sockets.answer import Ended, Row, row, walk
from lbctl.telemetry.sockets.owners import inodes_of
from lbctl.telemetry.sockets.question import destinations, packed
from lbctl.telemetry.sockets.reader import listed

Own = Callable[[], Collection[int]]
"""The processes whose connections are lbctl's."""


@dataclass(slots=True)
class Rows:
    """Takes rows one by one, those to `wanted` only, each socket once."""

    sequence: int
    wanted: frozenset[tuple[bytes, bytes]]
    rows: dict[bytes, Row] = field(default_factory=dict)

    def take(self, chunk: memoryview) -> Ended:
        """See `reader.Taker`."""

        def take_one(body: memoryview) -> None:
            one = row(body)
            if place_of(one.remote) in self.wanted:
                self.rows[one.socket_id] = one

        return walk(chunk, self.sequence, take_one)


def rows_to(servers: frozenset[Address]) -> list[Row]:
    """Return every connection of this host to these servers. Blocks. Raises Unusable."""
    if not servers:
        return []
    wanted = frozenset(place_of(one) for one in servers)
    taker = listed(destinations(servers), lambda sequence: Rows(sequence, wanted))
    return list(taker.rows.values())


def own_inodes(own: Own) -> frozenset[int]:
    """Return the sockets of lbctl's own processes. Blocks."""
    return inodes_of(own()) or frozenset()


def place_of(server: Address) -> tuple[bytes, bytes]:
    """Return port and host as the kernel writes them."""
    _, host, port = packed(server)
    return port, host

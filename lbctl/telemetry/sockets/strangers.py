"""Which programs, other than some load balancers, have connections to servers. Blocks.

Idle connections that a load balancer keeps for later are no use of a server; one of anybody else is, busy or not.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from lbctl.model.census import Program, Strangers
from lbctl.model.topology import Address
from lbctl.telemetry.sockets.answer import Row
from lbctl.telemetry.sockets.owners import holders_of, inner_pids, inodes_of, users_of
from lbctl.telemetry.sockets.question import TcpState
from lbctl.telemetry.sockets.rows import Own, own_inodes, rows_to

NAMED_MAX = 1_000
"""So many connections are looked up; of more than that nobody knows whose they are."""
Owner = tuple[int | None, str, int]


def strangers_to(servers: frozenset[Address], balancers: Collection[int], own: Own) -> Strangers:
    """Return who has established connections to these servers and is neither lbctl nor one of these processes, by the
    numbers that they know themselves by. Raises Unusable."""
    ours = own_inodes(own)
    rows = [one for one in _established(servers) if one.inode not in ours]
    # Mostly all that is left are the load balancers': to know those costs no look into every process of the host.
    theirs = (inodes_of(balancers) or frozenset()) if rows else frozenset()
    rows = [one for one in rows if one.inode not in theirs]
    owners = holders_of({one.inode for one in rows[:NAMED_MAX]})
    if any(one.inode not in owners for one in rows):
        # What ended while its owner was looked for has none.
        left = {one.socket_id for one in _established(servers)}
        rows = [one for one in rows if one.inode in owners or one.socket_id in left]
    found = Counter(_strange(rows, owners, frozenset(balancers), frozenset(own())))
    unnamed = sum(count for who, count in found.items() if who is None)
    programs = tuple(_program(who, count) for who, count in found.most_common() if who)
    return Strangers(programs=programs, unnamed=unnamed)


def _program(who: Owner, count: int) -> Program:
    pid, process, uid = who
    inner = () if pid is None else tuple(sorted(inner_pids(pid) - {pid}))
    return Program(pid=pid, process=process, uid=uid, count=count, inner=inner)


def _established(servers: frozenset[Address]) -> list[Row]:
    return [one for one in rows_to(servers) if one.state == TcpState.ESTABLISHED]


def _strange(
    rows: list[Row], owners: Mapping[int, tuple[int, str]], balancers: frozenset[int], own: frozenset[int]
) -> Iterator[Owner | None]:
    """Yield whose each connection is that is not a load balancer's; None: it may be."""
    users, theirs = users_of(balancers), {pid: not balancers.isdisjoint(inner_pids(pid)) for pid, _ in owners.values()}
    for one in rows:
        pid, process = owners.get(one.inode, (None, ""))
        if pid is None:
            yield None if not users or one.uid in users else (None, "", one.uid)
        elif pid not in own and not theirs[pid]:
            yield pid, process, one.uid

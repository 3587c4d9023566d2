"""Which programs, other than some load balancers, have connections to servers. Blocks.

Idle connections that a load balancer keeps for later are no use of a server; one of anybody else is, busy or not.
"""

import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from lbctl.model.census import Program, Strangers
from lbctl.model.topology import Address
from lbctl.telemetry.sockets.answer import Row
from lbctl.telemetry.sockets.owners import holders_of, inner_pids, inodes_of, name_of, users_of
from lbctl.telemetry.sockets.question import TcpState
from lbctl.telemetry.sockets.rows import Own, own_inodes, rows_to

NAMED_MAX = 1_000
"""So many connections are looked up; of more than that nobody knows whose they are."""
BALANCERS = ("haproxy", "envoy")
"""The names of load balancers' processes."""
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
    found = Counter(_strange(rows, owners, frozenset(balancers), own))
    unnamed = sum(count for who, count in found.items() if who is None)
    programs = tuple(_program(who, count) for who, count in found.most_common() if who)
    return Strangers(programs=programs, unnamed=unnamed)


def _program(who: Owner, count: int) -> Program:
    pid, process, uid = who
    inner = () if pid is None else tuple(sorted(_numbers_of(pid, process) - {pid}))
    return Program(pid=pid, process=process, uid=uid, count=count, inner=inner)


def _established(servers: frozenset[Address]) -> list[Row]:
    return [one for one in rows_to(servers) if one.state == TcpState.ESTABLISHED]


def _strange(
    rows: list[Row], owners: Mapping[int, tuple[int, str]], balancers: frozenset[int], own: Own
) -> Iterator[Owner | None]:
    """Yield whose each connection is that is not a load balancer's; None: it may be. Who ended since its connection was
    found is nobody: whether it was a health check of lbctl's, or in which container it was, can be told no more."""
    theirs = {who: not balancers.isdisjoint(_numbers_of(*who)) for who in owners.values()}
    # By a number that is some container's own, a process of this host would be asked for its user.
    users = users_of(balancers) if all(map(_looks_like_one, balancers)) else frozenset()
    ours = frozenset(own())
    ended = {pid for pid, _ in theirs if not os.path.exists(f"/proc/{pid}")}
    for one in rows:
        pid, process = owners.get(one.inode, (None, ""))
        if pid is None:
            yield None if not users or one.uid in users else (None, "", one.uid)
        elif pid not in ours and pid not in ended and not theirs[pid, process]:
            yield pid, process, one.uid


def _numbers_of(pid: int, process: str) -> frozenset[int]:
    """Return the numbers that a load balancer may know this process by. In every container somebody is number 1: what
    does not look like a load balancer is none by its number there."""
    return inner_pids(pid) if _is_named_like_one(process) else frozenset({pid})


def _looks_like_one(pid: int) -> bool:
    return _is_named_like_one(name_of(pid))


def _is_named_like_one(process: str) -> bool:
    return any(name in process for name in BALANCERS)

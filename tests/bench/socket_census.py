"""CPU of the census: ours against `ss` with the same filter, in one run; 50,000 connections; lateness of the loop.

Run `python -m tests.bench.socket_census`; it takes about 20 s and uses loopback only. Children hold the connections;
nobody accepts them, so that each costs one open file. The rounds alternate, so that a noisy neighbour meets both.

The kernel walks through all sockets of the host for every list, once for us and twice for `ss`: where few of very many
are asked for, that walk is all there is, and no reader is much below half of `ss`. That ratio is printed only.
"""

import asyncio
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from lbctl.model.topology import Address
from lbctl.model.units import Instant
from lbctl.telemetry.sockets.census import SocketCensus
from tests.bench.rows import Row, told

SERVERS = 14
PER_SERVER = 3_600
"""A listener that nobody accepts from holds 4,096."""
SMALL = 5_000
ROUNDS = 7
RATIO_GOAL = 0.5
CPU_GOAL_MS = 250.0
LAG_GOAL_MS = 5.0
Round = tuple[float, float, float]
"""Milliseconds of CPU: ours, `ss` alone, `ss` and the counting of its lines."""


def hold(port: int, first: int, servers: int, each: int) -> None:
    """Connect to some of the servers and wait for the end of the input."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    kept = [socket.create_connection((host(first + number), port)) for number in range(servers) for _ in range(each)]
    print(len(kept), flush=True)
    sys.stdin.read()


def host(number: int) -> str:
    return f"127.77.0.{number + 1}"


@asynccontextmanager
async def connected(each: int) -> AsyncIterator[list[Address]]:
    """All servers, each with so many connections from children."""
    async with AsyncExitStack() as stack:
        port = 0
        for number in range(SERVERS):
            listening = socket.create_server((host(number), port), backlog=4_096)
            port = listening.getsockname()[1]
            stack.callback(listening.close)
        for first in range(0, SERVERS, 2):
            told = [str(one) for one in (port, first, min(2, SERVERS - first), each)]
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.bench.socket_census", *told),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            stack.push_async_callback(child.communicate, b"")
            assert child.stdout is not None
            await child.stdout.readline()
        yield [Address(host(number), port) for number in range(SERVERS)]


async def ours(servers: Sequence[Address], wanted: int) -> float:
    """One census: milliseconds of CPU of this process, all threads."""
    began = time.process_time()
    seen = await SocketCensus(lambda: Instant(0), own=lambda: ()).census(servers)
    used = (time.process_time() - began) * 1_000
    total = seen.total(servers)
    assert total is not None, seen.cannot
    assert total.established == wanted
    return used


def theirs(servers: Sequence[Address], wanted: int) -> tuple[float, float]:
    """`ss` with the same filter: milliseconds of its CPU, and with the counting of its lines, as a script would."""
    program = " or ".join(f"dst {one.host}:{one.port}" for one in servers)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = subprocess.run(["ss", "-Htn", f"( {program} )"], stdout=subprocess.PIPE, check=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = time.process_time()
    counted = Counter((line.split()[0], line.split()[4]) for line in said.splitlines())
    reading = time.process_time() - own
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert counted.total() == wanted
    return spent * 1_000, (spent + reading) * 1_000


async def lag_ms(servers: Sequence[Address]) -> float:
    """How much later a 1 ms timer is during censuses than without, at the 99th percentile."""
    late: dict[bool, list[float]] = {True: [], False: []}
    counting = SocketCensus(lambda: Instant(0), own=lambda: ())
    for busy in (False, True, False, True):
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            task = asyncio.create_task(counting.census(servers)) if busy else asyncio.create_task(asyncio.sleep(0.1))
            while not task.done():
                began = time.monotonic()
                await asyncio.sleep(0.001)
                late[busy].append((time.monotonic() - began - 0.001) * 1_000)
            await task
    return quantile(late[True]) - quantile(late[False])


def quantile(values: list[float]) -> float:
    return sorted(values)[int(0.99 * len(values))]


async def main() -> int:
    """Run all rounds and print them."""
    if shutil.which("ss") is None:
        print("no `ss` here: apt-get install iproute2")
        return 1
    rounds: dict[str, list[Round]] = {}
    async with connected(SMALL // SERVERS) as servers:
        wanted = SMALL // SERVERS * SERVERS
        rounds[f"{wanted} of {wanted}"] = [
            (await ours(servers, wanted), *theirs(servers, wanted)) for _ in range(ROUNDS)
        ]
    async with connected(PER_SERVER) as servers:
        few, many = f"{PER_SERVER} of {PER_SERVER * SERVERS}", f"{PER_SERVER * SERVERS} of {PER_SERVER * SERVERS}"
        for name, asked in ((few, servers[:1]), (many, servers)):
            wanted = PER_SERVER * len(asked)
            rounds[name] = await alternating(asked, wanted)
        lag = await lag_ms(servers)
    cpu = statistics.median(mine for mine, _, _ in rounds[many])
    ratios = [one for name, seen in rounds.items() for one in compared(name, seen, is_all=name != few)]
    last = [
        Row("cpu", f"census of {wanted:,} connections: CPU", cpu, "ms", CPU_GOAL_MS),
        Row("lag", f"census of {wanted:,} connections: a 1 ms timer is later by, p99", lag, "ms", LAG_GOAL_MS),
    ]
    return told("socket_census", [*ratios, *last])


async def alternating(servers: Sequence[Address], wanted: int) -> list[Round]:
    """Ours and theirs in turn."""
    return [(await ours(servers, wanted), *theirs(servers, wanted)) for _ in range(ROUNDS)]


def compared(name: str, rounds: Sequence[Round], *, is_all: bool) -> list[Row]:
    """The medians against `ss`, alone and with the counting of its lines: like for like. Of a few among many nothing is
    promised: one walk through the kernel's table against two is all there is."""
    mine, bare, read = (statistics.median(one[at] for one in rounds) for at in range(3))
    seen = f"ours {mine:.1f} ms, ss {bare:.1f} ms, ss counted {read:.1f} ms"
    what, key = f"census of {name} connections: CPU against `ss`", name.replace(" of ", "_")
    return [
        Row(
            f"counted_{key}",
            f"{what} and the counting of its lines",
            mine / read,
            "x",
            RATIO_GOAL if is_all else None,
            seen=seen,
        ),
        Row(f"bare_{key}", f"{what} alone", mine / bare, "x"),
    ]


if __name__ == "__main__":
    if len(sys.argv) == 5:
        hold(*(int(word) for word in sys.argv[1:]))
    else:
        sys.exit(asyncio.run(main()))

"""CPU of one request line: our receiver against a loop that only receives, in one run; lines lost at 15,000 a second.

Run `python -m tests.bench.request_log`; it takes about 40 s and uses loopback only. A child process sends at an even
pace. The rounds alternate, so that a noisy neighbour meets both; the median is the result.
"""

import asyncio
import socket
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from lbctl.model.topology import Address, RequestLog
from lbctl.model.units import Instant
from lbctl.telemetry.logs import RequestLogs
from lbctl.telemetry.mailbox import opened
from tests.bench.rows import Row, told
from tests.integration.test_request_log_receiver import topology
from tests.unit.test_request_log_lines import LB1, SHOP, line

RATE = 15_000
ROUND_S = 3.0
ROUNDS = 5
PULSE_S = 0.002
RATIO_GOAL = 2.5
LAG_GOAL_MS = 20.0
LINES = [line(f"shop_{colour}", f"{colour}-1", active=ms) for colour in ("blue", "green") for ms in range(1, 400, 7)]


def send(port: int, rate: int, seconds: float) -> int:
    """Send lines at an even pace, 0 = as fast as it goes; returns how many."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(("127.0.0.1", port))
        began, sent = time.monotonic(), 0
        while (now := time.monotonic()) < began + seconds:
            due = int(rate * (now - began)) if rate else sent + 500
            while sent < due:
                sender.send(LINES[sent % len(LINES)])
                sent += 1
            if rate:
                time.sleep(PULSE_S)
    return sent


@asynccontextmanager
async def sending(port: int, rate: int) -> AsyncIterator[Callable[[], "asyncio.Future[int]"]]:
    """A child that sends; `ended` waits for it and returns how many lines it sent."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.request_log", str(port), str(rate)), stdout=asyncio.subprocess.PIPE
    )

    async def ended() -> int:
        said, _ = await child.communicate()
        return int(said)

    yield lambda: asyncio.ensure_future(ended())
    if child.returncode is None:
        child.kill()
        await child.wait()


@dataclass(frozen=True, slots=True)
class Round:
    """What one round cost and lost, and how late the event loop was."""

    us: float
    lost: int
    lag_ms: float


async def plain_round(rate: int) -> Round:
    """A reader that does nothing with what it gets."""
    loop = asyncio.get_running_loop()
    mailbox = opened(RequestLog(Address("127.0.0.1", free_port())))
    count = 0

    def drain() -> None:
        nonlocal count
        try:
            for _ in range(512):
                mailbox.socket.recv(2_048)
                count += 1
        except BlockingIOError:
            return

    loop.add_reader(mailbox.socket, drain)
    assert isinstance(mailbox.log.at, Address)
    measured = await measure(mailbox.log.at.port, rate, lambda: count)
    loop.remove_reader(mailbox.socket)
    mailbox.close()
    return measured


async def our_round(rate: int) -> Round:
    """The receiver of the daemon, asked for its timing at the pace of a release."""
    log = RequestLog(Address("127.0.0.1", free_port()))
    logs = RequestLogs()
    logs.take(topology(log), logs.opened_for(topology(log)), Instant(0))

    def count() -> int:
        timing = logs.timing({}, Instant(int(time.monotonic() * 1_000)))[LB1, SHOP]
        return sum(sum(buckets.values()) for buckets in timing.pools.values())

    assert isinstance(log.at, Address)
    measured = await measure(log.at.port, rate, count)
    logs.close()
    return measured


async def unread_round(rate: int) -> Round:
    """Nobody reads: how late a timer is on this machine while somebody sends."""
    mailbox = opened(RequestLog(Address("127.0.0.1", free_port())))
    assert isinstance(mailbox.log.at, Address)
    measured = await measure(mailbox.log.at.port, rate, lambda: 1)
    mailbox.close()
    return measured


async def measure(port: int, rate: int, count: Callable[[], int]) -> Round:
    """Let a child send, and take CPU, losses and the lateness of a 10 ms timer."""
    lags: list[float] = []
    async with sending(port, rate) as ended:
        while not count():
            await asyncio.sleep(0.005)
        at_start, cpu = count(), time.process_time()
        waiting = ended()
        while not waiting.done():
            began = time.monotonic()
            await asyncio.sleep(0.01)
            lags.append((time.monotonic() - began - 0.01) * 1_000)
            if len(lags) % 10 == 0:
                count()
        came = count()
        used = time.process_time() - cpu
    lags.sort()
    return Round(used / max(1, came - at_start) * 1e6, waiting.result() - came, lags[int(0.99 * len(lags))])


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def main() -> int:
    """Run all rounds and print them."""
    plain, ours = [], []
    for _ in range(ROUNDS):
        plain.append(await plain_round(RATE))
        ours.append(await our_round(RATE))
    ratio = statistics.median(one.us for one in ours) / statistics.median(one.us for one in plain)
    lost = sum(one.lost for one in ours)
    unread, flood = await unread_round(0), await our_round(0)
    seen = f"only receiving {[round(x.us, 1) for x in plain]} us, ours {[round(x.us, 1) for x in ours]} us"
    late = f"{flood.lag_ms:.1f} ms late, {unread.lag_ms:.1f} ms if nobody reads"
    rate = f"at {RATE:,} lines/s"
    return told(
        "request_log",
        [
            Row(
                "ratio",
                f"request log {rate}: CPU of a line against a loop that only receives",
                ratio,
                "x",
                RATIO_GOAL,
                seen=seen,
            ),
            Row("lost", f"request log {rate}: lines lost of {int(ROUNDS * RATE * ROUND_S):,}", lost, "", 0),
            Row(
                "lag",
                "request log in a flood: a 10 ms timer is later by, p99",
                flood.lag_ms - unread.lag_ms,
                "ms",
                LAG_GOAL_MS,
                seen=late,
            ),
        ],
    )


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(send(int(sys.argv[1]), int(sys.argv[2]), ROUND_S))
    else:
        sys.exit(asyncio.run(main()))

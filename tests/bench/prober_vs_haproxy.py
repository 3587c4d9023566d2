"""CPU of one fresh HTTP check: our prober against HAProxy's own checks, in one run, against the same responder.

Run `python -m tests.bench.prober_vs_haproxy`; it takes less than 90 s, uses loopback only, and prints one table.
A second HAProxy is the responder, and counts the checks that really came: on a busy host neither does all of them. The
rounds alternate, so that a noisy neighbour meets both; the median is the result.
"""

import asyncio
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lbctl.dataplane.haproxy.client import ask
from lbctl.dataplane.haproxy.workers import facts
from lbctl.model.topology import Probe
from lbctl.probe.port import ProbeResult
from lbctl.probe.supervisor import Prober
from lbctl.probe.target import Target
from tests.bench.rows import Row, told
from tests.proc import pss_kb

ROUND_S = 4.0
SETTLE_S = 1.5
ROUNDS = 3
GOALS = {1_000: 1.5, 5_000: 1.75}

RESPONDER = """global
  nbthread 1
  maxconn 9000
defaults
  mode http
  timeout client 5s
frontend up
  bind 127.0.0.1:{port} backlog 8192
  http-request return status 200 content-type text/plain string ok
"""
CHECKER = """global
  nbthread 1
defaults
  mode http
  timeout client 5s
  timeout connect 500ms
  timeout check 500ms
  timeout server 5s
frontend unused
  bind 127.0.0.1:{port}
backend checked
  option httpchk
  http-check send meth GET uri /healthz ver HTTP/1.1 hdr Host localhost
  http-check expect status 200-399
  default-server check inter 1000 fastinter 1000 downinter 1000
"""


def cpu_s(pid: int) -> float:
    """CPU of a process so far, in seconds, by the scheduler's nanoseconds."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Haproxy:
    """One HAProxy process for as long as the block lasts."""

    def __init__(self, folder: Path, name: str, config: str) -> None:
        self._file = folder / f"{name}.cfg"
        self._file.write_text(config)

    def __enter__(self) -> int:
        self._process = subprocess.Popen(["haproxy", "-db", "-f", str(self._file)], stderr=subprocess.DEVNULL)
        time.sleep(0.2)
        assert self._process.poll() is None, f"haproxy does not start; see: haproxy -c -f {self._file}"
        return self._process.pid

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


async def answered(folder: Path) -> int:
    """How many requests the responder has had so far."""
    (info,) = await ask(str(folder / "responder.sock"), ["show info"], 5)
    return int(facts(info)["CumReq"])


async def haproxy_round(folder: Path, port: int, rate: int) -> float:
    """CPU µs per check of HAProxy's own checker, at one check per server and second."""
    servers = "".join(f"  server s{i} 127.0.0.1:{port}\n" for i in range(rate))
    with Haproxy(folder, "checker", CHECKER.format(port=free_port()) + servers) as pid:
        await asyncio.sleep(SETTLE_S + rate / 5_000)
        before, came = cpu_s(pid), await answered(folder)
        await asyncio.sleep(ROUND_S)
        return (cpu_s(pid) - before) / max(1, await answered(folder) - came) * 1e6


class Tally:
    """What came back."""

    def __init__(self) -> None:
        self.up = self.down = self.unknown = 0
        self.details: dict[str, int] = {}

    def take(self, batch: "list[ProbeResult] | tuple[ProbeResult, ...]") -> None:
        for result in batch:
            self.up += result.ok is True
            self.down += result.ok is False
            self.unknown += result.ok is None
            if not result.ok:
                self.details[result.detail] = self.details.get(result.detail, 0) + 1


async def prober_round(folder: Path, port: int, rate: int) -> dict[str, float]:
    """The same of our worker, by the checks that it really finished."""
    tally = Tally()
    prober = Prober(tally.take)  # type: ignore[arg-type]
    await prober.start()
    while prober.pid is None or not prober.alive:
        await asyncio.sleep(0.05)
    bare_kb = pss_kb(prober.pid)
    prober.set_targets(
        [Target(key=f"s{i}", kind=Probe.HTTP, ip="127.0.0.1", port=port, path="/healthz") for i in range(rate)]
    )
    await asyncio.sleep(SETTLE_S)
    pid = prober.pid
    before, began, came = cpu_s(pid), time.monotonic(), await answered(folder)
    await asyncio.sleep(ROUND_S)
    used_s, took_s, done = cpu_s(pid) - before, time.monotonic() - began, await answered(folder) - came
    figures = {
        "us": used_s / max(1, done) * 1e6,
        "core": used_s / took_s,
        "done_share": done / (rate * took_s),
        "down": tally.down,
        "unknown": tally.unknown,
        "up": tally.up,
        "pss_mb": pss_kb(pid) / 1024,
        "kb_per_endpoint": (pss_kb(pid) - bare_kb) / rate,
        "late_ms": prober.lateness_ms,
    }
    await prober.stop()
    if tally.details:
        print("   not up:", tally.details)
    return figures


async def main() -> int:
    """Run all rounds and print them."""
    if shutil.which("haproxy") is None:
        print("there is no haproxy on PATH; apt install haproxy")
        return 1
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder_name:
        folder, port = Path(folder_name), free_port()
        text = f"global\n  stats socket {folder}/responder.sock level admin\n" + RESPONDER.format(port=port)
        with Haproxy(folder, "responder", text):
            await asyncio.sleep(0.5)
            for rate, goal in GOALS.items():
                rows += await against_haproxy(folder, port, rate, goal)
            double = await prober_round(folder, port, 10_000)
    seen = f"{double['up']:,.0f} checks up, {double['unknown']:,.0f} unknown because the prober was late"
    rows += [
        Row("false_double", "prober: false failures at 10,000 checks/s", double["down"], "", 0, seen=seen),
        Row("endpoint", "prober: memory of one endpoint", double["kb_per_endpoint"], "KB", 2),
    ]
    return told("prober_vs_haproxy", rows)


async def against_haproxy(folder: Path, port: int, rate: int, goal: float) -> list[Row]:
    """Both at one rate, in turn."""
    theirs, ours = [], []
    for _ in range(ROUNDS):
        theirs.append(await haproxy_round(folder, port, rate))
        ours.append(await prober_round(folder, port, rate))
    us = statistics.median(figures["us"] for figures in ours)
    seen = f"haproxy {[round(x) for x in theirs]} us a check, prober {[round(f['us']) for f in ours]} us"
    what = f"at {rate:,} checks/s"
    return [
        Row(
            f"ratio_{rate}",
            f"prober: CPU against HAProxy's own checks {what}",
            us / statistics.median(theirs),
            "x",
            goal,
            seen=seen,
        ),
        Row(f"down_{rate}", f"prober: false failures {what}", sum(one["down"] for one in ours), "", 0),
        Row(
            f"done_{rate}",
            f"prober: part of the checks done {what}",
            100 * statistics.median(f["done_share"] for f in ours),
            "%",
        ),
        Row(f"pss_{rate}", f"prober: memory {what}", max(one["pss_mb"] for one in ours), "MB", 24),
    ]


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

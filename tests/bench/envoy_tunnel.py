"""A TCP service behind Envoy: what the tunnel by which its share can change costs beside a plain `tcp_proxy`.

Both Envoys run in this one run, one after the other, twice, with one worker each. Ratios are what travels.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from lbctl.dataplane.envoy.binary import locate
from lbctl.dataplane.envoy.render import render_static
from lbctl.demo.ports import free_port
from lbctl.model.names import Colour, PlaneName, ServerName, ServiceName
from lbctl.model.route import Route
from lbctl.model.topology import Address, HealthCheck, Pool, Probe, Protocol, Server, Service
from tests.bench.rows import Row, told

BULK_BYTES, CONNECTIONS, MESSAGES = 300_000_000, 1_500, 5_000
ROUNDS = 2
SHOP = ServiceName("shop")


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU of Envoy, in microseconds: for a megabyte, for a connection, for a small message and its answer."""

    megabyte: float
    connection: float
    message: float


def main() -> int:
    """Measure in turn and print."""
    origin = serve()
    plain, tunnel = [], []
    for _ in range(ROUNDS):
        plain.append(measured(origin, is_plain=True))
        tunnel.append(measured(origin, is_plain=False))
    rows = []
    for name in ("megabyte", "connection", "message"):
        base, cost = (statistics.mean(getattr(one, name) for one in found) for found in (plain, tunnel))
        what = f"a TCP service behind Envoy: CPU for a {name} by the tunnel against a plain tcp_proxy"
        rows.append(Row(name, what, cost / base, "x", seen=f"{base:.0f} us plain, {cost:.0f} us by tunnel"))
    return told("envoy_tunnel", rows)


def serve() -> int:
    """A server that sends so many bytes as it is asked for; returns its port."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=1_024)

    def accepted() -> None:
        while True:
            connection, _ = listening.accept()
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    threading.Thread(target=accepted, daemon=True).start()
    port: int = listening.getsockname()[1]
    return port


def answer(connection: socket.socket) -> None:
    """Serve one connection."""
    block = b"x" * 65_536
    with connection, suppress(OSError):
        while asked := connection.recv(100):
            left = int(asked)
            while left > 0:
                connection.sendall(block[: min(left, len(block))])
                left -= len(block)


def measured(origin: int, *, is_plain: bool) -> Cost:
    """Start an Envoy and measure it."""
    port = free_port()
    with envoy(port, origin, is_plain=is_plain) as pid:
        costs = [
            cpu_of(pid, lambda: bulk(port)) / (BULK_BYTES / 1e6),
            cpu_of(pid, lambda: connect(port)) / CONNECTIONS,
            cpu_of(pid, lambda: talk(port)) / MESSAGES,
        ]
    return Cost(*(one * 1e6 for one in costs))


@contextmanager
def envoy(port: int, origin: int, *, is_plain: bool) -> Iterator[int]:
    """A service as lbctl renders it; plain: as it would be without a share that can change."""
    pools = [Pool(one, (Server(ServerName(f"{one}-1"), Address("127.0.0.1", origin)),)) for one in Colour]
    service = Service(
        name=SHOP,
        plane=PlaneName("edge"),
        blue=pools[0],
        green=pools[1],
        listen=Address("127.0.0.1", port),
        protocol=Protocol.TCP,
        health=HealthCheck(kind=Probe.TCP),
    )
    document = json.loads(render_static([service], {SHOP: Route(0)}))
    with tempfile.TemporaryDirectory(prefix="lbb-") as directory:
        document["admin"]["address"]["pipe"]["path"] = f"{directory}/admin.sock"
        if is_plain:
            proxy = document["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
            del proxy["tunneling_config"]
            proxy["cluster"] = "shop_blue"
        file = Path(directory) / "bootstrap.json"
        file.write_text(json.dumps(document))
        call = [str(locate()), "-c", str(file), "--disable-hot-restart", "--concurrency", "1", "--log-level", "error"]
        process = subprocess.Popen(call)
        try:
            until_served(port)
            yield process.pid
        finally:
            process.terminate()
            process.wait()


def until_served(port: int) -> None:
    """Wait until a connection reaches the server."""
    until = time.monotonic() + 15
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.sendall(b"1")
            if connection.recv(1):
                return
        time.sleep(0.05)
    raise TimeoutError("envoy did not come up")


def bulk(port: int) -> None:
    """One large answer."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(str(BULK_BYTES).encode())
        left = BULK_BYTES
        while left:
            left -= len(connection.recv(1 << 20))


def connect(port: int) -> None:
    """Many connections, one small answer each."""
    for _ in range(CONNECTIONS):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"10")
            assert connection.recv(100)


def talk(port: int) -> None:
    """Many small answers over one connection."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(MESSAGES):
            connection.sendall(b"10")
            assert connection.recv(100)


def cpu_of(pid: int, work: Callable[[], None]) -> float:
    """Seconds of CPU that a process takes while some work is done."""
    before = cpu_s(pid)
    work()
    return cpu_s(pid) - before


def cpu_s(pid: int) -> float:
    """User and system time of a process, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main())

"""`python -m lbctl.demo.toyserver`: the servers of one toy pool in one process, with faults on request.

It prints one JSON line with its bound addresses, then obeys JSON lines on stdin until end of input or SIGTERM.
"""

import argparse
import asyncio
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from lbctl.demo.orders import address, run, serve_orders, tell
from lbctl.demo.toyhttp import ToyConnection
from lbctl.demo.toysite import Site
from lbctl.demo.upstream import Dependency

_BACKLOG = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One line on stdin. What is None stays as it is; without `server` it is for every server of the pool.

    `refuse` closes the listening socket and keeps the port; `cut` resets the open connections once; `version`
    deploys another one; `stats` asks.
    """

    server: str | None = None
    error_ratio: float | None = None
    delay_ms: float | None = None
    health: bool | None = None
    refuse: bool | None = None
    hang: bool | None = None
    version: str | None = None
    cut: bool = False
    stats: bool = False


class Seat:
    """One site on its port, which stays reserved while the site refuses."""

    def __init__(self, site: Site, host: str, port: int) -> None:
        self.site = site
        self._held: socket.socket | None = _bound(host, port)
        self.host, self.port = self._held.getsockname()[:2]
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen. Does nothing where it listens already."""
        if self._held is None:
            return
        sock, self._held = self._held, None
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: ToyConnection(self.site), sock=sock, backlog=_BACKLOG)

    async def refuse(self) -> None:
        """Stop listening: new connections are refused, open ones go on. Raises OSError if the port is lost."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for _ in range(50):
            await asyncio.sleep(0.001)  # the loop gives the listening socket back in a later turn
            with suppress(OSError):
                self._held = _bound(self.host, self.port)
                return
        self._held = _bound(self.host, self.port)

    def close(self) -> None:
        """Give the port back and drop every connection."""
        if self._server is not None:
            self._server.close()
        if self._held is not None:
            self._held.close()
        for connection in list(self.site.connections):
            connection.cut()


def _bound(host: str, port: int) -> socket.socket:
    """A socket that owns the port without listening: the kernel refuses who connects to it."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise OSError(f"cannot listen on {host}:{port}: {error}; give another address or port 0") from error
    sock.setblocking(False)
    return sock


async def _obey(seats: list[Seat], line: bytes) -> dict[str, Any]:
    try:
        order = msgspec.json.decode(line, type=Order)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not an order: {error}") from error
    chosen = [seat for seat in seats if order.server in (None, seat.site.name)]
    if not chosen:
        raise ValueError(f"no server {order.server!r} here; there are {', '.join(seat.site.name for seat in seats)}")
    if order.stats:
        return {"monotonic": time.monotonic(), "cpu_s": time.process_time(), "servers": _stats(chosen)}
    if order.error_ratio is not None and not 0.0 <= order.error_ratio <= 1.0:
        raise ValueError(f"error_ratio {order.error_ratio} is not within 0..1")
    if order.delay_ms is not None and not 0.0 <= order.delay_ms <= 60_000:
        raise ValueError(f"delay_ms {order.delay_ms} is not within 0..60000")
    return {"monotonic": await _take_effect(chosen, order)}


async def _take_effect(chosen: list[Seat], order: Order) -> float:
    """Set the fault on the chosen servers; the time is the instant before the first one changed."""
    names = ("error_ratio", "delay_ms", "health", "refuse", "hang")
    changes = {name: value for name in names if (value := getattr(order, name)) is not None}
    took_effect = time.monotonic()
    for seat in chosen:
        seat.site.set_fault(replace(seat.site.fault, **changes))
    for seat in chosen:
        if order.version is not None:
            seat.site.deploy(order.version)
        if order.refuse is not None:
            await (seat.refuse() if order.refuse else seat.open())
        for connection in list(seat.site.connections) if order.cut else ():
            connection.cut()
    return took_effect


def _stats(chosen: list[Seat]) -> dict[str, Any]:
    return {seat.site.name: replace(seat.site.counts, connections=len(seat.site.connections)) for seat in chosen}


async def serve(
    pool: str, version: str, listen: list[tuple[str, int]], seed: int, calls: Dependency | None = None
) -> None:
    """Serve until the orders end."""
    seats: list[Seat] = []
    callers: list[asyncio.Task[None]] = []
    try:
        for number, (host, port) in enumerate(listen, start=1):
            seats.append(Seat(Site(f"{pool}-{number}", pool, version, seed, calls), host, port))
        for seat in seats:
            await seat.open()
        callers += [asyncio.create_task(seat.site.upstream.keep_calling()) for seat in seats if seat.site.upstream]
        tell({"pool": pool, "servers": {seat.site.name: (seat.host, seat.port) for seat in seats}})
        await serve_orders(lambda line: _obey(seats, line))
    finally:
        for task in callers:
            task.cancel()
        for seat in seats:
            seat.close()


def _dependency(options: argparse.Namespace) -> Dependency | None:
    if options.upstream is None:
        return None
    host, port = options.upstream
    background_s = options.background_ms / 1000
    return Dependency(host=host, port=port, speaks=frozenset(options.speaks), background_s=background_s)


def main() -> None:
    """Read the arguments and serve; exit 1 with one line on stderr where an address cannot be had."""
    parser = argparse.ArgumentParser(prog="python -m lbctl.demo.toyserver", description=__doc__)
    parser.add_argument("--pool", required=True, help="name of the pool; servers are POOL-1, POOL-2, …")
    parser.add_argument("--version", default="1.0.0", help="what /version and X-Version say")
    parser.add_argument("--listen", type=address, action="append", required=True, help="HOST:PORT, once per server")
    parser.add_argument("--seed", type=int, default=1, help="which requests a part-time error_ratio hits")
    parser.add_argument("--upstream", type=address, help="HOST:PORT of the service that every user request needs")
    parser.add_argument("--speaks", action="append", default=[], help="a major version of it that can be spoken with")
    parser.add_argument("--background-ms", type=float, default=0.0, help="how often each server calls it by itself")
    options = parser.parse_args()
    try:
        run(serve(options.pool, options.version, options.listen, options.seed, _dependency(options)))
    except OSError as error:
        sys.exit(f"toyserver {options.pool}: {error}")


if __name__ == "__main__":
    main()

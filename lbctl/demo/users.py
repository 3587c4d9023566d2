"""`python -m lbctl.demo.users`: users of a service in a process of their own, and `Users`, which holds such a process.

It prints one JSON line when it starts, a report for each `{"snapshot": true}` on stdin, and the final report for
`{"stop": true}`. It ends at the end of input.
"""

import argparse
import asyncio
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import msgspec

from lbctl.demo.child import Child
from lbctl.demo.crowd import Crowd, CrowdPlan
from lbctl.demo.longlived import SlowStay, Stay, WebSocketStay
from lbctl.demo.orders import address, run, serve_orders, tell
from lbctl.demo.tally import Report, Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One line on stdin. A snapshot carries the timeline from `timeline_since` (time.monotonic()) on."""

    snapshot: bool = False
    timeline_since: float = float("inf")
    reset_window: bool = False
    log_out: bool = False
    stop: bool = False


class Users:
    """Users in a process of their own. Use as `async with await Users.start(host, port, rate=300) as users:`."""

    def __init__(self, child: Child) -> None:
        self._child = child

    @classmethod
    async def start(
        cls,
        host: str,
        port: int,
        *,
        rate: float,
        sessions: int = 50,
        visitors: float = 0.3,
        visitor_links: int = 128,
        websockets: int = 0,
        slow: int = 0,
        slow_ms: int = 6000,
        timeout_s: float = 5.0,
        host_header: str = "demo.test",
        retry_idempotent: bool = False,
    ) -> Self:
        """Start sending at once. `rate` is requests per second of sessions and visitors together."""
        numbers = {
            "rate": rate,
            "sessions": sessions,
            "visitors": visitors,
            "visitor-links": visitor_links,
            "websockets": websockets,
            "slow": slow,
            "slow-ms": slow_ms,
            "timeout-s": timeout_s,
            "host-header": host_header,
        }
        arguments = [f"--target={host}:{port}", *(f"--{name}={value}" for name, value in numbers.items())]
        child = await Child.start("lbctl.demo.users", [*arguments, *["--retry-idempotent"] * retry_idempotent])
        try:
            await child.read_line()
        except BaseException:
            await child.stop()
            raise
        return cls(child)

    @property
    def pid(self) -> int:
        """The process id, for whoever measures or kills it."""
        return self._child.pid

    async def snapshot(self, timeline_since: float = float("inf")) -> Report:
        """All counts so far; with the timeline from the given time.monotonic() on, without it by default."""
        order = {"snapshot": True} if timeline_since == float("inf") else {"timeline_since": timeline_since}
        return msgspec.json.decode(await self._child.ask({"snapshot": True, **order}), type=Report)

    async def reset_window(self) -> Report:
        """Start a new window for share counting. Returns the counts up to here, with the old window."""
        return msgspec.json.decode(await self._child.ask({"reset_window": True}), type=Report)

    async def log_out(self) -> None:
        """Every session ends; whoever comes again has no cookie yet."""
        await self._child.ask({"log_out": True})

    async def stop(self) -> Report:
        """Send no more, wait for the answers under way (at most their time-out), and return the final report."""
        line = await self._child.ask({"stop": True}, timeout_s=60.0)
        await self._child.stop()
        return msgspec.json.decode(line, type=Report)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._child.stop()


class _Street:
    """Everybody who is under way in this process."""

    def __init__(self, plan: CrowdPlan, websockets: int, slows: int, slow_ms: int) -> None:
        self._crowd = Crowd(plan, Tally())
        report = self._crowd.tally.report
        self._ends = asyncio.Event()
        self._crowd_task = asyncio.create_task(self._crowd.run(self._ends))
        stays: list[Stay] = [WebSocketStay(plan, report.websockets) for _ in range(websockets)]
        stays += [SlowStay(plan, report.slow, slow_ms=slow_ms) for _ in range(slows)]
        self._stayers = [asyncio.create_task(stay.keep_coming()) for stay in stays]

    async def obey(self, line: bytes) -> Report:
        try:
            order = msgspec.json.decode(line, type=Order)
        except msgspec.MsgspecError as error:
            raise ValueError(f"not an order: {error}") from error
        if order.stop:
            await self.end()
            return self._crowd.report(0.0)
        if order.reset_window:
            report = msgspec.convert(msgspec.to_builtins(self._crowd.report(order.timeline_since)), Report)
            self._crowd.tally.reset_window()
            return report
        if order.log_out:
            self._crowd.log_out()
        return self._crowd.report(order.timeline_since)

    async def end(self) -> None:
        """Stop sending and wait for what is under way; those who stay are sent home uncounted."""
        self._ends.set()
        await self._crowd_task
        for task in self._stayers:
            task.cancel()
        await asyncio.gather(*self._stayers, return_exceptions=True)


async def _serve(plan: CrowdPlan, websockets: int, slows: int, slow_ms: int) -> None:
    street = _Street(plan, websockets, slows, slow_ms)
    tell({"target": f"{plan.host}:{plan.port}", "monotonic": time.monotonic()})
    await serve_orders(street.obey)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lbctl.demo.users", description=__doc__)
    kinds: dict[str, tuple[Any, Any, str]] = {
        "rate": (float, 300.0, "requests per second"),
        "sessions": (int, 50, "session users, each with a connection and cookies"),
        "visitors": (float, 0.3, "part of the requests that come without cookies, 0..1"),
        "visitor-links": (int, 128, "most connections of visitors"),
        "websockets": (int, 0, "open WebSockets on /ws"),
        "slow": (int, 0, "slow transactions at a time"),
        "slow-ms": (int, 6000, "how long a slow transaction takes"),
        "timeout-s": (float, 5.0, "seconds a user waits"),
        "host-header": (str, "demo.test", "the Host header"),
    }
    parser.add_argument("--target", type=address, required=True, help="HOST:PORT of the load balancer")
    for name, (kind, default, text) in kinds.items():
        parser.add_argument(f"--{name}", type=kind, default=default, help=text)
    parser.add_argument("--retry-idempotent", action="store_true", help="resend once what was cut on a reused link")
    options = parser.parse_args()
    if not 0.0 < options.rate <= 20_000 or not 0.0 <= options.visitors <= 1.0 or options.sessions < 0:
        parser.error("--rate must be within 0..20000, --visitors within 0..1, --sessions not negative")
    return options


def main() -> None:
    """Read the arguments and be the users."""
    options = _arguments()
    host, port = options.target
    plan = CrowdPlan(
        host=host,
        port=port,
        rate=options.rate,
        sessions=options.sessions,
        visitors=options.visitors,
        visitor_links=options.visitor_links,
        timeout_s=options.timeout_s,
        host_header=options.host_header,
        retry_idempotent=options.retry_idempotent,
    )
    run(_serve(plan, options.websockets, options.slow, options.slow_ms))


if __name__ == "__main__":
    main()

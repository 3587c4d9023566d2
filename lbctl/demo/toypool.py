"""A toy pool as the demo and the tests hold it: start, make it misbehave, ask what it saw, stop."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

import msgspec

from lbctl.demo.child import Child
from lbctl.demo.ports import free_port
from lbctl.demo.toysite import Counts
from lbctl.demo.upstream import Dependency


class _Hello(msgspec.Struct, frozen=True):
    pool: str
    servers: dict[str, tuple[str, int]]


def _needs(calls: Dependency) -> list[str]:
    speaks = [f"--speaks={major}" for major in sorted(calls.speaks)]
    return [f"--upstream={calls.host}:{calls.port}", *speaks, f"--background-ms={calls.background_s * 1000:g}"]


class PoolStats(msgspec.Struct, frozen=True):
    """Counts by server at one instant; `cpu_s` is what the process has used so far."""

    monotonic: float
    cpu_s: float
    servers: dict[str, Counts]

    @property
    def user_requests(self) -> int:
        """User requests of the whole pool."""
        return sum(counts.user_requests for counts in self.servers.values())

    @property
    def errors_sent(self) -> int:
        """Errors sent on request by the whole pool."""
        return sum(counts.errors_sent for counts in self.servers.values())

    @property
    def last_user_monotonic(self) -> float | None:
        """When the pool's last user request started, on time.monotonic(); None if it never got one."""
        return max((t for c in self.servers.values() if (t := c.last_user_monotonic) is not None), default=None)

    @property
    def first_bad_monotonic(self) -> float | None:
        """When the first error since the last fault order was sent; None if none was."""
        return min((t for c in self.servers.values() if (t := c.first_bad_monotonic) is not None), default=None)


class ToyPool:
    """One process that is all servers of a pool. Use as `async with await ToyPool.start("green", "2.0.0") as pool:`."""

    def __init__(self, name: str, version: str, servers: dict[str, tuple[str, int]], child: Child) -> None:
        self.name = name
        self.version = version
        self.servers = servers
        self._child = child

    @classmethod
    async def start(
        cls,
        name: str,
        version: str = "1.0.0",
        *,
        servers: int = 2,
        ports: Sequence[int] = (),
        host: str = "127.0.0.1",
        calls: Dependency | None = None,
    ) -> Self:
        """Start the pool on free ports, or on `ports` (as many servers as ports), and wait until it listens.

        With `calls` every user request needs an answer of that service.
        Raises ChildFailed where a port cannot be had.
        """
        listen = [f"--listen={host}:{port}" for port in ports or [free_port(host) for _ in range(servers)]]
        needs = [] if calls is None else _needs(calls)
        child = await Child.start("lbctl.demo.toyserver", ["--pool", name, "--version", version, *listen, *needs])
        try:
            hello = msgspec.json.decode(await child.read_line(), type=_Hello)
        except BaseException:
            await child.stop()
            raise
        return cls(name, version, hello.servers, child)

    @property
    def pid(self) -> int:
        """The process id, for whoever measures or kills it."""
        return self._child.pid

    @property
    def ports(self) -> list[int]:
        """The ports in the order of the servers; pass them to `start` to come back on the same."""
        return [port for _, port in self.servers.values()]

    async def fault(
        self,
        *,
        server: str | None = None,
        error_ratio: float | None = None,
        delay_ms: float | None = None,
        health: bool | None = None,
        refuse: bool | None = None,
        hang: bool | None = None,
        cut: bool = False,
    ) -> float:
        """Change how the pool (or one server) misbehaves; what is left out stays. Returns when, on time.monotonic().

        `refuse` closes the listening sockets, open connections go on; `cut` resets the open connections, once.
        """
        order = {"server": server, "error_ratio": error_ratio, "delay_ms": delay_ms, "health": health}
        line = await self._child.ask({**order, "refuse": refuse, "hang": hang, "cut": cut})
        return msgspec.json.decode(line, type=dict[str, float])["monotonic"]

    async def deploy(self, version: str, *, server: str | None = None) -> None:
        """Run another version on the whole pool, or on one server, without a restart."""
        await self._child.ask({"server": server, "version": version})

    async def heal(self) -> float:
        """Take back every fault."""
        return await self.fault(error_ratio=0.0, delay_ms=0.0, health=True, refuse=False, hang=False)

    async def stats(self) -> PoolStats:
        """What each server has counted so far."""
        return msgspec.json.decode(await self._child.ask({"stats": True}), type=PoolStats)

    async def stop(self) -> None:
        """End the process and wait for it. Open connections are reset."""
        await self._child.stop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

"""What lbctld and its prober hold: at rest with metrics, dashboard and chat on, and more for every endpoint.

Run `python -m tests.bench.memory`; it takes about 40 s and uses loopback only. Memory is compared with a bare
interpreter too, so that a reader knows what of it is Python's own.
"""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp

from lbctl.demo.ground import directory_of, head, running
from lbctl.demo.ports import free_port
from lbctl.demo.proxy import Proxy
from tests.bench.rows import Row, told
from tests.e2e.scene import adopt, crowd, ended, envoy, haproxy, release, until
from tests.proc import pss_kb, rss_kb
from tests.watched import Watched, watched

GOAL_MB = 64.0
PROBER_GOAL_MB = 24.0
ENDPOINT_GOAL_KB = 2.0
REST_S = 8.0
QUICK = """steps: [50%, 100%]
hold: {min: 500ms, max: 5m, then: ask}
bake: 500ms
retain: 0s
"""
DRAIN = "{quiet: 1s, limit: 1s}"
NETS = (("blue", 31), ("green", 32))
FEW, MANY = 20, 500
"""Servers of each pool of the two services of `grown`."""


async def at_rest(proxy: Proxy) -> tuple[float, float]:
    """Memory of the daemon and of its prober, in MB, after a release, with everything that watches on and used."""
    async with watched(proxy, QUICK, drain=DRAIN) as on:
        await adopt(on.here)
        async with await crowd(on.here, rate=100):
            await release(on.here)
            assert (await ended(on.here))["phase"] == "finished"
        await looked_at(on)
        await asyncio.sleep(REST_S)
        assert on.chat.messages, "the chat was told nothing"
        assert on.daemon.pid is not None
        return rss_kb(on.daemon.pid) / 1024, pss_kb(prober_of(on.daemon.pid)) / 1024


async def looked_at(on: Watched) -> None:
    """Scrape the metrics and open the dashboard, as Prometheus and a person do."""
    async with aiohttp.ClientSession() as session:
        for _ in range(3):
            for port, path in ((on.metrics, "/metrics"), (on.dashboard, "/"), (on.dashboard, "/v1/status")):
                async with session.get(f"http://127.0.0.1:{port}{path}") as answer:
                    assert answer.status == 200, (port, path)
                    await answer.read()


def prober_of(pid: int) -> int:
    """The child that probes."""
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


@asynccontextmanager
async def many_servers(each: int) -> AsyncIterator[int]:
    """A daemon whose service has two pools of `each` servers, all of them one listener that answers; its pid."""
    async with AsyncExitStack() as stack:
        server = await asyncio.start_server(_answered, "0.0.0.0", 0, backlog=4_096)
        stack.push_async_callback(server.wait_closed)
        stack.callback(server.close)
        port = server.sockets[0].getsockname()[1]
        directory = directory_of(stack, None)
        proxy = haproxy()
        text = _configured(directory, proxy, port, each)
        daemon, control = await stack.enter_async_context(running(directory, proxy, text))

        async def all_known() -> bool:
            found = (await control.service("shop"))["servers"].values()
            return all(one["up"] for one in found)

        await until(all_known, 60, 0.5)
        await asyncio.sleep(REST_S)
        assert daemon.pid is not None
        yield daemon.pid


async def _answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer any request with 200, and close."""
    try:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
        await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


def _configured(directory: Path, proxy: Proxy, port: int, each: int) -> str:
    pools = "".join(f"      {colour}: {{{_servers(colour, net, port, each)}}}\n" for colour, net in NETS)
    return f"""{head(directory, proxy.plane(directory))}  shop:
    data_plane: edge
    {proxy.binding("shop")}
    listen: 127.0.0.1:{free_port()}
    pools:
{pools}    health: {{http: /healthz, interval: 2s, timeout: 1s, rise: 1, fall: 2}}
"""


def _servers(colour: str, net: int, port: int, each: int) -> str:
    return ", ".join(f"{colour}-{n}: 127.{net}.{n // 250}.{n % 250 + 1}:{port}" for n in range(each))


async def per_endpoint_kb() -> tuple[float, float]:
    """Memory that one more endpoint costs the daemon, and its prober."""
    seen = []
    for each in (FEW, MANY):
        async with many_servers(each) as pid:
            seen.append((rss_kb(pid), pss_kb(prober_of(pid))))
    few, many = seen
    return (many[0] - few[0]) / (2 * (MANY - FEW)), (many[1] - few[1]) / (2 * (MANY - FEW))


def bare_mb() -> float:
    """Memory of an interpreter that has imported asyncio and the TLS library, and nothing else."""
    code = "import asyncio, ssl\nprint(next(l for l in open('/proc/self/status') if l.startswith('VmRSS')).split()[1])"
    return int(subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True).stdout) / 1024


async def main() -> int:
    """Measure and print."""
    bare = f"an interpreter with asyncio and TLS alone: {bare_mb():.1f} MB"
    rows = []
    for proxy in (haproxy(), envoy()):
        daemon, prober = await at_rest(proxy)
        what = f"memory of lbctld at rest behind {proxy.name}, with metrics, dashboard and chat"
        rows.append(Row(f"daemon_{proxy.driver}", what, daemon, "MB", GOAL_MB, seen=bare))
        rows.append(Row(f"prober_{proxy.driver}", "memory of its prober besides", prober, "MB", PROBER_GOAL_MB))
    daemon, prober = await per_endpoint_kb()
    rows.append(Row("endpoint", "memory of one more endpoint, prober", prober, "KB", ENDPOINT_GOAL_KB))
    rows.append(Row("endpoint_daemon", "memory of one more endpoint, lbctld: config, targets, readings", daemon, "KB"))
    return told("memory", rows)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

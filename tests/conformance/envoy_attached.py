"""An Envoy that somebody else runs: started on the bootstrap that lbctl proposes, restarted and ended by its owner."""

import asyncio
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from lbctl.dataplane.envoy import attached
from lbctl.dataplane.envoy.admin import AdminClient
from lbctl.dataplane.envoy.binary import locate
from lbctl.dataplane.envoy.layout import Layout, layout_of
from lbctl.dataplane.envoy.proposal import proposal
from lbctl.model import topology
from lbctl.model.errors import DataPlaneError
from lbctl.model.names import Colour
from lbctl.model.topology import EnvoyMode, Service
from tests.conformance.envoy_harness import NAMES, EnvoyWorld, Kind, ToyServer, require_envoy

DRAIN_S, PARENT_SHUTDOWN_S = 1, 3
_START_TIMEOUT_S = 15.0


class Owner:
    """Whoever runs an Envoy. lbctl knows of it by its admin socket only."""

    def __init__(self, directory: Path, layout: Layout, binary: Path | None = None) -> None:
        self.bootstrap = directory / "bootstrap.yaml"
        self.log = directory / "envoy.log"
        self._layout = layout
        self.binary = binary or locate()
        self._base_id = directory / "base-id"
        self._epoch = 0
        self._lives: list[subprocess.Popen[bytes]] = []

    @property
    def pid(self) -> int:
        """The newest process."""
        return self._lives[-1].pid

    async def start(self) -> None:
        """Start it cold, and wait until it serves."""
        self._epoch = 0
        self._launch("--use-dynamic-base-id", "--base-id-path", str(self._base_id))
        await self._live()

    async def hot_restart(self) -> None:
        """Let a new process take over from the one that runs, which goes on for a while."""
        self._epoch += 1
        self._launch("--base-id", self._base_id.read_text().strip(), "--restart-epoch", str(self._epoch))
        await self._live()

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End every process of it."""
        for life in self._lives:
            if life.poll() is None:
                life.send_signal(number)
                # A stopped process obeys only when it goes on.
                life.send_signal(signal.SIGCONT)
        for life in self._lives:
            await asyncio.to_thread(life.wait, 10)
        self._lives.clear()
        with suppress(OSError):
            shared = self._base_id.read_text().strip()
            Path(f"/dev/shm/envoy_shared_memory_{shared}0").unlink(missing_ok=True)

    async def restart(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it and start it cold on the files that are there."""
        await self.stop(number)
        await self.start()

    async def older_gone(self) -> None:
        """Wait until only the newest process is left."""
        async with asyncio.timeout(PARENT_SHUTDOWN_S + 10):
            while any(life.poll() is None for life in self._lives[:-1]):
                await asyncio.sleep(0.02)

    def _launch(self, *options: str) -> None:
        times = ["--drain-time-s", str(DRAIN_S), "--parent-shutdown-time-s", str(PARENT_SHUTDOWN_S)]
        call = [str(self.binary), "-c", str(self.bootstrap), "--concurrency", "1", "--log-level", "warning", *times]
        with self.log.open("ab") as output:
            self._lives.append(
                subprocess.Popen([*call, *options], stdin=subprocess.DEVNULL, stdout=output, stderr=output)
            )

    async def _live(self) -> None:
        """Wait until the process that was launched last answers, and its first health checks are through."""
        async with asyncio.timeout(_START_TIMEOUT_S):
            while True:
                assert self._lives[-1].poll() is None, self.log.read_text(errors="replace")[-800:]
                with suppress(DataPlaneError):
                    client = AdminClient(self._layout.admin_socket)
                    try:
                        peer, info = await client.server_info(1)
                    finally:
                        await client.close()
                    if peer.pid == self.pid and info.state == "LIVE":
                        return
                await asyncio.sleep(0.02)


class AttachedWorld(EnvoyWorld[Kind]):
    """As `EnvoyWorld`, but Envoy is its owner's."""

    def __init__(
        self, directory: Path, servers: dict[str, Kind], protocol: topology.Protocol, binary: Path | None = None
    ) -> None:
        super().__init__(directory / "lbctl", servers, protocol=protocol, mode=EnvoyMode.ATTACHED)
        self.layout = layout_of(self.instance)
        self.owner = Owner(directory, self.layout, binary)

    def write_bootstrap(
        self, services: Sequence[Service] | None = None, change: Callable[[str], str] = lambda text: text
    ) -> None:
        """Do what an operator does with the proposal: make the files, write it down, perhaps change it."""
        wanted = services or [self.service]
        attached.prepare(self.layout, wanted, {service.name: Colour.BLUE for service in wanted})
        self.owner.bootstrap.write_text(change(proposal(self.instance.name, self.layout, wanted)))

    async def stop(self) -> None:
        """End everything, Envoy before the servers that it checks."""
        await self.owner.stop()
        await super().stop()


@asynccontextmanager
async def attached_world(
    change: Callable[[str], str] = lambda text: text, *, binary: Path | None = None
) -> AsyncIterator[AttachedWorld[ToyServer]]:
    """A world of HTTP servers behind an Envoy on lbctl's proposal, `change`d; all traffic on blue, nothing adopted."""
    servers = {name: await ToyServer(name).open() for name in NAMES}
    async with attached_to(servers, topology.Protocol.HTTP, change, binary=binary) as world:
        yield world


@asynccontextmanager
async def attached_to(
    servers: dict[str, Kind],
    protocol: topology.Protocol,
    change: Callable[[str], str] = lambda text: text,
    *,
    binary: Path | None = None,
) -> AsyncIterator[AttachedWorld[Kind]]:
    """As `attached_world`, of servers that listen already."""
    require_envoy()
    made = Path(tempfile.mkdtemp(prefix="lba-"))
    world = AttachedWorld(made, servers, protocol, binary)
    try:
        world.write_bootstrap(change=change)
        await world.owner.start()
        yield world
    finally:
        await world.stop()
        shutil.rmtree(made)

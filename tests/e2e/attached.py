"""A stage whose Envoy is its owner's: prepared and started by him, restarted by him, ended by him."""

import os
import signal
from pathlib import Path

from lbctl.config.load import load
from lbctl.dataplane.envoy import attached
from lbctl.dataplane.envoy.layout import layout_of
from lbctl.dataplane.envoy.proposal import proposal
from lbctl.model.names import Colour
from tests.conformance.envoy_attached import Owner
from tests.conformance.envoy_harness import require_envoy


class AttachedEnvoy:
    """Implements `lbctl.demo.proxy.Proxy`."""

    name = "Envoy, attached"

    def __init__(self) -> None:
        require_envoy()
        self._owner: Owner | None = None

    @property
    def owner(self) -> Owner:
        """Who runs it."""
        assert self._owner is not None
        return self._owner

    def plane(self, directory: Path) -> str:
        """Its files and its admin socket lie in the stage's directory."""
        lb1 = f"{{directory: {directory}/files, admin: {directory}/admin.sock}}"
        return f"{{driver: envoy, mode: attached, instances: {{lb1: {lb1}}}}}"

    def binding(self, service: str) -> str:
        """Envoy needs none."""
        return f"# {service}: Envoy listens where `listen` says"

    async def begin(self, directory: Path, config: Path) -> None:
        """Make the files, write the bootstrap that lbctl proposes, start Envoy."""
        topology = load(config, uid=os.getuid(), environ=os.environ).topology
        instance = next(iter(topology.planes.values())).instances[0]
        layout, services = layout_of(instance), list(topology.services.values())
        attached.prepare(layout, services, dict.fromkeys(topology.services, Colour.BLUE))
        self._owner = Owner(directory, layout)
        self._owner.bootstrap.write_text(proposal(instance.name, layout, services))
        await self._owner.start()

    async def end(self, directory: Path) -> None:
        """End it."""
        del directory
        if self._owner is not None:
            await self._owner.stop(signal.SIGTERM)

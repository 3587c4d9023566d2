"""The data-plane port: what the daemon asks of one running load balancer instance.

One conformance suite (tests/conformance) runs against the in-memory fake and every real load balancer. A driver owns
its own time-outs: `observe` and `apply` always return or raise within `OPERATION_TIMEOUT_S`.
"""

from typing import Protocol

from lbctl.model.names import InstanceName, ServiceName
from lbctl.model.operation import Capabilities, Result, SetRoute, SetServer
from lbctl.model.reading import InstanceReading
from lbctl.model.route import Route

OPERATION_TIMEOUT_S = 1.0
"""No driver call takes longer; a write without an answer by then is `unknown`."""


class DataPlane(Protocol):
    """One load balancer instance. Calls for different services may overlap; the driver keeps their order."""

    @property
    def name(self) -> InstanceName:
        """Which instance this is."""

    async def probe(self) -> Capabilities:
        """Find out what this load balancer can do as it is configured.

        Raises:
            Unreachable: nothing answers; the text says what to check.
            Garbled: what answers is not usable: too old, not the right sections, a map missing. The text names it.
        """

    async def observe(self) -> InstanceReading:
        """Read everything lbctl acts on, from every worker generation that still routes.

        Raises:
            Unreachable, Garbled: nothing can be said about this instance now; never a partial or guessed reading.
        """

    async def apply(self, operation: SetRoute) -> Result:
        """Carry out one operation, read it back, and say what is known. Never raises for what a load balancer does."""

    async def administer(self, operation: SetServer) -> Result:
        """Bring one server to what somebody wants of it. Never raises; what came of it, the next reading says."""

    async def verify(self, service: ServiceName, route: Route) -> bool | None:
        """Say whether every generation routes `service` by `route`: yes, no, or None (cannot tell)."""

    async def close(self) -> None:
        """Let go of connections. Never changes traffic, never stops a load balancer."""

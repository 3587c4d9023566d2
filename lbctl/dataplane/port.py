"""The data-plane port: what the daemon asks of one running load balancer instance.

One conformance suite (tests/conformance) runs against the in-memory fake and every real load balancer. A driver owns
its own time-outs: `observe` and `apply` always return or raise within `OPERATION_TIMEOUT_S`.
"""

from collections.abc import Collection
from typing import Protocol

from lbctl.model.census import Owner
from lbctl.model.names import InstanceName, ServiceName
from lbctl.model.operation import Capabilities, Result, SetClosing, SetRoute, SetServer
from lbctl.model.reading import InstanceReading
from lbctl.model.route import Route
from lbctl.model.topology import Address

OPERATION_TIMEOUT_S = 1.0
"""No driver call takes longer; a write without an answer by then is `unknown`."""


class Started(str):
    """What a driver says of a load balancer that it has started just now; all else that it did is plain text."""

    __slots__ = ()


class HostSockets(Protocol):
    """The connections of this host, for load balancers that cut none of their own."""

    async def why_not(self, owner: Owner) -> str:
        """Return why none of this owner's can be ended, as `CODE: text`; empty if they can. Both parts are tried: that
        the kernel ends one, and that it is told which ones are this owner's."""

    async def end(self, servers: Collection[Address], owner: Owner, most: int) -> tuple[int, int]:
        """End at most so many of this owner's connections to these servers; return how many, and how many are left.

        Raises:
            LbctlError: none can be ended now, or it is not told whose they are; the text is `CODE: text`.
        """


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

    async def set_closing(self, operation: SetClosing) -> Result:
        """Begin, change or end the forced closing of a pool. Returns at once: how far it is, `observe` tells.

        `done`: ordered. `refused`: this load balancer cannot; `Ability.no_closing` said so before. Never raises.
        """

    async def verify(self, service: ServiceName, route: Route) -> bool | None:
        """Say whether every generation routes `service` by `route`: yes, no, or None (cannot tell)."""

    async def close(self) -> None:
        """Let go of connections. Never changes traffic, never stops a load balancer."""

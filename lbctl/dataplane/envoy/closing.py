"""Closes what Envoy has open to one pool's servers. Envoy cuts nothing by itself: the kernel ends its connections.

Only connections of Envoy's own processes are ended, and only while Envoy has something in flight there: those it keeps
for later carry no user, and those of its health checks would be made again for ever.
"""

from collections.abc import Collection, Mapping, Sequence

from lbctl.dataplane.closing import Cut
from lbctl.dataplane.envoy import counters
from lbctl.dataplane.envoy.lives import Lives, Said
from lbctl.dataplane.envoy.looking import looked
from lbctl.dataplane.port import OPERATION_TIMEOUT_S, HostSockets
from lbctl.model.census import Owner
from lbctl.model.errors import DataPlaneError, Garbled
from lbctl.model.names import Colour, InstanceName, ServiceName
from lbctl.model.topology import Address, Service

_ANSWER_S = 0.5 * OPERATION_TIMEOUT_S
ALONE = "lbctl cannot see the kernel's connections from here"


class Connections:
    """The connections of one Envoy. `cut` is a `closing.Cutter`."""

    def __init__(
        self, name: InstanceName, services: Sequence[Service], lives: Lives, sockets: HostSockets | None
    ) -> None:
        self._name = name
        self._services = {service.name: service for service in services}
        self._lives = lives
        self._sockets = sockets
        self._target = counters.stats_target(services)

    async def why_not(self, service: ServiceName) -> str:
        """Return why no connection of a service's pools can be closed, as `CODE: text`; empty if they can."""
        if shared := self._shared(service):
            why = f"{shared}: the kernel cannot tell whose connections these are"
        else:
            why = ALONE if self._sockets is None else await self._forbidden(self._sockets)
        return f"NO_FORCED_CLOSE: {service}: {why}" if why else ""

    async def _forbidden(self, sockets: HostSockets) -> str:
        """Tried on the processes that are there now. Where none answers, that is another trouble, and told as such."""
        try:
            said = await self._lives.ask([counters.CLUSTERS], _ANSWER_S)
        except DataPlaneError:
            return ""
        return (await sockets.why_not(_owner(said))).partition(": ")[2]

    async def cut(self, service: ServiceName, colour: Colour, most: int) -> Cut:
        """Close connections of a pool. Raises LbctlError."""
        if self._sockets is None or self._shared(service):
            raise Garbled(await self.why_not(service))
        said = await self._lives.ask([self._target, counters.CLUSTERS], _ANSWER_S)
        one, looks = self._services[service], [looked(each) for each in said]
        for look in looks:
            if any(route is None or route.route is None or route.route.feeds(colour) for route in look.routes(one)):
                raise Garbled(f"STILL_ROUTED: {look.generation} of {self._name} still sends somebody to {colour}")
        pool = counters.pool_reading(one, colour, looks[0].stats, counters.read_hosts(said[0].bodies[1]))
        if not pool.in_flight:
            return Cut(0, 0)
        servers = [server.address for server in one.pool(colour).servers]
        ended, left = await self._sockets.end(servers, _owner(said), most)
        if not ended + left:
            where = "it runs in a network namespace of its own"
            raise Garbled(f"NOT_ON_THIS_HOST: {pool.in_flight} are in flight, and this host has no connection: {where}")
        return Cut(ended, left)

    def _shared(self, service: ServiceName) -> str:
        """Return who else is at an address of this service's pools; empty: nobody."""
        users = list(_users(self._services))
        for name, colour, address in users:
            if name != service:
                continue
            for other, its_colour, at in users:
                if at == address and (other, its_colour) != (name, colour):
                    return f"{address} is in {colour} and in {its_colour} of {other}"
        return ""


def _owner(said: Sequence[Said]) -> Owner:
    return Owner(tuple(each.peer.pid for each in said), said[0].peer.uid)


def _users(services: Mapping[ServiceName, Service]) -> Collection[tuple[ServiceName, Colour, Address]]:
    return [
        (name, colour, server.address)
        for name, service in services.items()
        for colour in Colour
        for server in service.pool(colour).servers
    ]

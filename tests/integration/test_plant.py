"""What every load balancer can do, for `plan`: asked again as soon as one was reloaded."""

import asyncio
from dataclasses import dataclass

from lbctl.daemon.plant import ASK_EVERY_S, LOOK_EVERY_S, Plant, _Unit
from lbctl.dataplane.fake import FakeInstance
from lbctl.model.names import InstanceName, PlaneName
from lbctl.model.operation import Capabilities
from lbctl.model.topology import Driver, Instance, Plane, Topology
from lbctl.model.units import Instant

LB1 = InstanceName("edge/lb1")


@dataclass(slots=True)
class Reloaded(FakeInstance):
    """A load balancer whose version is its life: a reload brings another config."""

    async def probe(self) -> Capabilities:
        """See `DataPlane.probe`."""
        return Capabilities(version=self.generation)


async def test_a_reload_is_asked_at_once_what_it_brought() -> None:
    balancer = Reloaded(LB1, (), lambda: Instant(0))
    plant = Plant(Topology({}, {}), lambda: Instant(0))
    plane = Plane(name=PlaneName("edge"), driver=Driver.HAPROXY, instances=(Instance(name=LB1, directory="/nowhere"),))
    plant._units = {LB1: _Unit((plane.instances[0], plane, ()), balancer)}
    asking = asyncio.create_task(plant.find_out(lambda _: balancer.generation))

    async def told() -> None:
        while plant.able.get(LB1) != Capabilities(version=balancer.generation):
            await asyncio.sleep(0.01)

    await asyncio.wait_for(told(), 2)
    balancer.reload()
    await asyncio.wait_for(told(), 3 * LOOK_EVERY_S)
    assert 3 * LOOK_EVERY_S < ASK_EVERY_S, "not because time was over"
    asking.cancel()

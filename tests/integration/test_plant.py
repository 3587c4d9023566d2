"""What every load balancer can do, for `plan`: asked again as soon as one was reloaded."""

import asyncio
from dataclasses import dataclass, replace
from typing import Any

from lbctl.daemon.plant import ASK_EVERY_S, LOOK_EVERY_S, Plant, Rebuilt, _Unit
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


@dataclass(slots=True)
class Broken(FakeInstance):
    """A load balancer whose driver falls over, where it does not wait for ever."""

    gate: asyncio.Event | None = None

    async def probe(self) -> Capabilities:
        """See `DataPlane.probe`."""
        if self.gate is None:
            raise OSError(24, "Too many open files")
        await self.gate.wait()
        return Capabilities(version="old")


def planted(balancer: FakeInstance, ensure_running: Any = None) -> tuple[Plant, _Unit]:
    """A plant that has this load balancer."""
    plant = Plant(Topology({}, {}), lambda: Instant(0))
    plane = Plane(name=PlaneName("edge"), driver=Driver.ENVOY, instances=(Instance(name=LB1, directory="/nowhere"),))
    unit = _Unit((plane.instances[0], plane, ()), balancer, ensure_running)
    plant._units = {LB1: unit}
    return plant, unit


async def test_a_driver_that_falls_over_is_told_and_asked_again() -> None:
    balancer = Broken(LB1, (), lambda: Instant(0))
    plant, unit = planted(balancer)
    await plant._ask(LB1, unit)
    assert plant.able[LB1] == "it could not be asked: OSError(24, 'Too many open files')"
    balancer.gate = asyncio.Event()
    balancer.gate.set()
    await plant._ask(LB1, unit)
    assert plant.able[LB1] == Capabilities(version="old")


async def test_what_a_driver_could_do_that_a_reload_replaced_says_nothing_about_its_successor() -> None:
    balancer = Broken(LB1, (), lambda: Instant(0), gate=asyncio.Event())
    plant, unit = planted(balancer)
    asking = asyncio.create_task(plant._ask(LB1, unit))
    await asyncio.sleep(0)
    plant.take(Rebuilt(Topology({}, {}), {LB1: replace(unit)}, [replace(unit)]))
    assert balancer.gate is not None
    balancer.gate.set()
    await asking
    assert LB1 not in plant.able
    await plant.close()


async def test_no_repair_by_the_old_config_goes_on_when_a_reload_brings_another_one() -> None:
    written, lock = list[str](), asyncio.Lock()

    def bringing(config: str) -> Any:
        async def ensure_running() -> tuple[()]:
            async with lock:
                await asyncio.sleep(0.02)
                written.append(config)
            return ()

        return ensure_running

    plant, old = planted(FakeInstance(LB1, (), lambda: Instant(0)), bringing("old"))
    new = replace(old, ensure_running=bringing("new"))
    plant._built = lambda _: {LB1: new}  # type: ignore[method-assign, assignment]
    for _ in range(5):
        plant._repaired_at.clear()
        plant.repair(LB1)
    assert len(plant._tasks) == 1, "one at a time"
    rebuilding = asyncio.create_task(plant.rebuilt(Topology({}, {})))
    for _ in range(5):
        plant._repaired_at.clear()
        plant.repair(LB1)
        await asyncio.sleep(0.01)
    rebuilt = await rebuilding
    plant._repaired_at.clear()
    plant.repair(LB1)
    plant.take(rebuilt)
    await asyncio.sleep(0.1)
    assert written == ["old", "new"]
    plant._repaired_at.clear()
    plant.repair(LB1)
    await asyncio.sleep(0.1)
    assert written == ["old", "new", "new"]
    await plant.close()

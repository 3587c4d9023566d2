"""The outcome of every operation comes back, whatever becomes of the driver that carries it out."""

import asyncio
from dataclasses import dataclass
from typing import Any, cast

import pytest

from lbctl.core.state import Applied, Apply
from lbctl.daemon import executor as hands
from lbctl.daemon.executor import Executor
from lbctl.dataplane.fake import FakeInstance
from lbctl.model.names import InstanceName, ServiceName
from lbctl.model.operation import Operation, Place, Result, SetRoute, Status
from lbctl.model.route import Route
from lbctl.model.units import Instant

LB1 = InstanceName("edge/lb1")
ORDER = SetRoute(service=ServiceName("shop"), place=Place.RUNTIME, route=Route(0), fence=1)


@dataclass(slots=True)
class Hurt(FakeInstance):
    """A driver in which an operation ends in this way."""

    ends: BaseException | None = None

    async def apply(self, operation: Operation) -> Result:  # type: ignore[override]
        """See `DataPlane.apply`."""
        assert self.ends is not None
        raise self.ends


def executor(plane: FakeInstance, arrived: Any, journal: Any = None) -> Executor:
    """One with this load balancer alone."""
    nothing = cast("Any", None)
    return Executor(
        planes={LB1: plane},
        journal=journal,
        tokens=nothing,
        outbox=nothing,
        now=lambda: Instant(0),
        wall=lambda: "",
        arrived=arrived,
        answered=nothing,
        told=nothing,
        ask=nothing,
    )


@pytest.mark.parametrize("ends", [asyncio.CancelledError(), OSError(24, "no"), TimeoutError()], ids=repr)
async def test_an_operation_that_ends_in_any_way_has_an_outcome(ends: BaseException) -> None:
    came: list[Applied] = []
    one = executor(Hurt(LB1, (), lambda: Instant(0), ends=ends), came.append)
    one.carry_out((Apply(LB1, (ORDER, ORDER)),))
    await one.drained()
    (applied,) = came
    assert [result.status for result in applied.results] == [Status.UNKNOWN] * 2


async def test_a_stop_does_not_wait_for_ever_for_a_disk_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hanging:
        async def append(self, *_: object, **__: object) -> None:
            await asyncio.Event().wait()

    monkeypatch.setattr(hands, "DRAINED_WITHIN_S", 0.05)
    one = executor(FakeInstance(LB1, (), lambda: Instant(0)), None, Hanging())
    one.note(())
    async with asyncio.timeout(5):
        await one.drained()
    for task in [*one._tasks]:
        task.cancel()
    await asyncio.gather(*one._tasks, return_exceptions=True)

"""Identities. A name is what people type; it is checked where it enters (config, control socket) and trusted inside."""

from enum import StrEnum
from typing import NewType

from lbctl.model.digits import whole

ServiceName = NewType("ServiceName", str)
UnitName = NewType("UnitName", str)
"""Services released together. A service in no unit is a unit of its own, by its own name."""
ServerName = NewType("ServerName", str)
InstanceName = NewType("InstanceName", str)
"""`PLANE/INSTANCE`, as in `edge/lb1`: one running load balancer of a data plane."""
PlaneName = NewType("PlaneName", str)
ReleaseId = NewType("ReleaseId", str)
"""Decimal text: `42`. Service names are never all digits, so a command may take either."""
Generation = NewType("Generation", str)
"""One life of a data-plane process: `PID@START`."""


def pid_of(life: Generation) -> int | None:
    """Return the process of a life, by the number that it knows itself by."""
    pid = life.partition("@")[0]
    return whole(pid)


class Colour(StrEnum):
    """A pool's name. It says nothing about which pool is old: colours swap their states at every release."""

    BLUE = "blue"
    GREEN = "green"

    @property
    def other(self) -> "Colour":
        """The other pool."""
        return Colour.GREEN if self is Colour.BLUE else Colour.BLUE

"""The record that a pool is proved unused."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from lbctl.model.names import Generation, InstanceName, ReleaseId
from lbctl.model.reading import Rows
from lbctl.model.units import Instant


class Confidence(StrEnum):
    """How much of a pool's use could be seen when it was certified."""

    FULL = "full"
    PARTIAL = "partial"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """The record that a pool is proved unused: who looked, what was counted, since when.

    `release` left the pool, if one did and nobody may have deployed there since. `counted`: by load balancer and
    generation, how many requests of the pool it had ever counted; one more makes the certificate void. `unseen`: what
    could not be looked at, and why.
    """

    at: Instant
    since: Instant
    """Since when no request came, none was in flight and no session was honoured."""
    release: ReleaseId | None = None
    counted: Mapping[InstanceName, Mapping[Generation, int]] = field(default_factory=dict)
    unseen: tuple[str, ...] = ()
    served: Mapping[InstanceName, Mapping[Generation, int]] = field(default_factory=dict)
    """How many requests those were, of load balancers where `counted` grows more than once with each."""
    rows: Mapping[InstanceName, Rows] = field(default_factory=dict)
    """The same as `counted`, server by server, of load balancers that count a pool so: which servers those were may
    change afterwards."""
    census: str = ""
    """What the kernel's own count of sockets said, where it was asked."""

    @property
    def confidence(self) -> Confidence:
        """Partial if anything could not be looked at."""
        return Confidence.PARTIAL if self.unseen else Confidence.FULL

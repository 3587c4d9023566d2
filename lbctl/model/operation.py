"""What a driver can be told to do, and how it answers. Absolute, idempotent, fenced."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from lbctl.model.names import Colour, Generation, ServerName, ServiceName
from lbctl.model.reading import Admin
from lbctl.model.route import Route
from lbctl.model.topology import PinKind


class Place(StrEnum):
    """Where a route is written: what routes now, or what would after a reload or restart without lbctl."""

    RUNTIME = "runtime"
    BOOT = "boot"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetRoute:
    """Bring one service on one instance to `route`: every worker generation (runtime), or the boot file (boot).

    `fence` is the record's `rev`; a driver refuses one lower than it has seen for this instance. With
    `expect_generation`, the operation is refused when another process answers; with `expect`, when the current
    runtime route of the newest generation is not that one. Both are set for every raise.
    """

    service: ServiceName
    place: Place
    route: Route
    fence: int
    expect_generation: Generation | None = None
    expect: Route | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetServer:
    """Bring one server of one instance to this state, in every worker generation. Absolute, safe to repeat."""

    service: ServiceName
    colour: Colour
    server: ServerName
    admin: Admin


@dataclass(frozen=True, slots=True, kw_only=True)
class SetClosing:
    """Close what is still connected to one pool, through one instance, at `per_second`; 0 ends it.

    A level, not an act: the driver goes on closing until it is told otherwise, or ends. It closes nothing of a pool
    that anybody is still sent to, and ends by itself with the first route that sends somebody there. `fence` as in
    `SetRoute`.
    """

    service: ServiceName
    colour: Colour
    per_second: int
    fence: int


Operation = SetRoute | SetClosing


class Status(StrEnum):
    """`done`: applied and read back. `refused`: not applied, will not be by itself. `stale`: not applied because the
    fence, the generation or the expected route did not fit: read anew. `unknown`: it may still be applied."""

    DONE = "done"
    REFUSED = "refused"
    STALE = "stale"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Result:
    """A driver's answer to one operation; `detail` is a sentence for people, empty when done."""

    status: Status
    detail: str = ""


class Stickiness(StrEnum):
    """By what a load balancer brings a user back to the same server."""

    COOKIE = "cookie"
    TABLE = "stick table"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ability:
    """What can be done with one service there. `cannot` holds `CODE: text` for people.

    `floor_bp` is the smallest share above 0 that a pool can be given; below it `plan` refuses a step.
    """

    floor_bp: Mapping[Colour, int] = field(default_factory=dict)
    keep_grain_bp: int = 1
    stickiness: tuple[Stickiness, ...] = ()
    cannot: tuple[str, ...] = ()
    no_closing: str = ""
    """Why connections to its pools cannot be closed by force, as `CODE: text`; empty: they can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a driver can do with its load balancer as configured. What it cannot do, `plan` refuses beforehand.

    `boot_is_runtime`: one file is both, so there is one write. `pins` are the ways in which it tells the pools of a
    consumer apart and sends each where it belongs. `cannot` holds `CODE: text` for people. `services` has what differs
    from one service to the next.
    """

    version: str
    share_grain_bp: int = 1
    keep_grain_bp: int = 1
    fenced: bool = True
    durable: bool = True
    boot_is_runtime: bool = False
    sees_old_generations: bool = True
    pins: frozenset[PinKind] = frozenset()
    cannot: tuple[str, ...] = ()
    services: Mapping[ServiceName, Ability] = field(default_factory=dict)

    def of(self, service: ServiceName) -> Ability:
        """What can be done with that service."""
        return self.services.get(service) or Ability(keep_grain_bp=self.keep_grain_bp)

"""Where one service's traffic goes: the absolute target a data plane is brought to, and what it reads back."""

from dataclasses import dataclass, replace
from enum import StrEnum

from lbctl.model.names import Colour, ServiceName
from lbctl.model.units import BP_FULL

UNKNOWN = "unknown"
"""Whoever calls a service with consumers and is none of their pools."""


class Pin(StrEnum):
    """Where one consumer pool's calls go, stronger than the split. `split`: not pinned. `none`: refused (503)."""

    BLUE = "blue"
    GREEN = "green"
    SPLIT = "split"
    NONE = "none"


@dataclass(frozen=True, slots=True, order=True)
class Caller:
    """One consumer pool: `storefront-green` for people and in the load balancer."""

    service: ServiceName
    colour: Colour

    def __str__(self) -> str:
        return f"{self.service}-{self.colour}"


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a service's matrix: who called, and which pool was to answer. `caller` None: no known consumer pool,
    written `unknown`."""

    caller: Caller | None
    colour: Colour

    def __str__(self) -> str:
        return f"{self.caller or UNKNOWN}>{self.colour}"


@dataclass(frozen=True, slots=True)
class Route:
    """Split, session keeps and pins of one service, absolute and by colour, in basis points.

    `green_bp` is the part of new traffic that goes to green. `keep_*_bp` is the part of that colour's own sticky
    sessions that is still honoured. `pins` say for each consumer pool, in order, where its calls go. One value, read
    back as a whole; split and keeps are also written as one: a request never sees a mixture of them.
    """

    green_bp: int
    keep_blue_bp: int = BP_FULL
    keep_green_bp: int = BP_FULL
    pins: tuple[tuple[Caller, Pin], ...] = ()

    def __post_init__(self) -> None:
        for part in (self.green_bp, self.keep_blue_bp, self.keep_green_bp):
            if not 0 <= part <= BP_FULL:
                raise ValueError(f"a share lies within 0..{BP_FULL} basis points, not {part}")

    @classmethod
    def all_to(cls, colour: Colour) -> "Route":
        """Every new request to `colour`, every session honoured."""
        return cls(green_bp=BP_FULL if colour is Colour.GREEN else 0)

    def share_bp(self, colour: Colour) -> int:
        """The part of new traffic that `colour` gets."""
        return self.green_bp if colour is Colour.GREEN else BP_FULL - self.green_bp

    def keep_bp(self, colour: Colour) -> int:
        """The part of `colour`'s sticky sessions that is honoured."""
        return self.keep_green_bp if colour is Colour.GREEN else self.keep_blue_bp

    def with_share(self, colour: Colour, share_bp: int) -> "Route":
        """The same keeps, `share_bp` of new traffic to `colour`."""
        return replace(self, green_bp=share_bp if colour is Colour.GREEN else BP_FULL - share_bp)

    def with_keep(self, colour: Colour, keep_bp: int) -> "Route":
        """The same split, `keep_bp` of `colour`'s sessions honoured."""
        if colour is Colour.GREEN:
            return replace(self, keep_green_bp=keep_bp)
        return replace(self, keep_blue_bp=keep_bp)

    def feeds(self, colour: Colour) -> bool:
        """Whether anybody at all is sent to `colour`: by the split, as a session, or by a pin."""
        pinned = any(pin.value == colour.value for _, pin in self.pins)
        return bool(self.share_bp(colour) or self.keep_bp(colour)) or pinned

    def misfit(self, callers: tuple[Caller, ...]) -> str:
        """Say how the pins are not those of a service with these callers; empty if they are."""
        named = tuple(caller for caller, _ in self.pins)
        if named == callers:
            return ""
        said, known = (" ".join(map(str, some)) or "nobody" for some in (named, callers))
        return f"the route pins {said}, and its callers are {known}"

    @property
    def split(self) -> str:
        """Split and keeps as one word: `500:10000:0`."""
        return f"{self.green_bp}:{self.keep_blue_bp}:{self.keep_green_bp}"

    def __str__(self) -> str:
        return " ".join([self.split, *(f"{caller}={pin}" for caller, pin in self.pins)])

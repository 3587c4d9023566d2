"""Where one service's traffic goes: the absolute target a data plane is brought to, and what it reads back."""

from dataclasses import dataclass, replace

from lbctl.model.names import Colour
from lbctl.model.units import BP_FULL


@dataclass(frozen=True, slots=True)
class Route:
    """Split and session keeps of one service, absolute and by colour, in basis points.

    `green_bp` is the part of new traffic that goes to green. `keep_*_bp` is the part of that colour's own sticky
    sessions that is still honoured. One value, written and read as a whole: a request never sees a mixture.
    """

    green_bp: int
    keep_blue_bp: int = BP_FULL
    keep_green_bp: int = BP_FULL

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

    def __str__(self) -> str:
        return f"{self.green_bp}:{self.keep_blue_bp}:{self.keep_green_bp}"
